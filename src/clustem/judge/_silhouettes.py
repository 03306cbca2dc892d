"""Silhouettes of several labellings of the same rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


class Silhouettes:
    """Distances between rows, of which silhouettes of any labels are made.

    Parameters
    ----------
    rows
        Float64 (n, D).

    Notes
    -----
    As scikit-learn's, which measures all distances again for each labelling.
    """

    def __init__(self, rows: F64) -> None:
        from sklearn.metrics import pairwise_distances

        self._distances = pairwise_distances(rows)

    def of(self, labels: NDArray[np.integer]) -> F64:
        """Return the silhouette of each row (n,); 0 for a row that is alone in its cluster."""
        _, names, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        sums = self._distances @ np.eye(len(sizes))[names]
        every = np.arange(len(names))
        own = sizes[names] - 1
        inside = sums[every, names] / np.maximum(own, 1)
        sums /= sizes
        sums[every, names] = np.inf
        outside = sums.min(axis=1)
        larger = np.maximum(inside, outside)
        known = (own > 0) & (larger > 0)
        return np.where(known, (outside - inside) / np.where(known, larger, 1.0), 0.0)
