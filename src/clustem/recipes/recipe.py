"""Ordered steps with their parameters, in TOML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from clustem.core import (
    Entry,
    InputError,
    Kind,
    ParameterError,
    Signal,
    UnknownNameError,
    check_parameters,
    is_data,
    parameter_hints,
    registry,
    type_of,
    warn,
)
from clustem.io.toml import from_toml, toml_table

BEFORE = ("prepare", "describe", "reduce")
"""Stages whose steps do not depend on the number of clusters."""

MAPPING = ("cluster", "mapping")
"""Stages whose steps make the map; what comes after them adds to it."""

UP_TO_MAP = (*BEFORE, *MAPPING)
STAGES = (*UP_TO_MAP, "eels")
"""Stages of a recipe, in order."""
AUTO = "auto"
"""As ``n_clusters``: what ``judge.choose_k`` recommends."""
_HEAD = ("name", "title", "signal", "data", "reaches", "few_counts", "in_doubt")
_ONE_EACH = {"describe", "cluster", "mapping"}


@dataclass(frozen=True)
class Recipe:
    """Steps through the stages, in order.

    Parameters
    ----------
    name
        Short name.
    title
        What it is for, one line.
    signal
        Start of the signal type that it takes, for example ``"EDS"``; any if empty.
    data
        What it takes: ``"spectra"`` or ``"patterns"`` on a scan, an ``"image"``, or ``"several"``
        signals; any if empty.
    steps
        Parameters by ``(stage, step)``, in the order of the stages.
    edits
        What is changed in the result afterwards, in order: each with its name as ``do``, and
        its parameters (``[[edit]]`` in TOML).
    reaches
        A value that the signal axis must reach for the recipe to fit: 0 where it needs the
        zero-loss peak. None if any axis does.
    few_counts
        Name of the recipe that takes its place where a scan holds few counts; none if empty.
    in_doubt
        How many clusters to make for ``n_clusters = "auto"`` where the confidence of
        ``judge.choose_k`` is low; None makes as many as it recommends.
    signals
        Settings of each signal by its name, where the recipe takes several
        (``data = "several"``; ``[signals.NAME]`` in TOML): see ``segment_joint``.

    Examples
    --------
    >>> recipe = Recipe.named("eds").with_settings({"cluster.n_clusters": 5})
    >>> recipe.steps["cluster", "MultinomialMixture"]["n_clusters"]
    5
    """

    name: str
    title: str
    signal: str
    data: str
    steps: Mapping[tuple[str, str], Mapping[str, Any]]
    edits: tuple[Mapping[str, Any], ...] = ()
    reaches: float | None = None
    few_counts: str = ""
    in_doubt: int | None = None
    signals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def names(cls) -> list[str]:
        """List the built-in recipes and those of other packages.

        A package offers a recipe by an entry point of the group ``clustem.recipes``: its name is
        that of the recipe, its value the module beside which the file ``NAME.toml`` lies.
        """
        return sorted(_files())

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
        known = _files()
        if text not in known:
            raise UnknownNameError.among("recipe", text, known)
        return cls.from_toml(known[text].read_text(encoding="utf-8"), where=text)

    @classmethod
    def of(
        cls,
        recipe: str | Path | Recipe,
        *,
        n_clusters: int | str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Recipe:
        """Load a recipe, or take it as it is, and change it.

        Parameters
        ----------
        recipe
            As for :meth:`named`, or a Recipe.
        n_clusters
            Number of clusters, or ``"auto"``; None leaves that of the recipe.
        settings
            As for :meth:`with_settings`.
        """
        found = recipe if isinstance(recipe, Recipe) else cls.named(recipe)
        changes = dict(settings or {})
        if n_clusters is not None:
            changes["cluster.n_clusters"] = n_clusters
        return found.with_settings(changes)

    @classmethod
    def from_toml(cls, text: str, *, where: str = "recipe") -> Recipe:
        """Read a recipe from TOML text and check every name and value in it."""
        content = from_toml(text, where)
        head = content.pop("recipe", {})
        edits = tuple(_checked_edit(edit) for edit in _listed(content.pop("edit", [])))
        signals = _tables(content.pop("signals", {}), head)
        steps = {}
        for stage, found in content.items():
            if stage not in STAGES:
                raise UnknownNameError.among("stage", stage, [*STAGES, "recipe"])
            if not isinstance(found, dict) or not all(isinstance(v, dict) for v in found.values()):
                raise ParameterError(
                    f"[{stage}] must hold steps", got=found, cure=f"Write [{stage}.STEP]."
                )
            for step, params in found.items():
                steps[stage, step] = _checked(_entry(stage, step), params)
        for key in head:
            if key not in _HEAD:
                raise UnknownNameError.among("key of [recipe]", key, _HEAD)
        found = cls._of_head(head, where)
        return replace(found, steps=_ordered(steps), edits=edits, signals=signals)

    @classmethod
    def _of_head(cls, head: Mapping[str, Any], where: str) -> Recipe:
        return cls(
            name=str(head.get("name", where)),
            title=str(head.get("title", "")),
            signal=str(head.get("signal", "")),
            data=str(head.get("data", "")),
            steps={},
            reaches=None if head.get("reaches") is None else float(head["reaches"]),
            few_counts=str(head.get("few_counts", "")),
            in_doubt=None if head.get("in_doubt") is None else int(head["in_doubt"]),
        )

    @classmethod
    def heads(cls) -> list[Recipe]:
        """List the built-in recipes and those of other packages without their steps.

        No step is imported: what a recipe is for is known at once.
        """
        found = []
        for name, file in sorted(_files().items()):
            head = from_toml(file.read_text(encoding="utf-8"), name).get("recipe", {})
            found.append(cls._of_head(head, name))
        return found

    @classmethod
    def fitting(cls, signal: Signal) -> list[str]:
        """List the built-in recipes for a signal's type and axes, the most specific first."""
        kind = type_of(signal)
        manager = signal.axes_manager
        dimensions = manager.signal_dimension, manager.navigation_dimension > 0
        data = {(1, True): "spectra", (2, True): "patterns", (2, False): "image"}.get(dimensions)
        found = [
            recipe
            for recipe in cls.heads()
            if kind.startswith(recipe.signal)
            and recipe.data in {"", data}
            and _reached(recipe.reaches, manager)
        ]
        stand_ins = {recipe.few_counts for recipe in found}  # they are taken where they fit better
        found = [recipe for recipe in found if recipe.name not in stand_ins]
        return [recipe.name for recipe in sorted(found, key=lambda recipe: -len(recipe.signal))]

    def entries(self) -> list[Entry]:
        """List the registry entries of the steps, in order."""
        return [_entry(stage, step) for stage, step in self.steps]

    def with_edit(self, name: str, parameters: Mapping[str, Any]) -> Recipe:
        """Return the recipe with one more edit at its end."""
        return replace(self, edits=(*self.edits, {"do": name, **parameters}))

    def to_toml(self) -> str:
        """Write the recipe as TOML; :meth:`from_toml` reads it back the same."""
        known = {name: getattr(self, name) for name in _HEAD}
        optional = ("reaches", "few_counts", "in_doubt")
        head = {k: v for k, v in known.items() if k not in optional or v not in (None, "")}
        tables: list[tuple[str, Mapping[str, Any]]] = [("recipe", head)]
        tables += [(f"signals.{name}", given) for name, given in self.signals.items()]
        tables += [(f"{stage}.{step}", params) for (stage, step), params in self.steps.items()]
        written = [toml_table(name, values) for name, values in tables]
        written += [toml_table("edit", values, one_of_many=True) for values in self.edits]
        return "\n".join(written)

    def with_settings(self, settings: Mapping[str, Any]) -> Recipe:
        """Change steps and parameters.

        Parameters
        ----------
        settings
            ``"param": value`` sets a parameter that only one step of the recipe has;
            ``"stage.param": value`` sets a parameter of the stage's step that has it;
            ``"stage.step.param": value`` adds the step if need be; ``"stage.step": True`` adds it,
            False removes it; ``"stage": "Step"`` replaces the step, keeping what both take;
            ``"edit": False`` leaves the edits out. Where the recipe takes several signals,
            ``"NAME.param": value`` is for the signal of that name.

        Returns
        -------
        :
            The changed recipe.

        Raises
        ------
        UnknownNameError
            If a stage, step or parameter is unknown.
        ParameterError
            If a value does not fit.
        """
        steps = {key: dict(params) for key, params in self.steps.items()}
        settings = dict(settings)
        edits = self.edits if settings.pop("edit", True) else ()
        if edits and settings:
            warn(
                f"The recipe's {len(edits)} edits name clusters by numbers that may differ under "
                "other settings. Check the result, or leave them out: -s edit=false."
            )
        signals = {name: dict(given) for name, given in self.signals.items()}
        for setting in [*settings] if self.data == "several" else []:
            of, _, own = setting.partition(".")
            if own and of not in MAPPING:  # a signal may be called eels, as a stage is
                signals.setdefault(of, {})[own] = settings.pop(setting)
        settings = {_full_name(steps, name): value for name, value in settings.items()}
        for name, value in sorted(settings.items(), key=_steps_first):
            stage, *rest = name.split(".")
            if stage not in STAGES:
                raise UnknownNameError.among("stage", stage, STAGES)
            if not rest:
                _swap(steps, stage, value)
            elif len(rest) == 1 and isinstance(value, bool) and rest[0] in registry(stage):
                _switch(steps, (stage, rest[0]), on=value)
            else:
                *step, param = rest
                key = (stage, ".".join(step)) if step else _owner(steps, stage, param)
                entry = _entry(*key)
                steps.setdefault(key, {}).update(_checked(entry, {param: value}))
        asked = any(name.endswith(".n_clusters") for name in settings)  # then no other will do
        in_doubt = None if asked else self.in_doubt
        return replace(self, steps=_ordered(steps), edits=edits, in_doubt=in_doubt, signals=signals)


