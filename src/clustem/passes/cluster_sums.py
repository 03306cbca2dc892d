"""Mean raw row of each cluster, from one pass over data that need not fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from clustem.passes.block_sums import BlockSums
from clustem.passes.rows import Rows
from clustem.passes.transform import CHUNK, FASTMATH, plain

Where = NDArray[np.intp]
Labels = NDArray[np.integer[Any]]
_BLOCK_BYTES = 2**26
"""Size of a block once converted to float32: sums of a block are added up while others are read."""
_MANY = 0.5
"""If more than this share of the rows has another label than when they were read, all are."""


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
    """

    means: NDArray[np.float32]
    errors: NDArray[np.float32]
    counts: NDArray[np.int64]
    mean: NDArray[np.float32]
    hidden: NDArray[np.float32]


@dataclass(frozen=True)
class RowSums:
    """Sums of raw rows by the label that they had when they were read.

    Parameters
    ----------
    rows
        The raw rows (n, D).
    labels
        Label of each row (n,), -1 = none.
    total, square
        Sums (k + 1, D) of the rows of each label, less a shift, and of their squares; last those
        of none.
    shift
        What was subtracted of each row (D,).
    left_out
        Columns that are summed up for each row.
    hidden
        These sums, float32 (n,).
    """

    rows: Rows
    labels: Labels
    total: NDArray[np.float64]
    square: NDArray[np.float64]
    shift: NDArray[np.float64]
    left_out: Where
    hidden: NDArray[np.float32]

    def joined(self, labels: Labels, k: int) -> RowSums:
        """Return the sums by labels that are the same throughout each of these."""
        cells = len(self.total)
        number = np.full(cells, k)
        number[self.labels % cells] = labels % (k + 1)
        total, square = (np.zeros((k + 1, self.rows.shape[1])) for _ in range(2))
        np.add.at(total, number, self.total)
        np.add.at(square, number, self.square)
        return RowSums(self.rows, labels, total, square, self.shift, self.left_out, self.hidden)

    def moved(self, labels: Labels, k: int) -> RowSums | None:
        """Return the sums by other labels. Only rows that changed are read; None if these are many.

        Most rows of a label must have the same other label, whatever its number.
        """
        cells = len(self.total)
        pairs = self.labels % cells * (k + 1) + labels % (k + 1)
        table = np.bincount(pairs, minlength=cells * (k + 1)).reshape(cells, k + 1)
        nearly = table.argmax(axis=1)[self.labels % cells]
        changed = np.flatnonzero(nearly != labels % (k + 1))
        if len(changed) > _MANY * len(labels):
            return None
        found = self.joined(nearly, k)
        if len(changed):
            work = partial(_change, nearly, labels, k, self.shift)
            for _, change in self.rows.map(work, subset=changed):
                change.add_to(found.total, found.square)
        return found


class RowAdder:
    """Adds raw rows by label, block by block, in a pass that may do more than that.

    Parameters
    ----------
    rows
        The raw rows (n, D).
    labels
        Label of each row (n,), -1 = none.
    k
        Number of labels.
    left_out
        Columns to sum up for each row.
    """

    def __init__(self, rows: Rows, labels: Labels, k: int, left_out: Where) -> None:
        whole = rows.dtype.kind in "bu" and rows.dtype.itemsize <= 2
        shift = np.zeros(rows.shape[1]) if whole else rows.pilot_mean()
        shape = k + 1, rows.shape[1]
        hidden = np.zeros(len(rows), dtype=np.float32)
        self.sums = RowSums(rows, labels, np.zeros(shape), np.zeros(shape), shift, left_out, hidden)
        self.work = partial(_of_block, labels, k, shift, left_out)
        """What is done to each block and the numbers of its rows; :meth:`take` adds it up."""

    def take(self, where: Where, found: BlockSums) -> None:
        """Add what the work returned."""
        found.add_to(self.sums.total, self.sums.square)
        for hidden in found.rows:
            self.sums.hidden[where] = hidden


def cluster_sums(
    data: Any,
    labels: Labels,
    k: int,
    *,
    mask: NDArray[np.bool_],
    left_out: Where | None = None,
    known: RowSums | None = None,
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
    known
        Sums by nearly the same labels, from an earlier pass: if they are those of the same rows,
        only what changed is read.

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
    apart = np.empty(0, dtype=np.intp) if left_out is None else left_out
    found = None
    if known is not None and known.rows.same_as(rows) and _serves(known.left_out, apart):
        found = known.moved(labels, k)
    if found is None:
        adder = RowAdder(rows, labels, k, apart)
        for where, part in rows.map(adder.work):
            adder.take(where, part)
        found = adder.sums
    shift, total = found.shift, found.total
    counts = np.bincount(labels[labels >= 0], minlength=k)
    n = np.maximum(counts, 1)[:, None]
    means = total[:k] / n + np.where(counts[:, None] > 0, shift, 0)
    variance = np.maximum(found.square[:k] - total[:k] ** 2 / n, 0) / np.maximum(n - 1, 1)
    shape = (k, *rows.row_shape)
    return ClusterSums(
        means.reshape(shape).astype(np.float32),
        np.sqrt(variance / n).reshape(shape).astype(np.float32),
        counts,
        (total.sum(axis=0) / len(rows) + shift).reshape(shape[1:]).astype(np.float32),
        found.hidden if len(apart) else np.zeros(len(rows), dtype=np.float32),
    )


def _serves(known: Where, wanted: Where) -> bool:
    return not len(wanted) or np.array_equal(known, wanted)


def _of_block(
    labels: Labels,
    k: int,
    shift: NDArray[np.float64],
    apart: Where,
    block: NDArray[Any],
    where: Where,
) -> BlockSums:
    """Return sums and sums of squares of each label, of none as k, and of what is left out."""
    block = plain(block)
    touched, cluster = np.unique(labels[where] % (k + 1), return_inverse=True)
    order = np.argsort(cluster, kind="stable")
    shape = len(touched), block.shape[1]
    if block.dtype.kind == "u":  # of bytes, 66,000 squares fit in 32 bits
        small = block.dtype == np.uint8 and len(block) <= np.iinfo(np.uint32).max // 255**2
        kind = np.uint32 if small else np.int64
        shift = np.zeros(block.shape[1], dtype=kind)
    sums, squares = np.zeros(shape, dtype=shift.dtype), np.zeros(shape, dtype=shift.dtype)
    _add(block, shift, order, cluster, sums, squares)
    hidden = [np.nansum(block[:, apart], axis=1, dtype=np.float64)] if len(apart) else []
    return BlockSums(touched, sums, squares, rows=hidden)


def _change(
    old: Labels,
    new: Labels,
    k: int,
    shift: NDArray[np.float64],
    block: NDArray[Any],
    where: Where,
) -> BlockSums:
    """Return what rows change in the sums of labels by changing sides."""
    now, before = (_of_block(labels, k, shift, where[:0], block, where) for labels in (new, old))
    return now.less(before)


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
