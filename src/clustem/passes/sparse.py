"""Counts as sparse rows: most channels of most positions hold none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
from numpy.typing import NDArray

from clustem.passes.picked_rows import picked
from clustem.passes.rows import Rows
from clustem.passes.sparse_rows import SparseRows
from clustem.passes.summed_rows import SummedRows

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_INT32 = np.iinfo(np.int32).max


def sparse(rows: Rows) -> csr_array:
    """Load the values of rows that are not zero, in one pass.

    Parameters
    ----------
    rows
        Rows (n, D), possibly not in memory.

    Returns
    -------
    :
        Sparse rows (n, D) in the rows' dtype.

    Examples
    --------
    >>> sparse(Rows(np.array([[0, 3], [0, 0], [2, 1]]))).data.tolist()
    [3, 2, 1]
    """
    from scipy.sparse import csr_array, vstack

    if isinstance(rows, SparseRows):
        return rows.values
    if isinstance(rows, SummedRows):  # a sum of few values, instead of one of all channels
        found = sparse(rows.raw)
        columns = rows.groups[found.indices].astype(np.int32)
        sums = csr_array((found.data.astype(rows.dtype), columns, found.indptr), shape=rows.shape)
        sums.sum_duplicates()
        return sums

    def one(block: NDArray[Any], _: NDArray[np.intp]) -> Any:
        block = np.ascontiguousarray(block.astype(block.dtype.newbyteorder("="), copy=False))
        starts = np.concatenate([[0], np.cumsum(np.count_nonzero(block, axis=1))])
        columns = np.empty(starts[-1], dtype=np.int32)
        values = np.empty(starts[-1], dtype=block.dtype)
        fill(block, starts, columns, values)
        small = starts.astype(np.int32) if starts[-1] <= _INT32 else starts
        return csr_array((values, columns, small), shape=block.shape)

    found = list(rows.map(one))
    where = np.concatenate([numbers for numbers, _ in found])
    loaded = vstack([part for _, part in found], format="csr")
    if (np.diff(where) != 1).any():  # chunks of a file need not follow each other
        loaded = loaded[np.argsort(where)]
    return csr_array(loaded)


def some_of(rows: Any, count: int = 64) -> csr_array:
    """Load a few evenly spaced rows of Rows or a sparse matrix: they tell what all would take.

    Examples
    --------
    >>> some_of(Rows(np.eye(500)), 5).indices.tolist()
    [0, 124, 249, 374, 499]
    """
    n = rows.shape[0]
    some = picked(rows, np.unique(np.linspace(0, n - 1, count).astype(np.intp)))
    return sparse(some) if isinstance(some, Rows) else some


@numba.njit(nogil=True, cache=True)
def fill(
    block: NDArray[Any], starts: NDArray[np.int64], columns: NDArray[np.int32], values: NDArray[Any]
) -> None:
    """Write the columns and values (m,) of what is not zero in each row."""
    for i in range(block.shape[0]):
        at = starts[i]
        for j in range(block.shape[1]):
            if block[i, j] != 0:
                columns[at], values[at] = j, block[i, j]
                at += 1
