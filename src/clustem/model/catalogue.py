"""What a room offers: one public thing per file, found by itself."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

from clustem.model.errors import UnknownNameError
from clustem.model.parameters import Parameter, parameters_of


@dataclass(frozen=True)
class Entry:
    """One function or estimator of a room."""

    room: str
    name: str
    step: Callable[..., Any]

    @property
    def label(self) -> str:
        """Room and name, as in a recipe: ``reduce.pca``."""
        return f"{self.room}.{self.name}"

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return (self.step.__doc__ or "").strip().partition("\n")[0]

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Parameters by name."""
        return parameters_of(self.step)


class Catalogue(Mapping[str, Entry]):
    """The entries of one room, by name.

    A file ``gustafson_kessel.py`` in the room's folder offers ``GustafsonKessel``, a file
    ``pca.py`` offers ``pca``: the public name is the file's, case and underscores aside.
    Files whose name starts with an underscore are private. Other packages offer
    entries through the entry point group ``clustem.<room>``.

    Parameters
    ----------
    package
        Full name of the room's package.
    path
        The package's ``__path__``.

    Examples
    --------
    >>> from clustem import reduce
    >>> reduce.catalogue["pca"].label
    'reduce.pca'
    """

    def __init__(self, package: str, path: list[str]) -> None:
        self.room = package.rpartition(".")[2]
        self._package, self._path = package, path

    @cached_property
    def own(self) -> dict[str, Callable[..., Any]]:
        """The room's own public things, by name."""
        found = {}
        for info in pkgutil.iter_modules(self._path):
            if not info.name.startswith("_"):
                name, thing = self._public(info.name)
                found[name] = thing
        return found

    def _public(self, file: str) -> tuple[str, Callable[..., Any]]:
        module = importlib.import_module(f"{self._package}.{file}")
        named = [name for name in vars(module) if _fold(name) == _fold(file)]
        for name in sorted(named, key=lambda name: name != file):  # `pca` goes before `PCA`
            thing = getattr(module, name)
            if getattr(thing, "__module__", "") == module.__name__:
                return name, thing
        raise UnknownNameError.among(
            f"public thing in {module.__name__} named like", file, vars(module)
        )

    @cached_property
    def _entries(self) -> dict[str, Entry]:
        steps = dict(self.own)
        for point in entry_points(group=f"clustem.{self.room}"):
            steps.setdefault(point.name, point.load())
        return {name: Entry(self.room, name, step) for name, step in sorted(steps.items())}

    def __getitem__(self, name: str) -> Entry:
        try:
            return self._entries[name]
        except KeyError:
            raise UnknownNameError.among(f"{self.room} step", name, self._entries) from None

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _fold(name: str) -> str:
    return name.replace("_", "").lower()
