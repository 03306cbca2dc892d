"""Non-negative factors of rows that do not fit in memory: one pass over them for each iteration."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core.progress import tick
from clustem.passes.block_sums import BlockSums
from clustem.passes.rows import Rows

F32 = NDArray[np.float32]
_TOL = 1e-4
"""Violation of the conditions of an optimum at which iterations end [that of the first one]."""
_MORE = 10
"""Directions beside those that are wanted, in which singular vectors are looked for."""
_NOTHING = 1e-6
"""Entries of a start below which they count as zero."""


def factorized(rows: Rows, rank: int, *, max_iter: int, seed: int) -> tuple[F32, F32, int]:
    """Find factors and loadings as scikit-learn's ``NMF`` does, reading rows block by block.

    Parameters
    ----------
    rows
        Rows (n, D) of finite values not below 0; n at least D.
    rank
        Number of factors r.
    max_iter
        Most iterations.
    seed
        Of the directions in which singular vectors are looked for.

    Returns
    -------
    :
        Loadings (n, r), factors (r, D), and the number of iterations.

    Notes
    -----
    Coordinate descent: given the factors, each row's loadings are found by themselves, and the
    factors need of the rows no more than ``loadings.T @ rows``: both in one pass. The start is
    NNDSVDa, from singular vectors that power iterations find (16 passes, fewer of many factors).

    References
    ----------
    A. Cichocki and A.-H. Phan, IEICE Trans. Fundam. E92-A (2009) 708 (coordinate descent).
    C. Boutsidis and E. Gallopoulos, Pattern Recognition 41 (2008) 1350 (NNDSVD).
    """
    loadings, factors = _start(rows, rank, seed)
    transposed, first = np.ascontiguousarray(factors.T), 0.0
    done = 0
    while done < max_iter:
        tick()
        done += 1
        products = transposed.T @ transposed
        with_rows, own, violation = np.zeros((rows.shape[1], rank)), np.zeros((rank, rank)), 0.0
        work = _Loading(loadings, transposed, products)
        for where, found in rows.map(work):
            (loadings[where],) = found.rows
            total = np.zeros((1, with_rows.size + own.size + 1))
            found.add_to(total)
            parts = np.split(total[0], [with_rows.size, with_rows.size + own.size])
            with_rows += parts[0].reshape(with_rows.shape)
            own += parts[1].reshape(own.shape)
            violation += float(parts[2][0])
        targets = with_rows.astype(np.float32)
        violation += _improved(transposed, own.astype(np.float32), targets)
        first = first or violation
        if violation <= _TOL * first:
            break
    return loadings, np.ascontiguousarray(transposed.T), done


class _Loading:
    """One sweep over the loadings of a block, and what the factors need of it."""

    def __init__(self, loadings: F32, factors: F32, products: F32) -> None:
        self._loadings, self._factors, self._products = loadings, factors, products

    def __call__(self, block: NDArray[Any], where: NDArray[np.intp]) -> BlockSums:
        x = block.astype(np.float32, copy=False)
        own = self._loadings[where]
        violation = _improved(own, self._products, x @ self._factors)
        sums = np.concatenate([(x.T @ own).ravel(), (own.T @ own).ravel(), [violation]])
        return BlockSums(np.zeros(1, np.intp), sums[None].astype(np.float64), rows=[own])


def _improved(own: F32, products: F32, targets: F32) -> float:
    """Improve each column of a matrix (m, r) in turn, in place; return the violation before.

    ``own @ products - targets`` is the gradient.
    """
    violation = 0.0
    for t in range(own.shape[1]):
        gradient = own @ products[t] - targets[:, t]
        bound = own[:, t] == 0
        violation += float(np.abs(np.where(bound, np.minimum(gradient, 0), gradient)).sum())
        if products[t, t] != 0:
            np.maximum(own[:, t] - gradient / products[t, t], 0, out=own[:, t])
    return violation


def _start(rows: Rows, rank: int, seed: int) -> tuple[F32, F32]:
    """Return loadings (n, r) and factors (r, D) of the leading singular vectors' larger parts."""
    left, values, right, mean = _singular(rows, rank, seed)
    loadings, factors = np.zeros_like(left), np.zeros_like(right)
    for j in range(rank):
        best = 0.0
        for sign in (1, -1):
            x, y = np.maximum(sign * left[:, j], 0), np.maximum(sign * right[j], 0)
            sizes = np.linalg.norm(x), np.linalg.norm(y)
            if j == 0:  # of one sign but for rounding
                x, y, sizes = np.abs(left[:, 0]), np.abs(right[0]), (np.float32(1), np.float32(1))
            weight = float(sizes[0] * sizes[1])
            if weight > best:
                scale = np.float32(np.sqrt(values[j] * weight))
                loadings[:, j], factors[j] = scale * x / sizes[0], scale * y / sizes[1]
                best = weight
    for found in (loadings, factors):
        found[found < _NOTHING] = mean
    return loadings, factors


def _singular(rows: Rows, rank: int, seed: int) -> tuple[F32, F32, F32, float]:
    """Return the leading singular vectors and values of rows as they are, and the mean value."""
    from scipy.linalg import lu, qr, svd

    n, D = rows.shape
    size = rank + _MORE
    directions: F32 = np.random.RandomState(seed).normal(size=(D, size)).astype(np.float32)
    for _ in range(7 if rank < 0.1 * min(n, D) else 4):
        tick()
        directions = lu(_times(rows, directions), permute_l=True, check_finite=False)[0]
        directions, _ = _onto(rows, directions)
        directions = lu(directions, permute_l=True, check_finite=False)[0]
    basis: F32 = qr(_times(rows, directions), mode="economic", check_finite=False)[0]
    small, total = _onto(rows, basis)
    left, values, right = svd(small.T, full_matrices=False)
    return (basis @ left)[:, :rank], values[:rank], right[:rank], total / (n * D)


def _times(rows: Rows, matrix: F32) -> F32:
    """Return rows @ matrix, (n, m)."""
    out = np.empty((len(rows), matrix.shape[1]), dtype=np.float32)
    for where, part in rows.map(lambda block, _: block.astype(np.float32, copy=False) @ matrix):
        out[where] = part
    return out


def _onto(rows: Rows, matrix: F32) -> tuple[F32, float]:
    """Return rows.T @ matrix, (D, m), and the sum of all values."""

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> BlockSums:
        x = block.astype(np.float32, copy=False)
        sums = np.append((x.T @ matrix[where]).ravel(), x.sum(dtype=np.float64))
        return BlockSums(np.zeros(1, np.intp), sums[None].astype(np.float64))

    total = np.zeros((1, rows.shape[1] * matrix.shape[1] + 1))
    for _, found in rows.map(one):
        found.add_to(total)
    sums = total[0, :-1].reshape(rows.shape[1], -1)
    return sums.astype(np.float32), float(total[0, -1])
