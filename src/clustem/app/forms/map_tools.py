"""Tools of the map: what the mouse does, which picture is shown, what lies over it."""

from __future__ import annotations

import re
from typing import Any

import param

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.plots.map_plot import MapPlot
from clustem.app.session import drawing, opening, pictures
from clustem.app.session.clouds import Selection
from clustem.app.session.state import Explorer
from clustem.core import InputError
from clustem.physics.xray_lines import Line

_MODES = [
    ("look", "Look", "Move to look, click to hold, drag to pan, wheel to zoom"),
    ("choose", "Lasso", "Draw around a region: it is marked in the data space"),
    ("crop", "Crop", "Draw a rectangle: the first step of the recipe"),
    ("exclude", "Exclude", "Draw around what is to be left out: a step of the recipe"),
]
SUM, WINDOW, DETECTOR = "sum", "window", "detector"


class Tools(param.Parameterized):
    """Tools of the map.

    Parameters
    ----------
    explorer, selection
        The session, and what is chosen.
    plot
        The map.
    """

    source = param.String(default=SUM, doc="Which picture is shown")

    def __init__(self, explorer: Explorer, selection: Selection, plot: MapPlot) -> None:
        super().__init__()
        self._explorer, self._selection, self._plot = explorer, selection, plot
        explorer.param.watch(lambda *_: self.param.update(source=SUM), "opened")
        explorer.param.watch(lambda *_: self._offered(), "elements")

    def fields(self) -> list[Field]:
        """Describe the form."""
        explorer, plot = self._explorer, self._plot
        if explorer.opened is None:
            return [fields.text("Open a file or a sample to begin.", style="faint")]
        cursor = {"is": "cursor", "key": "cursor", "text": self.place()}
        above = [fields.radio("mode", "What the mouse does", _MODES, plot.mode), cursor]
        layers = [
            fields.choice("source", "Picture", self.sources(), self.source, quiet=True,
                          tip="Picture under the clusters"),
        ]  # fmt: skip
        if explorer.outcome is not None:
            layers += [
                fields.choice("layer", "Over it", plot.layers(), plot.layer, quiet=True,
                              tip="What lies over the picture"),
                fields.slider("opacity", "Opacity", round(100 * plot.opacity), low=0, high=100,
                              step=5, unit=" %"),
            ]  # fmt: skip
        drawn = [*self._by_numbers(), *self._chosen(), *self._drawn()]
        return [
            fields.row(above, key="above"),
            fields.row(layers, key="layers"),
            *([fields.row(drawn, key="drawn")] if drawn else []),
        ]

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        plot = self._plot
        if key == "mode" and value in plot.param.mode.objects:
            plot.mode = value
        elif key == "layer":
            plot.layer = str(value)
        elif key == "opacity":
            plot.opacity = min(max(float(value) / 100, 0.0), 1.0)
        elif key == "source":
            self._picture(str(value))
        elif key == "cursor":
            plot.step(int(value[0]), int(value[1]))
        elif key == "region":
            self._rectangle(str(value))
        elif key == "clear":
            self._selection.choose(None)
        elif key == "drop" and self._selection.chosen is not None:
            chosen = self._selection.chosen
            self._explorer.edit(lambda result: result.exclude(chosen.reshape(result.mask.shape)))
        elif key == "whole":
            self._explorer.change({"prepare.crop": False})
        elif key == "all":
            self._explorer.change({"prepare.outlines": False})

    def sources(self) -> list[tuple[str, str]]:
        """List the pictures: value and text."""
        opened = self._explorer.opened
        if opened is None:
            return []
        first = "The image" if opened.kind == "image" else "Sum"
        own = {
            "spectra": [(WINDOW, "Energy window")],
            "patterns": [(DETECTOR, "Virtual detector")],
        }
        context = [(f"context/{title}", title) for title in self._explorer.context]
        lines = [(f"element/{name}", f"Element: {name}") for name in self._lines()]
        return [(SUM, first), *own.get(opened.kind, []), *lines, *context]

    def _lines(self) -> dict[str, Line]:
        """Return the X-ray line that each element's picture is made from."""
        explorer = self._explorer
        if explorer.opened is None or not explorer.elements:
            return {}
        return pictures.element_lines(explorer.opened.signal, explorer.elements)

    def place(self) -> str:
        """Where the cursor is, in the units of the picture."""
        explorer = self._explorer
        if explorer.cursor is None or explorer.picture is None:
            return "no cursor"
        frame = explorer.picture.frame
        x, y = explorer.cursor
        text = frame.place(x, y)
        if not text:
            return "outside"
        if frame.units == "px":
            return text
        ends = (x,) if frame.is_line else (x, y)
        across = ",\u00a0".join(f"{float(f'{value:.4g}'):g}" for value in ends)
        return f"{text} ({across}\u00a0{frame.units})"

    def _picture(self, name: str) -> None:
        explorer = self._explorer
        opened = explorer.opened
        if opened is None or name not in dict(self.sources()):
            return
        self.source = name
        if name == SUM:
            opening.show_sum(explorer)
        elif name.startswith("element/"):
            line = self._lines()[name.partition("/")[2]]
            explorer.navigate(name, lambda: pictures.element_map(opened.signal, line))
        elif name.startswith("context/"):
            explorer.picture = explorer.context[name.partition("/")[2]]

    def _offered(self) -> None:
        """Show the sum again where the picture is of an element that is no longer named."""
        if self.source.startswith("element/") and self.source not in dict(self.sources()):
            self._picture(SUM)

    def _by_numbers(self) -> list[Field]:
        """Offer to name a rectangle by its rows and columns, for who does not draw."""
        if self._plot.mode == "look":
            return []
        tip = "A rectangle by its rows and columns instead of drawing it: 3:20 is 3 to 19"
        return [
            fields.entry("region", "Region", "", placeholder="rows 3:20, columns 5:30", tip=tip)
        ]

    def _rectangle(self, text: str) -> None:
        """Use a rectangle that is given by its rows and columns."""
        ends = [int(number) for number in re.findall(r"-?\d+", text)]
        picture = self._explorer.picture
        if picture is None or not text.strip():
            return
        if len(ends) == 2 and picture.frame.is_line:
            ends = [0, 1, *ends]
        if len(ends) != 4 or ends[0] >= ends[1] or ends[2] >= ends[3]:
            raise InputError(
                "A region needs first and last row, first and last column",
                got=repr(text[:40]),
                cure="Write rows 3:20, columns 5:30.",
            )
        rows, columns = picture.frame.shape
        if min(ends) < 0 or ends[1] > rows or ends[3] > columns:
            raise InputError(
                f"A region must lie in the {rows} rows and {columns} columns that there are",
                got=repr(text[:40]),
                cure=f"Rows are 0:{rows}, columns 0:{columns}; the second number is not included.",
            )
        left, top = picture.frame.middle(ends[0] - 0.5, ends[2] - 0.5)
        right, bottom = picture.frame.middle(ends[1] - 0.5, ends[3] - 0.5)
        self._plot.use([left, right, right, left], [top, top, bottom, bottom])

    def _chosen(self) -> list[Field]:
        if self._selection.chosen is None:
            return []
        return [
            fields.text(f"{self._selection.count} positions chosen", tag="span", key="chosen"),
            fields.button("drop", "Exclude them", style="small", tip="Take them out of the map"),
            fields.button("clear", "Clear", style="small"),
        ]

    def _drawn(self) -> list[Field]:
        """Offer to take back what was drawn."""
        found = []
        if drawing.crop_box(self._explorer) is not None:
            found.append(fields.button("whole", "Undo crop", style="small"))
        if any(True for _ in drawing.outlines(self._explorer)):
            found.append(fields.button("all", "Undo exclusions", style="small"))
        return found
