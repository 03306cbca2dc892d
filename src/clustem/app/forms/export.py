"""What can be downloaded and saved."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import param

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.session import exports
from clustem.app.session.state import Explorer
from clustem.core import ParameterError, Progress

if TYPE_CHECKING:
    from clustem.report.page.write_figures import Print

_FONTS = ("", "Arial", "Helvetica", "Times New Roman")


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
            self.width = _width(str(value).strip())
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
                         tip="Texts and lines grow with it; left free, texts have 7.5 points"),
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


def _width(text: str) -> float | None:
    """Read a width in mm, at least 20 and at most 400; None for an empty text."""
    if not text:
        return None
    with suppress(ValueError):
        if math.isfinite(width := float(text)):
            return min(max(width, 20.0), 400.0)
    raise ParameterError(
        "The width of figures must be a number of mm", got=repr(text[:40]), cure="Write 89."
    )
