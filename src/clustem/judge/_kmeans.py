"""k-means for many k of the same small matrix: each k goes on from where the last one ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.compute.kmeans_starts import lloyd, plus_plus

F64 = NDArray[np.float64]
_STARTS, _ITERATIONS = 3, 100


def within_sums(rows: NDArray[Any], ks: Sequence[int], random: np.random.Generator) -> F64:
    """Least sum of squared distances to k means (len(ks),) that k-means finds.

    Parameters
    ----------
    rows
        Floats (n, d).
    ks
        Numbers of clusters, rising.
    random
        Source of the starts.

    Notes
    -----
    k-means++ chooses one center after the other, so the first k of a long chain start k clusters.
    Beside those chains, the means found for the k before start the next, with the row farthest
    from its mean as one more.
    """
    rows = np.ascontiguousarray(rows)
    weights, most = np.ones(len(rows)), ks[-1]
    draws = (random.random((most, 2 + int(np.log(most)))) for _ in range(_STARTS))
    chains = [plus_plus(rows, weights, most, draw) for draw in draws]
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
