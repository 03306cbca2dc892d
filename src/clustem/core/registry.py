"""What a stage offers: one public thing per file, found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import entry_points
from typing import Any

from clustem.core.declare import STAGES, Declaration, declaration_of
from clustem.core.errors import ParameterError, UnknownNameError
from clustem.core.parameters import Parameter, check_parameters, parameters_of


@dataclass(frozen=True)
class Entry:
    """One function or estimator of a stage.

    Parameters
    ----------
    stage
        Name of the stage, such as ``"reduce"``.
    name
        Name in that stage.
    step
        The function or class.
    """

    stage: str
    name: str
    step: Callable[..., Any]

    @property
    def label(self) -> str:
        """Stage and name, as in a recipe: ``reduce.pca``."""
        return f"{self.stage}.{self.name}"

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (self.step.__doc__ or "").strip().partition("\n")[0]

    @property
    def declaration(self) -> Declaration | None:
        """What it was declared to be by its decorator; None if it is no step of a recipe."""
        return declaration_of(self.step)

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters by name."""
        return parameters_of(self.step)

    def checked(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Return parameters converted to their types; refuse what does not fit or is missing.

        Raises
        ------
        UnknownNameError
            If there is no such parameter.
        ParameterError
            If a value does not fit, or a required one is missing.
        """
        found = check_parameters(self.step, given, where=self.label)
        for parameter in self.parameters.values():
            if parameter.required and parameter.name not in found:
                raise ParameterError(
                    f"{self.label} needs {parameter.name}, {parameter.description}",
                    got="none",
                    cure="Add it.",
                )
        return found


class Registry(Mapping[str, Entry]):
    """The steps of one stage, by name; of ``judge`` and ``samples``, all public things.

    A file ``gustafson_kessel.py`` in the stage's folder, or in a folder of an algorithm in it,
    offers ``GustafsonKessel``, a file ``pca.py`` offers ``pca``: the public name is the file's,
    case and underscores aside; it is a step if it was declared as one (``core.declare``).
    Files whose name starts with an underscore are private. Other packages offer steps through the
    entry point group ``clustem.<stage>``.

    Parameters
    ----------
    package
        Full name of the stage's package.

    Examples
    --------
    >>> registry("reduce")["pca"].label
    'reduce.pca'
    """

    def __init__(self, package: str) -> None:
        self.stage = package.rpartition(".")[2]
        self._package = package

    @cached_property
    def files(self) -> list[str]:
        """Full names of the stage's public modules."""
        package = importlib.import_module(self._package)
        return sorted(_public_modules(self._package, list(package.__path__)))

    @cached_property
    def own(self) -> dict[str, Callable[..., Any]]:
        """The stage's own public things, by name."""
        return dict(public_thing(file) for file in self.files)

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        steps = {name: thing for name, thing in self.own.items() if self._offers(thing)}
        for point in entry_points(group=f"clustem.{self.stage}"):
            steps.setdefault(point.name, point.load())
        return {name: Entry(self.stage, name, step) for name, step in sorted(steps.items())}

    def named(self, name: str, *, what: str = "") -> Entry:
        """Return an entry; refuse a name that is none.

        Parameters
        ----------
        name
            Name of the entry.
        what
            What it is, for the message; ``"<stage> step"`` if empty.

        Raises
        ------
        UnknownNameError
            If there is no such entry.
        """
        found = self._alone(name)
        if found is not None:
            return found
        if name not in self._entries:
            raise UnknownNameError.among(what or f"{self.stage} step", name, self._entries)
        return self._entries[name]

    def _alone(self, name: str) -> Entry | None:
        """Return an entry of the stage's own; no other file is imported for it."""
        file = self._file_of.get(_fold(name))
        if file is None:
            return None
        own, thing = public_thing(file)
        return Entry(self.stage, own, thing) if own == name and self._offers(thing) else None

    @cached_property
    def _file_of(self) -> dict[str, str]:
        """Full name of each public module by the name of what it offers, case aside."""
        return {_fold(file.rpartition(".")[2]): file for file in self.files}

    def _offers(self, thing: object) -> bool:
        """Whether a public thing is a step; in stages without steps, everything is offered."""
        return self.stage not in STAGES or declaration_of(thing) is not None

    def __getitem__(self, name: str) -> Entry:
        return self.named(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (self._alone(name) is not None or name in self._entries)

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


@cache
def registry(stage: str) -> Registry:
    """Return the registry of a stage, by its name: ``"prepare"``, ``"describe"``, ..."""
    return Registry(f"clustem.{stage}")


def public_thing(module_name: str) -> tuple[str, Callable[..., Any]]:
    """Return what a module offers: the thing that is named like its file.

    Raises
    ------
    UnknownNameError
        If there is none.
    """
    module = importlib.import_module(module_name)
    file = module_name.rpartition(".")[2]
    named = [name for name in vars(module) if _fold(name) == _fold(file)]
    for name in sorted(named, key=lambda name: name != file):  # `pca` goes before `PCA`
        thing = getattr(module, name)
        if getattr(thing, "__module__", "") == module.__name__:
            return name, thing
    raise UnknownNameError.among(
        f"public thing in {module.__name__} named like", file, vars(module)
    )


def _public_modules(package: str, path: list[str]) -> Iterator[str]:
    for info in pkgutil.iter_modules(path):
        if info.name.startswith("_"):
            continue
        name = f"{package}.{info.name}"
        if info.ispkg:
            yield from _public_modules(name, list(importlib.import_module(name).__path__))
        else:
            yield name


def _fold(name: str) -> str:
    return name.replace("_", "").lower()
