"""The uneven brightness of a support under particles, found together with them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.describe._levels import separation

F64 = NDArray[np.float64]
_ORDER = 4  # of the surface, in Legendre polynomials
_SIDE = 96  # pixels along the shorter side that are enough for it
_ROUNDS = 60
_CLEAR = 4.2  # distance of three or four levels that need no surface [scatter within them]
_GAIN = 0.5  # share of the scatter within two levels that a surface must take away


def uneven_support(image: NDArray[Any]) -> tuple[F64, F64] | None:
    """Find the slowly varying brightness under two levels.

    Parameters
    ----------
    image
        Image (rows, columns).

    Returns
    -------
    :
        Factors (rows, m) and (m, columns) whose product is a surface of mean 0; None where the
        levels are even.

    Notes
    -----
    ``z = surface(x, y) + level of the pixel's class``, by least squares: the surface and the two
    levels are fitted, then each pixel goes to the class that it is nearer to, in turn.
    """
    from scipy.ndimage import gaussian_filter, median_filter
    from skimage.filters import threshold_otsu

    step = max(1, min(image.shape) // _SIDE)
    rows, columns = (size // step for size in image.shape)
    parts = image[: rows * step, : columns * step].reshape(rows, step, columns, step)
    coarse = gaussian_filter(parts.mean(axis=(1, 3), dtype=np.float64), 1.0)
    if np.ptp(coarse) == 0:
        return None
    side = min(coarse.shape)
    slow = gaussian_filter(coarse, side / 6), median_filter(coarse, side // 3)
    starts = [start > threshold_otsu(start) for start in (coarse, *(coarse - s for s in slow))]
    even = _fitted(coarse, starts[0], order=0)
    best = min((_fitted(coarse, s, order=_ORDER) for s in starts), key=lambda found: found[0])
    levels = any(separation(coarse, n) > _CLEAR for n in (3, 4))
    if levels or even[0] - best[0] < _GAIN * even[0]:
        return None
    products = np.zeros((_ORDER + 1, _ORDER + 1))
    for (i, j), weight in zip(_terms(_ORDER), best[1], strict=True):
        products[i, j] = weight
    row, column = _polynomials(image.shape, _ORDER)
    products[0, 0] -= float(row.mean(axis=0) @ products @ column.mean(axis=0))
    return row @ products, np.ascontiguousarray(column.T)


def _fitted(image: F64, chosen: NDArray[np.bool_], *, order: int) -> tuple[float, F64]:
    """Mean square that is left, and the coefficients of the surface."""
    basis = _basis(image.shape, order).reshape(image.size, -1)
    q, r = np.linalg.qr(basis)
    values = image.ravel()
    flat = values - q @ (q.T @ values)
    upper = chosen.ravel()
    for _ in range(_ROUNDS):
        apart = upper - q @ (q.T @ upper)
        step = float(apart @ flat / max(float(apart @ apart), 1e-30))
        weights = q.T @ (values - step * upper)
        left = values - q @ weights
        nearer = left * np.sign(step) > abs(step) / 2
        if (nearer == upper).all() or nearer.all() or not nearer.any():
            break
        upper = nearer
    return float(((left - step * upper) ** 2).mean()), np.linalg.solve(r, weights)


def _basis(shape: tuple[int, ...], order: int) -> F64:
    """Products of Legendre polynomials up to a total order, (rows, columns, number)."""
    row, column = _polynomials(shape, order)
    return np.stack([np.outer(row[:, i], column[:, j]) for i, j in _terms(order)], axis=-1)


def _polynomials(shape: tuple[int, ...], order: int) -> tuple[F64, F64]:
    """Legendre polynomials along rows and columns, (length, order + 1) each."""
    row, column = (
        np.asarray(np.polynomial.legendre.legvander(np.linspace(-1, 1, size), order), np.float64)
        for size in shape
    )
    return row, column


def _terms(order: int) -> list[tuple[int, int]]:
    """Orders of the products up to a total order."""
    return [(i, j) for i in range(order + 1) for j in range(order + 1 - i)]
