"""Paper in millimetres: where everything of a figure lies, and in which style."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from clustem.core import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ft2font import FT2Font
    from matplotlib.text import Text

P = ParamSpec("P")
R = TypeVar("R")

SINGLE, DOUBLE = 89.0, 183.0
"""Widths of one and of two columns of a journal [mm]."""

INK, MUTED, FAINT = "#1a1a1a", "#5f5f5f", "#b5b5b5"
SIZE = 7.5
"""Font size of all texts [pt]; letters of panels alone are larger."""

_MM = 25.4
_STYLE = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same figure on every machine
    "font.size": SIZE,
    "axes.labelsize": SIZE,
    "axes.titlesize": SIZE,
    "xtick.labelsize": SIZE,
    "ytick.labelsize": SIZE,
    "legend.fontsize": SIZE,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "xtick.major.pad": 2.0,
    "ytick.major.pad": 2.0,
    "axes.labelpad": 2.5,
    "lines.linewidth": 0.8,
    "figure.dpi": 300,
    "savefig.dpi": "figure",
    "image.interpolation": "nearest",
    "hatch.linewidth": 0.5,
    "svg.fonttype": "none",
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a function in the report's style, whatever the user's settings; they are put back."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        import matplotlib.style

        with matplotlib.style.context(_STYLE, after_reset=True):
            return function(*args, **kwargs)

    return wrapper


class Sheet:
    """A figure whose parts are placed in millimetres from its upper left corner.

    Parameters
    ----------
    width, height
        Size of the paper [mm].
    figure
        Empty figure to use, which gets this size; None makes one that belongs to no window.
    """

    def __init__(self, width: float, height: float, figure: Figure | None = None) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.width, self.height = width, height
        self.figure = Figure() if figure is None else figure
        self.figure.set_size_inches(width / _MM, height / _MM)
        if figure is None:
            FigureCanvasAgg(self.figure)

    def axes(self, left: float, top: float, width: float, height: float, **given: Any) -> Axes:
        """Add axes that fill a box [mm]."""
        box = (
            left / self.width,
            1 - (top + height) / self.height,
            width / self.width,
            height / self.height,
        )
        return self.figure.add_axes(box, **given)

    def text(self, left: float, top: float, text: str, **given: Any) -> Text:
        """Write a text as it is (a $ is a $) at a point [mm]; its middle line lies at ``top``."""
        given = {"va": "center", "ha": "left", **given}
        x, y = left / self.width, 1 - top / self.height
        return self.figure.text(x, y, printable(text), parse_math=False, **given)

    def box(self, left: float, top: float, width: float, height: float, **given: Any) -> None:
        """Draw a rectangle [mm]."""
        from matplotlib.patches import Rectangle

        corner = left / self.width, 1 - (top + height) / self.height
        size = width / self.width, height / self.height
        given = {"transform": self.figure.transFigure, **given}
        self.figure.add_artist(Rectangle(corner, *size, **given))

    def line(self, xs: Sequence[float], ys: Sequence[float], **given: Any) -> None:
        """Draw a line through points [mm]."""
        from matplotlib.lines import Line2D

        x = [value / self.width for value in xs]
        y = [1 - value / self.height for value in ys]
        given = {"transform": self.figure.transFigure, "color": INK, **given}
        self.figure.add_artist(Line2D(x, y, **given))


def printable(text: str) -> str:
    """Replace what the font cannot draw by an empty box, and runs of blanks by one."""
    glyphs = _font()
    return "".join(c if glyphs.get_char_index(ord(c)) else "▯" for c in " ".join(text.split()))


def width_of(text: str) -> float:
    """Width of a printed text [mm]."""
    font = _font()
    font.set_size(SIZE, 72.0)
    font.set_text(printable(text), 0.0)
    return float(font.get_width_height()[0]) / 64 / 72 * _MM


def fitted(text: str, width: float) -> str:
    """Shorten a text until it fits a width [mm]."""
    if width_of(text) <= width:
        return text
    for length in range(len(text) - 1, 0, -1):
        short = text[:length].rstrip() + "…"
        if width_of(short) <= width:
            return short
    return "…"


def packed(
    aspect: float, n: int, *, width: float, gap: tuple[float, float], limit: float, most: float
) -> tuple[int, float]:
    """Choose how many columns of n equal images use a sheet best.

    Parameters
    ----------
    aspect
        Width over height of one image.
    n
        Number of images.
    width
        Width to fill [mm].
    gap
        Space that goes with each image, beside and below it [mm].
    limit
        Largest height of the whole [mm].
    most
        Largest width of one image [mm].

    Returns
    -------
    :
        Number of columns, width of one image [mm].
    """
    best = (n, 0.0)
    for columns in range(n, 0, -1):
        rows = -(-n // columns)
        by_width = (width - gap[0] * (columns - 1)) / columns
        by_height = (limit / rows - gap[1]) * aspect
        size = min(by_width, by_height, most)
        if size > best[1] * 1.3:  # another row must be worth its height
            best = (columns, size)
    if best[1] <= 0:
        raise InputError(
            "A figure has room for some hundred panels at most",
            got=n,
            cure="Plot fewer clusters.",
        )
    return best


@functools.cache
def _font() -> FT2Font:
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    return FT2Font(findfont(FontProperties(family="DejaVu Sans")))
