"""Mean raw row of each cluster, from one pass over data that need not fit in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.passes.rows import Rows


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


def cluster_sums(
    data: Any,
    labels: NDArray[np.integer[Any]],
    k: int,
    *,
    mask: NDArray[np.bool_],
    left_out: NDArray[np.intp] | None = None,
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

    Returns
    -------
    :
        Means and standard errors; an empty cluster has zeros.

    Notes
    -----
    One block in memory at a time, sums in float64 about the mean of a few rows.

    Examples
    --------
    >>> data = np.array([[1.0, 2.0], [3.0, 2.0], [9.0, 9.0]])
    >>> found = cluster_sums(data, np.array([0, 0, -1]), 1, mask=np.zeros(3, dtype=bool))
    >>> found.means, found.errors, found.counts
    (array([[2., 2.]], dtype=float32), array([[1., 0.]], dtype=float32), array([2]))
    """
    rows = Rows(data, row_ndim=data.ndim - mask.ndim, mask=mask if mask.any() else None)
    counts = np.bincount(labels[labels >= 0], minlength=k)
    shift = rows.pilot_mean()
    apart = np.empty(0, dtype=np.intp) if left_out is None else left_out

    narrow = rows.dtype.itemsize <= 2  # then float32 holds a shifted value to all its digits
    working = np.float32 if narrow else np.float64

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        x = np.subtract(block, shift, dtype=working)
        member = np.zeros((k + 1, len(x)), dtype=working)
        member[labels[where], np.arange(len(x))] = 1  # the unassigned, -1, go last
        hidden: NDArray[Any] = np.nansum(block[:, apart], axis=1, dtype=np.float64)  # type: ignore[assignment]  # its hint forgets the axis
        return member @ x, member[:k] @ np.square(x, out=x), hidden

    total, square = np.zeros((k + 1, rows.shape[1])), np.zeros((k, rows.shape[1]))
    hidden = np.zeros(len(rows), dtype=np.float32)
    for where, (part, part_square, part_hidden) in rows.map(one):
        total += part
        square += part_square
        hidden[where] = part_hidden
    n = np.maximum(counts, 1)[:, None]
    means = total[:k] / n + np.where(counts[:, None] > 0, shift, 0)
    variance = np.maximum(square - total[:k] ** 2 / n, 0) / np.maximum(n - 1, 1)
    shape = (k, *rows.row_shape)
    return ClusterSums(
        means.reshape(shape).astype(np.float32),
        np.sqrt(variance / n).reshape(shape).astype(np.float32),
        counts,
        (total.sum(axis=0) / len(rows) + shift).reshape(shape[1:]).astype(np.float32),
        hidden,
    )
