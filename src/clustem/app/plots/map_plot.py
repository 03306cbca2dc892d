"""The map: picture, clusters over it, cursor, and what is drawn on it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import param
from bokeh.events import SelectionGeometry, Tap
from bokeh.models import (
    BoxSelectTool,
    ColumnDataSource,
    CustomJS,
    LassoSelectTool,
    LinearColorMapper,
)
from bokeh.models.annotations import BoxAnnotation, ColorBar, PolyAnnotation, Span
from bokeh.palettes import Cividis256

from clustem.app import ASSETS
from clustem.app.plots.paint import UNASSIGNED, hex_colors, label_map, shade, wheel_palette
from clustem.app.plots.plots import (
    Theme,
    empty_image,
    image_figure,
    image_source,
    lay_scale_bar,
    outline_of,
    show_all,
    together,
)
from clustem.app.session import drawing
from clustem.app.session.clouds import Selection
from clustem.app.session.frames import Frame
from clustem.app.session.layers import CLUSTERS, NONE, Layer, layer, layers_of
from clustem.app.session.pictures import Picture
from clustem.app.session.probe import Places
from clustem.app.session.state import Explorer
from clustem.core import Segmentation

_POINTER = (ASSETS / "pointer.js").read_text(encoding="utf-8")
_GREYS = tuple(f"#{i:02x}{i:02x}{i:02x}" for i in range(256))
_WHEEL = wheel_palette()
_ABOVE = 1.6
"""Height of a line scan's profile, in heights of its band."""
MODES = ("look", "choose", "crop", "exclude")


