"""Two clusterings side by side: maps that follow their settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import param
from bokeh.models import ColumnDataSource, LinearColorMapper

from clustem.app.forms import fields
from clustem.app.forms.editors import Hint
from clustem.app.forms.fields import Field
from clustem.app.plots.paint import UNASSIGNED, label_map, to_hex
from clustem.app.plots.plots import (
    Theme,
    empty_image,
    image_figure,
    image_source,
    lay_scale_bar,
    show_all,
)
from clustem.app.session.lasting_colors import colors_of_both
from clustem.app.session.live import FULL, LEARNED, REDUCED, Live
from clustem.app.session.outcome import Outcome
from clustem.app.session.probe import Places
from clustem.app.session.state import Explorer
from clustem.core import registry
from clustem.report.layout.palette import shades

_GREYS = tuple(f"#{i:02x}{i:02x}{i:02x}" for i in range(256))
_SIDES = ("left", "right")


class SideBySide(param.Parameterized):
    """Two figures and their form.

    Parameters
    ----------
    explorer
        The session.
    live
        Runs both.
    theme
        Makes the figures.
    """

    settings = param.Dict(default={}, doc="Values by field")

    def __init__(self, explorer: Explorer, live: Live, theme: Theme) -> None:
        super().__init__()
        self._explorer, self._live = explorer, live
        left = image_figure(theme, axes=False, name="side-left", title=" ")
        same = {"x_range": left.x_range, "y_range": left.y_range}
        self.figures = [
            left, image_figure(theme, axes=False, name="side-right", title=" ", **same)
        ]  # fmt: skip
        self._parts = [self._layers(made) for made in self.figures]
        live.param.watch(lambda *_: self._done(), "outcomes")
        explorer.param.watch(lambda *_: self.draw(), "outcome")  # its colors are those of both
        explorer.param.watch(lambda *_: self.param.update(settings={}), ["opened"])

    def _layers(self, made: Any) -> dict[str, Any]:
        grey, over = empty_image(), empty_image()
        marks = ColumnDataSource({"x": [], "y": [], "color": []})
        mapper = LinearColorMapper(palette=_GREYS)
        made.image(source=grey, color_mapper=mapper)
        made.image_rgba(source=over, global_alpha=0.75)
        made.scatter(
            "x", "y", source=marks, fill_color="color", line_color="#000000", line_alpha=0.4,
            line_width=0.5, size=6,
        )  # fmt: skip
        return {"grey": grey, "over": over, "marks": marks, "mapper": mapper, "units": ""}

    def fields(self) -> list[Field]:
        """Describe the form: what both share, then what each has of its own."""
        recipe = self._explorer.recipe
        if recipe is None:
            return [fields.text("Open something first.", style="faint")]
        about = "Two clusterings of the same data; the recipe on the left stays."
        found = [fields.text(about, style="faint")]
        if self._live.outcomes is None:
            tip = "From then on both follow their settings"
            found.append(fields.button("begin", "Run both", style="small main", tip=tip))
        steps = dict(recipe.steps)
        describe = next(((s, p) for (stage, s), p in steps.items() if stage == "describe"), None)
        if describe is not None and "size" in registry("describe")[describe[0]].parameters:
            default = registry("describe")[describe[0]].parameters["size"].default
            size = self.settings.get("size", describe[1].get("size", default))
            found.append(fields.slider("size", "Patch", size, low=4, high=64, step=2, unit=" px"))
        return [
            *found,
            *(
                fields.group(f"side/{side}", side.capitalize(), self._of_side(side), open=True)
                for side in _SIDES
            ),
        ]

    def handle(self, key: str, value: Any) -> None:
        """Run both, or take a setting: once both have run they follow."""
        if key != "begin":
            self.settings = {**self.settings, key: value}
        if key == "begin" or self._live.outcomes is not None:
            self.run()

    def run(self) -> None:
        """Run both with the present settings."""
        recipe = self._explorer.recipe
        if recipe is None:
            return
        shared = {"describe.size": int(self.settings["size"])} if "size" in self.settings else {}
        each = []
        for side in _SIDES:
            own = {"space": self._value(side, "space")}
            own["cluster.n_clusters"] = self._value(side, "n_clusters")
            if f"{side}/covariance_type" in self.settings:
                own["cluster.covariance_type"] = self._value(side, "covariance_type")
            each.append(own)
        self._live.run(shared, each)

    @property
    def _is_image(self) -> bool:
        """Whether rows are pieces of an image: these can be clustered in all dimensions."""
        opened = self._explorer.opened
        return opened is not None and opened.kind == "image"

    def _of_side(self, side: str) -> list[Field]:
        recipe = self._explorer.recipe
        steps = () if recipe is None else recipe.steps
        estimator = next((step for stage, step in steps if stage == "cluster"), None)
        if estimator is None:
            return []
        parameters = registry("cluster")[estimator].parameters
        found = []
        if "n_clusters" in parameters:
            k = self._value(side, "n_clusters")
            found.append(fields.slider(f"{side}/n_clusters", "k", k, low=2, high=12, step=1))
        words = Hint.of(parameters["covariance_type"].hint).words if (
            "covariance_type" in parameters
        ) else ()  # fmt: skip
        if words:
            found.append(
                fields.choice(
                    f"{side}/covariance_type", "covariance", [(w, w) for w in words],
                    self._value(side, "covariance_type"),
                )
            )  # fmt: skip
        if self._is_image:
            spaces = [(name, name) for name in (FULL, REDUCED, LEARNED)]
            now = self._value(side, "space")
            found.append(fields.choice(f"{side}/space", "space", spaces, now))
        return found

    def _value(self, side: str, name: str) -> Any:
        key = f"{side}/{name}"
        if key in self.settings:
            return self.settings[key]
        if name == "space":
            return (FULL if side == "left" else REDUCED) if self._is_image else None
        recipe = self._explorer.recipe
        for (stage, step), params in () if recipe is None else recipe.steps.items():
            if stage == "cluster":
                value = params.get(name, registry("cluster")[step].parameters[name].default)
                if name != "n_clusters":
                    return value
                k = value if isinstance(value, int) else 4
                return k if self._is_image or side == "left" else k + 1
        return None

    def _done(self) -> None:
        self.draw()
        self.param.trigger("settings")  # the form no longer asks to begin: both maps are there

    def draw(self) -> None:
        """Draw both maps; clusters have the colors of those on the map that they are most like."""
        outcomes = self._live.outcomes
        if not outcomes:
            self._clear()
            return
        both = colors_of_both(self._explorer.outcome, *outcomes)
        for made, parts, outcome, own in zip(
            self.figures, self._parts, outcomes, both, strict=True
        ):
            self._draw_one(made, parts, outcome, [to_hex(color) for color in shades(own)])

    def _clear(self) -> None:
        for made, parts in zip(self.figures, self._parts, strict=True):
            made.title.text = " "
            parts["grey"].data = dict(empty_image().data)
            parts["over"].data = dict(empty_image().data)
            parts["marks"].data = {"x": [], "y": [], "color": []}
            self._measure(made, parts, "")

    @staticmethod
    def _measure(made: Any, parts: Any, units: str) -> None:
        """Lay a scale bar on a map, unless it has the one that it needs."""
        if parts["units"] != units:
            parts["units"] = units
            lay_scale_bar(made, units)

    def _draw_one(self, made: Any, parts: Any, outcome: Outcome, colors: list[str]) -> None:
        places, segmentation = Places(outcome), outcome.result
        picture = self._explorer.picture
        if picture is not None:
            parts["mapper"].update(low=picture.limits[0], high=picture.limits[1])
            parts["grey"].data = image_source(picture.values, picture.frame)
            show_all(made, picture.frame)
            self._measure(made, parts, picture.frame.units)
        width = 0 if segmentation.features is None else segmentation.features.rows.shape[1]
        many = "dimension" if width == 1 else "dimensions"
        made.title.text = f"k = {segmentation.n_clusters}, {width} {many}"
        labels = segmentation.labels.data
        if places.scattered:
            shown = ~segmentation.mask
            table = np.array([*colors, UNASSIGNED])
            parts["over"].data = dict(empty_image().data)
            parts["marks"].data = {
                "x": places.points[shown, 0], "y": places.points[shown, 1],
                "color": table[labels][shown],
            }  # fmt: skip
            return
        parts["marks"].data = {"x": [], "y": [], "color": []}
        image = label_map(np.atleast_2d(labels), np.atleast_2d(segmentation.mask), colors)
        parts["over"].data = image_source(image, places.frame)
