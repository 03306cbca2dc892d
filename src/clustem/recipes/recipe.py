"""Ordered steps with their parameters, in TOML."""

from __future__ import annotations

import inspect
import tomllib
import typing
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any

from clustem._edits import checked_edit
from clustem._toml import table
from clustem.model import (
    Entry,
    InputError,
    ParameterError,
    Projection,
    UnknownNameError,
    check_parameters,
)

BEFORE = ("prepare", "describe", "reduce")
"""Rooms whose steps do not depend on the number of clusters."""

MAPPING = ("cluster", "reproject")
"""Rooms whose steps make the map; what comes after them adds to it."""

UP_TO_MAP = (*BEFORE, *MAPPING)
ROOMS = (*UP_TO_MAP, "eels")
AUTO = "auto"
"""As ``n_clusters``: what ``judge.choose_k`` recommends."""
_ONE_EACH = {"describe", "cluster", "reproject"}
_AFTER = {"reproject", "eels"}


@dataclass(frozen=True)
class Recipe:
    """Steps through the rooms, in order.

    Parameters
    ----------
    name
        Short name.
    title
        What it is for, one line.
    signal
        Start of the signal type that it takes, for example ``"EDS"``; any if empty.
    data
        What it takes: ``"spectra"`` or ``"patterns"`` on a scan, or an ``"image"``; any if empty.
    steps
        Parameters by ``(room, step)``, in the order of the rooms.
    edits
        What is changed in the result afterwards, in order: each with its name as ``do``, and
        its parameters (``[[edit]]`` in TOML).
    reaches
        A value that the signal axis must reach for the recipe to fit: 0 where it needs the
        zero-loss peak. None if any axis does.

    Examples
    --------
    >>> recipe = Recipe.named("eds").with_settings({"cluster.n_clusters": 5})
    >>> recipe.steps["cluster", "GustafsonKessel"]["n_clusters"]
    5
    """

    name: str
    title: str
    signal: str
    data: str
    steps: Mapping[tuple[str, str], Mapping[str, Any]]
    edits: tuple[Mapping[str, Any], ...] = ()
    reaches: float | None = None

    @classmethod
    def names(cls) -> list[str]:
        """List the built-in recipes."""
        return sorted(
            f.name.removesuffix(".toml") for f in _folder().iterdir() if f.name.endswith(".toml")
        )

    @classmethod
    def named(cls, name: str | Path) -> Recipe:
        """Load a built-in recipe by name, or one of your own from a ``.toml`` file.

        Raises
        ------
        UnknownNameError
            If there is no such recipe, step or parameter.
        InputError
            If the file is missing or not TOML.
        """
        text = str(name)
        if text.endswith(".toml"):
            path = Path(text).expanduser()
            try:
                return cls.from_toml(path.read_text(encoding="utf-8"), where=path.name)
            except (OSError, UnicodeDecodeError) as error:
                reason = getattr(error, "strerror", None) or "not a text file"
                raise InputError(
                    "A recipe file must be readable",
                    got=f"{path}: {reason}",
                    cure=f"Give a .toml file or one of: {', '.join(cls.names())}.",
                ) from None
        if text not in cls.names():
            raise UnknownNameError.among("recipe", text, cls.names())
        return cls.from_toml((_folder() / f"{text}.toml").read_text(encoding="utf-8"), where=text)

    @classmethod
    def from_toml(cls, text: str, *, where: str = "recipe") -> Recipe:
        """Read a recipe from TOML text and check every name and value in it."""
        try:
            content = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InputError(
                f"{where} must be TOML", got=str(error), cure="Start from `clustem recipes NAME`."
            ) from None
        head = content.pop("recipe", {})
        edits = tuple(_checked_edit(edit) for edit in _listed(content.pop("edit", [])))
        steps = {}
        for room, found in content.items():
            if room not in ROOMS:
                raise UnknownNameError.among("room", room, [*ROOMS, "recipe"])
            if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
                raise ParameterError(
                    f"[{room}] must hold steps", got=found, cure=f"Write [{room}.STEP]."
                )
            for step, params in found.items():
                steps[room, step] = _checked(_entry(room, step), params)
        known = {"name", "title", "signal", "data", "reaches"}
        for key in head:
            if key not in known:
                raise UnknownNameError.among("key of [recipe]", key, known)
        return cls(
            str(head.get("name", where)),
            str(head.get("title", "")),
            str(head.get("signal", "")),
            str(head.get("data", "")),
            _ordered(steps),
            edits,
            None if head.get("reaches") is None else float(head["reaches"]),
        )

    @classmethod
    def fitting(cls, signal: Any) -> list[str]:
        """List the built-in recipes for a signal's type and axes, the most specific first."""
        kind = str(signal.metadata.get_item("Signal.signal_type", ""))
        manager = signal.axes_manager
        dimensions = manager.signal_dimension, manager.navigation_dimension > 0
        data = {(1, True): "spectra", (2, True): "patterns", (2, False): "image"}.get(dimensions)
        found = [
            recipe
            for recipe in map(cls.named, cls.names())
            if kind.startswith(recipe.signal)
            and recipe.data in {"", data}
            and _reached(recipe.reaches, manager)
        ]
        return [recipe.name for recipe in sorted(found, key=lambda recipe: -len(recipe.signal))]

    def entries(self) -> list[Entry]:
        """List the catalogue entries of the steps, in order."""
        return [_entry(room, step) for room, step in self.steps]

    def to_toml(self) -> str:
        """Write the recipe as TOML; :meth:`from_toml` reads it back the same."""
        head = {"name": self.name, "title": self.title, "signal": self.signal, "data": self.data}
        head |= {} if self.reaches is None else {"reaches": self.reaches}
        tables = [("recipe", head)]
        tables += [(f"{room}.{step}", params) for (room, step), params in self.steps.items()]
        written = [table(name, values) for name, values in tables]
        written += [table("edit", values, one_of_many=True) for values in self.edits]
        return "\n".join(written)

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """Change steps and parameters.

        Parameters
        ----------
        settings
            ``"room.param": value`` sets a parameter of the room's step that has it;
            ``"room.step.param": value`` adds the step if need be; ``"room.step": True`` adds it,
            False removes it; ``"room": "Step"`` replaces the step, keeping what both share;
            ``"edit": False`` leaves the edits out.

        Returns
        -------
        :
            The changed recipe.

        Raises
        ------
        UnknownNameError
            If a room, step or parameter is unknown.
        ParameterError
            If a value does not fit.
        """
        steps = {key: dict(params) for key, params in self.steps.items()}
        settings = dict(settings)
        edits = self.edits if settings.pop("edit", True) else ()
        if edits and settings:
            warnings.warn(
                f"The recipe's {len(edits)} edits name clusters by numbers that may differ under "
                "other settings. Check the result, or leave them out: -s edit=false.",
                stacklevel=2,
            )
        for name, value in sorted(settings.items(), key=_steps_first):
            room, *rest = name.split(".")
            if room not in ROOMS:
                raise UnknownNameError.among("room", room, ROOMS)
            if not rest:
                _swap(steps, room, value)
            elif len(rest) == 1 and isinstance(value, bool) and rest[0] in _catalogue(room):
                _switch(steps, (room, rest[0]), on=value)
            else:
                *step, param = rest
                key = (room, ".".join(step)) if step else _owner(steps, room, param)
                entry = _entry(*key)
                steps.setdefault(key, {}).update(_checked(entry, {param: value}))
        return replace(self, steps=_ordered(steps), edits=edits)


