"""Starts of a mixture of multinomials, from coarse cells of a scan to its positions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.cluster._neighbours import softmax
from clustem.cluster.kmeans.lloyd import lloyd, plus_plus
from clustem.cluster.mixture._counts import (
    Counts,
    Fit,
    em,
    log_likelihoods,
    maximize,
    shaped,
    sums_of,
)
from clustem.cluster.mixture._levels import ENOUGH, FEWEST_CELLS, components, groups_of
from clustem.cluster.mixture._signals import F64
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
_BETWEEN = 3
"""Clusters of some signals that are kept for the next one, times those that are wanted."""


def search(levels: list[Counts], k: int, *, n_init: int, seed: int) -> Fit:
    """Find the best fit of the positions, from starts at several levels.

    Parameters
    ----------
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
    signals, sums = groups_of(levels[-1], k, seed=seed)
    wanted = _levels_to_start(levels)
    beam: list[Fit] = []
    for i in range(wanted[-1], -1, -1):
        handed_down = [fit.memberships[levels[i].parents] for fit in beam]
        starts: list[Fit] = []
        if i in wanted:
            rows = levels[i].rows if sums is None else (levels[i].rows @ sums).tocsr()
            alone = replace(levels[i], rows=rows, graph=None, signals=signals)
            starts = _starts(alone, k, n_init=n_init, seed=seed)
        beam = [
            em(memberships, levels[i], coupling=_SEARCH, max_iter=_STEPS)
            for memberships in (*handed_down, *(fit.memberships for fit in starts))
        ]
        large = i > 0 and len(levels[i - 1].totals) > LARGE
        beam = _others(beam)[: 1 if large else _BEAM[min(i, len(_BEAM)) - 1]]
    return beam[0]


def _levels_to_start(levels: list[Counts]) -> list[int]:
    """Return the levels, the finest first, at which starts are looked for.

    These are the levels at which a cell holds a few hundred counts of one of the signals, and the
    positions themselves if they hold more of one while others make coarser levels.
    """
    found = {
        i
        for i, level in enumerate(levels)
        for total in level.totals.mean(axis=0)
        if i > 0 and _FEWEST <= total <= ENOUGH
    }
    if len(levels) > 1 and levels[0].totals.mean(axis=0).max() > ENOUGH:
        found.add(0)
    return sorted(found) or [len(levels) - 1]


def from_regions(found: Fit, counts: Counts, regions: NDArray[np.intp]) -> Fit:
    """Let the first clusters start from regions (n,), -1 = none; the others as they were found."""
    from scipy.optimize import linear_sum_assignment

    k, inside = len(found.weights), regions >= 0
    count = int(regions.max()) + 1
    memberships = np.zeros((len(regions), count))
    memberships[inside, regions[inside]] = 1.0
    given = maximize(memberships, counts)
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
    softmax(log_likelihoods(start, counts), memberships)
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


def _starts(counts: Counts, k: int, *, n_init: int, seed: int) -> list[Fit]:
    """Cluster cells by k-means in the chi-square metric, then a few steps of EM; the best few.

    Of several signals, also cluster cells by each, cross the clusters, and join those that differ
    least.
    """
    fits = _by_k_means(counts, k, n_init=n_init, seed=seed)
    for each in sorted({2, k}) if len(counts.signals) > 1 and k > 1 else ():
        alone = []
        for i in range(len(counts.signals)):
            found = _by_k_means(counts.of_signal(i), each, n_init=n_init, seed=seed)
            alone.append(found[0].memberships.argmax(axis=1))
        fits.append(_softly(joined(counts, np.array(alone), k), counts, k))
    return sorted(fits, key=lambda fit: -fit.energy)[:_KEPT]


def _by_k_means(counts: Counts, k: int, *, n_init: int, seed: int) -> list[Fit]:
    z, _ = components(counts, k)
    rng = np.random.default_rng(seed)
    found = {}
    for _ in range(n_init):
        tick()
        centers = plus_plus(z, np.ones(len(z)), k, rng.random((k, 3)))
        run = lloyd(z, np.ones(len(z)), centers, max_iter=30)
        found[round(run.inertia, 6)] = run.labels  # equal ones once
    fits = [_softly(labels, counts, k) for labels in found.values()]
    return sorted(fits, key=lambda fit: -fit.energy)


def _softly(labels: NDArray[np.integer[Any]], counts: Counts, k: int) -> Fit:
    memberships = np.full((len(labels), k), 0.02 / k)
    memberships[np.arange(len(labels)), labels] += 0.98
    return em(memberships, counts, coupling=0.0, max_iter=8)


def joined(counts: Counts, labels: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    """Cross the clusters that each signal makes, and join what differs least until k are left.

    Parameters
    ----------
    counts
        Of n cells.
    labels
        Cluster of each cell by each signal alone, (s, n).
    k
        Number of clusters.

    Returns
    -------
    :
        Cluster of each cell, (n,).

    Notes
    -----
    Two clusters differ by what the log-likelihood loses when they share a shape.
    """
    groups: NDArray[np.intp] = labels[0]
    for i, each in enumerate(labels[1:]):
        crossed = np.unique(np.stack([groups, each]), axis=1, return_inverse=True)[1].ravel()
        last = i == len(labels) - 2
        groups = _merged(counts, crossed, k if last else _BETWEEN * k)
    return groups


def _merged(counts: Counts, groups: NDArray[np.intp], k: int) -> NDArray[np.intp]:
    m = int(groups.max()) + 1
    sums = sums_of(np.eye(m)[groups], counts)
    precisions = shaped(sums, counts)[1]
    loss = np.full((m, m), np.inf)
    own = _likely(sums, counts, precisions)
    for i in range(1, m):
        loss[i, :i] = own[i] + own[:i] - _likely(sums[i] + sums[:i], counts, precisions)
    number = np.arange(m)
    for _ in range(m - k):
        gone, kept = np.unravel_index(int(loss.argmin()), loss.shape)
        sums[kept] += sums[gone]
        number[number == gone] = kept
        loss[gone], loss[:, gone] = np.inf, np.inf
        left = np.unique(number)
        own[kept] = _likely(sums[[kept]], counts, precisions)[0]
        others = left[left != kept]
        new = own[kept] + own[others] - _likely(sums[kept] + sums[others], counts, precisions)
        loss[np.maximum(others, kept), np.minimum(others, kept)] = new
    found: NDArray[np.intp] = np.unique(number[groups], return_inverse=True)[1]
    return found


def _likely(sums: F64, counts: Counts, precisions: tuple[F64 | None, ...]) -> F64:
    """Log-likelihood (m,) of groups of cells, each of its own shape, from their sums (m, D)."""
    found = np.zeros(len(sums))
    for signal, precision in zip(counts.signals, precisions, strict=True):
        shapes = np.zeros_like(sums)
        shapes[:, signal.where] = signal.shapes(sums)
        found += (signal.logs(shapes, precision) * sums[:, signal.where]).sum(axis=1)
    return found
