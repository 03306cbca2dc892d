"""Centers of all clusters, and their memberships, in the colors of the map."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import param
from bokeh.core.properties import value
from bokeh.models import BasicTicker, ColumnDataSource, LinearColorMapper, MultiLine, Range1d
from bokeh.models.annotations import ColorBar, LabelSet
from bokeh.palettes import Cividis256
from numpy.typing import NDArray

from clustem.app.plots.line_marks import LineMarks, lines_in
from clustem.app.plots.paint import hex_colors
from clustem.app.plots.plots import (
    BAR_ROOM,
    FONT,
    Theme,
    image_figure,
    lay_scale_bar,
    show_extent,
)
from clustem.app.plots.scales import LINEAR, LOG, ROOT, SCALES, formatter, named, relabel, scaled
from clustem.app.session.frames import Frame
from clustem.app.session.outcome import Outcome
from clustem.app.session.pictures import units_of
from clustem.app.session.state import Explorer
from clustem.core import Segmentation
from clustem.report.layout.units import with_units

_GAP = 0.08
_HIGH = 0.75
"""Height of a spectrum's end above which its name stands below it."""
_NAME = "x", "y", "side", "off", "name", "color"
"""What is known of each spectrum's name."""
_BAR_LINES = 2.2
"""Height of a scale bar, in lines of the titles."""
_SPACE = 270.0, 440.0
"""Height and width that a page on a small screen leaves for all of them [px]."""
_LETTER, _LINE = 6.5, 18.0
"""Width of a letter of a title, and height of its line [px]."""
_LETTERS, _AIR = 18, 8.0
"""Letters of a title that are never cut off, and space between two images [px]."""


