"""Neighbours on the grid of a scan, as a sparse graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def grid_graph(mask: NDArray[np.bool_]) -> csr_array:
    """Return the graph of neighbours on a scan.

    Parameters
    ----------
    mask
        Boolean, shape of the scan (one axis or two), True = excluded: no neighbour of anything.

    Returns
    -------
    :
        Symmetric weights (n, n) of the n positions left in: 1 along rows and columns, 1/√2 along
        diagonals, 0 elsewhere.

    Examples
    --------
    >>> grid_graph(np.zeros((2, 2), dtype=bool)).toarray().round(2)[0]
    array([0.  , 1.  , 1.  , 0.71])
    """
    from scipy.sparse import coo_array

    plane = np.atleast_2d(mask)
    number = np.full(plane.shape, -1)
    number[~plane] = np.arange(np.count_nonzero(~plane))
    rows, columns, weights = [], [], []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        height, width = plane.shape[0] - down, plane.shape[1] - abs(right)
        left = max(0, -right)
        one = number[:height, left : left + width].ravel()
        other = number[down:, left + right : left + right + width].ravel()
        both = (one >= 0) & (other >= 0)
        rows.append(one[both])
        columns.append(other[both])
        weights.append(np.full(np.count_nonzero(both), 1 / np.hypot(down, right)))
    i, j, w = (np.concatenate(parts) for parts in (rows, columns, weights))
    n = np.count_nonzero(~plane)
    half = coo_array((w, (i, j)), shape=(n, n))
    return (half + half.T).tocsr()
