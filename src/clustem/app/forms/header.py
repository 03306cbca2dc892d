"""The bar on top: what is open, the recipe, run and cancel, how far it is."""

from __future__ import annotations

from typing import Any

import param

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.session import files
from clustem.app.session.state import Explorer
from clustem.core.memory import size_text


class Header(param.Parameterized):
    """Form on top of the page.

    Parameters
    ----------
    explorer
        The session.
    """

    opening = param.Boolean(default=True, doc="Whether the list of what can be opened is shown")
    exporting = param.Boolean(default=False, doc="Whether the export form is shown")
    auto = param.Boolean(default=False, doc="Whether each change runs the recipe")
    dark = param.Boolean(default=False)

    def __init__(self, explorer: Explorer) -> None:
        super().__init__()
        self._explorer = explorer
        explorer.param.watch(self._opened, "opened")
        explorer.param.watch(self._changed, "recipe")

    def fields(self) -> list[Field]:
        """Describe the form."""
        explorer = self._explorer
        found = [
            fields.text("Clustem", tag="h1"),
            fields.button(
                "open", self._open_label(), pressed=self.opening, tip="Open a file or a sample",
                style="what",
            ),
        ]  # fmt: skip
        if len(explorer.files) > 1:
            found += self._files()
        if explorer.opened is not None:
            found += self._recipe()
        found += [
            fields.text("", style="gap", key="gap"),
            fields.button("undo", "↶", style="round", shortcut="z",
                          tip="Undo the last change (Ctrl+Z)"),
            fields.button(
                "export", "Export", pressed=self.exporting, disabled=explorer.outcome is None,
                tip="Result folder, figures, recipe",
            ),
            {"is": "theme", "key": "theme", "label": "◐", "title": "Switch between light and dark",
             "style": "round"},
        ]  # fmt: skip
        return found

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        explorer = self._explorer
        if key == "open":
            self.param.update(opening=not self.opening, exporting=False)
        elif key == "export":
            self.param.update(exporting=not self.exporting, opening=False)
        elif key == "recipe" and value in explorer.offers():
            explorer.choose(value)
        elif key == "run":
            explorer.run()
        elif key == "file" and isinstance(value, int):
            files.show(explorer, value)
        elif key == "together":
            explorer.together = bool(value)
        elif key == "cancel":
            explorer.jobs.cancel()
        elif key == "undo":
            explorer.take_back()
        elif key == "k":
            text = str(value).strip()
            explorer.change({"cluster.n_clusters": int(text) if text.isdigit() else text})
        elif key == "auto":
            self.auto = bool(value)
            self._changed(None)
        elif key == "theme":
            self.dark = value == "dark"

    def _open_label(self) -> str:
        opened = self._explorer.opened
        if opened is None:
            return "Open …"
        shape = "×".join(str(size) for size in opened.signal.data.shape)
        return f"{opened.label} · {shape} · {size_text(opened.signal.data.nbytes)}"

    def _files(self) -> list[Field]:
        """Offer the open files, and to run all of them in one fit."""
        explorer = self._explorer
        options = [(i, file.opened.label) for i, file in enumerate(explorer.files)]
        now = explorer.files.index(explorer.file) if explorer.file in explorer.files else 0
        return [
            fields.choice("file", "File", options, now, quiet=True, tip="Which file is shown"),
            fields.check(
                "together", f"all {len(options)} as one study", explorer.together,
                tip="Run the recipe on all open files in one fit: the same clusters in each",
            ),
        ]  # fmt: skip

    def _recipe(self) -> list[Field]:
        explorer = self._explorer
        offers = explorer.offers()
        if not offers:
            return [fields.text("No recipe fits this kind of data yet.", style="faint")]
        options = [(name, name) for name in offers]
        if explorer.recipe is not None and explorer.recipe.name not in offers:
            options.append((explorer.recipe.name, explorer.recipe.name))
        name = explorer.recipe.name if explorer.recipe else ""
        busy = bool(explorer.jobs.status.job)
        run = (
            fields.button("cancel", "Cancel", style="stop", disabled=explorer.jobs.status.stopping)
            if busy
            else fields.button("run", "Run", style="main" if explorer.stale else "")
        )
        title = explorer.recipe.title if explorer.recipe else ""
        return [
            fields.choice("recipe", "Recipe", options, name, tip=title),
            *self._k(),
            run,
            fields.check("auto", "auto", self.auto, tip="Run again at each change"),
        ]

    def _k(self) -> list[Field]:
        """Return the number of clusters, where the recipe has one: a number, or "auto"."""
        steps = self._explorer.recipe.steps.items() if self._explorer.recipe else ()
        for (stage, _), params in steps:
            if stage == "cluster" and "n_clusters" in params:
                value = str(params["n_clusters"])
                tip = "Number of clusters; auto finds it"
                return [fields.entry("k", "k", value, style="narrow", tip=tip)]
        return []

    def _opened(self, *_: Any) -> None:
        self.param.update(opening=self._explorer.opened is None, exporting=False)

    def _changed(self, *_: Any) -> None:
        if self.auto and self._explorer.stale and self._explorer.opened is not None:
            self._explorer.run()


class Footer:
    """What runs, and the last message.

    Parameters
    ----------
    explorer
        The session.
    """

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer

    def fields(self) -> list[Field]:
        """Describe the form."""
        status = self._explorer.jobs.status
        message = self._explorer.message
        if status.job:
            step = "stopping …" if status.stopping else status.step
            inner = f" · pass {100 * status.inner:.0f} %" if status.inner is not None else ""
            found = [
                fields.progress(status.share, status.job),
                fields.text(f"{status.job}: {step}{inner}", key="status", role="status"),
            ]
            if self._explorer.opened is None:
                found.append(fields.button("cancel", "Cancel", style="stop small"))
            return found
        if not message.text:
            hint = _HINT if self._explorer.opened is not None else _FIRST
            return [fields.text(hint, style="faint", key="status", role="status")]
        role = "alert" if message.kind in {"error", "warning"} else "status"
        said = message.text
        found = [fields.text(said, style=message.kind, key="status", role=role, tip=said)]
        if self._explorer.misfit:
            tip = "Run the recipe although the image shows no lattice"
            found.append(fields.button("anyway", "Run anyway", style="small", tip=tip))
        return found

    def handle(self, key: str, value: Any) -> None:  # noqa: ARG002  # every form has it
        """Stop what runs, or run what was refused."""
        if key == "cancel":
            self._explorer.jobs.cancel()
        elif key == "anyway" and self._explorer.misfit:
            self._explorer.run(anyway=True)


_FIRST = "Choose a file on the left, drop one there, or try a sample."
_HINT = "Move over the map to see what lies under the cursor; click to hold it."
