"""How many neighbouring channels or pixels are summed to one feature."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import Signal, record
from clustem.passes.rows import Rows

Pool = Literal["auto"] | int
_ENOUGH = 100
"""Counts of a feature over the whole scan that say how much of it a cluster has."""
_MOST = 8
"""Largest number of channels, or pixels along a side, that are summed."""
_WIDEST = 0.05
"""Channels of X-rays are summed up to this: a standard deviation of a detector's peak [keV]."""
_LEAST = 16
"""Features that a side of a pattern keeps."""
_SAMPLE = 2048
"""Rows from which the counts are estimated."""


def channels(pool: Pool, rows: Rows, signal: Signal) -> int:
    """Return how many channels of spectra are summed."""
    if pool != "auto":
        return pool
    axis = signal.axes_manager.signal_axes[0]
    unit = {"kev": 1.0, "ev": 1e-3}.get(str(axis.units).strip().lower())
    most = _MOST
    if unit is not None and axis.is_uniform:
        most = max(1, int(_WIDEST / (abs(axis.scale) * unit) + 1e-6))
    missing = _ENOUGH / max(_counts_of_a_column(rows), 1e-9)
    return _said(int(min(max(1, np.ceil(missing)), most, _MOST)), "channels")


def pixels(pool: Pool, rows: Rows) -> int:
    """Return how many pixels of patterns are summed along each side."""
    if pool != "auto":
        return pool
    found, missing = 1, _ENOUGH / max(_counts_of_a_column(rows), 1e-9)
    while missing > found**2 and 2 * found <= _MOST and min(rows.row_shape) >= 2 * found * _LEAST:
        found *= 2
    return _said(found, "pixels along each side")


def groups_of(shape: tuple[int, ...], pool: int, kept: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the number of the feature that each column left in is added to."""
    places = np.indices(shape) // pool
    sizes = [-(-size // pool) for size in shape]
    flat = np.ravel_multi_index(tuple(places), tuple(sizes))
    _, groups = np.unique(flat[kept], return_inverse=True)
    return groups.astype(np.intp)


def _counts_of_a_column(rows: Rows) -> float:
    """Estimate the counts of a column over all rows."""
    numbers = np.unique(np.linspace(0, len(rows) - 1, _SAMPLE).astype(np.intp))
    return float(rows.take(numbers).mean(dtype=np.float64) * len(rows))


def _said(pool: int, what: str) -> int:
    note = f"{pool} {what} summed to a feature: there are few counts" if pool > 1 else ""
    record(note, pool=pool)
    return pool
