"""The front door: a scan and a recipe in, a segmentation out."""

from __future__ import annotations

import inspect
import logging
import time
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clustem import __version__
from clustem.model import Entry, InputError, Partition, Projection, Step, Table
from clustem.recipes.reading import read
from clustem.recipes.recipe import Recipe
from clustem.segmentation import Segmentation

Progress = Callable[[str, float], None]
_LOG = logging.getLogger(__name__)


def segment(
    source: Any,
    recipe: str | Path | Recipe,
    /,
    *,
    lazy: bool | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Segmentation:
    """Run a recipe on a scan.

    Parameters
    ----------
    source
        Path of a file that HyperSpy reads, a HyperSpy signal, or a ``recipes.Scan``.
    recipe
        Name of a built-in recipe (``"eds"``), path of a ``.toml`` file, or a Recipe.
    lazy
        Whether to leave the data on disk; if None, files beyond 2 GB are.
    progress
        Called with the step and the share of steps done, 0 ... 1.
    **settings
        Changes to the recipe, as ``**{"cluster.n_clusters": 4}``: see ``Recipe.with_settings``.

    Returns
    -------
    :
        Label map, memberships and phase spectra, with the history of how they came about.

    Raises
    ------
    InputError
        If the data, a name or a value cannot be used: what, what was got, and the cure.

    Examples
    --------
    >>> from clustem.samples import eds
    >>> found = segment(eds(shape=(20, 24)).signal, "eds", **{"cluster.n_clusters": 4})
    >>> found.labels.data.shape, found.centers.data.shape
    ((20, 24), (4, 1024))
    """
    chosen = recipe if isinstance(recipe, Recipe) else Recipe.named(recipe)
    chosen = chosen.with_settings(settings)
    scan = read(source, kind=chosen.signal, lazy=lazy)
    run = _Run(scan.signal, len(chosen.steps), progress)
    for entry, params in zip(chosen.entries(), chosen.steps.values(), strict=True):
        run.do(entry, params)
    if run.projection is None:
        raise InputError(
            "A recipe must end in a reproject step",
            got=f"{chosen.name} without one",
            cure="Add [reproject.project].",
        )
    projection = replace(
        run.projection, context=run.fitting(scan.context), history=tuple(run.history)
    )
    return Segmentation(
        projection,
        recipe=chosen.to_toml(),
        origin={"path": str(scan.path or ""), "digest": scan.digest()},
    )


class _Run:
    """What is in hand between two steps."""

    def __init__(self, signal: Any, n_steps: int, progress: Progress | None) -> None:
        self.raw = self.working = signal
        self.scan_mask: np.ndarray | None = None
        self.signal_mask: np.ndarray | None = None
        self.table: Table | None = None
        self.partition: Partition | None = None
        self.projection: Projection | None = None
        self.history: list[Step] = []
        self._n_steps, self._progress = n_steps, progress

    def do(self, entry: Entry, params: Any) -> None:
        """Run one step and write its line of history."""
        if self._progress is not None:
            self._progress(entry.label, len(self.history) / self._n_steps)
        start = time.perf_counter()
        note = getattr(self, f"_{entry.room}")(entry, dict(params)) or ""
        defaults = {name: p.default for name, p in entry.parameters.items() if not p.required}
        full = {**defaults, **params}
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
        kind = _kind_of(entry)
        given = {**self._masks(entry), **params}
        if kind == "geometry" and self.working is not self.raw:
            raise InputError(
                f"{entry.label} must come before steps that change values",
                got="it after one",
                cure="Put crop, rebin and calibration first in the recipe.",
            )
        found = entry.step(self.working, **given)
        if kind.endswith("mask"):
            return self._add_mask(kind, found)
        signal = getattr(found, "signal", found)
        before = self.scan_mask
        if before is not None and signal.data.shape[: before.ndim] != before.shape:
            raise InputError(
                f"{entry.label} must come before a mask of the scan is made",
                got="it after one",
                cure="Put crop and rebin before the mask in the recipe.",
            )
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
        self.table = replace(table, source=self.raw)
        return self._note()

    def _reduce(self, entry: Entry, params: dict[str, Any]) -> str:
        self.table = entry.step(self._needed(), **params)
        return self._note()

    def _cluster(self, entry: Entry, params: dict[str, Any]) -> None:
        table = self._needed()
        estimator = entry.step(**params)
        estimator.fit(table.rows)
        self.partition = Partition.from_estimator(estimator, table)

    def _reproject(self, entry: Entry, params: dict[str, Any]) -> str:
        if self.partition is None:
            raise InputError(
                "A recipe must cluster before it reprojects", got="no cluster step", cure="Add one."
            )
        self.projection = entry.step(self.partition, **params)
        return f"{100 * self.projection.unassigned_fraction:.2f} % unassigned"

    def _needed(self) -> Table:
        if self.table is None:
            raise InputError(
                "A recipe must describe before it reduces or clusters",
                got="no describe step",
                cure="Add [describe.spectra].",
            )
        return self.table

    def _note(self) -> str:
        return str(self._needed().details.get("note", ""))


def _kind_of(entry: Entry) -> str:
    hint = typing.get_type_hints(inspect.unwrap(entry.step), include_extras=True).get("return")
    kind = (getattr(hint, "__metadata__", None) or ("",))[0]
    if kind not in {"geometry", "values", "scan mask", "signal mask"}:
        raise InputError(
            f"{entry.label} must return a signal or a mask to be a step of a recipe",
            got=f"{hint}",
            cure="Call it from Python instead.",
        )
    return str(kind)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float | bool | list | tuple | dict | None)
