"""Whether a result hinges on how far was pooled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import ParameterError, Progress, Segmentation, registry
from clustem.judge.compare import Comparison, compare
from clustem.recipes.open_scan import open_scan
from clustem.recipes.recipe import UP_TO_MAP, Recipe
from clustem.recipes.runner import Runner, part_of
from clustem.recipes.segment import Source

_POOL = ("prepare", "pool")


@dataclass(frozen=True)
class PoolingCheck:
    """Labels and centers at several radii of the window against those at the chosen one.

    Parameters
    ----------
    chosen
        Radius that the others are compared with [pixels].
    radii
        Radii (m,), rising [pixels].
    ari
        Adjusted Rand index of the labels, (m,).
    same
        Share of the positions in the matching cluster, (m,).
    center_shift
        How far the mean raw row of a cluster moved at most, relative to its length, (m,).
    """

    chosen: float
    radii: NDArray[np.float64]
    ari: NDArray[np.float64]
    same: NDArray[np.float64]
    center_shift: NDArray[np.float64]

    def __str__(self) -> str:
        lines = ["radius  window     ARI    same  center shift"]
        for radius, *values in zip(self.radii, self.ari, self.same, self.center_shift, strict=True):
            width = 2 * int(radius) + 1
            mark = "  chosen" if radius == self.chosen else ""
            ari, same, shift = values
            shares = f"{100 * same:6.2f} % {100 * shift:10.2f} %"
            lines.append(f"{radius:6g} {width:3d}×{width:<3d} {ari:7.4f} {shares}{mark}")
        return "\n".join(lines)


def pooling_check(
    source: Source,
    recipe: str | Path | Recipe = "eels",
    radii: Iterable[float] = (0.5, 1.5, 2.0, 3.0, 4.0),
    *,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    progress: Progress | None = None,
) -> PoolingCheck:
    """Run a recipe with windows of several sizes; what comes before pooling runs once.

    Parameters
    ----------
    source
        As for ``segment``.
    recipe
        Recipe with a ``prepare.pool`` step; its own radius is the chosen one.
    radii
        Radii to try [pixels]; 0.5 is no pooling at all.
    settings, lazy, progress
        As for ``segment``.

    Returns
    -------
    :
        How labels and centers differ from those at the chosen radius; ``print`` shows a table.

    Raises
    ------
    ParameterError
        If the recipe does not pool, or a radius is not above 0.

    Examples
    --------
    >>> from clustem.samples import eels
    >>> found = pooling_check(eels(shape=(8, 15)).signal, "eels", [0.5, 1.5, 2.5])
    >>> found.chosen, found.radii.tolist(), bool(found.ari[1] == 1)
    (1.5, [0.5, 1.5, 2.5], True)
    """
    chosen = Recipe.of(recipe, settings=settings)
    if _POOL not in chosen.steps:
        raise ParameterError(
            "The recipe must pool for its pooling to be checked",
            got=f"{chosen.name} without prepare.pool",
            cure="Add the step: settings={'prepare.pool.radius': 1.5}.",
        )
    parameter = registry("prepare")["pool"].parameters["radius"]
    own = float(chosen.steps[_POOL].get("radius", parameter.default))
    tried = sorted({own, *(parameter.check(value) for value in radii)})
    runner = Runner(open_scan(chosen, source, lazy=lazy), keep=len(chosen.steps))
    results = {}
    for i, radius in enumerate(tried):
        recipe_of_radius = chosen.with_settings({"prepare.pool.radius": radius})
        part = part_of(progress, f"radius {radius:g}: ", i, len(tried))
        results[radius] = runner.run(recipe_of_radius, stages=UP_TO_MAP, progress=part)
    found = [_against(results[own], results[radius]) for radius in tried]
    return PoolingCheck(own, np.array(tried), *np.array(found).T)


def _against(reference: Segmentation, other: Segmentation) -> tuple[float, float, float]:
    """ARI, share of equal labels, and largest relative shift of a center."""
    found = compare(other.labels.data, reference.labels.data)
    return found.ari, found.accuracy, _shift(reference, other, found)


def _shift(reference: Segmentation, other: Segmentation, found: Comparison) -> float:
    moved = []
    for one, true in found.matching.items():
        center = reference.centers.data[true].astype(np.float64)
        away = np.linalg.norm(other.centers.data[one] - center)
        moved.append(away / (np.linalg.norm(center) or 1.0))
    return float(max(moved, default=np.nan))
