"""Expectation and maximization of Gaussian mixtures, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.compute.mixture_frame import F64, Coordinates, Workers

Kind = Literal["full", "tied", "diag", "spherical"]
_STEP = 128
"""Coordinates that are looked at before rows which are out of reach are left out."""
_BLOCK = 2**21
"""Values in a block of rows."""
_OUT_OF_REACH = 45.0
"""Difference of log-densities beyond which a membership is zero in float64: exp(-45) < 3e-20."""
_FEW = 10 * float(np.finfo(np.float64).eps)


class SingularError(ValueError):
    """A covariance that has no inverse."""


@dataclass(frozen=True)
class Components:
    """k normal distributions in the coordinates of a frame.

    Parameters
    ----------
    weights
        Share of each, (k,).
    means
        Float64 (k, D).
    covariances
        With the ridge: (k, D, D), (D, D), (k, D) or (k,) by kind.
    factors
        What turns differences into units of the spread: inverse Cholesky factors (k, D, D) or
        (D, D), lower; or inverse standard deviations (k, D) or (k, 1).
    log_norm
        Log-density at the mean, in these coordinates, (k,).
    drawn
        How far each covariance was drawn towards the common one, 0 ... 1, (k,).
    """

    weights: F64
    means: F64
    covariances: NDArray[Any]
    factors: NDArray[Any]
    log_norm: F64
    drawn: F64


class Steps:
    """The two steps of a mixture on fixed rows.

    Parameters
    ----------
    x
        Rows in their coordinates, float32 or float64 (n, D).
    space
        The coordinates.
    kind
        Shape of the covariances.
    shrinkage
        How far every full covariance is drawn towards the common one within components; ``"auto"``:
        only those of components with no more members than dimensions, by ``D / (members + D)``;
        with no more rows than dimensions the common one is drawn towards a sphere in the same way.
    """

    def __init__(
        self,
        x: NDArray[Any],
        space: Coordinates,
        kind: Kind,
        *,
        shrinkage: float | Literal["auto"] = 0.0,
    ) -> None:
        self.x, self.space, self.kind, self.shrinkage = x, space, kind, shrinkage
        self._per_block = max(256, _BLOCK // x.shape[1])

    def expect(
        self, pool: Workers, parts: Components, guess: NDArray[np.integer[Any]]
    ) -> tuple[F64, F64]:
        """Return memberships (n, k) and log-densities (n,) of rows.

        Parameters
        ----------
        pool
            Where blocks are worked on.
        parts
            The components.
        guess
            The component (n,) that is looked at first; right ones save work.
        """
        n, D = self.x.shape
        k = len(parts.weights)
        memberships, density = np.empty((n, k)), np.empty(n)
        sort = self.kind == "full" and D > _STEP  # blocks of one component: large products
        order = np.argsort(guess, kind="stable") if sort else np.arange(n)

        def one(where: NDArray[np.intp]) -> None:
            block = self.x[where] if sort else self.x[where[0] : where[-1] + 1]
            found = _log_densities(block, parts, self.kind, guess[where])
            found += np.log(parts.weights)
            top = found.max(axis=1)
            np.exp(found - top[:, None], out=found)
            total = found.sum(axis=1)
            memberships[where] = found / total[:, None]
            density[where] = np.log(total) + top

        for _ in pool.map(one, [order[i : i + self._per_block] for i in self._starts(n)]):
            pass
        return memberships, density - self.space.log_volume

    def maximize(
        self, pool: Workers, memberships: F64, before: Components | None = None
    ) -> Components:
        """Return the components of largest likelihood for memberships (n, k).

        Raises
        ------
        SingularError
            If a covariance has no inverse.
        """
        n, D = self.x.shape
        size = memberships.sum(axis=0) + _FEW
        total = np.zeros((memberships.shape[1], D))

        def one(i: int) -> NDArray[Any]:
            part = slice(i, i + self._per_block)
            sums: NDArray[Any] = memberships[part].T.astype(self.x.dtype) @ self.x[part]
            return sums

        for _, sums in pool.map(one, self._starts(n)):
            total += sums
        means = total / size[:, None]
        drawn = self._drawn(size, before)
        if self.kind == "full":
            covariances, factors, log_norm = self._full(pool, memberships, size, means, drawn)
        elif self.kind == "tied":
            covariances, factors, log_norm = self._tied(size, means)
        else:
            covariances, factors, log_norm = self._round(pool, memberships, size, means)
        return Components(size / size.sum(), means, covariances, factors, log_norm, drawn)

    def _starts(self, n: int) -> list[int]:
        return list(range(0, n, self._per_block))

    def _drawn(self, size: F64, before: Components | None) -> F64:
        """How far covariances are drawn; a component that once was too small stays drawn."""
        D = self.x.shape[1]
        if self.kind != "full":
            return np.zeros(len(size))
        if self.shrinkage != "auto":
            return np.full(len(size), self.shrinkage)
        small = size <= D
        if before is not None:
            small |= before.drawn > 0
        return np.where(small, D / (size + D), 0.0)

    def _common(self, size: F64, means: F64) -> F64:
        """Scatter (D, D) of all rows around the means of their components: no pass is needed."""
        n, D = self.x.shape
        between: F64 = (means.T * (size / size.sum())) @ means
        common = np.diag(self.space.scatter) - between
        if self.shrinkage == "auto" and n <= D:  # singular: towards a sphere in data units
            drawn, unit = D / (n + D), self.space.unit
            mean = float((common.diagonal() / unit).mean())
            common *= 1 - drawn
            common[np.diag_indices(D)] += drawn * mean * unit
        return common

    def _full(
        self, pool: Workers, memberships: F64, size: F64, means: F64, drawn: F64
    ) -> tuple[NDArray[Any], NDArray[Any], F64]:
        (k, D), kind = means.shape, self.x.dtype
        active = [np.flatnonzero(memberships[:, j] > 1e-14) for j in range(k)]
        tasks = [
            (j, i) for j in range(k) for i in range(0, max(len(active[j]), 1), self._per_block)
        ]
        centers = means.astype(kind)

        def one(task: tuple[int, int]) -> NDArray[Any]:
            j, i = task
            where = active[j][i : i + self._per_block]
            part = self.x[where] - centers[j]
            part *= np.sqrt(memberships[where, j]).astype(kind)[:, None]
            product: NDArray[Any] = part.T @ part
            return product

        covariances, factors = np.empty((2, k, D, D), dtype=kind)
        jobs, total = [], np.zeros((D, D))
        common = self._common(size, means) if drawn.any() else None
        for (j, i), product in pool.map(one, tasks):
            total += product
            if i + self._per_block >= len(active[j]):
                total /= size[j]
                if drawn[j]:
                    total *= 1 - drawn[j]
                    total += drawn[j] * common
                finish = (total, self.space.ridge, covariances[j], factors[j])
                jobs.append(pool.pool.submit(_finish, *finish))
                total = np.zeros((D, D))
        log_det = np.array([job.result() for job in jobs])
        return covariances, factors, -0.5 * (D * np.log(2 * np.pi) + log_det)

    def _tied(self, size: F64, means: F64) -> tuple[NDArray[Any], NDArray[Any], F64]:
        D = means.shape[1]
        covariance, factor = np.empty((2, D, D), dtype=self.x.dtype)
        log_det = _finish(self._common(size, means), self.space.ridge, covariance, factor)
        log_norm = -0.5 * (D * np.log(2 * np.pi) + log_det)
        return covariance, factor, np.full(len(size), log_norm)

    def _round(
        self, pool: Workers, memberships: F64, size: F64, means: F64
    ) -> tuple[NDArray[Any], NDArray[Any], F64]:
        """Axes along the features, or none at all."""
        (k, D), kind = means.shape, self.x.dtype
        centers = means.astype(kind)

        def one(i: int) -> NDArray[Any]:
            part = slice(i, i + self._per_block)
            weights = memberships[part].astype(kind)
            return np.stack([weights[:, j] @ (self.x[part] - centers[j]) ** 2 for j in range(k)])

        total = np.zeros((k, D))
        for _, squares in pool.map(one, self._starts(len(self.x))):
            total += squares
        variance = total / size[:, None] + self.space.ridge
        if self.kind == "spherical":
            variance = variance.mean(axis=1, keepdims=True)
        if not (variance > 0).all():
            raise SingularError
        spread = np.broadcast_to(variance, (k, D))
        log_norm = -0.5 * (D * np.log(2 * np.pi) + np.log(spread).sum(axis=1))
        out = variance[:, 0] if self.kind == "spherical" else variance
        return out, (1 / np.sqrt(variance)).astype(kind), log_norm


def _finish(total: F64, ridge: F64, covariance: NDArray[Any], factor: NDArray[Any]) -> float:
    """Add the ridge, invert the Cholesky factor; return the log-determinant."""
    from scipy.linalg import LinAlgError, cholesky  # noqa: PLC0415  # 0.1 s
    from scipy.linalg.lapack import dtrtri  # noqa: PLC0415

    D = len(total)
    total[np.diag_indices(D)] += ridge
    covariance[...] = total
    try:
        lower = cholesky(total, lower=True, check_finite=False)
    except LinAlgError:
        raise SingularError from None
    log_det = 2 * float(np.log(lower.diagonal()).sum())
    inverse, info = dtrtri(lower, lower=1)
    if info or not np.isfinite(log_det):
        raise SingularError
    factor[...] = inverse
    return log_det


def _log_densities(
    x: NDArray[Any], parts: Components, kind: Kind, guess: NDArray[np.integer[Any]]
) -> F64:
    """Log-densities (rows, k); minus infinity where far below the largest of the row."""
    k = len(parts.weights)
    centers = parts.means.astype(x.dtype)
    if kind == "full":
        if x.shape[1] > _STEP:
            return _pruned(x, parts, centers, guess)
        squares = [_squares((x - centers[j]) @ parts.factors[j].T) for j in range(k)]
    elif kind == "tied":
        turned, turned_centers = x @ parts.factors.T, centers @ parts.factors.T
        squares = [_squares(turned - turned_centers[j]) for j in range(k)]
    else:
        squares = [_squares((x - centers[j]) * parts.factors[j]) for j in range(k)]
    return parts.log_norm - 0.5 * np.stack(squares, axis=1)


def _pruned(
    x: NDArray[Any], parts: Components, centers: NDArray[Any], guess: NDArray[np.integer[Any]]
) -> F64:
    """First the guessed component of each row, then the others as far as they can matter."""
    k = len(centers)
    log_weights = np.log(parts.weights)
    out = np.full((len(x), k), -np.inf)
    best = np.full(len(x), -np.inf)
    for first in (True, False):
        for j in range(k):
            where = np.flatnonzero((guess == j) == first)
            if not len(where):
                continue
            bar = 2 * (parts.log_norm[j] + log_weights[j] - best[where] + _OUT_OF_REACH)
            left, squares = _within(x, where, centers[j], parts.factors[j], bar)
            found = parts.log_norm[j] - 0.5 * squares
            out[left, j] = found
            best[left] = np.maximum(best[left], found + log_weights[j])
    return out


def _within(
    x: NDArray[Any],
    where: NDArray[np.intp],
    center: NDArray[Any],
    factor: NDArray[Any],
    bar: F64,
) -> tuple[NDArray[np.intp], F64]:
    """Rows among ``where`` whose squared distance stays below a bar, and that distance.

    Squares add up coordinate by coordinate: a row above its bar needs no more of them.
    """
    differences, squares = x[where] - center, np.zeros(len(where))
    for first in range(0, len(center), _STEP):
        last = min(first + _STEP, len(center))
        squares += _squares(differences[:, :last] @ factor[first:last, :last].T)
        near = squares < bar
        if np.count_nonzero(near) < 0.8 * len(near):
            where, bar, squares = where[near], bar[near], squares[near]
            differences = differences[near]
        if not len(where):
            break
    near = squares < bar
    return where[near], squares[near]


def _squares(z: NDArray[Any]) -> F64:
    squares: F64 = np.einsum("ij,ij->i", z, z).astype(np.float64)
    return squares