class MapPlot(param.Parameterized):
    """Figure of the map.

    Parameters
    ----------
    explorer, selection
        The session, and what is chosen.
    theme
        Makes the figure.
    at_once
        Sends what a move of the mouse changes in one message: given the page, a context for it.
    """

    layer = param.String(default=CLUSTERS, doc="What lies over the picture: a key of layers_of")
    opacity = param.Number(default=0.75, bounds=(0, 1))
    held = param.Boolean(default=False, doc="Whether the cursor stays where it is")
    mode: param.Selector[str] = param.Selector(default="look", objects=list(MODES))

    def __init__(
        self,
        explorer: Explorer,
        selection: Selection,
        theme: Theme,
        *,
        at_once: Callable[[Any], AbstractContextManager[None]] = together,
    ) -> None:
        super().__init__()
        self._explorer, self._selection, self._at_once = explorer, selection, at_once
        self._frame: Frame | None = None
        self.figure = image_figure(theme, axes=False, name="map", title=" ")
        self._grey, self._over, self._values = empty_image(), empty_image(), empty_image()
        self._mapper = LinearColorMapper(palette=_GREYS, nan_color="#00000000")
        self._degrees = LinearColorMapper(palette=Cividis256, low=0, high=1)
        self._marks = ColumnDataSource({"x": [], "y": [], "color": [], "alpha": []})
        self._profile = ColumnDataSource({"x": [], "y": []})
        self._draw_layers(theme)
        self._draw_cursor()
        self._add_tools()
        explorer.param.watch(lambda *_: self._picture(), "picture")
        explorer.param.watch(lambda *_: self._clusters(), ["outcome", "missed"])
        explorer.param.watch(lambda *_: self._place_cursor(), ["cursor", "reading"])
        explorer.param.watch(lambda *_: self._shapes(), ["recipe", "opened"])
        selection.param.watch(lambda *_: self._clusters(), "chosen")
        self.param.watch(lambda *_: self._clusters(), "layer")
        self.param.watch(lambda *_: self._fade(), "opacity")

    def layers(self) -> list[tuple[str, str]]:
        """List what can lie over the picture: value and text."""
        outcome = self._explorer.outcome
        if outcome is None:
            return [(CLUSTERS, "Clusters")]
        return list(layers_of(outcome.result, self._explorer.missed).items())

    def step(self, rows: int, columns: int) -> None:
        """Move the cursor by pixels and hold it there."""
        frame = self._frame
        if frame is None:
            return
        x, y = self._explorer.cursor or frame.middle(frame.shape[0] // 2, frame.shape[1] // 2)
        self.held = True
        inside_x = _clipped(x + columns * frame.step[1], frame, 1)
        inside_y = _clipped(y + rows * frame.step[0], frame, 0)
        self._explorer.look(inside_x, inside_y)

    # making the figure

    def _draw_layers(self, theme: Theme) -> None:
        made = self.figure
        made.image(source=self._grey, color_mapper=self._mapper)
        self._over_glyph = made.image_rgba(source=self._over).glyph
        self._values_glyph = made.image(source=self._values, color_mapper=self._degrees).glyph
        self._marks_glyph = made.scatter(
            "x", "y", source=self._marks, fill_color="color", line_color="#000000",
            line_alpha=0.4, line_width=0.5, fill_alpha="alpha", size=8,
        ).glyph  # fmt: skip
        profile = made.line("x", "y", source=self._profile, line_width=1.5)
        theme.ink(profile.glyph, "line_color", "ink")
        self._bar = ColorBar(
            color_mapper=self._degrees, width=8, height=120, visible=False, title="0 ... 1",
            location=(2, 2), padding=4,
        )  # fmt: skip
        made.add_layout(self._bar, "right")
        self._crop = BoxAnnotation(
            left=0, right=0, top=0, bottom=0, fill_color=None, line_color="#ffd43b", line_width=2,
            line_dash="dashed", visible=False,
        )  # fmt: skip
        made.add_layout(self._crop)
        self._outlines: list[PolyAnnotation] = []
        theme.style(made)

    def _draw_cursor(self) -> None:
        self._across = Span(dimension="width", location=0, visible=False, line_width=1)
        self._down = Span(dimension="height", location=0, visible=False, line_width=1)
        for span in (self._across, self._down):
            span.line_color, span.line_alpha = "#ffffff", 0.8
            span.line_dash, span.level = [4, 3], "overlay"  # drawn without all that lies below
            self.figure.add_layout(span)
        self._pointer = ColumnDataSource({"x": [], "y": [], "n": []}, tags=[0], name="pointer")
        args = {"source": self._pointer}
        self.figure.js_on_event("mousemove", CustomJS(args={**args, "what": "move"}, code=_POINTER))
        self._pointer.js_on_change("tags", CustomJS(args={**args, "what": "answer"}, code=_POINTER))
        self._pointer.on_change("data", self._moved)
        self.figure.on_event(Tap, self._tapped)

    def _add_tools(self) -> None:
        self.lasso = LassoSelectTool(renderers=[], continuous=False)
        self.box = BoxSelectTool(renderers=[], continuous=False)
        self.figure.add_tools(self.lasso, self.box)
        self.figure.on_event(SelectionGeometry, self._drawn)

    # what the browser says

    def _moved(self, _: str, __: Any, new: dict[str, list[float]]) -> None:
        with self._at_once(self._pointer.document):
            if not self.held and len(new["x"]):
                self._explorer.look(float(new["x"][0]), float(new["y"][0]))
            if len(new["n"]):
                self._pointer.tags = [int(new["n"][0])]

    def _tapped(self, event: Tap) -> None:
        if self.mode == "look" and event.x is not None and event.y is not None:
            self.held = not self.held
            self._explorer.look(float(event.x), float(event.y))

    def _drawn(self, event: SelectionGeometry) -> None:
        outline = outline_of(event)
        if outline is not None:
            self.use(*outline)

    def use(self, xs: list[float], ys: list[float]) -> None:
        """Choose, crop to or exclude what lies in an outline, as the mode says."""
        if self.mode == "choose":
            self._selection.on_map(xs, ys)
        elif self.mode == "crop":
            drawing.crop(self._explorer, xs, ys)
        elif self.mode == "exclude":
            drawing.exclude(self._explorer, xs, ys)

    # what the state says

    def _picture(self) -> None:
        picture = self._explorer.picture
        if picture is None:
            self._grey.data = dict(empty_image().data)
            self._profile.data = {"x": [], "y": []}
            return
        self._mapper.update(low=picture.limits[0], high=picture.limits[1])
        self._grey.data = image_source(picture.values, picture.frame)
        self.figure.title.text = picture.title
        self._profile.data = _profile(picture)
        if self._frame != picture.frame:
            self._frame = picture.frame
            show_all(self.figure, picture.frame, above=_ABOVE if picture.frame.is_line else 0.0)
            lay_scale_bar(self.figure, picture.frame.units)

    def _clusters(self) -> None:
        outcome, places = self._explorer.outcome, self._explorer.places
        nothing = dict(empty_image().data)
        if self.layer not in dict(self.layers()):
            self.layer = CLUSTERS  # comes back here
            return
        self._bar.visible = self.layer not in (CLUSTERS, NONE)
        if outcome is None or places is None or self.layer == NONE:
            self._over.data = self._values.data = nothing
            self._marks.data = {name: [] for name in self._marks.data}
            return
        segmentation = outcome.result
        if places.scattered:
            self._over.data = self._values.data = nothing
            self._mark(segmentation, places)
        elif self.layer == CLUSTERS:
            labels = np.atleast_2d(segmentation.labels.data)
            novel = None if segmentation.novel is None else np.atleast_2d(segmentation.novel)
            mask = np.atleast_2d(segmentation.mask)
            image = label_map(labels, mask, hex_colors(segmentation), novel)
            if self._selection.chosen is not None:
                image = shade(image, self._selection.chosen.reshape(image.shape))
            self._values.data = nothing
            self._over.data = image_source(image, places.frame)
        else:
            values = self._numbers(segmentation).values.reshape(places.frame.shape)
            self._over.data = nothing
            self._values.data = image_source(values.astype(np.float32), places.frame)
        if not places.scattered:
            self._marks.data = {name: [] for name in self._marks.data}
        self._fade()

    def _numbers(self, segmentation: Segmentation) -> Layer:
        """Return the layer, and have its colors and their bar show it."""
        found = layer(segmentation, self._explorer.missed, self.layer)
        self._degrees.update(
            low=found.limits[0], high=found.limits[1],
            palette=_WHEEL if found.is_angle else Cividis256,
        )  # fmt: skip
        self._bar.title = found.label
        return found

    def _mark(self, segmentation: Segmentation, places: Places) -> None:
        """Draw a dot at each position."""
        points, labels = places.points, segmentation.labels.data
        if self.layer == CLUSTERS:
            table = np.array([*hex_colors(segmentation), UNASSIGNED])
            shades = table[labels]
        else:
            found = self._numbers(segmentation)
            low, high = found.limits
            share = np.nan_to_num((found.values.ravel() - low) / (high - low))
            steps = np.clip(share * 255, 0, 255).astype(int)
            shades = np.array(_WHEEL if found.is_angle else Cividis256)[steps]
        chosen = self._selection.chosen
        alpha = np.ones(len(points)) if chosen is None else np.where(chosen, 1.0, 0.15)
        shown = ~segmentation.mask
        self._marks.data = {
            "x": points[shown, 0],
            "y": points[shown, 1],
            "color": shades[shown],
            "alpha": alpha[shown] * self.opacity,
        }

    def _fade(self) -> None:
        self._over_glyph.global_alpha = self.opacity
        self._values_glyph.global_alpha = self.opacity
        places, outcome = self._explorer.places, self._explorer.outcome
        if outcome is None or places is None or self.layer == NONE:
            return
        if places.scattered:
            self._mark(outcome.result, places)

    def _place_cursor(self) -> None:
        at = self._explorer.cursor
        self._across.visible = self._down.visible = at is not None and self._frame is not None
        if at is not None:
            self._down.location, self._across.location = at

    def _shapes(self) -> None:
        """Draw the crop and the outlines of the recipe."""
        box = drawing.crop_box(self._explorer)
        self._crop.visible = box is not None
        if box is not None:
            self._crop.update(left=box[0], right=box[1], bottom=box[2], top=box[3])
        for old in self._outlines:
            self.figure.center.remove(old)
        self._outlines = [
            PolyAnnotation(
                xs=list(xs), ys=list(ys), fill_color="#000000", fill_alpha=0.45,
                line_color="#ffd43b", line_width=1.5,
            )
            for xs, ys in drawing.outlines(self._explorer)
        ]  # fmt: skip
        for outline in self._outlines:
            self.figure.add_layout(outline)


def _profile(picture: Picture) -> dict[str, list[float]]:
    """Draw the picture of a line scan as a profile above its band; of a map there is none."""
    frame, values = picture.frame, np.nan_to_num(picture.values.ravel().astype(np.float64))
    if not frame.is_line:
        return {"x": [], "y": []}
    low, high = min(float(values.min(initial=0.0)), 0.0), float(values.max(initial=0.0))
    tall = frame.size[0] * (_ABOVE - 0.2)
    heights = (values - low) / ((high - low) or 1.0) * tall
    x = frame.corner[1] + (np.arange(frame.shape[1]) + 0.5) * frame.step[1]
    y = frame.corner[0] - 0.1 * frame.size[0] - heights
    return {"x": x.tolist(), "y": y.tolist()}


def _clipped(value: float, frame: Frame, axis: int) -> float:
    """Move a position along an axis to between the middles of the outermost pixels."""
    half = 0.5 * frame.step[axis]
    low = frame.corner[axis]
    return min(max(value, low + half), low + frame.size[axis] - half)
