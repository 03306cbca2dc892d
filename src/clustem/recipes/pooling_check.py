"""Whether a result hinges on how far was pooled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.judge.compare import Comparison, compare
from clustem.model import ParameterError
from clustem.recipes._run import Progress, Run, read_for
from clustem.recipes._seeds import with_seeds_inside
from clustem.recipes.recipe import UP_TO_MAP, Recipe

_POOL = ("prepare", "pool")


@dataclass(frozen=True)
class PoolingCheck:
    """Labels and centers at several reaches of the window against those at the chosen one.

    Parameters
    ----------
    chosen
        Reach that the others are compared with [pixels].
    d
        Reaches (m,), rising [pixels].
    ari
        Adjusted Rand index of the labels, (m,).
    same
        Share of the positions in the matching cluster, (m,).
    center_shift
        How far the mean raw row of a cluster moved at most, relative to its length, (m,).
    """

    chosen: float
    d: NDArray[np.float64]
    ari: NDArray[np.float64]
    same: NDArray[np.float64]
    center_shift: NDArray[np.float64]

    def __str__(self) -> str:
        lines = ["   d  window     ARI    same  center shift"]
        for d, *values in zip(self.d, self.ari, self.same, self.center_shift, strict=True):
            width = 2 * int(d) + 1
            mark = "  chosen" if d == self.chosen else ""
            ari, same, shift = values
            shares = f"{100 * same:6.2f} % {100 * shift:10.2f} %"
            lines.append(f"{d:4g} {width:3d}×{width:<3d} {ari:7.4f} {shares}{mark}")
        return "\n".join(lines)


def pooling_check(
    source: Any,
    recipe: str | Path | Recipe = "eels",
    d: Iterable[float] = (0.5, 1.5, 2.0, 3.0, 4.0),
    /,
    *,
    lazy: bool | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> PoolingCheck:
    """Run a recipe with windows of several sizes; what comes before pooling runs once.

    Parameters
    ----------
    source
        As for ``segment``.
    recipe
        Recipe with a ``prepare.pool`` step; its own reach is the chosen one.
    d
        Reaches to try [pixels]; 0.5 is no pooling at all.
    lazy
        As for ``segment``.
    progress
        As for ``segment``.
    **settings
        As for ``segment``.

    Returns
    -------
    :
        How labels and centers differ from those at the chosen reach; ``print`` shows a table.

    Raises
    ------
    ParameterError
        If the recipe does not pool, or a reach is not above 0.

    Examples
    --------
    >>> from clustem.samples import eels
    >>> found = pooling_check(eels(shape=(8, 15)).signal, "eels", [0.5, 1.5, 2.5])
    >>> found.chosen, found.d.tolist(), bool(found.ari[1] == 1)
    (1.5, [0.5, 1.5, 2.5], True)
    """
    chosen = recipe if isinstance(recipe, Recipe) else Recipe.named(recipe)
    chosen = with_seeds_inside(chosen.with_settings(settings))
    if _POOL not in chosen.steps:
        raise ParameterError(
            "The recipe must pool for its pooling to be checked",
            got=f"{chosen.name} without prepare.pool",
            cure="Add the step: **{'prepare.pool.d': 1.5}.",
        )
    steps = zip(chosen.entries(), chosen.steps.values(), strict=True)
    entries = [step for step in steps if step[0].room in UP_TO_MAP]
    place = list(chosen.steps).index(_POOL)
    entry, params = entries[place]
    own = float(params.get("d", entry.parameters["d"].default))
    reaches = sorted({own, *(entry.parameters["d"].check(value) for value in d)})
    run = Run(read_for(chosen, source, lazy), place + len(reaches) * len(entries[place:]), progress)
    for step in entries[:place]:
        run.do(*step)
    results = {}
    for reach in reaches:
        one = run.fork()
        one.do(entry, {**params, "d": reach})
        for step in entries[place + 1 :]:
            one.do(*step)
        results[reach] = one.projection
    found = [_against(results[own], results[reach]) for reach in reaches]
    return PoolingCheck(own, np.array(reaches), *np.array(found).T)


def _against(reference: Any, other: Any) -> tuple[float, float, float]:
    """ARI, share of equal labels, and largest relative shift of a center."""
    found = compare(other.labels.data, reference.labels.data)
    return found.ari, found.accuracy, _shift(reference, other, found)


def _shift(reference: Any, other: Any, found: Comparison) -> float:
    moved = []
    for one, true in found.matching.items():
        center = reference.centers.data[true].astype(np.float64)
        away = np.linalg.norm(other.centers.data[one] - center)
        moved.append(away / (np.linalg.norm(center) or 1.0))
    return float(max(moved, default=np.nan))
