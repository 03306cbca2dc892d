"""Whether a smooth change over the scan explains counts as well as clusters do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.judge._coherence import surface

F64 = NDArray[np.float64]
_LEARNED = 0.7
"""Share of the counts that the surface is fitted to."""
_LEAST = 0.02
"""Least share of a channel's mean that a surface may fall to."""
_BLOCK = 2**22
"""Values that are held at a time."""


def smooth_gain(counts: Any, places: F64, random_state: int) -> float:
    """Log-likelihood of 30 % of the counts, when their shape follows a cubic surface over the scan.

    Parameters
    ----------
    counts
        Sparse counts (n, D).
    places
        Where rows lie on the scan (n, 2) [px].
    random_state
        Seed of the split.

    Returns
    -------
    :
        Above that of one shape for all.

    Notes
    -----
    The share of each channel is fitted by a cubic surface, by least squares with the totals as
    weights. In units in which counting noise is 1, singular values of the coefficients up to
    ``sqrt(D) + sqrt(10)`` are noise, and left out.
    """
    random = np.random.default_rng([random_state, 30])
    counts = counts.tocsr()
    known, rest = counts.copy(), counts.copy()
    known.data = random.binomial(counts.data.astype(np.int64), _LEARNED).astype(np.float64)
    rest.data = counts.data - known.data
    mean = np.asarray(known.sum(axis=0), dtype=np.float64).ravel()
    channels = np.flatnonzero(mean > 0)
    known, rest, mean = known[:, channels], rest[:, channels], mean[channels] / mean.sum()
    terms = surface(places)
    totals = np.asarray(known.sum(axis=1), dtype=np.float64).ravel()
    scatter = (terms.T * totals) @ terms + 1e-9 * totals.sum() * np.eye(terms.shape[1])
    factor = np.linalg.cholesky(scatter)
    found = np.linalg.solve(factor, np.asarray(known.T @ terms).T) / np.sqrt(mean)
    left, values, right = np.linalg.svd(found, full_matrices=False)
    values[values < np.sqrt(len(mean)) + np.sqrt(len(values))] = 0
    shares = np.linalg.solve(factor.T, (left * values) @ right) * np.sqrt(mean)
    gain, step = 0.0, max(1, _BLOCK // len(mean))
    for i in range(0, len(terms), step):
        expected = np.maximum(terms[i : i + step] @ shares, _LEAST * mean)
        expected /= expected.sum(axis=1, keepdims=True)
        some = rest[i : i + step].tocoo()
        ratio = expected[some.row, some.col] / mean[some.col]
        gain += float(some.data @ np.log(ratio))
    return gain
