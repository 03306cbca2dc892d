"""The mean pattern: a virtual detector and the beam's mask, drawn on it."""

from __future__ import annotations

from typing import Any

import numpy as np
import param
from bokeh.events import Pan, PanEnd, PointEvent, Tap
from bokeh.models import BasicTicker, ColumnDataSource, LinearColorMapper
from bokeh.models.annotations import ColorBar

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.plots import scales
from clustem.app.plots.plots import BAR_ROOM, Theme, empty_image, image_figure, show_extent
from clustem.app.session import drawing, pictures
from clustem.app.session.state import Explorer

_TURN = np.linspace(0, 2 * np.pi, 97)
_WHAT = [
    ("detector", "Virtual detector", "Sum the patterns over a ring: the map's picture"),
    ("beam", "Beam mask", "Leave a disc out of the clustering: a step of the recipe"),
]


class DetectorPlot(param.Parameterized):
    """Figure of the mean pattern, and its form.

    Parameters
    ----------
    explorer
        The session.
    theme
        Makes the figure.
    """

    what = param.String(default="detector")
    inner = param.Number(default=0.0, bounds=(0, None))
    outer = param.Number(default=1.0, bounds=(0, None))
    center = param.Tuple(default=(0.0, 0.0))
    drawn = param.Integer(default=0, doc="How often a picture of the detector was drawn")

    def __init__(self, explorer: Explorer, theme: Theme) -> None:
        super().__init__()
        self._explorer = explorer
        self._farthest = 1.0
        made = self.figure = image_figure(
            theme, name="detector", tools=False, min_border_right=BAR_ROOM
        )
        made.xaxis.axis_label, made.yaxis.axis_label = "Detector column (px)", "Detector row (px)"
        for axis in made.axis:
            axis.ticker = BasicTicker(desired_num_ticks=5)
        self._image = empty_image()
        self._mapper = LinearColorMapper(palette="Inferno256", low=0, high=1)
        made.image(source=self._image, color_mapper=self._mapper)
        self._bar = ColorBar(
            color_mapper=self._mapper, width=7, padding=2, label_standoff=3,
            ticker=BasicTicker(desired_num_ticks=4), formatter=scales.formatter(scales.LOG),
        )  # fmt: skip
        made.add_layout(self._bar, "right")
        theme.style(made)
        empty: dict[str, list[Any]] = {"xs": [], "ys": [], "color": []}
        self._rings = ColumnDataSource(empty)
        made.multi_line("xs", "ys", source=self._rings, line_color="color", line_width=2)
        made.on_event(Pan, lambda event: self._dragged(event, done=False))
        made.on_event(PanEnd, lambda event: self._dragged(event, done=True))
        made.on_event(Tap, lambda event: self._dragged(event, done=True))
        explorer.param.watch(lambda *_: self._renew(), "mean")
        explorer.param.watch(lambda *_: self._draw(), "recipe")
        self.param.watch(lambda *_: self._draw(), ["inner", "outer", "center", "what"])

    def fields(self) -> list[Field]:
        """Describe the form."""
        top = int(np.ceil(self._farthest))
        radii = [
            fields.slider("inner", "Inner radius", self.inner, low=0, high=top, step=1, unit=" px"),
            fields.slider("outer", "Outer radius", self.outer, low=1, high=top, step=1, unit=" px"),
            fields.button("beam-field", "Bright field", style="small"),
            fields.button("dark-field", "Dark field", style="small"),
        ]
        disc = [
            fields.slider("outer", "Radius", self.outer, low=1, high=top, step=1, unit=" px"),
            fields.button("mask", "Mask this disc", style="small main"),
        ]
        found = [fields.radio("what", "What is drawn", _WHAT, self.what)]
        return [
            *found,
            fields.text("Drag on the pattern to set the radius.", style="faint"),
            *(radii if self.what == "detector" else disc),
        ]

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        if key == "what" and value in {"detector", "beam"}:
            self.what = value
        elif key in {"inner", "outer"}:
            self.param.update(**{key: float(value)})
            self._apply()
        elif key in {"beam-field", "dark-field"}:
            detector = self._detector()
            beam = 1.0 if detector is None else detector.radius
            inner, outer = (0.0, beam) if key == "beam-field" else (beam + 1, self._farthest)
            self.param.update(inner=round(inner), outer=round(outer))
            self._apply()
        elif key == "mask":
            drawing.beam(self._explorer, self.center, self.outer)

    def _detector(self) -> pictures.Detector | None:
        explorer = self._explorer
        opened = explorer.opened
        if opened is None or opened.kind != "patterns" or explorer.mean is None:
            return None
        if explorer.detector is None:
            explorer.detector = pictures.Detector(opened.signal, explorer.mean)
        return explorer.detector

    def _renew(self) -> None:
        opened, detector = self._explorer.opened, self._detector()
        if opened is None or detector is None:
            self._image.data = dict(empty_image().data)
            return
        mean = np.nan_to_num(detector.mean)
        rows, columns = mean.shape
        self._farthest = detector.farthest
        shown = scales.scaled(mean, scales.LOG).astype(np.float32)
        self._bar.title = scales.named(pictures.units_of(opened.signal), scales.LOG)
        self._mapper.update(low=float(shown.min()), high=float(shown.max()))
        show_extent(self.figure, (-0.5, columns - 0.5, -0.5, rows - 0.5))
        self._image.data = {
            "image": [shown], "x": [-0.5], "y": [-0.5], "dw": [columns], "dh": [rows],
        }  # fmt: skip
        center = (float(detector.center[0]), float(detector.center[1]))
        self.param.update(center=center, inner=0.0, outer=float(np.ceil(detector.radius)))

    def _draw(self) -> None:
        radii = [(self.outer, "#ffd43b")]
        if self.what == "detector" and self.inner > 0:
            radii.append((self.inner, "#ffd43b"))
        recipe = self._explorer.recipe
        step = {} if recipe is None else recipe.steps.get(("prepare", "beam_mask"), {})
        if self.what == "beam" and step.get("radius") and step.get("units", "px") == "px":
            radii.append((float(step["radius"]), "#4dd4ff"))
        row, column = self.center
        self._rings.data = {
            "xs": [column + radius * np.cos(_TURN) for radius, _ in radii],
            "ys": [row + radius * np.sin(_TURN) for radius, _ in radii],
            "color": [color for _, color in radii],
        }

    def _dragged(self, event: PointEvent, *, done: bool) -> None:
        if event.x is None or event.y is None:
            return
        radius = float(np.hypot(event.y - self.center[0], event.x - self.center[1]))
        self.outer = max(round(radius), 1)
        if done:
            self._apply()

    def _apply(self) -> None:
        """Draw the picture of the detector."""
        detector = self._detector()
        if detector is None or self.what != "detector" or self.outer <= self.inner:
            return
        inner, outer, center = self.inner, self.outer + 1, self.center
        self._explorer.navigate("detector", lambda: detector.picture(inner, outer, center))
        self.drawn += 1
