"""Rows moved along their channels, each by its own amount."""

from __future__ import annotations

from typing import Any, Literal

import numba
import numpy as np
from numpy.typing import NDArray

from clustem.passes.transform import plain

Interpolation = Literal["cubic", "linear", "none"]


def common_channels(shifts: NDArray[np.float64], size: int) -> slice:
    """Return the channels that all rows have after their shifts (n,) [channels].

    Examples
    --------
    >>> common_channels(np.array([-1.5, 0.0, 0.2]), 10)
    slice(1, 8, None)
    """
    low = max(0, int(np.ceil(shifts.max(initial=0.0))))
    return slice(low, size + min(0, int(np.floor(shifts.min(initial=0.0)))))


def shift_rows(
    rows: NDArray[Any], shifts: NDArray[np.float64], interpolation: Interpolation
) -> NDArray[Any]:
    """Move each row by a number of channels to the right.

    Parameters
    ----------
    rows
        Array (n, D) of real numbers.
    shifts
        Channels (n,); whole ones for ``"none"``.
    interpolation
        ``"cubic"``: the cubic through the four nearest channels; ``"linear"``: through two;
        ``"none"``: values as they are, in their own type.

    Returns
    -------
    :
        Array (n, D), float32 (float64 for float64) if interpolated. What comes in at the ends
        repeats the last channel: see :func:`common_channels`.

    Examples
    --------
    >>> shift_rows(np.array([[0, 8, 0, 0]]), np.array([0.5]), "linear").tolist()
    [[0.0, 4.0, 4.0, 0.0]]
    """
    whole = np.floor(shifts)
    part = shifts - whole
    if interpolation == "none":
        x = rows if rows.dtype.isnative else rows.astype(rows.dtype.newbyteorder("="))
        out = np.empty(x.shape, x.dtype)
    else:
        x = plain(rows)
        out = np.empty(x.shape, np.float64 if x.dtype == np.float64 else np.float32)
    _shift(x, whole.astype(np.int64), _taps(part, interpolation), out)
    return out


def _taps(part: NDArray[np.float64], interpolation: Interpolation) -> NDArray[np.float64]:
    """Weights (n, 4) of the channels at +1, 0, -1 and -2 from where a shift's whole part points."""
    t = part
    if interpolation != "cubic":
        return np.stack([0 * t, 1 - t, t, 0 * t], axis=1)
    return np.stack(
        [
            -t * (1 - t) * (2 - t) / 6,
            (1 + t) * (1 - t) * (2 - t) / 2,
            (1 + t) * t * (2 - t) / 2,
            -(1 + t) * t * (1 - t) / 6,
        ],
        axis=1,
    )


@numba.njit(nogil=True, cache=True)
def _shift(x, whole, taps, out):  # type: ignore[no-untyped-def]
    n, size = x.shape
    for i in range(n):
        a, b, c, d = taps[i]
        for j in range(size):
            at = j - whole[i]
            if b == 1.0:
                out[i, j] = x[i, min(max(at, 0), size - 1)]
            elif 2 <= at < size - 1:
                value = a * x[i, at + 1] + b * x[i, at] + c * x[i, at - 1] + d * x[i, at - 2]
                out[i, j] = value
            else:
                value = 0.0
                for tap, k in ((a, at + 1), (b, at), (c, at - 1), (d, at - 2)):
                    value += tap * x[i, min(max(k, 0), size - 1)]
                out[i, j] = value
