"""The recipe as a form: its steps in the order of the stages, each with its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clustem.app.forms import fields
from clustem.app.forms.editors import descriptions, editable, editor, parse
from clustem.app.forms.fields import Field
from clustem.app.session.state import Explorer
from clustem.core import Entry, registry
from clustem.recipes.recipe import STAGES, Recipe

_ONE = {"describe", "cluster", "mapping"}
_TITLES = {
    "prepare": "Prepare",
    "describe": "Describe",
    "reduce": "Reduce",
    "cluster": "Cluster",
    "mapping": "Map",
    "eels": "Energy losses",
}
_NONE = ""
_FIRST = {"n_clusters", "n_components", "size", "threshold", "rows", "columns", "radius"}
"""Parameters that are shown even where the recipe leaves them as they are."""


class Steps:
    """Form of the recipe.

    Parameters
    ----------
    explorer
        The session.
    """

    def __init__(self, explorer: Explorer) -> None:
        self._explorer = explorer

    def fields(self) -> list[Field]:
        """Describe the form."""
        recipe = self._explorer.recipe
        if recipe is None:
            return [fields.text("The steps of a recipe appear here.", style="faint")]
        return [
            fields.group(
                stage,
                _TITLES[stage],
                list(_of_stage(recipe, stage)),
                note=", ".join(_steps_in(recipe, stage)) or "nothing",
                open=stage == "cluster",
            )
            for stage in STAGES
            if stage != "eels" or recipe.signal.startswith("EELS") or _steps_in(recipe, stage)
        ]

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for: ``what/stage/step/parameter``."""
        what, stage, *rest = key.split("/")
        if stage not in STAGES:
            return
        if what == "add" and value:
            self._explorer.change({f"{stage}.{value}": True})
        elif what == "remove" and rest:
            self._explorer.change({f"{stage}.{rest[0]}": False})
        elif what == "swap" and value:
            self._explorer.change({stage: value})
        elif what == "set" and len(rest) == 2:
            entry = registry(stage)[rest[0]]
            parameter = entry.parameters[rest[1]]
            self._explorer.change({f"{stage}.{rest[0]}.{rest[1]}": parse(value, parameter)})


def _steps_in(recipe: Recipe, stage: str) -> list[str]:
    return [step for stage_, step in recipe.steps if stage_ == stage]


def _of_stage(recipe: Recipe, stage: str) -> Iterator[Field]:
    here, known = _steps_in(recipe, stage), registry(stage)
    if stage in _ONE:
        options = [(name, name) for name in known]
        current = here[0] if here else _NONE
        if not here:
            options.insert(0, (_NONE, "choose"))
        yield fields.choice(f"swap/{stage}", "method", options, current, quiet=True)
        if here:
            yield from _parameters(recipe, known[here[0]])
        return
    for step in here:
        yield fields.row(
            [
                fields.text(step, style="name", tag="h4"),
                fields.button(f"remove/{stage}/{step}", "Remove", style="small quiet"),
            ],
            style="head",
            key=f"head/{stage}/{step}",
        )
        yield from _parameters(recipe, known[step])
    others = [(name, name) for name in known if name not in here and _usable(known[name])]
    if others:
        options = [(_NONE, "Add a step …"), *others]
        yield fields.choice(
            f"add/{stage}", f"Add to {_TITLES[stage]}", options, _NONE, quiet=True, menu=True
        )


def _parameters(recipe: Recipe, entry: Entry) -> Iterator[Field]:
    """Show what the recipe sets and what needs a value first, all others folded away."""
    given = recipe.steps[entry.stage, entry.name]
    about = descriptions(entry.step)
    yield fields.text(entry.summary, style="faint", key=f"about/{entry.label}")
    first: list[Field] = []
    rest: list[Field] = []
    for name, parameter in editable(entry).items():
        key = f"set/{entry.stage}/{entry.name}/{name}"
        made = editor(parameter, given.get(name, parameter.default), key, about.get(name, ""))
        first_hand = name in given or parameter.required or name in _FIRST
        (first if first_hand else rest).append(made)
    yield from first
    if rest:
        yield fields.group(f"more/{entry.stage}/{entry.name}", "More", rest, note=f"{len(rest)}")


def _usable(entry: Entry) -> bool:
    """Whether a step can be added without a value: nothing in it is required."""
    return not any(p.required for p in editable(entry).values())
