"""Centers of all clusters, and their memberships, in the colors of the map."""

from __future__ import annotations

from typing import Any

import numpy as np
import param
from bokeh.core.properties import value
from bokeh.models import (
    BasicTicker,
    ColorBar,
    ColumnDataSource,
    LabelSet,
    LinearColorMapper,
    MultiLine,
    Range1d,
)
from bokeh.palettes import Cividis256
from numpy.typing import NDArray

from clustem.app.frames import Frame
from clustem.app.grids import grid_of
from clustem.app.paint import hex_colors
from clustem.app.plots import FONT, Looks, image_figure, lay_scale_bar, show_extent
from clustem.app.scales import LINEAR, LOG, ROOT, SCALES, formatter, relabel, scaled
from clustem.app.state import Explorer
from clustem.model import Projection
from clustem.report._units import with_units

_GAP = 0.08
_BAR_LINES = 2.2
"""Height of a scale bar, in lines of the titles."""


class SpectraPlot(param.Parameterized):
    """Cascade of the centers, each with its own zero, with the X-ray lines that they show.

    Parameters
    ----------
    explorer
        The session.
    looks
        Makes the figure.
    """

    scale = param.Selector(default=ROOT, objects=list(SCALES))

    def __init__(self, explorer: Explorer, looks: Looks) -> None:
        super().__init__()
        self._explorer = explorer
        made = self.figure = looks.figure(
            x_range=Range1d(0, 1), y_range=Range1d(0, 1), name="centers"
        )
        self._lines = ColumnDataSource({"xs": [], "ys": [], "color": []})
        made.add_glyph(self._lines, MultiLine(xs="xs", ys="ys", line_color="color", line_width=1.5))
        self._zeros = ColumnDataSource({"x": [], "y": [], "name": [], "color": []})
        self._add_names(looks)
        self._marks = ColumnDataSource({"x0": [], "y0": [], "x1": [], "y1": [], "text": []})
        marks = made.segment("x0", "y0", "x1", "y1", source=self._marks, line_dash=[2, 3])
        looks.ink(marks.glyph, "line_color", "line")
        labels = LabelSet(
            x="x0", y="y1", text="text", source=self._marks, text_font=value(FONT),
            text_font_size="10px",
            angle=np.pi / 2, text_align="right", text_baseline="middle", y_offset=-2,
        )  # fmt: skip
        looks.ink(labels, "text_color", "muted")
        made.add_layout(labels)
        made.yaxis.major_label_text_alpha = 0.0
        made.yaxis.major_tick_line_color = None
        made.xaxis[0].ticker = BasicTicker(desired_num_ticks=9)
        explorer.param.watch(lambda *_: self.draw(), "outcome")
        self.param.watch(lambda *_: self.draw(), "scale")

    def _add_names(self, looks: Looks) -> None:
        """Write names in ink, after a square in the cluster's color: some colors are too pale."""
        like = {
            "x": "x", "y": "y", "source": self._zeros, "text_font": value(FONT),
            "text_align": "right", "y_offset": 4,
        }  # fmt: skip
        names = LabelSet(
            text="name", text_font_size="11px", text_font_style="bold", x_offset=-20, **like
        )
        looks.ink(names, "text_color", "ink")
        squares = LabelSet(
            text=value("■"), text_color="color", text_font_size="14px", x_offset=-4, **like
        )
        for labels in (names, squares):
            self.figure.add_layout(labels)

    def draw(self) -> None:
        """Draw the spectra one above the other."""
        outcome = self._explorer.outcome
        if outcome is None or outcome.result.centers.data.ndim != 2:
            self._clear()
            return
        projection: Projection = outcome.result.projection
        axis = projection.centers.axes_manager.signal_axes[0]
        x = np.asarray(axis.axis, dtype=float)
        rows = self._heights(np.asarray(projection.centers.data, dtype=float))
        k = len(rows)
        base = np.arange(k)[::-1, None].astype(float)
        shades = hex_colors(projection)
        self._lines.data = {"xs": [x] * k, "ys": list(rows * (1 - _GAP) + base), "color": shades}
        self._zeros.data = {
            "x": [x[-1]] * k, "y": list(base[:, 0] + 0.5),
            "name": [projection.name_of(i) for i in range(k)], "color": shades,
        }  # fmt: skip
        self.figure.x_range.update(start=x[0], end=x[-1], reset_start=x[0], reset_end=x[-1])
        top = k + self._mark_lines(projection, x, k)
        self.figure.y_range.update(start=0, end=top, reset_start=0, reset_end=top)
        name = axis.name if isinstance(axis.name, str) else "Channel"
        self.figure.xaxis.axis_label = with_units(name, axis.units)
        how = {LINEAR: "Mean counts", ROOT: "√ mean counts", LOG: "log mean counts"}[self.scale]
        self.figure.yaxis.axis_label = f"{how}, each to its own height"

    def _clear(self) -> None:
        self._lines.data = {"xs": [], "ys": [], "color": []}
        self._zeros.data = {"x": [], "y": [], "name": [], "color": []}
        self._marks.data = {"x0": [], "y0": [], "x1": [], "y1": [], "text": []}

    def _heights(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scale each spectrum to a height of 1."""
        values = np.stack([scaled(row, self.scale) for row in values])
        if self.scale == LOG:
            low = values.min(axis=1, keepdims=True)
            return (values - low) / np.maximum(values.max(axis=1, keepdims=True) - low, 1e-12)
        low = np.minimum(values.min(axis=1, keepdims=True), 0)
        return (values - low) / np.maximum(values.max(axis=1, keepdims=True) - low, 1e-12)

    def _mark_lines(self, projection: Projection, x: NDArray[Any], k: int) -> float:
        """Mark X-ray lines; return the room that their names take above the spectra."""
        found = []
        if str(projection.centers.metadata.get_item("Signal.signal_type", "")).startswith("EDS"):
            from clustem.report._xray_lines import visible_lines  # noqa: PLC0415  # exspy, 1 s

            centers = projection.centers
            means, errors = np.asarray(centers.data), np.asarray(projection.spread.data)
            to_kev = 1e-3 if str(centers.axes_manager[-1].units) == "eV" else 1.0
            found = [
                line for line in visible_lines(centers, x * to_kev, means, errors)
                if x[0] < line.energy / to_kev < x[-1]
            ]  # fmt: skip
            found = [(line.energy / to_kev, line.text) for line in found]
        room = 0.16 * k if found else 0.04 * k
        at = [energy for energy, _ in found]
        self._marks.data = {
            "x0": at, "x1": at, "y0": [0.0] * len(at), "y1": [k + room] * len(at),
            "text": [text for _, text in found],
        }  # fmt: skip
        return room


class GridPlot(param.Parameterized):
    """Small images side by side in one figure: center patterns or patches, or membership maps.

    Parameters
    ----------
    explorer
        The session.
    looks
        Makes the figure.
    what
        ``"centers"`` or ``"memberships"``.
    """

    scale = param.Selector(default=LOG, objects=list(SCALES))

    def __init__(self, explorer: Explorer, looks: Looks, what: str) -> None:
        super().__init__()
        self._explorer, self._what, self._measured = explorer, what, ("", 0.2)
        made = self.figure = image_figure(
            looks, axes=False, name=what, tools=False, min_border_right=54
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
        looks.ink(names, "text_color", "ink")
        made.add_layout(names)
        self._bar = ColorBar(
            color_mapper=self._mapper, width=7, padding=2, label_standoff=3,
            ticker=BasicTicker(desired_num_ticks=4), formatter=formatter(LINEAR),
        )  # fmt: skip
        made.add_layout(self._bar, "right")
        looks.style(made)
        explorer.param.watch(lambda *_: self.draw(), "outcome")
        self.param.watch(lambda *_: self.draw(), "scale")

    def draw(self) -> None:
        """Draw the images."""
        images, frame, label = self._images()
        if images is None or frame is None:
            self._source.data = {name: [] for name in self._source.data}
            self._measure("")
            return
        projection = self._explorer.outcome.result.projection
        k, (height, width) = len(images), frame.size
        grid = grid_of((height, width), [projection.name_of(i) for i in range(k)])
        x = (np.arange(k) % grid.columns) * grid.step[1]
        y = (np.arange(k) // grid.columns) * grid.step[0]
        self._source.data = {
            "image": list(images), "x": x, "y": y, "dw": [width] * k, "dh": [height] * k,
            "right": x + width, "bottom": y + height, "color": hex_colors(projection),
            "name": grid.names,
        }  # fmt: skip
        edge, title = 0.02 * width, grid.step[0] - height
        right = float(x.max()) + grid.step[1]
        measured = self._what == "memberships"
        bottom = float(y.max()) + height + (_BAR_LINES * title if measured else edge)
        show_extent(self.figure, (-edge, right + edge, -title, bottom))
        self._bar.title = label
        self._measure(frame.units if measured else "", 0.2 / grid.columns)

    def _measure(self, units: str, share: float = 0.2) -> None:
        """Lay a scale bar below the images, unless they have the one that they need."""
        if self._measured != (units, share):
            self._measured = units, share
            lay_scale_bar(self.figure, units, share)

    def _images(self) -> tuple[Any, Frame | None, str]:
        outcome = self._explorer.outcome
        if outcome is None:
            return None, None, ""
        projection: Projection = outcome.result.projection
        if self._what == "memberships":
            return self._memberships(projection)
        data = np.nan_to_num(np.asarray(projection.centers.data, dtype=np.float32))
        if data.ndim != 3:
            return None, None, ""
        frame = Frame.of(list(projection.centers.axes_manager.signal_axes[::-1]))
        data = scaled(data, self.scale).astype(np.float32)
        relabel(self._bar.formatter, self.scale)
        low = float(np.quantile(data, 0.01 if self.scale == LOG else 0.0))
        self._mapper.update(low=low, high=max(float(data.max()), low + 1e-6))
        counts = outcome.raw.data.dtype.kind in "ui"
        return data, frame, "mean counts" if counts else "mean (a.u.)"

    def _memberships(self, projection: Projection) -> tuple[Any, Frame | None, str]:
        places = self._explorer.places
        if projection.memberships is None or places is None or places.scattered:
            return None, None, ""
        stack = np.asarray(projection.memberships.data, dtype=np.float32)
        stack = stack.reshape(len(stack), *places.frame.shape)
        stack = np.where(np.atleast_2d(projection.mask), np.nan, stack)
        return stack, places.frame, "membership"
