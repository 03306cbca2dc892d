"""Images of a scan: its total, and what else it shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    Signal,
    scan_shape,
)
from clustem.passes.rows import Rows
from clustem.passes.storage import loaded
from clustem.recipes._detectors import positions_of

F64 = NDArray[np.float64]
_GROUPS = 32
"""Groups of channels that a scan's images are made of."""
_SMOOTH, _BEYOND = 1.5, 1.2
"""Width of their smoothing [px], and how far they must exceed the largest of noise."""
_COMPONENTS = 3
"""Images of a scan beside its total."""


def scan_images(signal: Signal) -> F64:
    """Return images of a scan: its total, and what its groups of channels show beside it."""
    shape = positions_of(signal)
    if not scan_shape(signal):
        return np.asarray(loaded(signal.data), dtype=np.float64)[None]
    inner = signal.data.ndim - len(shape)
    rows = Rows(signal.data, row_ndim=inner)
    width = rows.shape[1]
    edges = np.unique(np.linspace(0, width, min(_GROUPS, width) + 1).astype(np.intp))[:-1]
    sums = np.zeros((len(rows), len(edges)))
    for where, part in rows.map(
        lambda block, _: np.add.reduceat(block.astype(np.float64, copy=False), edges, axis=1)
    ):
        sums[where] = part
    total = sums.sum(axis=1)
    shares = sums / np.maximum(np.abs(total), 1e-12)[:, None]
    shares -= shares.mean(axis=0)
    return np.stack([total.reshape(shape), *_least_noise(shares.reshape(*shape, -1))])


def _least_noise(maps: F64) -> F64:
    """Return the combinations of maps (rows, columns, m) that show most beside their noise.

    Maps are smoothed first; what noise would show as well is left out.

    References
    ----------
    A. Green et al., IEEE Trans. Geosci. Remote Sens. 26 (1988) 65 (minimum noise fraction).
    """
    from scipy.linalg import eigh
    from scipy.ndimage import gaussian_filter

    flat = maps.reshape(-1, maps.shape[-1])
    apart = np.concatenate(
        [np.diff(maps, axis=i).reshape(-1, maps.shape[-1]) for i in range(maps.ndim - 1)]
    )
    noise = apart.T @ apart / (2 * max(len(apart), 1))
    floor = 1e-6 * max(float(np.trace(noise)), 1e-300) / len(noise)
    smooth = gaussian_filter(maps, (_SMOOTH,) * (maps.ndim - 1) + (0,))
    flat = smooth.reshape(flat.shape)
    values, vectors = eigh(flat.T @ flat / len(flat), noise + floor * np.eye(len(noise)))
    cells = (2 * np.sqrt(np.pi) * _SMOOTH) ** (maps.ndim - 1)  # positions that are averaged
    by_chance = (1 + np.sqrt(len(noise) * cells / len(flat))) ** 2 / cells
    vectors = vectors[:, values > _BEYOND * by_chance][:, ::-1][:, :_COMPONENTS]
    return np.moveaxis((flat @ vectors).reshape(*maps.shape[:-1], -1), -1, 0)
