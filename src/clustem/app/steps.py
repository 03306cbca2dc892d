"""The recipe as a form: its steps in the order of the house, each with its parameters."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

from clustem.app import fields
from clustem.app.editors import descriptions, editable, editor, parse
from clustem.app.fields import Field
from clustem.app.state import Explorer
from clustem.model import Entry, InputError
from clustem.recipes.recipe import ROOMS, can_be_step, kind_of

_ONE = {"describe", "cluster", "reproject"}
_TITLES = {
    "prepare": "Prepare",
    "describe": "Describe",
    "reduce": "Reduce",
    "cluster": "Cluster",
    "reproject": "Map",
    "eels": "Energy losses",
}
_NONE = ""


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
        if self._explorer.recipe is None:
            return [fields.text("The steps of a recipe appear here.", style="faint")]
        return [
            fields.group(
                room,
                _TITLES[room],
                list(self._of_room(room)),
                note=self._note(room),
                open=room == "cluster",
            )
            for room in ROOMS
            if room != "eels" or self._losses()
        ]

    def _losses(self) -> bool:
        """Whether the recipe is one for energy losses."""
        return self._explorer.recipe.signal.startswith("EELS") or bool(self._here("eels"))

    def heard(self, key: str, value: Any) -> None:
        """Do what a field asks for: ``what/room/step/parameter``."""
        what, room, *rest = key.split("/")
        if room not in ROOMS:
            return
        if what == "add" and value:
            self._explorer.change({f"{room}.{value}": True})
        elif what == "remove" and rest:
            self._explorer.change({f"{room}.{rest[0]}": False})
        elif what == "swap" and value:
            self._explorer.change({room: value})
        elif what == "set" and len(rest) == 2:
            entry = catalogue(room)[rest[0]]
            parameter = entry.parameters[rest[1]]
            self._explorer.change({f"{room}.{rest[0]}.{rest[1]}": parse(value, parameter)})

    def _here(self, room: str) -> list[str]:
        return [step for r, step in self._explorer.recipe.steps if r == room]

    def _note(self, room: str) -> str:
        return ", ".join(self._here(room)) or "nothing"

    def _of_room(self, room: str) -> Iterator[Field]:
        here, known = self._here(room), catalogue(room)
        if room in _ONE:
            options = [(name, name) for name in known]
            current = here[0] if here else _NONE
            if not here:
                options.insert(0, (_NONE, "choose"))
            yield fields.choice(f"swap/{room}", "method", options, current, quiet=True)
            if here:
                yield from self._parameters(known[here[0]])
            return
        for step in here:
            yield fields.row(
                [
                    fields.text(step, style="name", tag="h4"),
                    fields.button(f"remove/{room}/{step}", "Remove", style="small quiet"),
                ],
                style="head",
                key=f"head/{room}/{step}",
            )
            yield from self._parameters(known[step])
        others = [(name, name) for name in known if name not in here and _usable(known[name])]
        if others:
            options = [(_NONE, "Add a step …"), *others]
            yield fields.choice(
                f"add/{room}", f"Add to {_TITLES[room]}", options, _NONE, quiet=True, menu=True
            )

    def _parameters(self, entry: Entry) -> Iterator[Field]:
        given = self._explorer.recipe.steps[entry.room, entry.name]
        about = descriptions(entry.step)
        yield fields.text(entry.summary, style="faint", key=f"about/{entry.label}")
        for name, parameter in editable(entry).items():
            value = given.get(name, parameter.default)
            key = f"set/{entry.room}/{entry.name}/{name}"
            yield editor(parameter, value, key, about.get(name, ""))


def catalogue(room: str) -> Any:
    """Return the catalogue of a room."""
    return import_module(f"clustem.{room}").catalogue


def _usable(entry: Entry) -> bool:
    """Whether an entry can be a step of a recipe and nothing in it is required."""
    if any(p.required for p in editable(entry).values()):
        return False
    if entry.room != "prepare":
        return can_be_step(entry)
    try:
        return bool(kind_of(entry))
    except InputError:
        return False
