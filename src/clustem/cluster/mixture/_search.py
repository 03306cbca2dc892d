"""Starts of a mixture of multinomials, from coarse cells of a scan to its positions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clustem.cluster._neighbours import softmax
from clustem.cluster.kmeans.lloyd import lloyd, plus_plus
from clustem.cluster.mixture._counts import Counts, Fit, Model, em, log_likelihoods, maximize
from clustem.cluster.mixture._levels import ENOUGH, FEWEST_CELLS, components, groups_of
from clustem.core import tick
from clustem.labelmaps.agreement import rand_index

_FEWEST = 40
"""Mean counts of a cell from which on starts are looked for."""
_SEARCH = 0.5
"""Coupling while starts are compared: a strong one would freeze a start where it is."""
_KEPT = 5
"""Starts of each level that are refined."""
_BEAM = (3, 6, 10)
"""Best fits of a level, from the finest to coarse ones, that are handed down to the next."""
LARGE = 20_000
"""Positions above which only the best fit is handed down."""
_SAME = 0.97
"""Adjusted Rand index from which on two fits are the same one."""
_STEPS = 6
"""Steps of EM at each level."""


def search(model: Model, levels: list[Counts], k: int, *, n_init: int, seed: int) -> Fit:
    """Find the best fit of the positions, from starts at several levels.

    Parameters
    ----------
    model
        What is common to all levels.
    levels
        Of :func:`hierarchy`.
    k
        Number of clusters.
    n_init
        Number of k-means starts of each level.
    seed
        Seed of the starts.

    Returns
    -------
    :
        The fit of the highest free energy, with a weak coupling.
    """
    enough = [level for level in levels if len(level.totals) >= FEWEST_CELLS * k]
    levels = enough or levels[:1]
    short, sums = groups_of(model, levels[-1], k, seed=seed)
    coarse = range(1, len(levels))
    wanted = [i for i in coarse if _FEWEST <= levels[i].totals.mean() <= ENOUGH]
    wanted = wanted or [len(levels) - 1]
    beam: list[Fit] = []
    for i in range(wanted[-1], -1, -1):
        handed_down = [fit.memberships[levels[i].parents] for fit in beam]
        starts: list[Fit] = []
        if i in wanted:
            rows = levels[i].rows if sums is None else (levels[i].rows @ sums).tocsr()
            alone = replace(levels[i], rows=rows, graph=None)
            starts = _starts(short, alone, k, n_init=n_init, seed=seed)
        beam = [
            em(model, memberships, levels[i], coupling=_SEARCH, max_iter=_STEPS)
            for memberships in (*handed_down, *(fit.memberships for fit in starts))
        ]
        large = i > 0 and len(levels[i - 1].totals) > LARGE
        beam = _others(beam)[: 1 if large else _BEAM[min(i, len(_BEAM)) - 1]]
    return beam[0]


def from_regions(model: Model, found: Fit, counts: Counts, regions: NDArray[np.intp]) -> Fit:
    """Let the first clusters start from regions (n,), -1 = none; the others as they were found."""
    from scipy.optimize import linear_sum_assignment

    k, inside = len(found.weights), regions >= 0
    count = int(regions.max()) + 1
    memberships = np.zeros((len(regions), count))
    memberships[inside, regions[inside]] = 1.0
    given = maximize(model, memberships, counts)
    roots = np.sqrt(given.shapes) @ np.sqrt(found.shapes).T  # Bhattacharyya coefficients
    _, replaced = linear_sum_assignment(-roots)
    rest = np.setdiff1d(np.arange(k), replaced)
    start = replace(
        found,
        shapes=np.concatenate([given.shapes, found.shapes[rest]]),
        rates=np.concatenate([given.rates, found.rates[rest]]),
        weights=np.full(k, 1 / k),
    )
    memberships = np.empty((len(regions), k))
    softmax(log_likelihoods(model, start, counts), memberships)
    return replace(start, memberships=memberships)


def _others(fits: list[Fit]) -> list[Fit]:
    """Sort fits, the best first, and drop those that are much the same as a better one."""
    kept: list[tuple[Fit, NDArray[np.intp]]] = []
    for fit in sorted(fits, key=lambda fit: -fit.energy):
        labels = fit.memberships.argmax(axis=1)
        if all(_agreement(other, labels, len(fit.weights)) < _SAME for _, other in kept):
            kept.append((fit, labels))
    return [fit for fit, _ in kept]


def _agreement(one: NDArray[np.intp], other: NDArray[np.intp], k: int) -> float:
    return rand_index(np.bincount(one * k + other, minlength=k * k).reshape(k, k))


def _starts(model: Model, counts: Counts, k: int, *, n_init: int, seed: int) -> list[Fit]:
    """Cluster cells by k-means in the chi-square metric, then a few steps of EM; the best few."""
    z, _ = components(counts, model.mean, k)
    rng = np.random.default_rng(seed)
    found = {}
    for _ in range(n_init):
        tick()
        centers = plus_plus(z, np.ones(len(z)), k, rng.random((k, 3)))
        run = lloyd(z, np.ones(len(z)), centers, max_iter=30)
        found[round(run.inertia, 6)] = run.labels  # equal ones once
    fits = []
    for labels in found.values():
        memberships = np.full((len(z), k), 0.02 / k)
        memberships[np.arange(len(z)), labels] += 0.98
        fits.append(em(model, memberships, counts, coupling=0.0, max_iter=8))
    return sorted(fits, key=lambda fit: -fit.energy)[:_KEPT]
