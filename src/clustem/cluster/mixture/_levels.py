"""Coarser counts: positions pooled with neighbours, features with those that vary alike."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numba as nb
import numpy as np
from scipy.sparse import block_diag, coo_array, diags_array, hstack

from clustem.cluster.kmeans.lloyd import lloyd
from clustem.cluster.mixture._counts import Counts
from clustem.cluster.mixture._signals import F64, TINY, Counted, Detector

ENOUGH = 900
"""Mean counts of a cell from which on it is told from others, and is not pooled further."""
FEWEST_CELLS = 4
"""Cells of a level, for each cluster."""
_FEATURES, _GROUPS = 2048, 1024
"""Features above which they are grouped for the starts, and into how many groups."""
_MORE, _POWERS = 8, 5
"""Directions beside those that are wanted, and power iterations."""


def hierarchy(counts: Counts) -> list[Counts]:
    """Pool neighbouring positions until a cell holds enough counts to be told from others.

    Parameters
    ----------
    counts
        Of the positions; without neighbours there is one level.

    Returns
    -------
    :
        The levels, the positions themselves first; each has about half the cells of the last.
    """
    levels, graph = [counts], counts.graph
    while graph is not None and levels[-1].totals.mean(axis=0).min() < ENOUGH:
        last = levels[-1]
        parents, m = pair_neighbours(graph.indptr, graph.indices, graph.data)
        if m < FEWEST_CELLS or m > 0.9 * len(parents):
            break
        cells = parents, np.arange(len(parents), dtype=parents.dtype)
        pool = coo_array((np.ones(len(parents), last.rows.dtype), cells)).tocsr()
        pooled = (pool @ last.rows).tocsr()
        graph = (pool @ graph @ pool.T).tocsr()
        graph.setdiag(0)
        graph.eliminate_zeros()
        levels[-1] = replace(last, parents=parents)
        levels.append(counts.of_rows(pooled, _lighter(graph)))
    return levels


def _lighter(graph: Any) -> Any:
    """Scale the weights so that a cell has as much of them as a position of a grid."""
    graph.data *= 4 * (1 + np.sqrt(0.5)) * graph.shape[0] / max(graph.data.sum(), TINY)
    return graph


@nb.njit(cache=True)
def pair_neighbours(indptr, indices, weights):  # type: ignore[no-untyped-def]
    """Join each cell with its closest free neighbour; return the pair of each, and their number."""
    n = len(indptr) - 1
    parents = np.full(n, -1, dtype=indices.dtype)
    m = 0
    for i in range(n):
        if parents[i] >= 0:
            continue
        best, heaviest = -1, 0.0
        for at in range(indptr[i], indptr[i + 1]):
            j = indices[at]
            if parents[j] < 0 and j != i and weights[at] > heaviest:
                best, heaviest = j, weights[at]
        parents[i] = m
        if best >= 0:
            parents[best] = m
        m += 1
    return parents, m


def groups_of(counts: Counts, k: int, *, seed: int) -> tuple[tuple[Detector, ...], Any]:
    """Group features that vary alike over a scan, where there are many.

    Parameters
    ----------
    counts
        Of coarse cells.
    k
        Number of clusters that are to be told from each other.
    seed
        Seed of the groups.

    Returns
    -------
    :
        The signals, of which those with more than 2048 features have 1024 groups of them, and what
        sums the features of each, sparse (D, groups); the signals as they are and None if none has
        so many.

    Notes
    -----
    A multinomial distribution stays one when categories are pooled, and nothing is lost where the
    shapes of clusters are in the same proportion. Features are grouped by their loadings on twice k
    components, by k-means.
    """
    many = [isinstance(one, Counted) and len(one.mean) > _FEATURES for one in counts.signals]
    if not any(many):
        return counts.signals, None
    _, loadings = components(counts, 2 * k)
    signals: list[Detector] = []
    sums, first = [], 0
    for signal, grouped in zip(counts.signals, many, strict=True):
        width = signal.where.stop - signal.where.start
        groups, size = np.arange(width), width
        if grouped and isinstance(signal, Counted):
            rng = np.random.default_rng(seed)
            own = loadings[signal.where]
            start = own[rng.choice(width, _GROUPS, replace=False, p=signal.mean)]
            labels = lloyd(own, signal.mean, start, max_iter=5).labels
            names, groups = np.unique(labels, return_inverse=True)
            size = len(names)
        where = slice(first, first + size)
        sums.append(coo_array((np.ones(width), (np.arange(width), groups)), (width, size)))
        if isinstance(signal, Counted):
            signals.append(replace(signal, where=where, mean=signal.mean @ sums[-1].tocsr()))
        else:
            signals.append(replace(signal, where=where))
        first += size
    return tuple(signals), block_diag(sums, format="csr")


def components(counts: Counts, k: int) -> tuple[F64, F64]:
    """Return scores (n, k) and loadings (D, k) on the components of ``(x - N b) / √(N b)``.

    The loadings say how a feature's share of the counts varies, relative to its mean share b.
    Values stand as they are, as their noise has variance 1.

    References
    ----------
    N. Halko, P. Martinsson, J. Tropp, SIAM Review 53 (2011) 217 (randomized, by power iterations).
    """
    signals = counts.signals
    size, root = np.zeros(counts.totals.shape), np.zeros((counts.rows.shape[1], len(signals)))
    scale, scaled = np.ones(len(root)), []
    for i, signal in enumerate(signals):
        own = counts.rows if len(signals) == 1 else counts.rows[:, signal.where]
        if isinstance(signal, Counted):
            size[:, i] = np.sqrt(np.maximum(counts.totals[:, i], TINY))
            root[signal.where, i] = scale[signal.where] = np.sqrt(signal.mean)
            of = size[:, i]
        else:
            of = np.sqrt(np.maximum(own[:, [-1]].toarray()[:, 0], TINY))
            scale[signal.where.stop - 1] = np.inf  # the number of positions tells nothing
        scaled.append(diags_array(1 / of) @ own @ diags_array(1 / scale[signal.where]))
    joined = (scaled[0] if len(scaled) == 1 else hstack(scaled)).tocsr()
    turned = joined.T.tocsr()
    n, width = joined.shape
    wanted = min(k, n - 1, width - 1)
    if wanted < 1:
        return np.zeros((n, 1)), np.zeros((width, 1))
    # scikit-learn's randomized_svd takes no operator, and without their mean the rows are dense
    basis = np.random.default_rng(0).normal(size=(width, min(wanted + _MORE, n, width)))
    for _ in range(_POWERS):
        left = np.linalg.qr(joined @ basis - size @ (root.T @ basis))[0]
        basis = np.linalg.qr(turned @ left - root @ (size.T @ left))[0]
    left, values, right = np.linalg.svd(
        joined @ basis - size @ (root.T @ basis), full_matrices=False
    )
    loadings = basis @ right[:wanted].T * values[:wanted] / scale[:, None]
    return left[:, :wanted] * values[:wanted], loadings
