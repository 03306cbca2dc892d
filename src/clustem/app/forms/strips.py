"""Small forms beside the figures: tools of the map, captions, scales, export."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import param

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.plots import scales
from clustem.app.plots.cloud_plot import CloudPlot
from clustem.app.plots.map_plot import MapPlot
from clustem.app.plots.signal_plot import PatternPlot, SpectrumPlot
from clustem.app.session import drawing, exports, pictures
from clustem.app.session.clouds import Selection
from clustem.app.session.state import Explorer
from clustem.core import InputError, Progress
from clustem.physics.xray_lines import Line
from clustem.report.layout.line_labels import is_eds

if TYPE_CHECKING:
    from clustem.report.page.write_figures import Print

_MODES = [
    ("look", "Look", "Move to look, click to hold, drag to pan, wheel to zoom"),
    ("choose", "Lasso", "Draw around a region: it is marked in the data space"),
    ("crop", "Crop", "Draw a rectangle: the first step of the recipe"),
    ("exclude", "Exclude", "Draw around what is to be left out: a step of the recipe"),
]
_SCALES = [
    (scales.LINEAR, "linear", "Counts as they are"),
    (scales.ROOT, "√", "Square roots: the noise of counts is the same everywhere"),
    (scales.LOG, "log", "Logarithms"),
]
_FONTS = ("", "Arial", "Helvetica", "Times New Roman")
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
            explorer.navigate(SUM, lambda: pictures.first_picture(opened))
        elif name.startswith("element/"):
            line = self._lines()[name.partition("/")[2]]
            explorer.navigate(name, lambda: pictures.element_map(opened.signal, line))
        elif name.startswith("context/"):
            explorer.picture = explorer.context[name.partition("/")[2]]

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
        ends = [int(number) for number in re.findall(r"\d+", text)]
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


class Caption:
    """What the figure under the cursor shows, and how.

    Parameters
    ----------
    explorer
        The session.
    spectrum, pattern
        The two kinds of figures; one is shown.
    """

    def __init__(self, explorer: Explorer, spectrum: SpectrumPlot, pattern: PatternPlot) -> None:
        self._explorer, self._spectrum, self._pattern = explorer, spectrum, pattern

    @property
    def is_line(self) -> bool:
        """Whether what is under the cursor is a spectrum."""
        explorer = self._explorer
        signal = None if explorer.opened is None else explorer.opened.signal
        if explorer.outcome is not None and explorer.outcome.result.source is not None:
            signal = explorer.outcome.result.source
        return signal is None or signal.axes_manager.signal_dimension == 1

    def fields(self) -> list[Field]:
        """Describe the form."""
        if self._explorer.opened is None:
            return []
        plot = self._spectrum if self.is_line else self._pattern
        found: list[Field] = []
        if self.is_line:
            inks = {"muted": "var(--muted)", "accent": "var(--chosen)"}
            for i, (name, shade) in enumerate(self._spectrum.caption):
                color = inks.get(shade, shade)
                found.append({"is": "swatch", "key": f"swatch/{i}", "color": color, "label": name})
                found.append(fields.text(name, tag="span", key=f"name/{i}"))
        found.append(fields.text("", style="gap", tag="span", key="gap"))
        if is_eds(self._explorer.opened.signal):
            tip = "Elements whose X-ray lines are marked; each also has a map among the pictures"
            found.append(fields.elements("elements", self._explorer.elements, tip=tip))
        found.append(scale_field(plot.scale))
        return found

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        if key == "elements":
            self._explorer.toggle_element(str(value))
        elif key == "scale" and value in scales.SCALES:
            (self._spectrum if self.is_line else self._pattern).scale = value


def scale_field(scale: str) -> Field:
    """Return the field that chooses a scale of intensities."""
    return fields.radio("scale", "Scale of the intensities", _SCALES, scale)


class CloudForm:
    """Which coordinates of the data space are shown.

    Parameters
    ----------
    plot
        The figure.
    """

    def __init__(self, plot: CloudPlot) -> None:
        self._plot = plot

    def fields(self) -> list[Field]:
        """Describe the form."""
        names = [(i, name.partition(" (")[0]) for i, name in enumerate(self._plot.names())]
        if not names:
            return [fields.text("After a run, each position is a point here.", style="faint")]
        x, y = self._plot.axes
        found = [fields.text("Lasso points: they are marked on the map.", style="faint")]
        if len(names) > 2:
            found = [
                fields.choice("x", "x", names, x),
                fields.choice("y", "y", names, y),
                *found,
            ]
        return found

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        x, y = self._plot.axes
        if isinstance(value, int) and 0 <= value < len(self._plot.names()):
            self._plot.axes = (value, y) if key == "x" else (x, value)


class ExportForm(param.Parameterized):
    """Form of what can be downloaded and saved.

    Parameters
    ----------
    explorer
        The session.
    url
        Where files are fetched from.
    """

    target = param.String(default="", doc="Path of the result folder from the root")
    ready = param.String(default="", doc="Address of the file that is ready")
    width = param.Number(default=None, allow_None=True, doc="Of figures [mm]")
    dpi = param.Integer(default=300, doc="Pixels per inch of figures")
    font = param.String(default="", doc="Family of texts in figures")
    letters = param.Boolean(default=False, doc="Whether figures are lettered as panels")

    def __init__(self, explorer: Explorer, url: str) -> None:
        super().__init__()
        self._explorer, self._url = explorer, url
        self._count = 0
        explorer.param.watch(self._renew, "outcome")

    def fields(self) -> list[Field]:
        """Describe the form."""
        body = [
            fields.text(
                "Report, maps, memberships, centers, recipe and provenance: what the command line "
                "writes.", style="faint",
            ),
            fields.button("zip", "Download result", style="main"),
            fields.row(
                [
                    *(
                        fields.button(f"figures/{form}", f"Figures {form.upper()}", style="small")
                        for form in exports.FORMATS
                    ),
                    fields.button("recipe", "Recipe", style="small"),
                ],
                style="wrap",
            ),
            fields.group("print", "Figures for print", self._print(), note=self._printed()),
            {"is": "download", "key": "download", "url": self.ready, "label": "download"},
        ]  # fmt: skip
        if self._explorer.root is not None:
            body += [
                fields.entry("target", "Save as", self.target, placeholder="folder"),
                fields.button("save", "Save in the shared folder", disabled=not self.target),
            ]
        return [fields.group("export", "Export", body, open=True)]

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        explorer = self._explorer
        if key == "target":
            self.target = str(value)
        elif key == "zip":
            self._make("Writing the result", lambda report: exports.packed(explorer, report))
        elif key.startswith("figures/") and key.partition("/")[2] in exports.FORMATS:
            how = self._how(key.partition("/")[2])
            self._make("Drawing", lambda report: exports.figures(explorer, how, report))
        elif key == "width":
            text = str(value).strip()
            self.width = min(max(float(text), 20.0), 400.0) if text else None
        elif key == "dpi":
            self.dpi = int(min(max(float(value), 72), 1200))
        elif key == "font" and value in _FONTS:
            self.font = value
        elif key == "letters":
            self.letters = bool(value)
        elif key == "recipe":
            self._make("Recipe", lambda _: exports.recipe(explorer))
        elif key == "save":
            target = self.target
            explorer.start(
                "Saving",
                lambda report: exports.save(explorer, target, report),
                lambda path: explorer.say("done", f"Saved as {path}."),
            )

    def _print(self) -> list[Field]:
        fonts = [(name, name or "DejaVu Sans") for name in _FONTS]
        width = "" if self.width is None else f"{self.width:g}"
        return [
            fields.entry("width", "Width (mm)", width, placeholder="89 or 183",
                         tip="Texts and lines grow with it; left free, texts have 8 points"),
            fields.number("dpi", "Pixels per inch", self.dpi, min=72, max=1200, step=1),
            fields.choice("font", "Font", fonts, self.font),
            fields.check("letters", "Letters a, b, c", self.letters),
        ]  # fmt: skip

    def _printed(self) -> str:
        width = "89 or 183" if self.width is None else f"{self.width:g}"
        return f"{width} mm, {self.dpi} dpi"

    def _how(self, form: str) -> Print:
        from clustem.report.page.write_figures import Print

        return Print(form, self.width, self.dpi, self.font or None, self.letters)  # type: ignore[arg-type]  # one of FORMATS

    def _make(self, name: str, work: Callable[[Progress], Path]) -> None:
        self._explorer.start(name, work, self._fetch)

    def _fetch(self, path: Path) -> None:
        self._count += 1
        self.ready = f"{self._url}/{path.name}?{self._count}"
        self._explorer.say("done", f"{path.name} is being downloaded.")

    def _renew(self, *_: Any) -> None:
        if self._explorer.outcome is not None:
            self.target = exports.stem(self._explorer)
