"""Mean raw row of each cluster, from one pass over data that need not fit in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from clustem.passes.rows import Rows
from clustem.passes.transform import CHUNK, FASTMATH, plain

Where = NDArray[np.intp]
Beside = tuple[Rows, Callable[[NDArray[Any], Where], NDArray[Any]]]
"""Rows, and what is made of a block (m, D) of them: an array (m, ...)."""
_BLOCK_BYTES = 2**26
"""Size of a block once converted to float32: sums of a block are added up while others are read."""


@dataclass(frozen=True)
class ClusterSums:
    """What one pass over the raw rows finds; rows have the source's row shape.

    Parameters
    ----------
    means, errors
        Mean row of each cluster and its standard error, float32 (k, *row shape).
    counts
        Number of rows in each, (k,).
    mean
        Mean of all rows, float32 (*row shape).
    hidden
        Sum of the columns ``left_out`` of each row, float32 (n,).
    beside
        What was made of each row beside, (n, ...); None if it reads other rows.
    """

    means: NDArray[np.float32]
    errors: NDArray[np.float32]
    counts: NDArray[np.int64]
    mean: NDArray[np.float32]
    hidden: NDArray[np.float32]
    beside: NDArray[Any] | None = None


def cluster_sums(
    data: Any,
    labels: NDArray[np.integer[Any]],
    k: int,
    *,
    mask: NDArray[np.bool_],
    left_out: NDArray[np.intp] | None = None,
    beside: Beside | None = None,
) -> ClusterSums:
    """Average the raw rows of each cluster.

    Parameters
    ----------
    data
        Array of the scan's axes, then the row's; an ndarray or a dask array.
    labels
        Cluster of each row that takes part (n,), -1 = none.
    k
        Number of clusters.
    mask
        Boolean, shape of the scan, True = excluded.
    left_out
        Columns to sum up for each row.
    beside
        What else to make of each row in the same pass, if its rows are these.

    Returns
    -------
    :
        Means and standard errors; an empty cluster has zeros.

    Notes
    -----
    One block in memory at a time. Unsigned integers of up to 16 bits are summed as integers,
    without any rounding, others in float64 about the mean of a few rows.

    Examples
    --------
    >>> data = np.array([[1.0, 2.0], [3.0, 2.0], [9.0, 9.0]])
    >>> found = cluster_sums(data, np.array([0, 0, -1]), 1, mask=np.zeros(3, dtype=bool))
    >>> found.means, found.errors, found.counts
    (array([[2., 2.]], dtype=float32), array([[1., 0.]], dtype=float32), array([2]))
    """
    rows = Rows(
        data,
        row_ndim=data.ndim - mask.ndim,
        mask=mask if mask.any() else None,
        block_bytes=_BLOCK_BYTES,
    )
    counts = np.bincount(labels[labels >= 0], minlength=k)
    whole = rows.dtype.kind in "bu" and rows.dtype.itemsize <= 2
    shift = np.zeros(rows.shape[1]) if whole else rows.pilot_mean()
    apart = np.empty(0, dtype=np.intp) if left_out is None else left_out
    also = beside[1] if beside is not None and rows.same_as(beside[0]) else None
    made: list[tuple[Where, NDArray[Any]]] = []
    total, square = np.zeros((k + 1, rows.shape[1])), np.zeros((k + 1, rows.shape[1]))
    hidden = np.zeros(len(rows), dtype=np.float32)
    for where, (part, part_square, part_hidden, part_made) in rows.map(
        partial(_of_block, labels, k, shift, apart, also)
    ):
        total += part
        square += part_square
        hidden[where] = part_hidden
        made.append((where, part_made))
    n = np.maximum(counts, 1)[:, None]
    means = total[:k] / n + np.where(counts[:, None] > 0, shift, 0)
    variance = np.maximum(square[:k] - total[:k] ** 2 / n, 0) / np.maximum(n - 1, 1)
    shape = (k, *rows.row_shape)
    return ClusterSums(
        means.reshape(shape).astype(np.float32),
        np.sqrt(variance / n).reshape(shape).astype(np.float32),
        counts,
        (total.sum(axis=0) / len(rows) + shift).reshape(shape[1:]).astype(np.float32),
        hidden,
        None if also is None else _in_order(made, len(rows)),
    )


def _of_block(
    labels: NDArray[np.integer[Any]],
    k: int,
    shift: NDArray[np.float64],
    apart: Where,
    also: Callable[[NDArray[Any], Where], NDArray[Any]] | None,
    block: NDArray[Any],
    where: Where,
) -> tuple[NDArray[Any], ...]:
    """Return sums and sums of squares of each cluster (k + 1, D), last those of none; the rest."""
    block = plain(block)
    cluster = labels[where] % (k + 1)  # the unassigned, -1, go last
    order = np.argsort(cluster, kind="stable")
    shape = (k + 1, block.shape[1])
    if block.dtype.kind == "u":  # of bytes, 66,000 squares fit in 32 bits
        small = block.dtype == np.uint8 and len(block) <= np.iinfo(np.uint32).max // 255**2
        kind = np.uint32 if small else np.int64
        shift = np.zeros(block.shape[1], dtype=kind)
    sums, squares = np.zeros(shape, dtype=shift.dtype), np.zeros(shape, dtype=shift.dtype)
    _add(block, shift, order, cluster, sums, squares)
    hidden: NDArray[Any] = np.nansum(block[:, apart], axis=1, dtype=np.float64)  # type: ignore[assignment]  # its hint forgets the axis
    made = np.empty(0) if also is None else also(block, where)
    return sums, squares, hidden, made


def _in_order(made: list[tuple[Where, NDArray[Any]]], n: int) -> NDArray[Any]:
    out = np.empty((n, *made[0][1].shape[1:]), dtype=made[0][1].dtype)
    for where, part in made:
        out[where] = part
    return out


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _add(block, shift, order, cluster, sums, squares):  # type: ignore[no-untyped-def]
    """Add rows less a shift, and their squares, four at a time, in the type of the shift."""
    n, width = block.shape
    for first in range(0, width, CHUNK):
        last = min(first + CHUNK, width)
        zero = shift[first:last]
        i = 0
        while i < n:
            j = cluster[order[i]]
            total, square = sums[j, first:last], squares[j, first:last]
            a = block[order[i], first:last]
            if i + 4 <= n and cluster[order[i + 3]] == j:
                b, c = block[order[i + 1], first:last], block[order[i + 2], first:last]
                d = block[order[i + 3], first:last]
                for p in range(last - first):
                    s = zero[p]
                    e, f, g, h = a[p] - s, b[p] - s, c[p] - s, d[p] - s
                    total[p] += (e + f) + (g + h)
                    square[p] += (e * e + f * f) + (g * g + h * h)
                i += 4
            else:
                for p in range(last - first):
                    e = a[p] - zero[p]
                    total[p] += e
                    square[p] += e * e
                i += 1