def _reached(value: float | None, manager: Any) -> bool:
    """Whether a value lies on the only signal axis."""
    if value is None:
        return True
    axis = manager.signal_axes[0].axis
    return bool(axis.min() <= value <= axis.max())


def _folder() -> Any:
    return files("clustem.recipes")


def _catalogue(room: str) -> Mapping[str, Entry]:
    catalogue: Mapping[str, Entry] = import_module(f"clustem.{room}").catalogue
    return catalogue


def _entry(room: str, step: str) -> Entry:
    entry = _catalogue(room)[step]
    if not can_be_step(entry):
        raise ParameterError(
            f"A step of the room {room} must return a projection",
            got=entry.label,
            cure="Call it from Python instead.",
        )
    return entry


def can_be_step(entry: Entry) -> bool:
    """Whether an entry of a room that comes after clustering makes a result."""
    if entry.room not in _AFTER:
        return True
    return typing.get_type_hints(inspect.unwrap(entry.step)).get("return") is Projection


def _checked(entry: Entry, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check parameters; the number of clusters may be left to ``judge.choose_k``."""
    known = entry.room == "cluster" and "n_clusters" in entry.parameters
    left_open = known and params.get("n_clusters") == AUTO
    given = {k: v for k, v in params.items() if not (left_open and k == "n_clusters")}
    found = check_parameters(entry.step, given, where=entry.label)
    return {name: found.get(name, AUTO) for name in params}


def _ordered(steps: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    """Put steps in the order of the rooms, and in prepare what moves pixels first."""
    for room in _ONE_EACH:
        names = [step for r, step in steps if r == room]
        if len(names) > 1:
            raise ParameterError(
                f"A recipe has one {room} step",
                got=" and ".join(names),
                cure=f"Replace it: {room}={names[-1]}.",
            )

    def place(key: tuple[str, str]) -> tuple[int, bool]:
        moves = key[0] == "prepare" and kind_of(_entry(*key)) == "geometry"
        return ROOMS.index(key[0]), not moves

    return {key: dict(steps[key]) for key in sorted(steps, key=place)}


def kind_of(entry: Entry) -> str:
    """Return what a preparation makes: see ``clustem.model.kinds``.

    Raises
    ------
    InputError
        If it makes neither a signal nor a mask.
    """
    hint = typing.get_type_hints(inspect.unwrap(entry.step), include_extras=True).get("return")
    kind = (getattr(hint, "__metadata__", None) or ("",))[0]
    if kind not in {"geometry", "values", "scan mask", "signal mask"}:
        raise InputError(
            f"{entry.label} must return a signal or a mask to be a step of a recipe",
            got=f"{hint}",
            cure="Call it from Python instead.",
        )
    return str(kind)


def _owner(steps: Mapping[tuple[str, str], Any], room: str, param: str) -> tuple[str, str]:
    """Find the step of a room in this recipe that has a parameter."""
    here = [key for key in steps if key[0] == room]
    owners = [key for key in here if param in _entry(*key).parameters]
    if len(owners) == 1:
        return owners[0]
    if owners:
        full = " or ".join(f"{room}.{step}.{param}" for _, step in owners)
        raise ParameterError(
            f"{room}.{param} must name one step",
            got=f"{len(owners)} steps that have it",
            cure=f"Say {full}.",
        )
    known = {name for key in here for name in _entry(*key).parameters}
    if not known or not get_close_matches(param, known):  # then perhaps of a step not yet in here
        others = [step for step, entry in _catalogue(room).items() if param in entry.parameters]
        if others:
            full = " or ".join(f"{room}.{step}.{param}" for step in others)
            raise ParameterError(
                f"{room}.{param} must belong to a step of this recipe",
                got="none that has it",
                cure=f"Say {full}.",
            )
    raise UnknownNameError.among(f"parameter of {room} called", param, known)


def _steps_first(setting: tuple[str, Any]) -> tuple[int, bool]:
    name, value = setting
    return name.count("."), not isinstance(value, bool)


def _swap(steps: dict[tuple[str, str], Any], room: str, name: Any) -> None:
    entry = _entry(room, str(name))
    here = [key for key in steps if key[0] == room]
    if len(here) > 1:
        raise ParameterError(
            f"{room}={name} needs a room with one step",
            got=f"{len(here)} steps",
            cure=f"Say {room}.{name}=true and {here[0][0]}.{here[0][1]}=false.",
        )
    old = steps.pop(here[0], {}) if here else {}
    steps[room, entry.name] = {key: value for key, value in old.items() if key in entry.parameters}


def _switch(steps: dict[tuple[str, str], Any], key: tuple[str, str], *, on: bool) -> None:
    if on:
        entry = _entry(*key)
        steps.setdefault((entry.room, entry.name), {})
    else:
        steps.pop(key, None)


def _listed(edits: Any) -> list[Any]:
    if not isinstance(edits, list):
        raise ParameterError("Edits must be tables [[edit]]", got=edits, cure="Write [[edit]].")
    return edits


def _checked_edit(given: Any) -> dict[str, Any]:
    name = str(given.get("do", ""))
    return {"do": name, **checked_edit(name, {k: v for k, v in given.items() if k != "do"})}
