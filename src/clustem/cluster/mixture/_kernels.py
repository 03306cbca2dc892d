"""Sums of squares along the features, for mixtures without rotated ellipsoids.

Everything is computed in float64 from differences to a center; no square is expanded.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# Sums may be regrouped, which is what vector units need, but NaN and infinity keep their meaning.
_kernel = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


@_kernel
def scaled_squares(x: NDArray[Any], centers: F64, precisions: F64, out: F64) -> None:
    """Write the squared distances of rows (m, D) to centers (k, D), in units of the spread.

    ``precisions`` (k, D) are inverse variances; ``out`` is (m, k).
    """
    for i in range(x.shape[0]):
        for j in range(centers.shape[0]):
            total = 0.0
            for d in range(x.shape[1]):
                difference = x[i, d] - centers[j, d]
                total += difference * difference * precisions[j, d]
            out[i, j] = total


@_kernel
def weighted_squares(x: NDArray[Any], weights: F64, centers: F64, out: F64) -> None:
    """Add weighted squared differences of rows (m, D) to centers (k, D) to ``out`` (k, D).

    ``weights`` are (m, k); rows of weight zero are passed over.
    """
    for i in range(x.shape[0]):
        for j in range(centers.shape[0]):
            weight = weights[i, j]
            if weight == 0.0:
                continue
            for d in range(x.shape[1]):
                difference = x[i, d] - centers[j, d]
                out[j, d] += weight * difference * difference
