"""What lies under the cursor, with its center over it or beside it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import param
from bokeh.models import BasicTicker, ColumnDataSource, LinearColorMapper, Range1d
from bokeh.models.annotations import BoxAnnotation, ColorBar
from numpy.typing import NDArray

from clustem.app.plots.line_marks import LineMarks, lines_in
from clustem.app.plots.paint import UNASSIGNED, hex_colors
from clustem.app.plots.plots import BAR_ROOM, Theme, empty_image, fill, image_figure, show_extent
from clustem.app.plots.scales import (
    LINEAR,
    LOG,
    ROOT,
    SCALES,
    formatter,
    named,
    relabel,
    scaled,
    steady,
)
from clustem.app.session import pictures
from clustem.app.session.clouds import Selection
from clustem.app.session.frames import Frame
from clustem.app.session.probe import PIECE, Reading
from clustem.app.session.state import Explorer
from clustem.core import Axis, Segmentation, Signal
from clustem.report.layout.line_labels import is_eds
from clustem.report.layout.units import pretty, with_units

_INFERNO = "Inferno256"
_LINES = ("here", "center", "chosen")
_AIR = 0.3
"""Height that names of X-ray lines need above the spectra, in heights of these."""


class SpectrumPlot(param.Parameterized):
    """Figure of the spectrum under the cursor.

    Parameters
    ----------
    explorer, selection
        The session, and what is chosen.
    theme
        Makes the figure.
    """

    scale: param.Selector[str] = param.Selector(default=ROOT, objects=list(SCALES))
    window = param.Boolean(default=False, doc="Whether the window of the picture is shown")

    def __init__(self, explorer: Explorer, selection: Selection, theme: Theme) -> None:
        super().__init__()
        self._explorer, self._selection = explorer, selection
        self._axis: NDArray[np.float64] | None = None
        self._limits: tuple[float, float] | None = None
        self._air, self._unit = 0.06, "counts"
        made = self.figure = theme.figure(
            x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1), name="spectrum"
        )
        made.xaxis[0].ticker = BasicTicker(desired_num_ticks=8)
        made.yaxis[0].ticker = BasicTicker(desired_num_ticks=4)
        made.yaxis[0].formatter = formatter(self.scale)
        self._sources = {name: ColumnDataSource({"x": [], "y": []}) for name in _LINES}
        here = made.line("x", "y", source=self._sources["here"], line_width=1)
        theme.ink(here.glyph, "line_color", "muted")
        self._center = made.line("x", "y", source=self._sources["center"], line_width=2).glyph
        chosen = made.line("x", "y", source=self._sources["chosen"], line_width=1.5)
        theme.ink(chosen.glyph, "line_color", "accent")
        self._marks = LineMarks(made, theme)
        self._add_window()
        explorer.param.watch(lambda *_: self._renew(), ["opened", "outcome"])
        explorer.param.watch(lambda *_: self._mark(), ["opened", "outcome", "mean", "elements"])
        explorer.param.watch(lambda *_: self.draw(), ["reading", "mean"])
        selection.param.watch(lambda *_: self.draw(), "mean")
        self.param.watch(lambda *_: self._rescale(), "scale")
        self.param.watch(lambda *_: self._show_window(), "window")

    @property
    def caption(self) -> list[tuple[str, str]]:
        """Text and color of each line that is drawn."""
        reading, outcome = self._explorer.reading, self._explorer.outcome
        inks = {"here": "muted", "chosen": "accent"}
        found = [("mean of all" if reading is None else self._place(), inks["here"])]
        if outcome is not None and reading is not None and reading.label is not None:
            segmentation = outcome.result
            if reading.label >= 0:
                shade = hex_colors(segmentation)[reading.label]
                found.append((segmentation.name_of(reading.label), shade))
            else:
                found.append((_no_cluster(reading), UNASSIGNED))
        if self._selection.mean is not None:
            found.append((f"mean of the {self._selection.count} chosen", inks["chosen"]))
        return found

    def _place(self) -> str:
        """Where the cursor is in the whole file, as above the map, however that was cropped."""
        opened, cursor = self._explorer.opened, self._explorer.cursor
        return "" if opened is None or cursor is None else opened.frame.place(*cursor)

    def draw(self) -> None:
        """Draw the lines."""
        reading, outcome = self._explorer.reading, self._explorer.outcome
        if self._axis is None:
            return
        values = {"here": self._explorer.mean if reading is None else reading.values}
        cluster = _cluster_of(reading)
        if outcome is not None and cluster is not None:
            segmentation = outcome.result
            values["center"] = segmentation.centers.data[cluster]
            self._center.line_color = hex_colors(segmentation)[cluster]
        values["chosen"] = self._selection.mean
        shown = []
        for name, source in self._sources.items():
            row = values.get(name)
            fits = row is not None and np.shape(row) == self._axis.shape
            y = scaled(np.asarray(row), self.scale) if fits else np.empty(0)
            source.data = {"x": self._axis[: len(y)], "y": y}
            if len(y):
                shown.append(y)
        self._limit(shown)

    def _limit(self, shown: list[NDArray[Any]]) -> None:
        if not shown:
            return
        low, high = min(float(y.min()) for y in shown), max(float(y.max()) for y in shown)
        margin = 0.06 * (high - low or 1.0)
        start = low - margin if self.scale == LOG or low < 0 else 0.0
        above = self._air * (high - low or 1.0)
        self._limits = steady(self._limits, (start, high + above))
        self.figure.y_range.update(start=self._limits[0], end=self._limits[1])

    def _renew(self) -> None:
        """Take the axis of what is shown now."""
        signal = self._signal()
        if signal is None or signal.axes_manager.signal_dimension != 1:
            self._axis = None
            return
        axis = signal.axes_manager.signal_axes[0]
        values = np.asarray(axis.axis, dtype=float)
        if self._axis is None or not np.array_equal(values, self._axis):
            self._axis = values
            self.figure.x_range.update(
                start=values[0], end=values[-1], reset_start=values[0], reset_end=values[-1]
            )
            third = (values[-1] - values[0]) / 3
            self._box.update(left=values[0] + third, right=values[-1] - third)
        self.figure.xaxis.axis_label = with_units(
            str(axis.name) if isinstance(axis.name, str) else "Channel", axis.units
        )
        self._unit = pictures.units_of(signal)
        self._name_scale()
        self.draw()

    def _mark(self) -> None:
        """Mark the X-ray lines that the centers show, or the mean of all before there are any."""
        signal, outcome, mean = self._signal(), self._explorer.outcome, self._explorer.mean
        lines: list[tuple[float, str]] = []
        if self._axis is not None and signal is not None and is_eds(signal):
            if outcome is not None and outcome.result.centers.data.ndim == 2:
                result = outcome.result
                spectra, errors = result.centers.data, result.standard_error.data
                lines = lines_in(result.centers, spectra, errors, self._explorer.elements)
            elif mean is not None and mean.shape == self._axis.shape:
                n = max(signal.data.size // len(mean), 1)
                errors = np.sqrt(np.maximum(mean, 0) / n)
                lines = lines_in(signal, mean[None], errors[None], self._explorer.elements)
        self._marks.show(lines)
        self._air = _AIR if lines else 0.06
        self._limits = None
        self.draw()

    def _signal(self) -> Signal | None:
        outcome = self._explorer.outcome
        if outcome is not None and outcome.result.source is not None:
            return outcome.result.source
        return None if self._explorer.opened is None else self._explorer.opened.signal

    def _name_scale(self) -> None:
        how = {LINEAR: "", ROOT: ", √ scale", LOG: ", log scale"}[self.scale]
        self.figure.yaxis.axis_label = f"Intensity ({self._unit}{how})"

    def _rescale(self) -> None:
        self._limits = None
        relabel(self.figure.yaxis[0].formatter, self.scale)
        self._name_scale()
        self.draw()

    # the window whose sum is the picture

    def _add_window(self) -> None:
        self._box = BoxAnnotation(
            left=0, right=1, visible=False, editable=True, resizable="x", movable="x",
            fill_color="#ffd43b", fill_alpha=0.18, line_color="#e8a800", line_width=1.5,
            name="window",
        )  # fmt: skip
        self.figure.add_layout(self._box)
        for side in ("left", "right"):
            self._box.on_change(side, self._moved)

    def _moved(self, attr: str, old: Any, new: Any) -> None:  # noqa: ARG002  # Bokeh's signature
        self._navigate()

    def _show_window(self) -> None:
        self._box.visible = self.window
        if self.window:
            self._navigate()

    def _navigate(self) -> None:
        if not self.window or self._explorer.opened is None:
            return
        signal = self._explorer.opened.signal
        box: Any = self._box  # its sides are numbers here, though Bokeh allows more
        low, high = float(box.left), float(box.right)
        self._explorer.navigate("window", lambda: pictures.window(signal, low, high))


class PatternPlot(param.Parameterized):
    """Two figures: the pattern or patch under the cursor, and the center of its cluster.

    Parameters
    ----------
    explorer, selection
        The session, and what is chosen.
    theme
        Makes the figures.
    """

    scale: param.Selector[str] = param.Selector(default=LOG, objects=list(SCALES))

    def __init__(self, explorer: Explorer, selection: Selection, theme: Theme) -> None:
        super().__init__()
        self._explorer, self._selection = explorer, selection
        self._shape: tuple[int, ...] = ()
        self._extent, self._what = (0.0, 1.0, 0.0, 1.0), "counts"
        self._known: Segmentation | None = None
        self._rows: list[NDArray[Any]] = []
        self.here, self._here = self._panel(theme, "here")
        self.center, self._center = self._panel(theme, "center")
        explorer.param.watch(lambda *_: self._renew(), ["opened", "outcome", "picture"])
        explorer.param.watch(lambda *_: self.draw(), ["reading", "mean"])
        selection.param.watch(lambda *_: self.draw(), "mean")
        self.param.watch(lambda *_: self._rescale(), "scale")

    def _rescale(self) -> None:
        for parts in (self._here, self._center):
            relabel(parts["bar"].formatter, self.scale)
            parts["bar"].title = named(self._what, self.scale)
            parts["levels"] = None
        self.draw()

    def _panel(self, theme: Theme, name: str) -> tuple[Any, dict[str, Any]]:
        made = image_figure(theme, name=name, title=" ", min_border_right=BAR_ROOM)
        source = empty_image()
        mapper = LinearColorMapper(palette=_INFERNO, low=0, high=1, nan_color="#00000000")
        made.image(source=source, color_mapper=mapper)
        bar = ColorBar(
            color_mapper=mapper, width=7, padding=2, label_standoff=3,
            formatter=formatter(self.scale), visible=False,
            ticker=BasicTicker(desired_num_ticks=4), title="counts",
        )  # fmt: skip
        made.add_layout(bar, "right")
        edge = ColumnDataSource({"left": [], "right": [], "top": [], "bottom": [], "color": []})
        made.quad(
            "left", "right", "top", "bottom", source=edge, fill_color=None, line_color="color",
            line_width=3,
        )  # fmt: skip
        for axis in made.axis:
            axis.ticker = BasicTicker(desired_num_ticks=4)
        theme.style(made)
        parts = {"source": source, "mapper": mapper, "bar": bar, "edge": edge}
        return made, {**parts, "shown": (None, "", ()), "levels": None}

    def draw(self) -> None:
        """Draw both images on one scale each."""
        reading, outcome = self._explorer.reading, self._explorer.outcome
        values = None if reading is None else reading.values
        title = "Mean of some" if values is None else "Under the cursor"
        if values is None:
            values = self._explorer.mean
        if values is None or np.shape(values) != self._shape:  # an image has no mean patch
            title = " "
        self._show(self.here, self._here, values, title)
        center, name, shade = None, " ", None
        cluster = _cluster_of(reading)
        if outcome is not None and cluster is not None:
            segmentation = outcome.result
            center = self._center_of(segmentation, cluster)
            name = f"Center: {segmentation.name_of(cluster)}"
            shade = hex_colors(segmentation)[cluster]
        elif reading is not None and reading.label is not None:
            name = _no_cluster(reading).capitalize()
        if self._selection.mean is not None:
            center, name = self._selection.mean, f"Mean of the {self._selection.count} chosen"
        self._show(self.center, self._center, center, name)
        self._frame_center(shade)

    def _center_of(self, segmentation: Segmentation, label: int) -> NDArray[Any]:
        """Return a center as the same array each time, so that it is sent once."""
        if self._known is not segmentation:
            self._known, self._rows = segmentation, list(segmentation.centers.data)
        return self._rows[label]

    def _frame_center(self, shade: str | None) -> None:
        """Draw a frame in the color of the cluster."""
        edge, (left, right, top, bottom) = self._center["edge"], self._extent
        if shade is None:
            edge.data = {name: [] for name in edge.data}
        elif list(edge.data["color"]) != [shade] or edge.data["left"] != [left]:
            ends = {"left": [left], "right": [right], "top": [top], "bottom": [bottom]}
            edge.data = {**ends, "color": [shade]}

    def _show(self, made: Any, parts: dict[str, Any], values: Any, title: str) -> None:
        made.title.text = title
        shown = parts["shown"]
        if values is shown[0] and (self.scale, self._extent) == shown[1:]:
            return  # the cursor moved within a cluster: its center is there already
        parts["shown"] = values, self.scale, self._extent
        fits = np.ndim(values) == 2 and np.shape(values) == self._shape
        parts["bar"].visible = fits
        if not fits:
            parts["source"].data = dict(empty_image().data)
            return
        image, low, high = self._levels(np.asarray(values, dtype=np.float32))
        parts["levels"] = steady(parts["levels"], (low, high))
        parts["mapper"].update(low=parts["levels"][0], high=parts["levels"][1])
        x0, x1, y0, y1 = self._extent
        parts["source"].data = {
            "image": [image], "x": [x0], "y": [y0], "dw": [x1 - x0], "dh": [y1 - y0],
        }  # fmt: skip

    def _levels(self, values: NDArray[Any]) -> tuple[NDArray[Any], float, float]:
        """Scale an image; return it with its lowest and highest level."""
        shown = scaled(values, self.scale).astype(np.float32)
        low, high = (float(level) for level in np.quantile(shown, (0.02, 0.999)))
        if self.scale == LOG:
            high = float(shown.max())
        return shown, low, high if high > low else low + 1

    def _renew(self) -> None:
        """Take the axes of what is shown now."""
        outcome, opened = self._explorer.outcome, self._explorer.opened
        if opened is None:
            return
        signal = opened.signal
        if outcome is not None and outcome.result.source is not None:
            signal = outcome.result.source
        if signal.axes_manager.signal_dimension != 2:
            return
        if opened.kind == "image" and outcome is None:
            self._set_frame(Frame(PIECE), ("row (px)", "column (px)"))
        else:
            axes = list(signal.axes_manager.signal_axes[::-1])
            frame = Frame.of(axes)
            even = not any(_is_counted(axis, frame) for axis in axes)
            self._set_frame(frame, _labels(axes, frame), even=even)
        self._what = pictures.units_of(signal)
        for parts in (self._here, self._center):
            parts["bar"].title = named(self._what, self.scale)
            parts["levels"] = None
        self.draw()

    def _set_frame(self, frame: Frame, labels: tuple[str, str], *, even: bool = True) -> None:
        """Give both figures the frame of the images and the labels (row, column) of its axes.

        Images whose axes are not of one kind, angles and wavelengths say, have no true proportions.
        """
        self._shape = frame.shape
        (top, left), (height, width) = frame.corner, frame.size
        self._extent = left, left + width, top, top + height
        for made in (self.here, self.center):
            (show_extent if even else fill)(made, self._extent)
            made.yaxis.axis_label, made.xaxis.axis_label = labels


def _labels(axes: Sequence[Axis], frame: Frame) -> tuple[str, str]:
    """Name the axes (row, column), with the units of the frame."""
    names = []
    for axis, fallback in zip(axes, ("row", "column"), strict=True):
        name = axis.name if isinstance(axis.name, str) and axis.name else fallback
        units = "number" if _is_counted(axis, frame) else frame.units
        names.append(with_units(name, units, fallback="px"))
    return names[0], names[1]


def _is_counted(axis: Axis, frame: Frame) -> bool:
    """Whether a frame counts the values of an axis that has units."""
    return frame.units == "px" and pretty(axis.units) not in ("", "px")


def _no_cluster(reading: Reading) -> str:
    return "excluded" if reading.excluded else "unassigned"


def _cluster_of(reading: Reading | None) -> int | None:
    """Return the number of the cluster under the cursor, None where there is none."""
    if reading is None or reading.label is None or reading.label < 0:
        return None
    return reading.label
