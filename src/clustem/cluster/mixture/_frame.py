"""Rows made ready for mixtures: centered, and for ellipsoids in units of their own scatter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import frexp, log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.mixture._triangle import PANEL, Lower, Triangle, blocks, in_cache
from clustem.cluster.mixture._workers import Workers
from clustem.core import InputError
from clustem.passes.block_sums import BlockSums
from clustem.passes.rows import Rows

F64 = NDArray[np.float64]
_FLAT = 1e-5
"""Least variance that counts in single precision, as a share of the mean variance."""
_FARTHEST = 500
"""Largest exponent of a gain, whose square must not overflow."""

_HELD = 4
"""Arrays of one number per row and component that are held at once."""


@dataclass(frozen=True)
class Coordinates:
    """Where rows are compared: ``z`` of ``x = origin + frame @ turn.back(z) / gain``.

    Parameters
    ----------
    origin
        Mean of all rows, float64 (D,).
    gain
        Power of two that brings the rows near 1, lest their squares overflow.
    frame
        Cholesky factor of the scatter of all rows, about; None: rows are only centered.
    turn
        Reflections that follow.
    unit
        Covariance here of what varies by 1 / gain in all directions of the data.
    variance, ridge
        Mean variance of the rows, and what is added to variances, in units of 1 / gain².
    log_volume
        Logarithm of the volume in data units of the unit cube here.
    """

    origin: F64
    gain: float
    frame: Triangle | None
    turn: Turn
    unit: Lower | None
    variance: float
    ridge: float
    log_volume: float

    def enter(self, block: NDArray[Any], where: NDArray[np.intp]) -> NDArray[Any]:
        """Return rows (m, D), whose numbers are ``where``, in these coordinates."""
        z = _centered(block, self.origin, self.gain, _kind(block.shape[1]))
        _refuse_not_finite(z, where)
        self.solve(z)
        return z

    def solve(self, z: NDArray[Any]) -> None:
        """Turn centered rows (m, D) into rows in these coordinates."""
        if self.frame is not None:
            self.frame.solve(z)
            self.turn.apply(z)

    def corner_products(self, pool: Workers, kind: Any) -> Lower:
        """Return the covariance here of what varies alike in all directions of the data."""
        D = len(self.origin)
        corners = np.eye(D, dtype=kind)
        self.solve(corners)
        unit = Lower.zeros(D)
        unit.add_products(pool, D, copied(corners), kind)
        return unit

    def unturned(self, z: F64) -> F64:
        """Return vectors (m, D) in data units times the gain."""
        if self.frame is None:
            return z
        out = z.copy()
        self.turn.undo(out)
        return self.frame.times(out)

    def root(self, factor: Triangle) -> F64:
        """Return ``A`` (D, D) of the covariance ``A @ A.T`` in data units from a factor here."""
        assert self.frame is not None  # noqa: S101  # there are no factors without
        turned = factor.dense().T
        self.turn.undo(turned)
        return (self.frame.dense() @ turned.T) / self.gain


@dataclass(frozen=True)
class Turn:
    """Reflections one after the other.

    Parameters
    ----------
    mirrors
        Normals of the mirrors, each of length sqrt(2), (m, D).
    """

    mirrors: NDArray[Any]

    @classmethod
    def ahead(cls, means: F64, kind: Any) -> Turn:
        """Turn so that the first coordinates hold all differences of means (k, D)."""
        basis = np.linalg.svd(means, full_matrices=False)[2]
        vectors, scale = np.linalg.qr(basis.T, mode="raw")
        mirrors = np.triu(vectors, 1) + np.eye(*vectors.shape)
        return cls((np.sqrt(scale)[:, None] * mirrors).astype(kind))

    def apply(self, rows: NDArray[Any]) -> None:
        """Turn rows (n, D)."""
        for mirror in self.mirrors:
            rows -= np.outer(rows @ mirror, mirror)

    def undo(self, rows: NDArray[Any]) -> None:
        """Turn rows (n, D) back."""
        Turn(self.mirrors[::-1]).apply(rows)


def prepare(
    pool: Workers, rows: Rows, *, share: float, turned: bool, start: F64 | None = None
) -> tuple[NDArray[Any], Coordinates]:
    """Load rows and find their coordinates.

    Parameters
    ----------
    pool
        Threads.
    rows
        The rows (n, D).
    share
        Ridge, as a share of the mean variance.
    turned
        Whether to measure rows in units of their own scatter. Then all rows together have the unit
        matrix as covariance, but for directions in which they hardly vary.
    start
        Memberships (n, k): the first coordinates then hold what tells these means apart.

    Returns
    -------
    :
        Rows in their coordinates (n, D), float32 from 129 dimensions on, and the coordinates.

    Raises
    ------
    InputError
        If there are values that are not finite, or whose squares overflow.
    numpy.linalg.LinAlgError
        If the scatter has no Cholesky factor.
    """
    x, origin, gain = _loaded(pool, rows)
    (n, D), parts, turn = x.shape, blocks(x.shape), Turn(np.empty((0, x.shape[1])))
    if not turned:
        total = sum(sums for _, sums in pool.map(lambda part: _squares(x[part]), parts))
        variance = float(np.mean(total) / n)
        ridge = share * (variance or 1.0)
        return x, Coordinates(origin, gain, None, turn, None, variance, ridge, -D * log(gain))
    space = _in_scatter(pool, scatter_of(pool, x), (origin, gain), share, x.dtype)
    pool.run(lambda part: space.solve(x[part]), parts)
    if start is not None:
        sums = weighted_sums(pool, x, start)
        turn = Turn.ahead(sums / np.sqrt(start.sum(axis=0) + 1.0)[:, None], x.dtype)
        pool.run(lambda part: turn.apply(x[part]), parts)
        space = replace(space, turn=turn)
    return x, replace(space, unit=space.corner_products(pool, x.dtype))


def prepare_rows(
    pool: Workers, rows: Rows, *, share: float, turned: bool
) -> tuple[Coordinates, Lower]:
    """Find the coordinates of rows, which are read in one pass and not kept.

    Parameters
    ----------
    pool, rows, share, turned
        As for :func:`prepare`.

    Returns
    -------
    :
        The coordinates, and the mean of the products of the rows in them.

    Raises
    ------
    InputError, numpy.linalg.LinAlgError
        As for :func:`prepare`.
    """
    shift, D = rows.pilot_mean(), rows.shape[1]
    gain, kind = _gain(rows, shift), np.dtype(_kind(D))

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> BlockSums:
        z = _centered(block, shift, gain, kind)
        _refuse_not_finite(z, where)
        sums = z.sum(axis=0, dtype=np.float64)
        products = z.T @ z if turned else np.diag(_squares(z))
        return BlockSums(np.zeros(1, dtype=np.intp), sums[None], products.reshape(1, -1))

    total, products = np.zeros((1, D)), np.zeros((1, D * D))
    for _, found in rows.map(one):
        found.add_to(total, products)
    delta = total[0] / len(rows)
    scatter = products.reshape(D, D) / len(rows) - np.outer(delta, delta)
    origin, lower = shift + delta / gain, Lower.of(scatter)
    if not turned:
        variance = float(scatter.diagonal().mean())
        ridge = share * (variance or 1.0)
        turn = Turn(np.empty((0, D)))
        volume = -D * log(gain)
        return Coordinates(origin, gain, None, turn, None, variance, ridge, volume), lower
    space = _in_scatter(pool, lower, (origin, gain), share, kind)
    rest = scatter.astype(kind)
    space.solve(rest)
    rest = np.ascontiguousarray(rest.T)
    space.solve(rest)
    return replace(space, unit=space.corner_products(pool, kind)), Lower.of(rest)


def _in_scatter(
    pool: Workers, scatter: Lower, place: tuple[F64, float], share: float, kind: Any
) -> Coordinates:
    """Return coordinates in which rows of a scatter, which is used up, have the unit matrix."""
    origin, gain = place
    D, variance = scatter.size, float(scatter.diagonal().mean())
    ridge = share * (variance or 1.0)
    scatter.add_diagonal(max(ridge, _flat(np.dtype(kind), D) * (variance or 1.0)))
    frame, log_det = scatter.factor(pool, kind)
    turn = Turn(np.empty((0, D)))
    volume = log_det / 2 - D * log(gain)
    return Coordinates(origin, gain, frame, turn, None, variance, ridge, volume)


def needed_for(shape: tuple[int, int], k: int) -> int:
    """Memory of rows (n, D) in their coordinates, and of memberships and densities (n, k)."""
    n, D = shape
    return size_of((n, D)) + n * _HELD * 8 * k


def size_of(shape: tuple[int, int]) -> int:
    """Memory of rows (n, D) in their coordinates."""
    return shape[0] * shape[1] * np.dtype(_kind(shape[1])).itemsize


def weighted_sums(pool: Workers, x: NDArray[Any], weights: F64) -> F64:
    """Sum rows (n, D) with weights (n, m): (m, D)."""
    total = np.zeros((weights.shape[1], x.shape[1]))

    def one(part: slice) -> NDArray[Any]:
        sums: NDArray[Any] = weights[part].T.astype(x.dtype) @ x[part]
        return sums

    for _, sums in pool.map(one, blocks(x.shape)):
        total += sums
    return total


def scatter_of(pool: Workers, x: NDArray[Any]) -> Lower:
    """Mean of the products of centered rows (n, D)."""
    total = Lower.zeros(x.shape[1])
    total.add_products(pool, len(x), copied(x), x.dtype)
    total.scale(1 / len(x))
    return total


def copied(x: NDArray[Any]) -> Callable[[slice, NDArray[Any]], None]:
    """Return what ``Lower.add_products`` asks for rows as they are."""

    def fill(part: slice, out: NDArray[Any]) -> None:
        out[...] = x[part]

    return fill


def _flat(kind: np.dtype[Any], D: int) -> float:
    """Variance to add to the scatter so that it can be factored, as a share of the mean."""
    return _FLAT if kind == np.float32 else float(np.finfo(np.float64).eps) * D**2


def _kind(D: int) -> type[np.floating[Any]]:
    return np.float32 if D > PANEL else np.float64


def _loaded(pool: Workers, rows: Rows) -> tuple[NDArray[Any], F64, float]:
    """Return rows less their mean times a gain, the mean and the gain."""
    shift = rows.pilot_mean()
    gain = _gain(rows, shift)
    x, total = np.empty(rows.shape, dtype=_kind(rows.shape[1])), np.zeros(rows.shape[1])

    def some(block: NDArray[Any], where: NDArray[np.intp]) -> tuple[NDArray[Any], F64]:
        centered = _centered(block, shift, gain, x.dtype)
        _refuse_not_finite(centered, where)
        return centered, centered.sum(axis=0, dtype=np.float64)

    def put(block: NDArray[Any], where: NDArray[np.intp]) -> tuple[None, F64]:
        sums = np.zeros_like(total)
        for part in in_cache(block.shape):
            x[where[part]], more = some(block[part], where[part])
            sums += more
        return None, sums

    for where, (part, sums) in rows.map(put if rows.in_memory else some):
        if part is not None:
            x[where] = part
        total += sums
    delta = total / len(x)

    def center(part: slice) -> None:
        x[part] -= delta.astype(x.dtype)

    pool.run(center, blocks(x.shape))
    return x, shift + delta / gain, gain


def _gain(rows: Rows, shift: F64) -> float:
    numbers = np.unique(np.linspace(0, len(rows) - 1, 64).astype(np.intp))
    with np.errstate(invalid="ignore"):  # refused when all rows are read
        largest = float(np.abs(rows.take(numbers) - shift).max())
    if not 0 < largest < np.inf:
        return 1.0
    return 2.0 ** -max(-_FARTHEST, min(frexp(largest)[1], _FARTHEST))


def _centered(block: NDArray[Any], origin: F64, gain: float, kind: Any) -> NDArray[Any]:
    """Subtract in double precision, in small pieces."""
    out = np.empty(block.shape, dtype=kind)
    with np.errstate(over="ignore", invalid="ignore"):  # refused later
        np.subtract(block, origin, out=out, dtype=np.float64, casting="unsafe")
        out *= gain
    return out


def _squares(x: NDArray[Any]) -> F64:
    sums: F64 = np.einsum("ij,ij->j", x, x).astype(np.float64)
    return sums


def _refuse_not_finite(x: NDArray[Any], where: NDArray[np.intp]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(x.sum()):
            return
    bad = where[~np.isfinite(x).all(axis=1)]
    if len(bad):
        raise InputError(
            "All values must be finite numbers",
            got=f"NaN or inf in row {bad[0]} and {len(bad) - 1} more",
            cure="Exclude those rows with the mask, or fill them in, before clustering.",
        )
