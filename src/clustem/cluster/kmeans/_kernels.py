"""The passes over full rows of k-means, compiled: sketch, sums and distances of one block.

A block comes as :func:`clustem.passes.transform.plain` returns it; a row x counts as
``scale * x + shift - origin`` over its kept columns. What is computed for a row does not depend on
the block it comes in.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

import numba as nb
import numpy as np

from clustem.cluster.kmeans._tiles import TILE_COLUMNS, TILE_ROWS, multiply_tile
from clustem.passes.transform import CHUNK, FASTMATH

_STAGGER = 16
"""Rows of a buffer lie this far off a power of two, lest they share the same lines of the cache."""


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def center_narrow(row, scale, shift, origin, out):
    """Write the centered row in float32 arithmetic (8 and 16 bit counts); return its square."""
    square = np.float32(0.0)
    for k in range(len(row)):
        value = np.float32(row[k]) * scale + (shift - origin[k])
        out[k] = value
        square += value * value
    return np.float64(square)


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def center_wide(row, scale, shift, origin, out):
    """Write the centered row in float64 arithmetic; return its square."""
    square = 0.0
    for k in range(len(row)):
        value = np.float64(row[k]) * scale + (shift - np.float64(origin[k]))
        out[k] = value
        square += value * value
    return square


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def center_block(block, scale, shift, origin, layout, out, squares):
    """Write each centered row to ``out`` (m, K), add its squared norm to ``squares``.

    ``block``, ``scale``, ``shift``, ``origin`` and ``layout`` are as in :func:`sketch_block`.
    """
    for i in range(block.shape[0]):
        for s in range(len(layout.source)):
            start, to, size = layout.source[s], layout.target[s], layout.length[s]
            squares[i] += center_wide(
                block[i, start : start + size],
                scale[i],
                shift[i],
                origin[to : to + size],
                out[i, to : to + size],
            )


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def sketch_block(block, narrow, scale, shift, origin, layout, panels, z, squares):
    """Add each centered row's products with the basis to ``z``, its squared norm to ``squares``.

    Parameters
    ----------
    block
        Array (m, D).
    narrow
        Whether float32 arithmetic is exact enough to center the values.
    scale, shift
        One of each per row, (m,).
    origin
        Kept columns (K,), float32.
    layout
        Which columns are kept.
    panels
        Basis (r / TILE_COLUMNS, K, TILE_COLUMNS), float32.
    z
        Output (m rounded up to whole tiles, r), float32.
    squares
        Output (m,), float64.
    """
    n, width = block.shape[0], z.shape[1]
    buffer = np.zeros((TILE_ROWS, CHUNK + _STAGGER), np.float32)
    scale32, shift32 = scale.astype(np.float32), shift.astype(np.float32)
    for c in range(len(layout.ptr) - 1):
        low = c * CHUNK
        depth = min(CHUNK, panels.shape[1] - low)
        for first in range(0, n, TILE_ROWS):
            for i in range(min(TILE_ROWS, n - first)):
                for s in range(layout.ptr[c], layout.ptr[c + 1]):
                    start, to, size = layout.source[s], layout.target[s], layout.length[s]
                    row = block[first + i, start : start + size]
                    into = buffer[i, to - low : to - low + size]
                    zero = origin[to : to + size]
                    if narrow:
                        square = center_narrow(
                            row, scale32[first + i], shift32[first + i], zero, into
                        )
                    else:
                        square = center_wide(row, scale[first + i], shift[first + i], zero, into)
                    squares[first + i] += square
            for p in range(panels.shape[0]):
                multiply_tile(  # type: ignore[call-arg]  # numba gives its context
                    buffer,
                    0,
                    CHUNK + _STAGGER,
                    panels,
                    (p * panels.shape[1] + low) * TILE_COLUMNS,
                    z,
                    first * width + p * TILE_COLUMNS,
                    width,
                    depth,
                )


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def add_sums(block, scale, shift, layout, order, cells, weights, sums):
    """Add rows (not centered) times their weights to the sums of their cells.

    Parameters
    ----------
    block, scale, shift, layout
        As in :func:`sketch_block`.
    order
        Rows to add, those of a cell one after the other.
    cells
        Cell of each row (m,).
    weights
        Weight of each row (m,).
    sums
        Output (cells, K), float64.
    """
    a, b = scale * weights, shift * weights
    for c in range(len(layout.ptr) - 1):
        first = 0
        while first < len(order):
            cell, count = cells[order[first]], 1
            while count < 4 and first + count < len(order) and cells[order[first + count]] == cell:
                count += 1
            one, two, three, four = order[first], order[first], order[first], order[first]
            if count == 4:
                two, three, four = order[first + 1], order[first + 2], order[first + 3]
            for s in range(layout.ptr[c], layout.ptr[c + 1]):
                start, to, size = layout.source[s], layout.target[s], layout.length[s]
                stop, total = start + size, sums[cell, to : to + size]
                if count == 4:
                    add_four(
                        block[one, start:stop],
                        block[two, start:stop],
                        block[three, start:stop],
                        block[four, start:stop],
                        (a[one], a[two], a[three], a[four]),
                        b[one] + b[two] + b[three] + b[four],
                        total,
                    )
                else:
                    for m in range(first, first + count):
                        add_one(block[order[m], start:stop], a[order[m]], b[order[m]], total)
            first += count


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def add_one(row, scale, shift, total):
    """Add a row to a sum."""
    for k in range(len(row)):
        total[k] += np.float64(row[k]) * scale + shift


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def add_four(one, two, three, four, scales, shift, total):
    """Add four rows to a sum that is loaded and stored once."""
    s1, s2, s3, s4 = scales
    for k in range(len(one)):
        near = np.float64(one[k]) * s1 + np.float64(two[k]) * s2
        far = np.float64(three[k]) * s3 + np.float64(four[k]) * s4
        total[k] += near + far + shift


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def dots_block(block, narrow, scale, shift, origin, layout, centers, dots, squares):
    """Add each centered row's products with the centers to ``dots``.

    Parameters
    ----------
    block, scale, shift, origin, layout
        As in :func:`sketch_block`.
    narrow
        Whether to center the values in float32 arithmetic.
    centers
        Centers less origin (k, K): float32, for an answer with a rounding error, or float64.
    dots
        Output (m, k), float64.
    squares
        Output (m,), float64: squared norms of the centered rows.
    """
    n, k = block.shape[0], centers.shape[0]
    buffer = np.empty((2, CHUNK + _STAGGER), centers.dtype)
    scale32, shift32 = scale.astype(np.float32), shift.astype(np.float32)
    for c in range(len(layout.ptr) - 1):
        low = c * CHUNK
        stop = min(low + CHUNK, centers.shape[1])
        for first in range(0, n, 2):
            rows = min(2, n - first)
            for r in range(rows):
                i = first + r
                for s in range(layout.ptr[c], layout.ptr[c + 1]):
                    start, to, size = layout.source[s], layout.target[s], layout.length[s]
                    row, zero = block[i, start : start + size], origin[to : to + size]
                    into = buffer[r, to - low : to - low + size]
                    if narrow:
                        squares[i] += center_narrow(row, scale32[i], shift32[i], zero, into)
                    else:
                        squares[i] += center_wide(row, scale[i], shift[i], zero, into)
            x, y = buffer[0, : stop - low], buffer[rows - 1, : stop - low]
            last = first + rows - 1
            for j in range(0, k - k % 2, 2):
                one, two = centers[j, low:stop], centers[j + 1, low:stop]
                x1, x2, y1, y2 = four_dots(x, y, one, two)
                dots[first, j] += x1
                dots[first, j + 1] += x2
                if last > first:
                    dots[last, j] += y1
                    dots[last, j + 1] += y2
            if k % 2:
                one = centers[k - 1, low:stop]
                x1, _, y1, _ = four_dots(x, y, one, one)
                dots[first, k - 1] += x1
                if last > first:
                    dots[last, k - 1] += y1


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def four_dots(x, y, one, two):
    """Return the products of two rows with two centers, loading each value once."""
    zero = x.dtype.type(0)
    x1, x2, y1, y2 = zero, zero, zero, zero
    for d in range(len(x)):
        x1 += x[d] * one[d]
        x2 += x[d] * two[d]
        y1 += y[d] * one[d]
        y2 += y[d] * two[d]
    return np.float64(x1), np.float64(x2), np.float64(y1), np.float64(y2)


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def own_distances(block, scale, shift, origin, layout, labels, centers, out):
    """Add each row's squared distance to its own center to ``out`` (m,), term by term.

    The other arguments are as in :func:`dots_block`.
    """
    buffer = np.empty(CHUNK)
    for i in range(block.shape[0]):
        for s in range(len(layout.source)):
            start, to, size = layout.source[s], layout.target[s], layout.length[s]
            row = block[i, start : start + size]
            center_wide(row, scale[i], shift[i], origin[to : to + size], buffer[:size])
            center = centers[labels[i], to : to + size]
            total = 0.0
            for d in range(size):
                total += (buffer[d] - center[d]) ** 2
            out[i] += total


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def assign_certain(
    first, last, z, near, squares, residual, lengths, error, known, epoch, radius, state, travel
):
    """Give rows first ... last the label that the sketch proves; mark those in doubt.

    A center is ``near @ basis`` plus a part that the sketch does not hold. A row's product
    with that part is ``known`` from when the row was last looked at, give or take its residual
    times how far that part has moved since.

    Parameters
    ----------
    z, residual, error
        Of the sketch.
    near
        Coordinates of the centers (k, r), in the type of z.
    squares
        Squared norms of the centers (k,), float64.
    lengths
        Squared norms of the rows (n,).
    known
        Products of rows with the rest of the centers (n, k), as of ``epoch``.
    epoch
        When each row was last looked at (n,).
    radius
        How far the rest of center i less that of center j has moved since each epoch
        (epochs, k, k).
    state
        Three arrays (n,): label (in and out); slack, by which the difference of squared distances
        to the two nearest centers is certain; and the travel at which that was so, one number of
        ``travel`` each.
    travel
        How far centers have moved since the beginning: bounds of the change of such
        a difference per unit of a row's norm, and of the constant part.

    Returns
    -------
    :
        Verdict (last - first,): 0 label stays, 1 label changed, 2 uncertain.
    """
    labels, slack, since, since_flat = state
    k = len(near)
    verdict = np.zeros(last - first, np.uint8)
    score = np.empty(k)
    largest = np.sqrt(squares.max())
    for i in range(first, last):
        norm = np.sqrt(lengths[i]) * (1.0 + 1e-5)
        moved = norm * (travel[0] - since[i]) + travel[1] - since_flat[i]
        if slack[i] > moved:
            continue
        best = 0
        for j in range(k):
            total = z.dtype.type(0)
            for d in range(z.shape[1]):
                total += z[i, d] * near[j, d]
            score[j] = squares[j] - 2.0 * (np.float64(total) + known[i, j])
            if score[j] < score[best]:
                best = j
        certain = np.inf
        for j in range(k):
            if j != best:
                reach = 2.0 * residual[i] * radius[epoch[i], j, best]
                certain = min(certain, score[j] - score[best] - reach)
        certain -= 8.0 * error[i] * largest
        if certain > 0.0:
            verdict[i - first] = 1 if labels[i] != best else 0
            labels[i], slack[i] = best, certain
            since[i], since_flat[i] = travel[0], travel[1]
        else:
            verdict[i - first] = 2
    return verdict
