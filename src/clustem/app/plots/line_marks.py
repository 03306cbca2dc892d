"""X-ray lines in figures of spectra: dashed, their names side by side above them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, MultiLine, Range1d
from bokeh.models.annotations import LabelSet
from numpy.typing import NDArray

from clustem.app.plots.plots import FONT, Theme
from clustem.core import Signal
from clustem.report.layout.line_labels import is_eds, visible_lines

_TOP, _BEND, _NAME = 0.74, 0.8, 1.0
"""Where leaders leave their lines, where they end, and where names end [height of the figure]."""
_PITCH, _WIDTH = 12.0, 420.0
"""Width of a name on its side, and of a figure whose width the browser has not told yet [px]."""


class LineMarks:
    """X-ray lines in one figure.

    Parameters
    ----------
    made
        Figure of spectra.
    theme
        Gives colors.
    """

    def __init__(self, made: Any, theme: Theme) -> None:
        self._figure = made
        made.extra_y_ranges = {"lines": Range1d(start=0, end=1)}
        self._lines = ColumnDataSource({"xs": [], "ys": []})
        self._names = ColumnDataSource({"x": [], "y": [], "text": []})
        dashed = made.add_glyph(
            self._lines, MultiLine(xs="xs", ys="ys", line_dash=[2, 3]), y_range_name="lines"
        )
        theme.ink(dashed.glyph, "line_color", "line")
        dashed.level = "underlay"
        labels = LabelSet(
            x="x", y="y", text="text", source=self._names, y_range_name="lines", angle=np.pi / 2,
            text_font=value(FONT), text_font_size="10px", text_baseline="middle",
            text_align="right", y_offset=-2,
        )  # fmt: skip
        theme.ink(labels, "text_color", "muted")
        made.add_layout(labels)
        self._shown: list[tuple[float, str]] = []
        self._width = _WIDTH
        made.on_change("inner_width", self._resized)

    def _resized(self, attr: str, old: Any, new: Any) -> None:  # noqa: ARG002  # Bokeh's signature
        self._width = float(new or _WIDTH)
        self.show(self._shown)

    def show(self, lines: Sequence[tuple[float, str]]) -> None:
        """Draw lines: position on the axis, and name; none to clear.

        Names that would cover each other are pushed apart, each tied to its line; where they do
        not all fit, the last are left out, so the most significant come first.
        """
        self._shown, width = list(lines), self._width
        start, end = float(self._figure.x_range.start), float(self._figure.x_range.end)
        pitch = _PITCH * abs(end - start) / width
        room = max(int(width / _PITCH), 1)
        inside = [line for line in lines if min(start, end) < line[0] < max(start, end)]
        kept = sorted(inside[:room])
        places = spread(np.array([x for x, _ in kept]), pitch, (min(start, end), max(start, end)))
        self._lines.data = {
            "xs": [[x, x, place] for (x, _), place in zip(kept, places, strict=True)],
            "ys": [[0.0, _TOP, _BEND]] * len(kept),
        }
        self._names.data = {
            "x": places.tolist(), "y": [_NAME] * len(kept), "text": [text for _, text in kept],
        }  # fmt: skip


def spread(at: NDArray[np.float64], pitch: float, ends: tuple[float, float]) -> NDArray[np.float64]:
    """Push places apart to at least a pitch, as little as possible in squares.

    Parameters
    ----------
    at
        Rising places, (n,).
    pitch
        Least distance.
    ends
        Where all must lie.

    Examples
    --------
    >>> spread(np.array([1.0, 1.0, 5.0]), 1.0, (0.0, 9.0))
    array([0.5, 1.5, 5. ])
    """
    from sklearn.isotonic import isotonic_regression

    if not len(at):
        return np.empty(0)
    slots = np.arange(len(at)) * pitch
    low, high = ends[0] + pitch / 2, ends[1] - pitch / 2 - slots[-1]
    moved: NDArray[np.float64] = isotonic_regression(at - slots, y_min=low, y_max=max(high, low))
    return moved + slots


def lines_in(
    signal: Signal, spectra: NDArray[Any], errors: NDArray[Any], elements: Sequence[str]
) -> list[tuple[float, str]]:
    """List the X-ray lines of elements that spectra show, the most significant first.

    Parameters
    ----------
    signal
        Whose axis, beam and detector they have.
    spectra, errors
        Mean spectra and their standard errors, (k, channels).
    elements
        Symbols of the elements whose lines are looked for.

    Returns
    -------
    :
        Position on the signal's axis, and name, of each; none if these are no X-rays.
    """
    if not is_eds(signal) or not elements:
        return []
    axis = signal.axes_manager.signal_axes[0]
    to_kev = 1e-3 if str(axis.units) == "eV" else 1.0
    energy = np.asarray(axis.axis, dtype=np.float64) * to_kev
    found = visible_lines(signal, energy, spectra, errors, elements=elements)
    found = sorted(found, key=lambda line: -line.significance)
    return [(line.energy / to_kev, line.text) for line in found]
