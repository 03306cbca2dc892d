"""Another recipe where a scan holds few counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from clustem.core import InputError, Scan, Signal, like, recording, registry
from clustem.passes.rows import Rows
from clustem.passes.storage import loaded
from clustem.recipes.recipe import Recipe

FEW = 1000
"""Counts of a position below which a mixture of multinomials finds what k-means does not: ARI .98
and .87 at 311 electrons of 4dstem_grains, .96 and .98 at 1556 (benchmarks/dose.py)."""
_SAMPLE = 256
"""Positions from which the counts of a position are estimated."""
_BYTES = 2**24
"""Size of the lines of a scan from which the gain is estimated [bytes]; one line at least."""
_FREE = {"n_clusters", "random_state"}
"""Parameters of a clusterer that mean the same in both recipes."""


def for_few_counts(
    recipe: Recipe, counts_of_a_position: Callable[[], float | None]
) -> tuple[Recipe, str]:
    """Return the recipe for few counts where the scan holds few, and why; else the recipe itself.

    A recipe with other steps or settings than its own is what the user wants, and stays.
    """
    if not recipe.few_counts or not _as_it_comes(recipe):
        return recipe, ""
    found = counts_of_a_position()
    if found is None or found >= FEW:
        return recipe, ""
    other = Recipe.named(recipe.few_counts)
    settings = {f"cluster.{name}": value for name, value in _clusterer(recipe).items()}
    common = {k: v for k, v in settings.items() if k.partition(".")[2] in _FREE}
    return (
        replace(Recipe.of(other, settings=common), edits=recipe.edits, in_doubt=recipe.in_doubt),
        f"{found:.0f} counts a position, fewer than {FEW}: the recipe {other.name}",
    )


def _as_it_comes(recipe: Recipe) -> bool:
    if recipe.name not in Recipe.names():
        return False
    own = Recipe.named(recipe.name)

    def fixed(steps: Any) -> dict[Any, Any]:
        return {
            key: {k: v for k, v in given.items() if key[0] != "cluster" or k not in _FREE}
            for key, given in steps.items()
        }

    return fixed(own.steps) == fixed(recipe.steps)


def _clusterer(recipe: Recipe) -> dict[str, Any]:
    return next(dict(given) for (stage, _), given in recipe.steps.items() if stage == "cluster")


def counts_of_a_position(scan: Scan, *, kinds: str = "bui") -> float | None:
    """Estimate the mean number of counts of a position; None if the values are no counts.

    Parameters
    ----------
    scan
        The scan.
    kinds
        Kinds of numbers that are looked at; integers if not given.
    """
    signal = scan.signal
    if signal.data.dtype.kind not in kinds or not signal.axes_manager.navigation_dimension:
        return None
    rows = Rows(signal.data, row_ndim=signal.axes_manager.signal_dimension)
    numbers = np.unique(np.linspace(0, len(rows) - 1, _SAMPLE).astype(np.intp))
    total = float(rows.take(numbers).sum(axis=1, dtype=np.float64).mean())
    if total <= 0:
        return None
    with recording() as said:
        try:
            registry("prepare")["counts"].step(_some_lines(signal))
        except InputError:
            return None
    return max(total - float(said.found["offset"]) * rows.shape[1], 0.0) / float(said.found["gain"])


def _some_lines(signal: Signal) -> Signal:
    """Load some lines of a scan, evenly spaced: their noise tells the gain."""
    data = signal.data
    most = max(1, int(_BYTES // (data.nbytes / len(data))))
    if len(data) <= most or data.ndim == 1 + signal.axes_manager.signal_dimension:
        return signal
    lines = np.unique(np.linspace(0, len(data) - 1, most).astype(np.intp))
    return like(signal, np.stack([loaded(data[line]) for line in lines]))
