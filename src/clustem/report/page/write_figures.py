"""The figures of a report one by one, as a journal wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from string import ascii_lowercase
from typing import IO, TYPE_CHECKING, Annotated, Literal

import numpy as np
from annotated_types import Interval

from clustem.core import InputError, Segmentation, check_parameters, checked
from clustem.report.layout.sheet import SIZE
from clustem.report.page.plan import plan

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_MM, _FONT = 25.4, "DejaVu Sans"
_ABOVE = 5.0
"""Height that a panel's letter needs above its figure [mm]."""
Form = Literal["png", "svg", "pdf"]


@dataclass(frozen=True)
class Print:
    """How figures are printed.

    Parameters
    ----------
    form
        Format of the files.
    width
        Width of each figure [mm], 10 to 1000; None leaves the 89 or 183 mm that it is made for,
        with texts of 7.5 points. At another width texts and lines grow or shrink with it.
    dpi
        Resolution of pixels, 30 to 2400, of which SVG and PDF have only those of maps and patterns.
    font
        Family of the texts; None leaves DejaVu Sans, which is on every machine. SVG names it for
        the program that shows the figure; for PNG and PDF it must be installed here.
    letters
        Whether the figures are lettered a, b, c ... as panels.

    Raises
    ------
    ParameterError
        If a value is none of these.
    """

    form: Form = "png"
    width: Annotated[float, Interval(ge=10, le=1000)] | None = None
    dpi: Annotated[int, Interval(ge=30, le=2400)] = 300
    font: str | None = None
    letters: bool = False

    def __post_init__(self) -> None:
        check_parameters(Print, vars(self))


@checked
def write_figures(
    segmentation: Segmentation,
    folder: str | Path,
    how: Print,
    *,
    progress: Callable[[str, float], None] | None = None,
) -> list[Path]:
    """Write all figures of a result, each into a file of its own.

    Parameters
    ----------
    segmentation
        Any result.
    folder
        Where to; it exists.
    how
        Format, size and lettering.
    progress
        Called with the name of each figure and the share that is done.

    Returns
    -------
    :
        The files, in the order of the report.

    Raises
    ------
    InputError
        If the font is not there.

    Examples
    --------
    >>> import tempfile
    >>> from clustem.report.figures.example import example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     files = write_figures(example(), folder, Print("svg", width=120.0, letters=True))
    ...     files[0].name, "width='340.1" in files[0].read_text()[:2000].replace('"', "'")
    ('phase_map.svg', True)
    """
    _check_font(how)
    files, figures = [], list(plan(segmentation))
    for i, planned in enumerate(figures):
        if progress is not None:
            progress(planned.name, i / len(figures))
        files.append(Path(folder, f"{planned.name}.{how.form}"))
        letter = ascii_lowercase[i % 26] if how.letters else ""
        with files[-1].open("wb") as file:
            _print(planned.draw(), file, how, letter)
    return files


def _print(figure: Figure, file: IO[bytes], how: Print, letter: str) -> None:
    from matplotlib import rc_context
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    scale = 1.0 if how.width is None else how.width / (figure.get_figwidth() * _MM)
    if scale != 1:
        _scale(figure, scale)
    width, height = figure.get_size_inches()
    top = _ABOVE * scale / _MM if letter else 0.0
    if letter:
        place, size = 1 + top / height, (SIZE + 2) * scale
        figure.text(0.0, place, letter, va="top", weight="bold", size=size, family=_FONT)
    named, family = how.form == "svg" and how.font is not None, how.font or _FONT
    for text in figure.findobj(Text) if family != _FONT and not named else ():
        text.set_fontfamily([family, _FONT])
    drawn = BytesIO() if named else file
    with rc_context({"svg.fonttype": "none", "pdf.fonttype": 42}):
        figure.savefig(
            drawn, format=how.form, dpi=how.dpi, bbox_inches=Bbox([[0, 0], [width, height + top]])
        )
    if isinstance(drawn, BytesIO) and named:
        font = f"'{family}', '{_FONT}'"
        file.write(drawn.getvalue().replace(f"'{_FONT}'".encode(), font.encode()))


def _check_font(how: Print) -> None:
    """Refuse a font that is not here where it is drawn here."""
    from matplotlib.font_manager import get_font_names

    if how.font is not None and how.form != "svg" and how.font not in get_font_names():
        raise InputError(
            "The font of a PNG or PDF must be installed where it is drawn",
            got=how.font,
            cure="Leave the font as it is, or take SVG.",
        )


def _scale(figure: Figure, scale: float) -> None:
    """Enlarge a figure as a whole: paper, texts, lines and dots."""
    from matplotlib.collections import Collection, PathCollection
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch
    from matplotlib.spines import Spine
    from matplotlib.text import Text

    figure.set_size_inches(*(scale * side for side in figure.get_size_inches()))
    for axis in _axes(figure):
        axis.labelpad *= scale
        tick = axis.get_tick_params(which="major")
        axis.set_tick_params(
            which="major", length=scale * tick.get("length", 2.5), pad=scale * tick.get("pad", 2.0)
        )
    for artist in figure.findobj():
        if isinstance(artist, Text):
            artist.set_fontsize(scale * float(artist.get_fontsize()))
        elif isinstance(artist, Line2D):
            artist.set_linewidth(scale * artist.get_linewidth())
            artist.set_markersize(scale * artist.get_markersize())
        elif isinstance(artist, Patch | Spine):
            artist.set_linewidth(scale * artist.get_linewidth())
        elif isinstance(artist, Collection):
            artist.set_linewidth((scale * np.asarray(artist.get_linewidth())).tolist())
            if isinstance(artist, PathCollection):
                artist.set_sizes(scale**2 * artist.get_sizes())


def _axes(figure: Figure) -> Iterator[Axis]:
    for ax in figure.axes:
        yield ax.xaxis
        yield ax.yaxis
