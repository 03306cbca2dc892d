"""The clustered rows as points, with a lasso."""

from __future__ import annotations

from typing import Any

import numpy as np
import param
from bokeh.events import RangesUpdate, SelectionGeometry
from bokeh.models import (
    BasicTicker,
    ColumnDataSource,
    LassoSelectTool,
    LinearColorMapper,
    MultiLine,
    Range1d,
)
from bokeh.palettes import Greys256
from numpy.typing import NDArray

from clustem.app.plots.paint import UNASSIGNED, cloud, hex_colors
from clustem.app.plots.plots import Theme, empty_image, outline_of
from clustem.app.session.clouds import Cloud, Selection
from clustem.app.session.state import Explorer
from clustem.core import VAEInfo

_DOTS = 12_000
"""Number of points up to which each is a glyph; more are drawn into an image on the server."""
_PIXELS = (360, 560)
_CROWD = 100_000


class CloudPlot(param.Parameterized):
    """Figure of the points.

    Parameters
    ----------
    explorer, selection
        The session, and what is chosen.
    theme
        Makes the figure.
    """

    axes = param.Tuple(default=(0, 1), doc="Which two coordinates are shown")
    decoded = param.Boolean(default=True, doc="Whether what a decoder draws lies under the points")

    def __init__(self, explorer: Explorer, selection: Selection, theme: Theme) -> None:
        super().__init__()
        self._explorer, self._selection = explorer, selection
        self._known: Cloud | None = None
        made = self.figure = theme.figure(
            x_range=Range1d(start=0, end=1), y_range=Range1d(start=0, end=1), name="cloud"
        )
        for axis in made.axis:
            axis.ticker = BasicTicker(desired_num_ticks=6)
        self._under, self._grey = empty_image(), LinearColorMapper(palette=Greys256)
        made.image(source=self._under, color_mapper=self._grey)
        self._curves = ColumnDataSource({"xs": [], "ys": []})
        curves = made.add_glyph(self._curves, MultiLine(xs="xs", ys="ys", line_width=0.8))
        theme.ink(curves.glyph, "line_color", "muted")
        self._image = empty_image()
        made.image_rgba(source=self._image)
        self._dots = ColumnDataSource({"x": [], "y": [], "color": [], "alpha": []})
        self._dot = made.scatter(
            "x", "y", source=self._dots, size=4, line_color=None, fill_color="color",
            fill_alpha="alpha",
        ).glyph  # fmt: skip
        lasso = LassoSelectTool(renderers=[], continuous=False)
        made.add_tools(lasso)
        made.toolbar.active_drag = lasso
        made.on_event(SelectionGeometry, self._drawn)
        made.on_event(RangesUpdate, lambda _: self._zoomed())
        selection.param.watch(lambda *_: self.draw(), ["cloud", "chosen"])
        explorer.param.watch(lambda *_: self.draw(), "outcome")
        self.param.watch(lambda *_: self._renew(), "axes")
        self.param.watch(lambda *_: self._paint(), "decoded")

    def names(self) -> list[str]:
        """Names of the coordinates, with units."""
        found = self._selection.cloud
        return [] if found is None else list(found.names)

    def draw(self) -> None:
        """Draw the points; the chosen ones stand out."""
        found = self._selection.cloud
        if found is None or self._explorer.outcome is None:
            self._dots.data = {name: [] for name in self._dots.data}
            self._image.data = dict(empty_image().data)
            self._draw_under(None)
            self._known = None
            return
        if self._known is not found:
            self._known = found
            width = found.points.shape[1]
            if max(self.axes) >= width:
                self.axes = (0, 1)
            self._renew()
            return
        self._paint()

    def _renew(self) -> None:
        """Show all points of other coordinates."""
        found = self._selection.cloud
        if found is None:
            return
        made = self.figure
        sides = ((made.x_range, made.xaxis), (made.y_range, made.yaxis))
        for (range_, axis), i in zip(sides, self.axes, strict=True):
            low, high = np.quantile(found.points[:, i], (0.0005, 0.9995))
            margin = 0.06 * (high - low) or 0.5
            start, end = float(low - margin), float(high + margin)
            range_.update(start=start, end=end, reset_start=start, reset_end=end)
            axis.axis_label = found.names[i]
        self._paint()

    def _paint(self) -> None:
        found, outcome = self._selection.cloud, self._explorer.outcome
        if found is None or outcome is None:
            return
        segmentation = outcome.result
        self._draw_under(segmentation.find(VAEInfo))
        shades = hex_colors(segmentation)
        points = found.points[:, list(self.axes)]
        labels = np.asarray(segmentation.labels.data).ravel()[found.entries]
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

    def _into_image(
        self,
        points: NDArray[np.float64],
        labels: NDArray[Any],
        shades: list[str],
        marked: NDArray[np.bool_] | None,
    ) -> None:
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

    @property
    def has_decoder(self) -> bool:
        """Whether there are drawings of the plane that is shown."""
        outcome = self._explorer.outcome
        known = None if outcome is None else outcome.result.find(VAEInfo)
        return known is not None and known.manifold is not None

    def _draw_under(self, known: VAEInfo | None) -> None:
        """Draw what a decoder makes of the plane, each drawing at its place."""
        self._under.data = dict(empty_image().data)
        self._curves.data = {"xs": [], "ys": []}
        self._dot.update(size=4, line_color=None)
        if known is None or known.manifold is None or known.manifold_at is None:
            return
        if not self.decoded or self.axes != (0, 1) or known.n_components < 2:
            return
        self._dot.update(size=6, line_color="#000000", line_width=0.5)  # seen on any drawing
        across, down = (np.asarray(line, dtype=np.float64) for line in known.manifold_at)
        wide, high = (abs(line[-1] - line[0]) / max(len(line) - 1, 1) for line in (across, down))
        g = len(known.manifold)
        if len(known.shape) == 1:
            top = max(float(known.manifold.max()), 1e-30)
            x = np.linspace(-0.45, 0.45, known.manifold.shape[-1]) * wide
            self._curves.data = {
                "xs": [at + x for _ in down for at in across],
                "ys": [
                    at + high * (0.85 * row / top - 0.42)
                    for at, line in zip(down, known.manifold, strict=True)
                    for row in line
                ],
            }
            return
        rows, columns = (int(size) for size in known.shape)
        mosaic = known.manifold.reshape(g, g, rows, columns).transpose(0, 2, 1, 3)
        mosaic = mosaic.reshape(g * rows, g * columns)[::-1]  # the first row lies at the bottom
        low, top = np.quantile(mosaic, (0.005, 0.995))
        self._grey.update(low=float(low), high=max(float(top), float(low) + 1e-30))
        self._under.data = {
            "image": [np.ascontiguousarray(mosaic, dtype=np.float32)],
            "x": [across.min() - wide / 2], "y": [down.min() - high / 2],
            "dw": [wide * g], "dh": [high * g],
        }  # fmt: skip

    def _zoomed(self) -> None:
        if self._known is not None and len(self._known.points) > _DOTS:
            self._paint()

    def _drawn(self, event: SelectionGeometry) -> None:
        outline = outline_of(event)
        if outline is not None:
            self._selection.in_cloud(*outline, self.axes)
