# numba knows no keyword-only arguments
"""Sliding-window means over a scan, in float64, block of channels by block of channels.

Three kernels, all separable: counts (integers) use running sums, which are exact; other numbers
use sums over blocks of one window, which never subtract, so a large or missing value disturbs no
pixel outside its window; other weights are summed one by one. The first two cost the same
for any window.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import floor, prod
from typing import Any, Literal

import numba
import numpy as np
from numpy.typing import NDArray

from clustem.passes.threads import cores

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
Weights = Literal["uniform", "gaussian"]

_BUFFER_BYTES = 3 * 2**19  # of one thread: stays in the second-level cache

_kernel = numba.njit(nogil=True, cache=True, error_model="numpy")


def window_weights(d: float, kind: Weights, size: int) -> F64:
    """Return the weights along one axis of the window that reaches d pixels to each side.

    Parameters
    ----------
    d
        Reach [pixels]; offsets up to its integer part are inside.
    kind
        All 1, or ``exp(-offset² / (2 d²))``.
    size
        Length of the scan [pixels]: what lies beyond it has no weight.

    Returns
    -------
    :
        Array (2 h + 1,), h the integer part of d, at most size - 1.

    Examples
    --------
    >>> window_weights(1.5, "uniform", 20)
    array([1., 1., 1.])
    """
    reach = floor(min(d, size - 1))
    offset = np.arange(-reach, reach + 1)
    if kind == "uniform":
        return np.ones(len(offset))
    return np.exp(-((offset / d) ** 2) / 2)


def window_norm(keep: Flags, along_rows: F64, along_columns: F64) -> F64:
    """Return the sum of the weights that fall on kept pixels, for each pixel of a scan.

    Examples
    --------
    >>> window_norm(np.ones((2, 3), dtype=bool), np.ones(3), np.ones(3))
    array([[4., 6., 4.],
           [4., 6., 4.]])
    """
    ones = np.ones((*keep.shape, 1))
    norm = window_mean(ones, keep, ones[..., 0], along_rows, along_columns, threads=1)
    return norm[..., 0].astype(np.float64)


def window_mean(
    data: NDArray[Any],
    keep: Flags,
    norm: F64,
    along_rows: F64,
    along_columns: F64,
    *,
    threads: int | None = None,
) -> NDArray[np.floating[Any]]:
    """Sum each pixel's window and divide by the norm.

    Parameters
    ----------
    data
        Array (rows, columns, ...) of real numbers.
    keep
        Boolean (rows, columns); other pixels are never read.
    norm
        What to divide by (rows, columns); the result is 0 where it is 0.
    along_rows, along_columns
        Weights of the window, of odd length; their outer product is the window.
    threads
        Number of threads; one per usable core if None.

    Returns
    -------
    :
        Array of the shape of ``data``: float64 for float64, else float32.

    Notes
    -----
    Besides the result, each thread holds about 1.5 MB.

    Examples
    --------
    >>> data = np.arange(6, dtype=np.uint8).reshape(1, 6, 1)
    >>> keep, norm = np.ones((1, 6), dtype=bool), np.full((1, 6), 3.0)
    >>> window_mean(data, keep, norm, np.ones(1), np.ones(3)).ravel().tolist()[1:5]
    [1.0, 2.0, 3.0, 4.0]
    """
    x = _plain(data)
    flat = x.reshape(*x.shape[:2], -1)
    out = np.empty(flat.shape, dtype=np.float64 if x.dtype == np.float64 else np.float32)
    inverse = np.divide(1, norm, out=np.zeros(norm.shape), where=norm > 0)
    reach = (len(along_rows) // 2, len(along_columns) // 2)
    uniform = np.all(along_rows == 1) and np.all(along_columns == 1)
    accumulator = _accumulator(x.dtype, (2 * reach[0] + 1) * (2 * reach[1] + 1))
    channels, lines = flat.shape[2], flat.shape[1] + 2 * reach[1]
    if uniform and accumulator is not None:
        zero = np.zeros(1, dtype=accumulator)
        step = _channels(lines * zero.itemsize)

        def one(r0: int, r1: int, k: int) -> None:
            span = (r0, r1, k, min(k + step, channels))
            _running(flat, keep, inverse, reach, span, zero, out)
    elif uniform:
        step = _channels(8 * lines * (2 * reach[0] + 3))

        def one(r0: int, r1: int, k: int) -> None:
            span = (r0, r1, k, min(k + step, channels))
            _in_blocks(flat, keep, inverse, reach, span, out)
    else:
        step = _channels(8 * lines * 2)

        def one(r0: int, r1: int, k: int) -> None:
            span = (r0, r1, k, min(k + step, channels))
            _weighted(flat, keep, inverse, along_rows, along_columns, span, out)

    _spread(one, flat.shape[0], range(0, flat.shape[2], step), threads or cores())
    return out.reshape(x.shape)


def _spread(one: Any, rows: int, starts: range, threads: int) -> None:
    """Run the blocks of channels in threads, each cut along the rows where they are few."""
    if threads == 1:
        for k in starts:
            one(0, rows, k)
        return
    parts = min(rows, -(-threads // len(starts)))
    cuts = [rows * i // parts for i in range(parts + 1)]
    tasks = [(cuts[i], cuts[i + 1], k) for k in starts for i in range(parts)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(one, *task) for task in tasks]:
            done.result()


def _channels(bytes_of_one: int) -> int:
    return max(16, _BUFFER_BYTES // bytes_of_one)


def _plain(data: NDArray[Any]) -> NDArray[Any]:
    """Make the array one that a kernel can read."""
    kind, size = data.dtype.kind, data.dtype.itemsize
    if kind == "b":
        return data.view(np.uint8)
    if kind == "f" and size not in (4, 8):
        return data.astype(np.float32 if size < 4 else np.float64)
    return data if data.dtype.isnative else data.astype(data.dtype.newbyteorder("="))


def _accumulator(dtype: np.dtype[Any], pixels: int) -> type[np.signedinteger[Any]] | None:
    """Narrowest integer that no window of this dtype overflows; None if there is none."""
    if dtype.kind not in "iu":
        return None
    largest = 2 ** (8 * dtype.itemsize) * prod((pixels, 2))
    if largest < 2**31:
        return np.int32
    return np.int64 if largest < 2**63 else None


@_kernel
def _add(total: NDArray[Any], values: NDArray[Any]) -> None:
    for k in range(len(total)):
        total[k] += values[k]


@_kernel
def _running(
    data: NDArray[Any],
    keep: Flags,
    inverse: F64,
    reach: tuple[int, int],
    span: tuple[int, int, int, int],
    zero: NDArray[Any],
    out: NDArray[Any],
) -> None:
    """Slide integer sums down the columns, and along each row."""
    (rows, columns, _), (reach_r, reach_c), (r0, r1, k0, k1) = data.shape, reach, span
    channels = k1 - k0
    # column c lies at c + reach_c + 1, so the window's columns are inside and what leaves it too
    column = np.zeros((columns + 2 * reach_c + 1, channels), zero.dtype)
    window = np.zeros(channels, zero.dtype)
    for r in range(max(r0 - reach_r, 0), min(r0 + reach_r, rows)):
        for c in range(columns):
            if keep[r, c]:
                _add(column[c + reach_c + 1], data[r, c, k0:k1])
    for r in range(r0, r1):
        new, old = r + reach_r, r - reach_r - 1
        enters, leaves = new < rows, old >= max(r0 - reach_r, 0)
        window[:] = 0
        for c in range(columns + reach_c):
            total = column[c + reach_c + 1]
            if c < columns and enters and keep[new, c]:
                _add(total, data[new, c, k0:k1])
            if c < columns and leaves and keep[old, c]:
                source = data[old, c, k0:k1]
                for k in range(channels):
                    total[k] -= source[k]
            if c < reach_c:
                _add(window, total)
                continue
            gone, factor = column[c - reach_c], inverse[r, c - reach_c]
            target = out[r, c - reach_c, k0:k1]
            for k in range(channels):
                window[k] += total[k] - gone[k]
                target[k] = window[k] * factor


@_kernel
def _in_blocks(
    data: NDArray[Any],
    keep: Flags,
    inverse: F64,
    reach: tuple[int, int],
    span: tuple[int, int, int, int],
    out: NDArray[Any],
) -> None:
    """Each window is the end of one block of its size and the start of the next.

    With the sums to the end of a block kept and those from the start of the next growing, a window
    costs one addition, whatever its size (van Herk's way to a running maximum).
    """
    (rows, columns, _), (reach_r, reach_c), (r0, r1, k0, k1) = data.shape, reach, span
    channels = k1 - k0
    height, width = 2 * reach_r + 1, 2 * reach_c + 1
    ends = np.zeros((height + 1, columns, channels))
    begins = np.zeros((columns, channels))
    column = np.zeros((columns + 2 * reach_c, channels))
    row_ends, row_begins = np.zeros((width + 1, channels)), np.zeros(channels)
    for top in range(r0, r1, height):
        for t in range(height - 1, -1, -1):
            r = top - reach_r + t
            for c in range(columns):
                before, total = ends[t + 1, c], ends[t, c]
                if 0 <= r < rows and keep[r, c]:
                    source = data[r, c, k0:k1]
                    for k in range(channels):
                        total[k] = before[k] + source[k]
                else:
                    for k in range(channels):
                        total[k] = before[k]
        begins[:] = 0
        for t in range(min(height, r1 - top)):
            r = top + reach_r + t
            for c in range(columns):
                total, end, begin = column[c + reach_c], ends[t, c], begins[c]
                if t > 0 and r < rows and keep[r, c]:
                    _add(begin, data[r, c, k0:k1])
                for k in range(channels):
                    total[k] = end[k] + begin[k]
            _row_in_blocks(column, width, inverse[top + t], row_ends, row_begins, k0, out[top + t])


@_kernel
def _row_in_blocks(
    column: F64,
    width: int,
    inverse: F64,
    ends: F64,
    begins: F64,
    k0: int,
    out: NDArray[Any],
) -> None:
    """Do the same along one row of column sums, which has half a window of zeros at both ends."""
    columns, channels = len(inverse), column.shape[1]
    for left in range(0, columns, width):
        for u in range(width - 1, -1, -1):
            before, total = ends[u + 1], ends[u]
            if left + u < len(column):
                source = column[left + u]
                for k in range(channels):
                    total[k] = before[k] + source[k]
            else:
                for k in range(channels):
                    total[k] = before[k]
        begins[:] = 0
        for u in range(min(width, columns - left)):
            factor, target, end = inverse[left + u], out[left + u, k0 : k0 + channels], ends[u]
            if u > 0:
                _add(begins, column[left + width + u - 1])
            for k in range(channels):
                target[k] = (end[k] + begins[k]) * factor


@_kernel
def _weighted(
    data: NDArray[Any],
    keep: Flags,
    inverse: F64,
    along_rows: F64,
    along_columns: F64,
    span: tuple[int, int, int, int],
    out: NDArray[Any],
) -> None:
    """Sum the window's rows, then its columns, each times its weight."""
    (rows, columns, _), (r0, r1, k0, k1) = data.shape, span
    channels = k1 - k0
    reach_r, reach_c = len(along_rows) // 2, len(along_columns) // 2
    column, window = np.zeros((columns, channels)), np.zeros(channels)
    for r in range(r0, r1):
        column[:] = 0
        for a in range(max(r - reach_r, 0), min(r + reach_r + 1, rows)):
            weight = along_rows[a - r + reach_r]
            for c in range(columns):
                if keep[a, c]:
                    source, total = data[a, c, k0:k1], column[c]
                    for k in range(channels):
                        total[k] += weight * source[k]
        for c in range(columns):
            window[:] = 0
            for b in range(max(c - reach_c, 0), min(c + reach_c + 1, columns)):
                weight, total = along_columns[b - c + reach_c], column[b]
                for k in range(channels):
                    window[k] += weight * total[k]
            factor, target = inverse[r, c], out[r, c, k0:k1]
            for k in range(channels):
                target[k] = window[k] * factor
