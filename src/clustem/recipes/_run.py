"""What is in hand between two steps of a recipe, and how each room's step is called."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from clustem import __version__
from clustem.judge._k_choice import KChoice
from clustem.judge.choose_k import choose_k
from clustem.model import Entry, InputError, ParameterError, Partition, Projection, Step, Table
from clustem.recipes._seeds import named, on_rows
from clustem.recipes.reading import Scan, read
from clustem.recipes.recipe import AUTO, Recipe, kind_of
from clustem.segmentation import Segmentation

Progress = Callable[[str, float], None]
MOST = 10
"""Largest number of clusters that ``n_clusters = "auto"`` tries."""
_LOG = logging.getLogger(__name__)


def read_for(
    recipe: Recipe,
    source: Any,
    lazy: bool | None,  # noqa: FBT001  # private
    *,
    stack: bool = False,
) -> Scan:
    """Open what a recipe takes; a stack of images only where one is meant."""
    axes = {"spectra": 1, "patterns": 2, "image": 2}.get(recipe.data)
    scan = read(source, kind=recipe.signal, lazy=lazy, signal_axes=axes)
    if recipe.data != "image":
        return scan
    n = n_frames(scan.signal)
    if n == 1 and not stack:
        return replace(scan, signal=scan.signal.inav[0])
    if n > 1 and not stack:
        movie = ("describe", "gabor") in recipe.steps
        raise InputError(
            f"The recipe {recipe.name} takes one image",
            got=f"a stack of {n}",
            cure="Segment all of them: clustem run FILE, or clustem.segment_movie(...)."
            if movie
            else "Save one of them to a file of its own: signal.inav[0].save(...).",
        )
    return scan


def n_frames(signal: Any) -> int:
    """Count the images of a stack; 0 if it is none. Colors of one image are no stack."""
    data, manager = signal.data, signal.axes_manager
    colors = data.ndim == 3 and data.shape[-1] in (3, 4) and min(data.shape[:2]) > 4
    if colors or manager.navigation_dimension != 1 or manager.signal_dimension != 2:
        return 0
    return int(manager.navigation_size)


class Run:
    """What is in hand between two steps."""

    def __init__(self, scan: Scan, n_steps: int, progress: Progress | None) -> None:
        self.scan = scan
        self.raw = self.working = scan.signal
        self.scan_mask: np.ndarray | None = None
        self.signal_mask: np.ndarray | None = None
        self.table: Table | None = None
        self.partition: Partition | None = None
        self.projection: Projection | None = None
        self.history: list[Step] = []
        self._n_steps, self._progress = n_steps, progress
        self._shared: Any = None
        self._regions: np.ndarray | None = None  # that clusters started from, on the scan

    def do_all(self, recipe: Recipe, rooms: Iterable[str]) -> None:
        """Run the recipe's steps of some rooms, in order."""
        for entry, params in zip(recipe.entries(), recipe.steps.values(), strict=True):
            if entry.room in rooms:
                self.do(entry, params)

    def fork(self, *, n_steps: int = 0, progress: Progress | None = None) -> Run:
        """Return a copy that can go another way from here, of its own length and progress."""
        other = copy(self)
        other.history = list(self.history)
        other._n_steps = n_steps or self._n_steps
        other._progress = progress or self._progress
        return other

    def share(self, recipe: Recipe) -> None:
        """Do once what the fits of several k have in common; give it the largest k."""
        for entry, params in zip(recipe.entries(), recipe.steps.values(), strict=True):
            if entry.room == "cluster" and hasattr(entry.step, "sketch"):
                self._shared = entry.step(**params).sketch(self._needed().rows)

    def result(self, recipe: Recipe) -> Segmentation:
        """Wrap up what the last step made, and repeat the recipe's edits."""
        if self.projection is None:
            raise InputError(
                "A recipe must end in a reproject step",
                got=f"{recipe.name} without one",
                cure="Add [reproject.project].",
            )
        context = (*self.projection.context, *self.fitting(self.scan.context))
        projection = replace(self.projection, context=context, history=tuple(self.history))
        origin = {"path": str(self.scan.path or ""), "digest": self.scan.digest}
        text = replace(recipe, edits=()).to_toml()  # each edit adds itself
        found = Segmentation(projection, recipe=text, origin=origin)
        for edit in recipe.edits:
            found = found.edit(edit["do"], **{k: v for k, v in edit.items() if k != "do"})
        return found

    def do(self, entry: Entry, params: Mapping[str, Any]) -> None:
        """Run one step and write its line of history."""
        if self._progress is not None:
            self._progress(entry.label, len(self.history) / self._n_steps)
        start = time.perf_counter()
        note = getattr(self, f"_{entry.room}")(entry, dict(params)) or ""
        defaults = {name: p.default for name, p in entry.parameters.items() if not p.required}
        full = {**defaults, **params}
        if self.partition is not None and full.get("n_clusters") == AUTO:
            full["n_clusters"] = self.partition.n_clusters
        self.history.append(
            Step(
                entry.room,
                entry.name,
                {key: value for key, value in full.items() if _is_plain(value)},
                __version__,
                full.get("random_state"),
                round(time.perf_counter() - start, 4),
                note,
            )
        )
        _LOG.info("%s %.2f s", entry.label, self.history[-1].seconds)

    def fitting(self, context: tuple[Any, ...]) -> tuple[Any, ...]:
        """Keep the context images that still have the scan's shape."""
        shape = self.projection.mask.shape if self.projection else ()
        return tuple(image for image in context if image.data.shape == shape)

    def _masks(self, entry: Entry) -> dict[str, Any]:
        known = {"mask": self.scan_mask, "signal_mask": self.signal_mask}
        return {k: v for k, v in known.items() if v is not None and k in entry.parameters}

    def _prepare(self, entry: Entry, params: dict[str, Any]) -> str:
        kind = kind_of(entry)
        given = {**self._masks(entry), **params}
        found = entry.step(self.working, **given)
        if kind.endswith("mask"):
            return self._add_mask(kind, found)
        signal = getattr(found, "signal", found)
        self.working = signal
        if kind == "geometry":
            self.raw = signal
        return str(getattr(found, "note", ""))

    def _add_mask(self, kind: str, found: Any) -> str:
        mask = np.asarray(found, dtype=bool)
        attribute = kind.replace(" ", "_")
        before = getattr(self, attribute)
        setattr(self, attribute, mask if before is None else mask | before)
        return f"{np.count_nonzero(mask)} of {mask.size} excluded"

    def _describe(self, entry: Entry, params: dict[str, Any]) -> str:
        table = entry.step(self.working, **{**self._masks(entry), **params})
        self.table = replace(table, source=self.raw) if table.source is self.working else table
        return self._note()

    def _reduce(self, entry: Entry, params: dict[str, Any]) -> str:
        self.table = entry.step(self._needed(), **params)
        return self._note()

    def choice(
        self,
        entry: Entry,
        params: Mapping[str, Any],
        ks: Iterable[int],
        *,
        scored: Literal["all", "chosen"] = "all",
    ) -> KChoice:
        """Ask how many clusters the rows have, and how good those of a step are at several k."""
        if params.get("seeds") is not None:
            raise ParameterError(
                "Clusters that start from seeds are as many as their regions",
                got=f"n_clusters={AUTO}",
                cure="Give that number, or leave the seeds out.",
            )
        return choose_k(
            self._needed(), lambda k: entry.step(**{**params, "n_clusters": k}), ks, scored=scored
        )

    def _cluster(self, entry: Entry, params: dict[str, Any]) -> str:
        table, note = self._needed(), ""
        if params.get("n_clusters") == AUTO:
            ks = range(1, min(MOST, table.rows.shape[0]) + 1)
            found = self.choice(entry, params, ks, scored="chosen")
            params["n_clusters"], note = found.k, found.summary
        if params.get("seeds") is not None:
            self._regions, params["seeds"] = on_rows(params["seeds"], table)
        estimator = entry.step(**params)
        estimator.fit(table.rows if self._shared is None else self._shared)
        self.partition = Partition.from_estimator(estimator, table)
        return note

    def _reproject(self, entry: Entry, params: dict[str, Any]) -> str:
        if self.partition is None:
            raise InputError(
                "A recipe must cluster before it reprojects", got="no cluster step", cure="Add one."
            )
        self.projection = entry.step(self.partition, **params)
        notes = [f"{100 * self.projection.unassigned_fraction:.2f} % unassigned"]
        if spatial := self.projection.details.get("spatial"):
            notes.append(str(spatial))
        if self._regions is not None:
            self.projection, note = named(self.projection, self._regions)
            notes.append(note)
        return "; ".join(notes)

    def _eels(self, entry: Entry, params: dict[str, Any]) -> str:
        if self.projection is None:
            raise InputError(
                f"A recipe must reproject before {entry.label}",
                got="no reproject step",
                cure="Add [reproject.project].",
            )
        found = entry.step(self.projection, **params)
        details = dict(found.details)
        note = str(details.pop("note", ""))  # belongs to this step only
        self.projection = replace(found, details=details)
        return note

    def _needed(self) -> Table:
        if self.table is None:
            raise InputError(
                "A recipe must describe before it reduces or clusters",
                got="no describe step",
                cure="Add [describe.spectra].",
            )
        return self.table

    def _note(self) -> str:
        """Move the note of the last step out of the table: it belongs to that step only."""
        table = self._needed()
        details = dict(table.details)
        note = str(details.pop("note", ""))
        self.table = replace(table, details=details)
        return note


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | tuple | dict | None)
