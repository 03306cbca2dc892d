"""Log-densities of rows under the components of a mixture, and what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.mixture._kernels import scaled_squares
from clustem.cluster.mixture._triangle import PANEL, Triangle, spans

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
Where = NDArray[np.integer[Any]]
Kind = Literal["full", "tied", "diag", "spherical"]
_OUT_OF_REACH = 45.0
"""Difference of log-densities beyond which a membership is zero in float64: exp(-45) < 3e-20."""


@dataclass(frozen=True)
class Components:
    """k normal distributions in the coordinates of a frame.

    Parameters
    ----------
    weights
        Share of each, (k,).
    means
        Float64 (k, D).
    factors
        Cholesky factors of the covariances with the ridge, k for ``"full"`` or one for ``"tied"``.
    variances
        With the ridge: (k, D) for ``"diag"``, (k, 1) for ``"spherical"``, else none.
    log_norm
        Log-density at the mean, in these coordinates, (k,).
    drawn
        How far each covariance was drawn towards the common one, 0 ... 1, (k,).
    made_of
        The memberships (n, k) that they were made of.
    fresh
        Which of them are not the same as in the step before, (k,).
    """

    weights: F64
    means: F64
    factors: list[Triangle]
    variances: F64
    log_norm: F64
    drawn: F64
    made_of: F64
    fresh: Flags


def sorts_out(kind: Kind, D: int) -> bool:
    """Whether rows are compared with components only as far as these can matter."""
    return kind == "full" and D > PANEL


def posteriors(x: NDArray[Any], parts: Components, kind: Kind) -> tuple[F64, F64]:
    """Return memberships (n, k) and log-densities (n,) of rows (n, D) in their coordinates."""
    if not sorts_out(kind, x.shape[1]):
        return normalised(log_densities(x, parts, kind), parts)
    shape = (len(x), len(parts.weights))
    bounds, exact = np.full(shape, np.inf), np.zeros(shape, dtype=bool)
    means = parts.means.astype(x.dtype)
    guess = (np.einsum("ij,ij->i", means, means) - 2 * (x @ means.T)).argmin(axis=1)
    search(x, np.arange(len(x)), parts, guess, bounds, exact)
    return normalised(np.where(exact, bounds, -np.inf), parts)


def normalised(log_densities: F64, parts: Components) -> tuple[F64, F64]:
    """Return memberships (n, k) and log-densities (n,) of the mixture."""
    found = log_densities + np.log(parts.weights)
    top = found.max(axis=1)
    np.exp(found - top[:, None], out=found)
    total = found.sum(axis=1)
    found /= total[:, None]
    return found, np.log(total) + top


def search(
    x: NDArray[Any], where: Where, parts: Components, guess: Where, bounds: F64, exact: Flags
) -> None:
    """Find the log-densities of some rows: first under the guessed component, then the others.

    Parameters
    ----------
    x
        Rows (n, D).
    where
        Numbers of the rows (m,) that are wanted.
    parts
        The components.
    guess
        The component (m,) that is looked at first.
    bounds
        Upper bounds (m, k) of the log-densities, made better here until they show that the
        membership of a row is zero, or are exact.
    exact
        Which of them (m, k) are the log-densities themselves.
    """
    log_weights = np.log(parts.weights)
    centers = parts.means.astype(x.dtype)
    best = np.where(exact, bounds + log_weights, -np.inf).max(axis=1)
    for first in (True, False):
        for j, weight in enumerate(log_weights):
            wanted = ~exact[:, j] & (bounds[:, j] + weight > best - _OUT_OF_REACH)
            rows = np.flatnonzero(wanted & ((guess == j) == first))
            if not len(rows):
                continue
            bar = 2 * (parts.log_norm[j] + weight - best[rows] + _OUT_OF_REACH)
            squares, whole = _within(x, where[rows], centers[j], parts.factors[j], bar)
            bounds[rows, j] = parts.log_norm[j] - 0.5 * squares
            exact[rows, j] = whole
            rows = rows[whole]
            best[rows] = np.maximum(best[rows], bounds[rows, j] + weight)


def _within(
    x: NDArray[Any], where: Where, center: NDArray[Any], factor: Triangle, bar: F64
) -> tuple[F64, Flags]:
    """Squared distances of some rows as far as they stay below a bar, and which are complete.

    Squares add up coordinate by coordinate: a row above its bar needs no more of them.
    """
    found, whole = np.empty(len(where)), np.zeros(len(where), dtype=bool)
    left, squares = np.arange(len(where)), np.zeros(len(where))
    z = np.empty((len(where), len(center)), dtype=x.dtype)
    for i, (first, last) in enumerate(spans(len(center))):
        np.subtract(x[where, first:last], center[first:last], out=z[:, first:last])
        squares += _squares(factor.solve_panel(z, i))
        near = squares < bar
        if np.count_nonzero(near) < 0.8 * len(near):
            found[left[~near]] = squares[~near]
            left, where, bar, squares, z = (
                left[near],
                where[near],
                bar[near],
                squares[near],
                z[near],
            )
        if not len(left):
            break
    found[left] = squares
    whole[left] = True
    return found, whole


def log_densities(x: NDArray[Any], parts: Components, kind: Kind) -> F64:
    """Log-densities (rows, k) under all components."""
    centers = parts.means.astype(x.dtype)
    if kind == "full":
        pairs = zip(centers, parts.factors, strict=True)
        squares = [_squares(_solved(x - center, factor)) for center, factor in pairs]
    elif kind == "tied":
        turned = _solved(x.copy(), parts.factors[0])
        squares = [_squares(turned - z) for z in _solved(centers, parts.factors[0])]
    else:
        out = np.empty((len(x), len(centers)))
        precisions = np.broadcast_to(1 / parts.variances, centers.shape)
        scaled_squares(x, parts.means, np.ascontiguousarray(precisions), out)
        return parts.log_norm - 0.5 * out
    return parts.log_norm - 0.5 * np.stack(squares, axis=1)


def _solved(rows: NDArray[Any], factor: Triangle) -> NDArray[Any]:
    factor.solve(rows)
    return rows


def _squares(z: NDArray[Any]) -> F64:
    squares: F64 = np.einsum("ij,ij->i", z, z).astype(np.float64)
    return squares