def _reached(value: float | None, manager: Any) -> bool:
    """Whether a value lies on the only signal axis."""
    if value is None:
        return True
    axis = manager.signal_axes[0].axis
    return bool(axis.min() <= value <= axis.max())


@cache
def _files() -> dict[str, Traversable]:
    """Find the files of all recipes, by name."""
    own = files("clustem.recipes").iterdir()
    found = {f.name.removesuffix(".toml"): f for f in own if f.name.endswith(".toml")}
    for point in entry_points(group="clustem.recipes"):
        found.setdefault(point.name, files(point.module) / f"{point.name}.toml")
    return found


def _entry(stage: str, step: str) -> Entry:
    entry = registry(stage)[step]
    if entry.declaration is None and not (stage == "cluster" and hasattr(entry.step, "fit")):
        raise ParameterError(
            f"A step of the stage {stage} must be declared as one",
            got=f"{entry.label}, which is not",
            cure="Decorate it: see clustem.core.declare.",
        )
    return entry


def _checked(entry: Entry, params: Mapping[str, Any]) -> dict[str, Any]:
    """Check parameters; the number of clusters may be left to ``judge.choose_k``."""
    known = entry.stage == "cluster" and "n_clusters" in entry.parameters
    left_open = known and params.get("n_clusters") == AUTO
    given = {k: v for k, v in params.items() if not (left_open and k == "n_clusters")}
    found = check_parameters(entry.step, given, where=entry.label)
    return {name: found.get(name, AUTO) for name in params}


