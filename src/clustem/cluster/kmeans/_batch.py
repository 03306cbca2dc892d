"""Lloyd iterations of several starts at once, as products of small tiles."""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from clustem.cluster.kmeans._tiles import TILE_COLUMNS, TILE_ROWS, multiply_tile
from clustem.cluster.kmeans.lloyd import Start, add_row, distance, relocate_empty_clusters

F64 = NDArray[np.float64]


def lloyd_batch(
    z: NDArray[np.float32],
    weights: F64,
    centers: F64,
    *,
    max_iter: int,
    rest: int = 0,
) -> list[Start]:
    """Iterate starts in a sketch, side by side.

    Parameters
    ----------
    z
        Coordinates (n, r).
    weights
        Weight of each row (n,).
    centers
        Where to start (starts, k, r).
    max_iter
        Iterations at most.
    rest
        A start ends when at most so many labels change.
    """
    n, count = len(z), len(centers)
    labels = np.empty((count, -(-n // TILE_COLUMNS) * TILE_COLUMNS), dtype=np.int32)
    centers, inertia = centers.copy(), np.zeros(count)
    n_iter, converged = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=bool)
    iterate_batch(z, weights, centers, labels, (max_iter, rest), inertia, n_iter, converged)
    return [
        Start(labels[s, :n], centers[s], float(inertia[s]), int(n_iter[s]), bool(converged[s]))
        for s in range(count)
    ]


@nb.njit(nogil=True, cache=True)
def iterate_batch(z, weights, centers, labels, limits, inertia, n_iter, converged):
    """Move the centers of all starts until no label changes.

    Parameters
    ----------
    z
        Coordinates (n, r), float32.
    weights
        Weight of each row (n,).
    centers
        Where to start (starts, k, r) float64; where it ended.
    labels
        Output (starts, n rounded up to whole tiles), int32.
    limits
        Iterations at most, and the number of changed labels at which a start ends.
    inertia, n_iter, converged
        Outputs, one per start.
    """
    starts, k, width = centers.shape
    sums, counts = np.zeros(centers.shape), np.zeros((starts, k))
    active = np.arange(starts)
    labels[:] = -1
    while len(active):
        changes = _sweep(z, weights, centers, active, labels, sums, counts)
        still = np.zeros(len(active), np.bool_)
        for m in range(len(active)):
            s = active[m]
            n_iter[s] += 1
            converged[s] = changes[m] == 0
            still[m] = changes[m] > limits[1] and n_iter[s] < limits[0]
            if still[m]:
                near = centers[s].astype(np.float32)
                _refill(z, weights, labels[s], sums[s], counts[s], near)
                for j in range(k):
                    if counts[s, j] > 0.0:
                        for d in range(width):
                            centers[s, j, d] = sums[s, j, d] / counts[s, j]
        active = active[still]
    for s in range(starts):
        near = centers[s].astype(np.float32)
        inertia[s] = 0.0
        for i in range(len(z)):
            inertia[s] += distance(z[i], near[labels[s, i]]) * weights[i]


@nb.njit(nogil=True, cache=True)
def _sweep(z, weights, centers, active, labels, sums, counts):
    """Give every row its nearest center in each active start; return how many changed sides."""
    _, k, width = centers.shape
    total = len(active) * k
    padded = (total + TILE_ROWS - 1) // TILE_ROWS * TILE_ROWS
    packed, squares = np.zeros((padded, width), np.float32), np.zeros(padded, np.float32)
    for c in range(total):
        center, square = centers[active[c // k], c % k], 0.0
        for d in range(width):
            packed[c, d] = -2.0 * center[d]
            square += center[d] * center[d]
        squares[c] = square
    scores = np.empty((padded, TILE_COLUMNS), np.float32)
    lowest = np.empty(TILE_COLUMNS, np.float32)
    nearest = np.empty(TILE_COLUMNS, np.int32)
    changes = np.zeros(len(active), np.int64)
    turned = np.zeros((width, TILE_COLUMNS), np.float32)  # some rows, as columns
    for first in range(0, len(z), TILE_COLUMNS):
        rows = min(TILE_COLUMNS, len(z) - first)
        for i in range(rows):
            for d in range(width):
                turned[d, i] = z[first + i, d]
        for c in range(padded):
            scores[c] = squares[c]
        for c in range(0, padded, TILE_ROWS):
            multiply_tile(  # type: ignore[call-arg]  # numba gives its context
                packed,
                c * width,
                width,
                turned,
                0,
                scores,
                c * TILE_COLUMNS,
                TILE_COLUMNS,
                width,
            )
        for m in range(len(active)):
            s = active[m]
            lowest_of(scores, m * k, k, lowest, nearest)
            if not differ(nearest, labels[s, first : first + TILE_COLUMNS]):
                continue
            for i in range(rows):
                row, old = first + i, labels[s, first + i]
                if nearest[i] != old:
                    changes[m] += 1
                    labels[s, row] = nearest[i]
                    if old >= 0:
                        add_row(sums[s], counts[s], old, z[row], -weights[row])
                    add_row(sums[s], counts[s], nearest[i], z[row], weights[row])
    return changes


@nb.njit(nogil=True, cache=True)
def lowest_of(scores, start, k, lowest, nearest):
    """Fill ``nearest`` with the number of the lowest of k rows, for each column."""
    first = scores[start]
    for i in range(TILE_COLUMNS):
        lowest[i], nearest[i] = first[i], np.int32(0)
    for j in range(1, k):
        row, number = scores[start + j], np.int32(j)
        for i in range(TILE_COLUMNS):
            value, known, who = row[i], lowest[i], nearest[i]
            lower = value < known
            lowest[i] = value if lower else known
            nearest[i] = number if lower else who


@nb.njit(nogil=True, cache=True)
def differ(nearest, labels):
    """Whether any label differs."""
    different = 0
    for i in range(TILE_COLUMNS):
        different |= nearest[i] ^ labels[i]
    return different != 0


@nb.njit(nogil=True, cache=True)
def _refill(z, weights, labels, sums, counts, near):
    """Give each empty cluster a row, if there is one."""
    for j in range(len(counts)):
        if counts[j] <= 0.0:
            bounds = np.empty(len(z))  # Hamerly's, of no use here
            relocate_empty_clusters(z, weights, labels, sums, counts, bounds, bounds, near)
            return
