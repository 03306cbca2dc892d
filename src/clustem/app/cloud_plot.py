"""The clustered rows as points, with a lasso."""

from __future__ import annotations

from typing import Any

import numpy as np
import param
from bokeh.events import RangesUpdate, SelectionGeometry
from bokeh.models import BasicTicker, ColumnDataSource, LassoSelectTool, Range1d

from clustem.app.clouds import Selection
from clustem.app.paint import UNASSIGNED, cloud, hex_colors
from clustem.app.plots import Looks, empty_image
from clustem.app.state import Explorer

_DOTS = 12_000
"""Up to so many points are dots; beyond that they are drawn into an image on the server."""
_PIXELS = (360, 560)
_CROWD = 100_000


class CloudPlot(param.Parameterized):
    """Figure of the points.

    Parameters
    ----------
    explorer, selection
        The session, and what is chosen.
    looks
        Makes the figure.
    """

    axes = param.Tuple(default=(0, 1), doc="Which two coordinates are shown")

    def __init__(self, explorer: Explorer, selection: Selection, looks: Looks) -> None:
        super().__init__()
        self._explorer, self._selection = explorer, selection
        self._looks = looks
        made = self.figure = looks.figure(
            x_range=Range1d(0, 1), y_range=Range1d(0, 1), name="cloud"
        )
        for axis in made.axis:
            axis.ticker = BasicTicker(desired_num_ticks=6)
        self._image = empty_image()
        made.image_rgba(source=self._image)
        self._dots = ColumnDataSource({"x": [], "y": [], "color": [], "alpha": []})
        made.scatter(
            "x", "y", source=self._dots, size=4, line_color=None, fill_color="color",
            fill_alpha="alpha",
        )  # fmt: skip
        lasso = LassoSelectTool(renderers=[], continuous=False)
        made.add_tools(lasso)
        made.toolbar.active_drag = lasso
        made.on_event(SelectionGeometry, self._drawn)
        made.on_event(RangesUpdate, lambda _: self._zoomed())
        selection.param.watch(lambda *_: self.draw(), ["cloud", "chosen"])
        explorer.param.watch(lambda *_: self.draw(), "outcome")
        self.param.watch(lambda *_: self._renew(), "axes")

    def names(self) -> list[str]:
        """Names of the coordinates, with units."""
        cloud_ = self._selection.cloud
        return [] if cloud_ is None else list(cloud_.names)

    def draw(self) -> None:
        """Draw the points; the chosen ones stand out."""
        found = self._selection.cloud
        if found is None or self._explorer.outcome is None:
            self._dots.data = {name: [] for name in self._dots.data}
            self._image.data = dict(empty_image().data)
            self._known = None
            return
        if getattr(self, "_known", None) is not found:
            self._known = found
            width = found.points.shape[1]
            if max(self.axes) >= width:
                self.axes = (0, 1)
            self._renew()
            return
        self._paint()

    _known: Any = None

    def _renew(self) -> None:
        """Show all points of other coordinates."""
        found = self._selection.cloud
        if found is None:
            return
        made = self.figure
        sides = ((made.x_range, made.xaxis), (made.y_range, made.yaxis))
        for (range_, axis), i in zip(sides, self.axes, strict=True):
            low, high = np.quantile(found.points[:, i], (0.0005, 0.9995))
            room = 0.06 * (high - low) or 0.5
            start, end = float(low - room), float(high + room)
            range_.update(start=start, end=end, reset_start=start, reset_end=end)
            axis.axis_label = found.names[i]
        self._paint()

    def _paint(self) -> None:
        found = self._selection.cloud
        projection = self._explorer.outcome.result.projection
        shades = hex_colors(projection)
        points = found.points[:, list(self.axes)]
        labels = np.asarray(projection.labels.data).ravel()[found.entries]
        chosen = self._selection.chosen
        marked = None if chosen is None else chosen[found.entries]
        if len(points) > _DOTS:
            self._dots.data = {name: [] for name in self._dots.data}
            self._into_image(points, labels, shades, marked)
            return
        self._image.data = dict(empty_image().data)
        table = np.array([*shades, UNASSIGNED])
        alpha = np.full(len(points), 0.75) if marked is None else np.where(marked, 0.95, 0.08)
        self._dots.data = {
            "x": points[:, 0], "y": points[:, 1], "color": table[labels], "alpha": alpha,
        }  # fmt: skip

    def _into_image(self, points: Any, labels: Any, shades: list[str], marked: Any) -> None:
        made = self.figure
        limits = (made.x_range.start, made.x_range.end, made.y_range.start, made.y_range.end)
        dot = 2 if len(points) < _CROWD else 1
        image = cloud(points, labels, shades, limits, _PIXELS, dot=dot)
        if marked is not None:
            image.view(np.uint8).reshape(*_PIXELS, 4)[..., 3] //= 6
            front = cloud(points[marked], labels[marked], shades, limits, _PIXELS, dot=dot)
            image = np.where(front != 0, front, image)
        left, right, bottom, top = limits
        self._image.data = {
            "image": [image], "x": [left], "y": [bottom],
            "dw": [right - left], "dh": [top - bottom],
        }  # fmt: skip

    def _zoomed(self) -> None:
        if self._known is not None and len(self._known.points) > _DOTS:
            self._paint()

    def _drawn(self, event: Any) -> None:
        if event.final and event.geometry["type"] == "poly":
            self._selection.in_cloud(event.geometry["x"], event.geometry["y"], self.axes)
