"""Sums over groups of columns, row by row: rings and segments of a detector."""

from __future__ import annotations

from functools import partial
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from clustem.compute.rows import Rows
from clustem.compute.transform import FASTMATH, plain
from clustem.model import InputError


def group_sums(rows: Rows, groups: NDArray[np.intp], n_groups: int) -> NDArray[np.float64]:
    """Sum the columns of each group, in one pass.

    Parameters
    ----------
    rows
        Rows (n, D).
    groups
        Group of each column (D,), -1 = in none: these are never read.
    n_groups
        Number of groups m.

    Returns
    -------
    :
        Sums (n, m).

    Raises
    ------
    InputError
        If a value that counts is NaN or infinite.

    Examples
    --------
    >>> group_sums(Rows(np.array([[1, 2, 4], [8, 16, 32]])), np.array([1, -1, 1]), 2)
    array([[ 0.,  5.],
           [ 0., 40.]])
    """
    order = np.argsort(groups, kind="stable")
    order = order[np.count_nonzero(groups < 0) :].astype(np.int64)
    ends = np.cumsum(np.bincount(groups[groups >= 0], minlength=n_groups)).astype(np.int64)
    out = np.empty((len(rows), n_groups))
    for where, sums in rows.map(partial(_block_sums, order, ends)):
        out[where] = sums
    bad = np.flatnonzero(~np.isfinite(out).all(axis=1))
    if len(bad):
        raise InputError(
            "All values must be finite numbers",
            got=f"NaN or infinity in row {bad[0]} and {len(bad) - 1} more",
            cure="Mask those pixels of the detector, or exclude those positions.",
        )
    return out


def _block_sums(
    order: NDArray[np.int64],
    ends: NDArray[np.int64],
    block: NDArray[Any],
    _: NDArray[np.intp],
) -> NDArray[np.float64]:
    block = plain(block)
    out = np.empty((len(block), len(ends)))
    _sum_groups(block, block.dtype.kind == "u", order, ends, out)
    return out


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def _sum_groups(block, whole, order, ends, out):  # type: ignore[no-untyped-def]
    """Fill ``out``; counts add up as integers, which is faster and exact."""
    for i in range(block.shape[0]):
        row, first = block[i], 0
        for j in range(len(ends)):
            last = ends[j]
            if whole:
                count = np.int64(0)
                for p in range(first, last):
                    count += np.int64(row[order[p]])
                out[i, j] = count
            else:
                total = 0.0
                for p in range(first, last):
                    total += np.float64(row[order[p]])
                out[i, j] = total
            first = last