class SpectraPlot(param.Parameterized):
    """Cascade of the centers, each with its own zero, with the X-ray lines that they show.

    Parameters
    ----------
    explorer
        The session.
    theme
        Makes the figure.
    """

    scale: param.Selector[str] = param.Selector(default=ROOT, objects=list(SCALES))

    def __init__(self, explorer: Explorer, theme: Theme) -> None:
        super().__init__()
        self._explorer = explorer
        made = self.figure = theme.figure(
            x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1), name="centers"
        )
        self._lines = ColumnDataSource({"xs": [], "ys": [], "color": []})
        made.add_glyph(self._lines, MultiLine(xs="xs", ys="ys", line_color="color", line_width=1.5))
        self._names = ColumnDataSource({name: [] for name in _NAME})
        self._add_names(theme)
        self._marks = LineMarks(made, theme)
        made.yaxis.major_label_text_alpha = 0.0
        made.yaxis.major_tick_line_color = None
        made.xaxis[0].ticker = BasicTicker(desired_num_ticks=9)
        explorer.param.watch(lambda *_: self.draw(), ["outcome", "elements"])
        self.param.watch(lambda *_: self.draw(), "scale")

    def _add_names(self, theme: Theme) -> None:
        """Write names in ink, after a square in the cluster's color: some colors are too pale."""
        like: dict[str, Any] = {
            "x": "x", "y": "y", "source": self._names, "text_font": value(FONT),
            "text_align": "right", "text_baseline": "side", "y_offset": "off",
        }  # fmt: skip
        names = LabelSet(
            text="name", text_font_size="11px", text_font_style="bold", x_offset=-20, **like
        )
        theme.ink(names, "text_color", "ink")
        squares = LabelSet(
            text=value("■"), text_color="color", text_font_size="14px", x_offset=-4, **like
        )
        for labels in (names, squares):
            self.figure.add_layout(labels)

    def draw(self) -> None:
        """Draw the spectra one above the other."""
        outcome = self._explorer.outcome
        if outcome is None or outcome.result.centers.data.ndim != 2 or not outcome.there:
            self._clear()
            return
        segmentation: Segmentation = outcome.result
        axis = segmentation.centers.axes_manager.signal_axes[0]
        x = np.asarray(axis.axis, dtype=float)
        there = outcome.there
        rows = self._heights(np.asarray(segmentation.centers.data, dtype=float)[there])
        k = len(rows)
        base = np.arange(k)[::-1, None].astype(float)
        shades = [hex_colors(segmentation)[i] for i in there]
        ys = rows * (1 - _GAP) + base
        self._lines.data = {"xs": [x] * k, "ys": list(ys), "color": shades}
        end = ys[:, -max(len(x) // 5, 1) :]  # a name stands above or below this
        above = end.max(axis=1) - base[:, 0] < _HIGH
        self._names.data = {
            "x": [x[-1]] * k, "y": np.where(above, end.max(axis=1), end.min(axis=1)),
            "side": np.where(above, "bottom", "top").tolist(), "off": np.where(above, 3, -3),
            "name": [segmentation.name_of(i) for i in there], "color": shades,
        }  # fmt: skip
        self.figure.x_range.update(start=x[0], end=x[-1], reset_start=x[0], reset_end=x[-1])
        top = k + self._mark_lines(segmentation, k)
        self.figure.y_range.update(start=0, end=top, reset_start=0, reset_end=top)
        name = axis.name if isinstance(axis.name, str) else "Channel"
        self.figure.xaxis.axis_label = with_units(name, axis.units)
        how = {LINEAR: "", ROOT: "√ ", LOG: "log "}[self.scale] + _mean_of(outcome)
        self.figure.yaxis.axis_label = f"{how[0].upper()}{how[1:]}, each to its own height"

    def _clear(self) -> None:
        self._lines.data = {"xs": [], "ys": [], "color": []}
        self._names.data = {name: [] for name in _NAME}
        self._marks.show([])

    def _heights(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale each spectrum to a height of 1."""
        values = np.stack([scaled(row, self.scale) for row in values])
        low = values.min(axis=1, keepdims=True)
        if self.scale != LOG:
            low = np.minimum(low, 0)
        heights: NDArray[np.float64] = values - low
        heights /= np.maximum(heights.max(axis=1, keepdims=True), 1e-12)
        return heights

    def _mark_lines(self, segmentation: Segmentation, k: int) -> float:
        """Mark X-ray lines; return the height that their names take above the spectra."""
        centers = segmentation.centers
        means, errors = np.asarray(centers.data), np.asarray(segmentation.standard_error.data)
        found = lines_in(centers, means, errors, self._explorer.elements)
        self._marks.show(found)
        return 0.16 * k if found else 0.04 * k


class GridPlot(param.Parameterized):
    """Small images side by side in one figure: center patterns or patches, or membership maps.

    Parameters
    ----------
    explorer
        The session.
    theme
        Makes the figure.
    what
        ``"centers"`` or ``"memberships"``.
    """

    scale: param.Selector[str] = param.Selector(default=LOG, objects=list(SCALES))

    def __init__(self, explorer: Explorer, theme: Theme, what: str) -> None:
        super().__init__()
        self._explorer, self._what, self._measured = explorer, what, ("", 0.15)
        made = self.figure = image_figure(
            theme, axes=False, name=what, tools=False, min_border_right=BAR_ROOM
        )
        self._source = ColumnDataSource(
            {
                name: []
                for name in ("image", "x", "y", "dw", "dh", "right", "bottom", "color", "name")
            }
        )
        palette = Cividis256 if what == "memberships" else "Inferno256"
        self._mapper = LinearColorMapper(palette=palette, low=0, high=1, nan_color="#00000000")
        made.image(
            image="image", x="x", y="y", dw="dw", dh="dh", source=self._source,
            color_mapper=self._mapper,
        )  # fmt: skip
        made.quad(
            left="x", right="right", top="y", bottom="bottom", source=self._source,
            fill_color=None, line_color="color", line_width=2,
        )  # fmt: skip
        names = LabelSet(
            x="x", y="y", text="name", source=self._source, text_font=value(FONT),
            text_font_size="11px",
            text_baseline="bottom", y_offset=2,
        )  # fmt: skip
        theme.ink(names, "text_color", "ink")
        made.add_layout(names)
        self._bar = ColorBar(
            color_mapper=self._mapper, width=7, padding=2, label_standoff=3,
            ticker=BasicTicker(desired_num_ticks=4), formatter=formatter(LINEAR),
        )  # fmt: skip
        made.add_layout(self._bar, "right")
        theme.style(made)
        explorer.param.watch(lambda *_: self.draw(), "outcome")
        self.param.watch(lambda *_: self.draw(), "scale")

    def draw(self) -> None:
        """Draw the images."""
        outcome = self._explorer.outcome
        images, frame, label = self._images(outcome)
        if outcome is None or images is None or frame is None or not outcome.there:
            self._source.data = {name: [] for name in self._source.data}
            self._measure("")
            return
        segmentation, there, shades = outcome.result, outcome.there, hex_colors(outcome.result)
        k, (height, width) = len(there), frame.size
        grid = grid_of((height, width), [segmentation.name_of(i) for i in there])
        x = (np.arange(k) % grid.columns) * grid.step[1]
        y = (np.arange(k) // grid.columns) * grid.step[0]
        self._source.data = {
            "image": list(images[there]), "x": x, "y": y, "dw": [width] * k, "dh": [height] * k,
            "right": x + width, "bottom": y + height, "name": grid.names,
            "color": [shades[i] for i in there],
        }  # fmt: skip
        edge, title = 0.02 * width, grid.step[0] - height
        right = float(x.max()) + grid.step[1]
        measured = self._what == "memberships"
        bottom = float(y.max()) + height + (_BAR_LINES * title if measured else edge)
        show_extent(self.figure, (-edge, right + edge, -title, bottom))
        self._bar.title = label
        self._measure(frame.units if measured else "", 0.15 / grid.columns)

    def _measure(self, units: str, share: float = 0.15) -> None:
        """Lay a scale bar below the images, unless they have the one that they need."""
        if self._measured != (units, share):
            self._measured = units, share
            lay_scale_bar(self.figure, units, share)

    def _images(
        self, outcome: Outcome | None
    ) -> tuple[NDArray[np.float32] | None, Frame | None, str]:
        if outcome is None:
            return None, None, ""
        segmentation: Segmentation = outcome.result
        if self._what == "memberships":
            return self._memberships(segmentation)
        data = np.nan_to_num(np.asarray(segmentation.centers.data, dtype=np.float32))
        if data.ndim != 3:
            return None, None, ""
        frame = Frame.of(list(segmentation.centers.axes_manager.signal_axes[::-1]))
        data = scaled(data, self.scale).astype(np.float32)
        relabel(self._bar.formatter, self.scale)
        low = float(np.quantile(data, 0.01 if self.scale == LOG else 0.0))
        self._mapper.update(low=low, high=max(float(data.max()), low + 1e-6))
        return data, frame, named(_mean_of(outcome), self.scale)

    def _memberships(
        self, segmentation: Segmentation
    ) -> tuple[NDArray[np.float32] | None, Frame | None, str]:
        places = self._explorer.places
        if segmentation.memberships is None or places is None or places.scattered:
            return None, None, ""
        stack = np.asarray(segmentation.memberships.data, dtype=np.float32)
        stack = stack.reshape(len(stack), *places.frame.shape)
        stack = np.where(np.atleast_2d(segmentation.mask), np.nan, stack)
        return stack, places.frame, "membership"


def _mean_of(outcome: Outcome) -> str:
    return "mean counts" if units_of(outcome.raw) == "counts" else "mean (a.u.)"


@dataclass(frozen=True)
class Grid:
    """Columns of images.

    Parameters
    ----------
    columns
        How many images are side by side.
    step
        From one image to that below it and to that beside it, in the units of the images.
    names
        Titles, shortened to the width that is there.
    """

    columns: int
    step: tuple[float, float]
    names: tuple[str, ...]


def grid_of(size: tuple[float, float], names: Sequence[str]) -> Grid:
    """Lay images so that they are as large as they can be and no title covers another.

    Parameters
    ----------
    size
        Height and width of each image, in any units.
    names
        Titles, one per image.

    Notes
    -----
    Titles do not grow with the page, images do: on a page larger than the one that is reckoned
    with they only lie farther apart.

    Examples
    --------
    >>> grid_of((50.0, 6.0), ["cluster 0", "cluster 1"]).columns
    2
    """
    height, width = size
    letters = min(max(len(name) for name in names), _LETTERS)
    title = letters * _LETTER + _AIR

    def unit(columns: int) -> float:
        """Pixels of the page per unit of the images."""
        rows = -(-len(names) // columns)
        tall = max(_SPACE[0] / rows - _LINE, 1.0) / height
        return min(tall, (_SPACE[1] / columns - _AIR) / width)

    fitting = [n for n in range(1, len(names) + 1) if n * title <= _SPACE[1]]
    columns = max(fitting, key=unit)
    scale = unit(columns)
    step = height + _LINE / scale, max(width + _AIR / scale, title / scale)
    most = max(int((step[1] * scale - _AIR) / _LETTER), 1)
    return Grid(columns, step, tuple(_shortened(name, most) for name in names))


def _shortened(name: str, most: int) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
