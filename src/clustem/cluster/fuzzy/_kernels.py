"""Fused passes of fuzzy clustering: distances, memberships and weighted sums, block by block.

A block of rows is turned on its side, so the innermost loops run over rows and use the processor's
vector units. Everything is computed in float64 from differences to a center; no square is expanded.
All kernels release the interpreter lock: the caller splits the work among its own threads.

Throughout, n rows of D values become r coordinates ``z = basis @ (x - origin)``, or
``scale * (x - origin)`` when ``basis`` has no rows (then r = D). With ``factors`` (k, r, r), upper
triangular, ``d² = |factor @ (z - center)|²``; without (k, 0, 0), ``d² = |z - center|²``. With
``eta`` (k,), memberships are possibilistic; without (0,), they sum to one.
"""

# numba knows no keyword-only arguments

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]

# Sums may be regrouped (that is what vector units need), but NaN and infinity keep their meaning.
_kernel = numba.njit(
    nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"}
)


def width_of_sums(r: int, *, moments: bool) -> int:
    """Return the number of sums per cluster.

    Examples
    --------
    >>> width_of_sums(3, moments=True)
    11
    """
    return 2 + r + (r * (r + 1) // 2 if moments else 0)


@_kernel
def load_block(
    X: NDArray[Any], first: int, count: int, origin: F64, scale: float, basis: F64, z: F64
) -> None:
    """Write the coordinates of ``count`` rows from ``first`` on into ``z`` (r, block)."""
    columns = X.shape[1]
    if basis.shape[0] == 0:
        for b in range(count):
            for d in range(columns):
                z[d, b] = (X[first + b, d] - origin[d]) * scale
        return
    for a in range(basis.shape[0]):
        for b in range(count):
            z[a, b] = 0.0
        for d in range(columns):
            weight, shift = basis[a, d], origin[d]
            for b in range(count):
                z[a, b] += weight * (X[first + b, d] - shift)


@_kernel
def block_distances(
    z: F64, count: int, center: F64, factor: F64, difference: F64, y: F64, d2: F64
) -> None:
    """Write ``z - center`` (r, block) and the squared distances (block,)."""
    r = z.shape[0]
    for b in range(count):
        d2[b] = 0.0
    for a in range(r):
        shift = center[a]
        for b in range(count):
            difference[a, b] = z[a, b] - shift
    for a in range(r):
        if factor.shape[0] == 0:
            for b in range(count):
                d2[b] += difference[a, b] * difference[a, b]
        else:
            weight = factor[a, a]
            for b in range(count):
                y[b] = weight * difference[a, b]
            for c in range(a + 1, r):
                weight = factor[a, c]
                for b in range(count):
                    y[b] += weight * difference[c, b]
            for b in range(count):
                d2[b] += y[b] * y[b]


@_kernel
def nearest_ratios(d2: F64, count: int, least: F64, ratios: F64) -> None:
    """Write the least distance over each of ``d2`` (k, block): 1 at the nearest, even if 0/0."""
    for b in range(count):
        least[b] = d2[0, b]
    for i in range(1, d2.shape[0]):
        for b in range(count):
            least[b] = min(least[b], d2[i, b])
    for i in range(d2.shape[0]):
        for b in range(count):
            ratios[i, b] = 1.0 if d2[i, b] <= least[b] else least[b] / d2[i, b]


@_kernel
def small_whole(value: float) -> int:
    """Return ``value`` if it is a whole number from 1 to 20, else 0."""
    whole = int(value + 0.5)
    return whole if 1 <= whole <= 20 and abs(value - whole) < 1e-12 else 0


@_kernel
def sharpened(x: F64, count: int, m: float, out: F64) -> None:
    """Write ``x^(1/(m-1))``; by products where that exponent is small and whole (m = 2, 1.5, 1.25).

    A general power takes as long as all the rest of a pass.
    """
    power = 1.0 / (m - 1.0)
    whole = small_whole(power)
    if whole > 0:
        for b in range(count):
            out[b] = x[b]
        for _ in range(1, whole):
            for b in range(count):
                out[b] *= x[b]
    else:
        for b in range(count):
            out[b] = x[b] ** power


@_kernel
def fuzzified(x: F64, count: int, m: float, out: F64) -> None:
    """Write ``x^m``; by square roots where ``1/(m-1)`` is 1, 2, 4, 8 or 16."""
    whole = small_whole(1.0 / (m - 1.0))
    if whole > 0 and whole & (whole - 1) == 0:
        for b in range(count):
            out[b] = x[b]
        while whole > 1:
            for b in range(count):
                out[b] = np.sqrt(out[b])
            whole //= 2
        for b in range(count):
            out[b] *= x[b]
    else:
        for b in range(count):
            out[b] = x[b] ** m


@_kernel
def shared_memberships(d2: F64, count: int, m: float, y: F64, u: F64, w: F64) -> None:
    """Write memberships ``u`` that sum to one, and ``w = u^m``, for distances ``d2`` (k, block).

    Ratios are taken to the nearest center, so nothing overflows; a row on a center belongs to it
    alone, on several to them equally.
    """
    k = d2.shape[0]
    nearest_ratios(d2, count, y, w)
    for i in range(k):
        sharpened(w[i], count, m, u[i])
        for b in range(count):
            y[b] = u[i, b] if i == 0 else y[b] + u[i, b]
    for b in range(count):
        y[b] = 1.0 / y[b]
    for i in range(k):
        for b in range(count):
            u[i, b] *= y[b]
        fuzzified(u[i], count, m, w[i])


@_kernel
def typical_memberships(d2: F64, count: int, eta: F64, m: float, u: F64, w: F64) -> None:
    """Write possibilistic memberships ``u``, and ``w = u^m``, for distances ``d2`` (k, block)."""
    for i in range(d2.shape[0]):
        width = eta[i]
        for b in range(count):
            w[i, b] = d2[i, b] / width
        sharpened(w[i], count, m, u[i])
        for b in range(count):
            u[i, b] = 1.0 / (1.0 + u[i, b])
        fuzzified(u[i], count, m, w[i])


@_kernel
def block_memberships(d2: F64, count: int, eta: F64, m: float, y: F64, u: F64, w: F64) -> None:
    """Write memberships of the kind that ``eta`` says, with ``y`` (block,) as work space."""
    if eta.shape[0] > 0:
        typical_memberships(d2, count, eta, m, u, w)
    else:
        shared_memberships(d2, count, m, y, u, w)


@_kernel
def add_sums(
    difference: F64, count: int, u: F64, w: F64, d2: F64, width: float, m: float, y: F64, out: F64
) -> None:
    """Add one cluster's sums over a block to ``out``.

    ``out`` holds Σ u^m, the objective, Σ u^m (z - c), and if there is room the upper triangle of
    Σ u^m (z - c)(z - c)ᵀ. ``width`` is the cluster's eta, 0 for memberships that sum to one;
    with it, ``u`` is overwritten.
    """
    r = difference.shape[0]
    total, objective = 0.0, 0.0
    for b in range(count):
        total += w[b]
        objective += w[b] * d2[b]
    if width > 0.0:
        for b in range(count):
            u[b] = 1.0 - u[b]
        fuzzified(u, count, m, y)
        for b in range(count):
            objective += width * y[b]
    out[0] += total
    out[1] += objective
    for a in range(r):
        first = 0.0
        for b in range(count):
            first += w[b] * difference[a, b]
        out[2 + a] += first
    if out.shape[0] > 2 + r:
        place = 2 + r
        for a in range(r):
            for b in range(count):
                y[b] = w[b] * difference[a, b]
            for c in range(a, r):
                second = 0.0
                for b in range(count):
                    second += y[b] * difference[c, b]
                out[place] += second
                place += 1


@_kernel
def fuzzy_sums(
    X: NDArray[Any],
    origin: F64,
    scale: float,
    basis: F64,
    centers: F64,
    factors: F64,
    eta: F64,
    m: float,
    panel: int,
    block: int,
    first: int,
    last: int,
    out: F64,
) -> None:
    """Make part of a pass: sums per start, panel of rows and cluster.

    Parameters
    ----------
    X
        Rows (n, D).
    origin, scale, basis
        Coordinates, see above: (D,), a number, (r, D) or (0, D).
    centers, factors, eta
        Of S starts: (S, k, r), (S, k, r, r) or (S, k, 0, 0), (S, k) or (S, 0).
    m
        Fuzziness, above 1.
    panel, block
        Rows per panel and per block.
    first, last
        Range of tasks; task ``p * S + s`` is panel p of start s.
    out
        Zeros (S, panels, k, width), filled.
    """
    n = X.shape[0]
    starts, k, r = centers.shape
    z = np.empty((r, block))
    difference = np.empty((r, block))
    d2 = np.empty((k, block))
    u = np.empty((k, block))
    w = np.empty((k, block))
    y = np.empty(block)
    for p in range(first // starts, (last + starts - 1) // starts):
        low, high = max(first - p * starts, 0), min(last - p * starts, starts)
        for row in range(p * panel, min((p + 1) * panel, n), block):
            count = min(block, min((p + 1) * panel, n) - row)
            load_block(X, row, count, origin, scale, basis, z)
            for s in range(low, high):
                for i in range(k):
                    block_distances(z, count, centers[s, i], factors[s, i], difference, y, d2[i])
                block_memberships(d2, count, eta[s], m, y, u, w)
                for i in range(k):
                    for a in range(r):
                        for b in range(count):
                            difference[a, b] = z[a, b] - centers[s, i, a]
                    width = eta[s, i] if eta.shape[1] > 0 else 0.0
                    add_sums(difference, count, u[i], w[i], d2[i], width, m, y, out[s, p, i])


@_kernel
def fuzzy_memberships(
    X: NDArray[Any],
    origin: F64,
    scale: float,
    basis: F64,
    centers: F64,
    factors: F64,
    eta: F64,
    m: float,
    block: int,
    first: int,
    last: int,
    memberships: F64,
    labels: NDArray[np.int32],
) -> None:
    """Write memberships (n, k) and the strongest cluster (n,) of rows ``first`` to ``last``.

    The strongest is the one of least ``d²`` (possibilistic: ``d² / eta``); the first of equals.
    """
    k, r = centers.shape
    z = np.empty((r, block))
    difference = np.empty((r, block))
    d2 = np.empty((k, block))
    u = np.empty((k, block))
    w = np.empty((k, block))
    y = np.empty(block)
    for row in range(first, last, block):
        count = min(block, last - row)
        load_block(X, row, count, origin, scale, basis, z)
        for i in range(k):
            block_distances(z, count, centers[i], factors[i], difference, y, d2[i])
        block_memberships(d2, count, eta, m, y, u, w)
        for b in range(count):
            best, nearest = 0, np.inf
            for i in range(k):
                memberships[row + b, i] = u[i, b]
                distance = d2[i, b] / eta[i] if eta.shape[0] > 0 else d2[i, b]
                if distance < nearest:
                    best, nearest = i, distance
            labels[row + b] = best


@_kernel
def fuzzy_distances(
    X: NDArray[Any],
    origin: F64,
    scale: float,
    basis: F64,
    centers: F64,
    factors: F64,
    block: int,
    first: int,
    last: int,
    distances: F64,
) -> None:
    """Write squared distances (n, k) of rows ``first`` to ``last`` to the centers (k, r)."""
    k, r = centers.shape
    z = np.empty((r, block))
    difference = np.empty((r, block))
    d2 = np.empty(block)
    y = np.empty(block)
    for row in range(first, last, block):
        count = min(block, last - row)
        load_block(X, row, count, origin, scale, basis, z)
        for i in range(k):
            block_distances(z, count, centers[i], factors[i], difference, y, d2)
            for b in range(count):
                distances[row + b, i] = d2[b]


@_kernel
def weighted_sums(
    X: NDArray[Any],
    origin: F64,
    scale: float,
    basis: F64,
    centers: F64,
    distances: F64,
    weights: F64,
    m: float,
    panel: int,
    block: int,
    first: int,
    last: int,
    out: F64,
) -> None:
    """Make the sums of ``fuzzy_sums`` with given weights ``u^m`` (n, k), for one start.

    ``distances`` are (n, k); ``first`` and ``last`` count panels; ``out`` is (panels, k, width).
    """
    n = X.shape[0]
    k, r = centers.shape
    z = np.empty((r, block))
    difference = np.empty((r, block))
    d2 = np.empty(block)
    w = np.empty(block)
    y = np.empty(block)
    for p in range(first, last):
        for row in range(p * panel, min((p + 1) * panel, n), block):
            count = min(block, min((p + 1) * panel, n) - row)
            load_block(X, row, count, origin, scale, basis, z)
            for i in range(k):
                for b in range(count):
                    w[b] = weights[row + b, i]
                    d2[b] = distances[row + b, i]
                for a in range(r):
                    for b in range(count):
                        difference[a, b] = z[a, b] - centers[i, a]
                add_sums(difference, count, w, w, d2, 0.0, m, y, out[p, i])


@_kernel
def update_in_field(
    rows: NDArray[np.int64],
    distances: F64,
    indptr: NDArray[Any],
    indices: NDArray[Any],
    links: F64,
    coupling: float,
    m: float,
    memberships: F64,
    weights: F64,
) -> None:
    """Write the best memberships and weights ``u^m`` (n, k) of some rows, given the neighbours'.

    ``links`` are the weights of the graph's edges. A weight of a neighbour in other clusters adds
    ``coupling`` times that of the edge to the squared distance.
    """
    k = distances.shape[1]
    d2 = np.empty((k, 1))
    u = np.empty((k, 1))
    w = np.empty((k, 1))
    y = np.empty(1)
    for i in rows:
        for j in range(k):
            d2[j, 0] = distances[i, j]
        for at in range(indptr[i], indptr[i + 1]):
            neighbour = indices[at]
            if neighbour == i:
                continue
            total = 0.0
            for j in range(k):
                total += weights[neighbour, j]
            for j in range(k):
                d2[j, 0] += coupling * links[at] * (total - weights[neighbour, j])
        shared_memberships(d2, 1, m, y, u, w)
        for j in range(k):
            memberships[i, j] = u[j, 0]
            weights[i, j] = w[j, 0]


@_kernel
def disagreement(
    indptr: NDArray[Any],
    indices: NDArray[Any],
    links: F64,
    weights: F64,
    first: int,
    last: int,
) -> float:
    """Sum over some rows and their neighbours of the weights in different clusters."""
    k = weights.shape[1]
    found = 0.0
    for i in range(first, last):
        for at in range(indptr[i], indptr[i + 1]):
            if indices[at] == i:
                continue
            own, other, same = 0.0, 0.0, 0.0
            for j in range(k):
                own += weights[i, j]
                other += weights[indices[at], j]
                same += weights[i, j] * weights[indices[at], j]
            found += links[at] * (own * other - same)
    return found


@_kernel
def lower_distances(
    X: NDArray[Any],
    origin: F64,
    scale: float,
    basis: F64,
    center: F64,
    block: int,
    least: F64,
) -> None:
    """Lower ``least`` (n,) to the squared distance from ``center`` (r,) where that is nearer."""
    n, r = X.shape[0], center.shape[0]
    z = np.empty((r, block))
    difference = np.empty((r, block))
    d2 = np.empty(block)
    none = np.empty((0, 0))
    for row in range(0, n, block):
        count = min(block, n - row)
        load_block(X, row, count, origin, scale, basis, z)
        block_distances(z, count, center, none, difference, d2, d2)
        for b in range(count):
            least[row + b] = min(least[row + b], d2[b])
