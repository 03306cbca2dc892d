"""k-means of small matrices: many k of one matrix, and starts of mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.kmeans.lloyd import lloyd, plus_plus

F64 = NDArray[np.float64]
_STARTS, _ITERATIONS = 3, 100
_ROUGH_STARTS, _ROUGH_ITERATIONS = 4, 50


def rough_labels(rows: NDArray[Any], k: int, random: np.random.Generator) -> NDArray[np.int32]:
    """Cluster of each row (n,) of the best of a few k-means."""
    rows, weights = np.ascontiguousarray(rows), np.ones(len(rows))
    centers = _plus_plus(rows, k, _ROUGH_STARTS, random)
    ends = [lloyd(rows, weights, start, max_iter=_ROUGH_ITERATIONS) for start in centers]
    return min(ends, key=lambda end: end.inertia).labels


def within_sums(rows: NDArray[Any], ks: Sequence[int], random: np.random.Generator) -> F64:
    """Least sum of squared distances to k means (len(ks),) that k-means finds.

    Parameters
    ----------
    rows
        Floats (n, d).
    ks
        Numbers of clusters, rising.
    random
        Random number generator of the starts.

    Notes
    -----
    k-means++ chooses one center after the other, so the first k of a long chain start k clusters.
    Beside those chains, the means found for the k before start the next, with the row farthest
    from its mean as one more.
    """
    rows, weights = np.ascontiguousarray(rows), np.ones(len(rows))
    chains = _plus_plus(rows, ks[-1], _STARTS, random)
    found, last = [], None
    for k in ks:
        starts = [chain[:k] for chain in chains]
        if last is not None and len(last.centers) == k - 1:
            far = ((rows - last.centers[last.labels]) ** 2).sum(axis=1).argmax()
            starts.append(np.concatenate([last.centers, rows[far : far + 1]]))
        ends = [lloyd(rows, weights, start, max_iter=_ITERATIONS) for start in starts]
        last = min(ends, key=lambda end: end.inertia)
        found.append(last.inertia)
    return np.array(found)


def _plus_plus(rows: NDArray[Any], k: int, n_starts: int, random: np.random.Generator) -> list[F64]:
    """Choose the centers (k, d) of several starts by greedy k-means++."""
    draws = [random.random((k, 2 + int(np.log(k)))) for _ in range(n_starts)]
    return [plus_plus(rows, np.ones(len(rows)), k, draw) for draw in draws]