def _ordered(steps: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[tuple[str, str], Any]:
    """Put steps in the order of the stages, and in prepare what moves pixels first.

    What moves pixels and is told which positions are excluded, as counts are, stays behind the
    masks of the scan that stand before it.
    """
    for stage in _ONE_EACH:
        names = [step for r, step in steps if r == stage]
        if len(names) > 1:
            raise ParameterError(
                f"A recipe has one {stage} step",
                got=" and ".join(names),
                cure=f"Replace it: {stage}={names[-1]}.",
            )

    known = [(key, _entry(*key)) for key in steps]
    moves = {key: takes_masks(one) for key, one in known if kind_of(one) == "geometry"}
    told = [i for i, (key, _) in enumerate(known) if moves.get(key)]

    def place(item: tuple[int, tuple[tuple[str, str], Entry]]) -> tuple[int, int]:
        i, (key, entry) = item
        first = kind_of(entry) == "scan mask" and i < max(told, default=-1)
        turn = int(moves[key]) if key in moves else 1 if first else 2
        return STAGES.index(key[0]), turn

    return {key: dict(steps[key]) for _, (key, _) in sorted(enumerate(known), key=place)}


def kind_of(entry: Entry) -> Kind | None:
    """Return what a preparation makes; None for steps of other stages."""
    return None if entry.declaration is None else entry.declaration.kind


def takes_masks(entry: Entry) -> bool:
    """Whether a step is given what the preparations before it exclude."""
    return any(is_data(hint) for hint in parameter_hints(entry.step).values())


def _full_name(steps: Mapping[tuple[str, str], Any], name: str) -> str:
    """Complete the bare name of a parameter that one step of the recipe has.

    Raises
    ------
    ParameterError
        If several steps have it, or none.
    """
    if "." in name or name in STAGES:
        return name
    owners: dict[str, list[str]] = {}
    for stage, step in steps:
        for parameter in _entry(stage, step).parameters:
            owners.setdefault(parameter, []).append(f"{stage}.{step}.{parameter}")
    if name not in owners:
        near = get_close_matches(name, [*owners, *STAGES], n=1, cutoff=0.5)
        full = [path for match in near for path in map(_shortest, owners.get(match, []))] or near
        raise UnknownNameError(
            f"There is no parameter {name!r} in this recipe",
            cure=f"Did you mean {' or '.join(full)}?"
            if full
            else "See clustem recipes NAME --parameters.",
        )
    if len(owners[name]) > 1:
        raise ParameterError(
            f"{name} must name one step",
            got=f"{len(owners[name])} steps that have it",
            cure=f"Did you mean {' or '.join(owners[name])}?",
        )
    return _shortest(owners[name][0])


def _shortest(path: str) -> str:
    """``cluster.n_clusters`` for ``cluster.KMeans.n_clusters``: a recipe has one such step."""
    parts = path.split(".")
    return f"{parts[0]}.{parts[-1]}" if parts[0] in _ONE_EACH else path


def _owner(steps: Mapping[tuple[str, str], Any], stage: str, param: str) -> tuple[str, str]:
    """Find the step of a stage in this recipe that has a parameter."""
    here = [key for key in steps if key[0] == stage]
    owners = [key for key in here if param in _entry(*key).parameters]
    if len(owners) == 1:
        return owners[0]
    if owners:
        full = " or ".join(f"{stage}.{step}.{param}" for _, step in owners)
        raise ParameterError(
            f"{stage}.{param} must name one step",
            got=f"{len(owners)} steps that have it",
            cure=f"Say {full}.",
        )
    known = {name for key in here for name in _entry(*key).parameters}
    if not known or not get_close_matches(param, known):  # then perhaps of a step not yet in here
        others = [step for step, entry in registry(stage).items() if param in entry.parameters]
        if others:
            full = " or ".join(f"{stage}.{step}.{param}" for step in others)
            raise ParameterError(
                f"{stage}.{param} must belong to a step of this recipe",
                got="none that has it",
                cure=f"Say {full}.",
            )
    raise UnknownNameError.among(f"parameter of {stage} called", param, known)


def _steps_first(setting: tuple[str, Any]) -> tuple[int, bool]:
    name, value = setting
    return name.count("."), not isinstance(value, bool)


def _swap(steps: dict[tuple[str, str], Any], stage: str, name: Any) -> None:
    entry = _entry(stage, str(name))
    here = [key for key in steps if key[0] == stage]
    if len(here) > 1:
        raise ParameterError(
            f"{stage}={name} needs a stage with one step",
            got=f"{len(here)} steps",
            cure=f"Say {stage}.{name}=true and {here[0][0]}.{here[0][1]}=false.",
        )
    old = steps.pop(here[0], {}) if here else {}
    steps[stage, entry.name] = {k: v for k, v in old.items() if _takes(entry, k, v)}


def _takes(entry: Entry, param: str, value: Any) -> bool:
    """Whether a step has a parameter of this name for which such a value will do."""
    if param not in entry.parameters:
        return False
    try:
        _checked(entry, {param: value})
    except ParameterError:
        return False
    return True


def _switch(steps: dict[tuple[str, str], Any], key: tuple[str, str], *, on: bool) -> None:
    if on:
        entry = _entry(*key)
        steps.setdefault((entry.stage, entry.name), {})
    else:
        steps.pop(key, None)


def _listed(edits: Any) -> list[Any]:
    if not isinstance(edits, list):
        raise ParameterError("Edits must be tables [[edit]]", got=edits, cure="Write [[edit]].")
    return edits


def _tables(given: Any, head: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Check that settings of signals are tables, in a recipe that takes several."""
    if given and head.get("data") != "several":
        raise ParameterError(
            "[signals] is for recipes of several signals",
            got=head.get("data", ""),
            cure='Write data = "several", or leave it out.',
        )
    if not isinstance(given, dict) or not all(isinstance(v, dict) for v in given.values()):
        raise ParameterError(
            "[signals] must hold one table for each signal",
            got=given,
            cure="Write [signals.NAME].",
        )
    return {name: dict(_flat(table)) for name, table in given.items()}


def _flat(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Go through a table of tables by dotted names."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _checked_edit(given: Any) -> dict[str, Any]:
    name = str(given.get("do", ""))
    entry = registry("edits").named(name, what="edit")
    return {"do": name, **entry.checked({k: v for k, v in given.items() if k != "do"})}
