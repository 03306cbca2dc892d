"""Rows made ready for mixtures: centered, and for ellipsoids in units of their own scatter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustem.compute._threads import cores, one_blas_thread
from clustem.compute.rows import Rows
from clustem.model import InputError

F64 = NDArray[np.float64]
T = TypeVar("T")
SINGLE_FROM = 129
"""Dimensions from which on rows are held in single precision."""


@dataclass(frozen=True)
class Coordinates:
    """Where rows are compared: ``z = basis.T @ (x - origin)``.

    Parameters
    ----------
    origin
        Mean of all rows, float64 (D,).
    basis, back
        Float64 (D, D): ``x = origin + back @ z``. None: rows are only centered.
    ridge
        What is added to each variance here, (D,).
    scatter
        Variance of all rows along each coordinate, without the ridge, (D,).
    unit
        Variance along each coordinate of what varies by 1 in all directions of the data, (D,).
    log_volume
        Logarithm of the volume in data units of the unit cube here.
    """

    origin: F64
    basis: F64 | None
    back: F64 | None
    ridge: F64
    scatter: F64
    unit: F64
    log_volume: float

    @classmethod
    def fit(cls, rows: Rows, *, share: float, turned: bool) -> Coordinates:
        """Find the coordinates of rows.

        Parameters
        ----------
        rows
            The rows (n, D).
        share
            Ridge, as a share of the mean variance.
        turned
            Whether to turn to the principal axes and divide by the spread along them, ridge
            included: then all rows together, with the ridge, have the unit matrix as covariance.
        """
        mean, square = _moments(rows, products=turned)
        variance = square.diagonal() if turned else square
        floor = share * (float(variance.mean()) or 1.0)
        D = len(mean)
        if not turned:
            return cls(mean, None, None, np.full(D, floor), square, np.ones(D), 0.0)
        from scipy.linalg import eigh  # noqa: PLC0415  # 0.1 s

        with one_blas_thread():
            values, vectors = eigh(square, check_finite=False)
        values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
        least = np.finfo(np.float64).eps * D * (values[0] or 1.0)
        spread = np.sqrt(np.maximum(values + floor, least))
        unit = 1 / spread**2
        volume = float(np.log(spread).sum())
        axes = vectors / spread, vectors * spread
        return cls(mean, *axes, floor * unit, values * unit, unit, volume)

    def enter(self, rows: Rows) -> NDArray[Any]:
        """Return rows in these coordinates, (n, D): float32 from 129 dimensions on."""
        D = len(self.origin)
        kind = np.float32 if D >= SINGLE_FROM else np.float64
        out = np.empty(rows.shape, dtype=kind)
        basis = None if self.basis is None else self.basis.astype(kind)

        def one(block: NDArray[Any], where: NDArray[np.intp]) -> NDArray[Any]:
            centered = np.subtract(block, self.origin, dtype=np.float64).astype(kind, copy=False)
            _refuse_not_finite(centered, where)
            turned: NDArray[Any] = centered if basis is None else centered @ basis
            return turned

        for where, part in rows.map(one):
            out[where] = part
        return out

    def matrices(self, inner: NDArray[Any]) -> F64:
        """Return covariances (..., D, D) in data units, one at a time."""
        if self.back is None:
            return np.asarray(inner, dtype=np.float64)
        out = np.empty(inner.shape)
        for place in np.ndindex(inner.shape[:-2]):
            half = np.linalg.multi_dot((self.back, inner[place].astype(np.float64), self.back.T))
            out[place] = half
            out[place] += half.T  # exactly symmetric
            out[place] /= 2
        return out


class Workers:
    """Threads of a pass, each with one thread of BLAS, and results in the order of the tasks."""

    def __init__(self, pool: ThreadPoolExecutor, count: int) -> None:
        self.pool, self._count = pool, count

    def map(self, work: Callable[[Any], T], tasks: list[Any]) -> Iterator[tuple[Any, T]]:
        """Yield each task and its result; few results wait at a time."""
        ahead: list[Future[T]] = []
        for i, task in enumerate(tasks):
            while len(ahead) < min(i + self._count + 1, len(tasks)):
                ahead.append(self.pool.submit(work, tasks[len(ahead)]))
            result = ahead[i].result()
            ahead[i] = Future()  # let the result go
            yield task, result


@contextmanager
def workers() -> Iterator[Workers]:
    """Open the threads of a fit."""
    count = cores()
    with one_blas_thread(), ThreadPoolExecutor(count) as pool:
        yield Workers(pool, count)


def _moments(rows: Rows, *, products: bool) -> tuple[F64, F64]:
    """Mean (D,), and covariance (D, D) or variances (D,), centered before squares are taken."""
    D, shift = rows.shape[1], rows.pilot_mean()
    total, square = np.zeros(D), np.zeros((D, D) if products else D)

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> tuple[F64, NDArray[Any]]:
        x = np.subtract(block, shift, dtype=np.float64)
        _refuse_not_finite(x, where)
        part = x.sum(axis=0)
        if not products:
            return part, np.einsum("ij,ij->j", x, x)
        return part, x.T @ x  # float64: the least variances are a millionth of the largest

    for _, (part, part_square) in rows.map(one):
        total += part
        square += part_square
    delta = total / len(rows)
    square /= len(rows)
    square -= np.outer(delta, delta) if products else delta**2
    return shift + delta, square if products else np.maximum(square, 0.0)


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
