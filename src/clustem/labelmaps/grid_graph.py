"""Neighbours on the grid of a scan, as a sparse graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numba as nb
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
    from scipy.sparse import csr_array

    left_in = np.atleast_2d(~mask)
    n = int(np.count_nonzero(left_in))
    kind = np.int32 if 8 * n < 2**31 else np.int64
    number = np.full(left_in.shape, -1, dtype=kind)
    number[left_in] = np.arange(n, dtype=kind)
    starts = np.zeros(n + 1, dtype=kind)
    _count(number, starts)
    np.cumsum(starts, out=starts)
    neighbours, weights = np.empty(starts[-1], dtype=kind), np.empty(starts[-1])
    _fill(number, starts, neighbours, weights)
    return csr_array((weights, neighbours, starts), (n, n))


@nb.njit(nogil=True, cache=True)
def _count(number, starts):  # type: ignore[no-untyped-def]
    """Write how many neighbours each position has behind the place of the one before."""
    height, width = number.shape
    for i in range(height):
        for j in range(width):
            if number[i, j] < 0:
                continue
            for row in range(max(i - 1, 0), min(i + 2, height)):
                for column in range(max(j - 1, 0), min(j + 2, width)):
                    if number[row, column] >= 0 and (row != i or column != j):
                        starts[number[i, j] + 1] += 1


@nb.njit(nogil=True, cache=True)
def _fill(number, starts, neighbours, weights):  # type: ignore[no-untyped-def]
    """Write the neighbours of each position in rising order, and their weights."""
    height, width = number.shape
    for i in range(height):
        for j in range(width):
            if number[i, j] < 0:
                continue
            at = starts[number[i, j]]
            for row in range(max(i - 1, 0), min(i + 2, height)):
                for column in range(max(j - 1, 0), min(j + 2, width)):
                    if number[row, column] >= 0 and (row != i or column != j):
                        neighbours[at] = number[row, column]
                        weights[at] = 1.0 if row == i or column == j else 1 / np.sqrt(2.0)
                        at += 1
