"""Sums over groups of columns, row by row: rings and segments of a detector."""

from __future__ import annotations

from functools import partial
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError
from clustem.passes.rows import Rows
from clustem.passes.transform import plain

_ZERO = np.uint64(0)


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
    found = np.argsort(groups, kind="stable")[np.count_nonzero(groups < 0) :]
    order: NDArray[np.int32] = found.astype(np.int32)
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
    order: NDArray[np.int32],
    ends: NDArray[np.int64],
    block: NDArray[Any],
    _: NDArray[np.intp],
) -> NDArray[np.float64]:
    block = plain(block)
    out = np.empty((len(block), len(ends)))
    _sum_groups(block, _ZERO if block.dtype.kind == "u" else 0.0, order, ends, out)
    return out


@nb.njit(nogil=True, cache=True)
def _sum_groups(block, zero, order, ends, out):  # type: ignore[no-untyped-def]
    """Fill ``out``. Four rows at a time share what is read of ``order``: five times as fast.

    ``zero`` says in which type to add: counts add up as integers, exactly.
    """
    n, whole = block.shape[0], block.shape[0] // 4 * 4
    for i in range(0, whole, 4):
        a, b, c, d = block[i], block[i + 1], block[i + 2], block[i + 3]
        first = 0
        for j in range(len(ends)):
            sum_a, sum_b, sum_c, sum_d = zero, zero, zero, zero
            for p in range(first, ends[j]):
                q = order[p]
                sum_a += a[q]
                sum_b += b[q]
                sum_c += c[q]
                sum_d += d[q]
            out[i, j], out[i + 1, j], out[i + 2, j], out[i + 3, j] = sum_a, sum_b, sum_c, sum_d
            first = ends[j]
    for i in range(whole, n):
        first = 0
        for j in range(len(ends)):
            total = zero
            for p in range(first, ends[j]):
                total += block[i, order[p]]
            out[i, j] = total
            first = ends[j]
