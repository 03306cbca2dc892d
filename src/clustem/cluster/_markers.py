"""Where clusters start that were drawn by hand: the means of regions, and far rows for the rest."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.passes.rows import Rows
from clustem.passes.transform import RowTransform

F64 = NDArray[np.float64]


def region_starts(
    rows: Rows,
    regions: NDArray[np.integer[Any]],
    k: int,
    *,
    transform: RowTransform | None = None,
    random_state: int = 0,
) -> F64:
    """Return k centers: the mean of each region, then rows far from all centers so far.

    Parameters
    ----------
    rows
        Rows (n, D).
    regions
        Region of each row (n,), 0 ... R-1, -1 = none; each has rows, and R is at most k.
    k
        Number of centers.
    transform
        What is done to each row first; nothing if None.
    random_state
        Seed of the draw.

    Returns
    -------
    :
        Centers (k, D), in the space of the transformed rows.

    Notes
    -----
    Rows beyond the regions' means are drawn as k-means++ does, the farther the more likely. One
    pass over the regions, and one over all rows per center that is missing.

    Examples
    --------
    >>> rows = Rows(np.array([[0.0], [2.0], [9.0], [9.0]]))
    >>> region_starts(rows, np.array([0, 0, -1, -1]), 2)
    array([[1.],
           [9.]])
    """
    move = _as_they_are if transform is None else transform.apply
    count = int(regions.max()) + 1
    centers = np.zeros((k, rows.shape[1]))

    def sums(block: NDArray[Any], where: NDArray[np.intp]) -> F64:
        member = (regions[where] == np.arange(count)[:, None]).astype(np.float64)
        out: F64 = member @ move(block)
        return out

    for _, part in rows.map(sums, subset=np.flatnonzero(regions >= 0)):
        centers[:count] += part
    centers[:count] /= np.bincount(regions[regions >= 0])[:, None]

    least, rng = np.full(len(rows), np.inf), np.random.default_rng(random_state)
    for j in range(k if k > count else 0):
        if j >= count:
            centers[j] = move(rows.take(np.array([_drawn(least, rng)])))[0]
        for where, part in rows.map(partial(_squares, move, centers[j])):
            least[where] = np.minimum(least[where], part)
    return centers


def _as_they_are(block: NDArray[Any]) -> F64:
    return block.astype(np.float64)


def _squares(
    move: Callable[[NDArray[Any]], F64], center: F64, block: NDArray[Any], _: NDArray[np.intp]
) -> F64:
    apart = move(block) - center
    out: F64 = np.einsum("ij,ij->i", apart, apart)
    return out


def _drawn(weights: F64, rng: np.random.Generator) -> int:
    """Draw a row with a probability in proportion to its weight; any if nothing weighs."""
    running = np.cumsum(weights)
    if running[-1] == 0:
        return int(rng.integers(len(weights)))
    at = np.searchsorted(running, rng.random() * running[-1], side="right")
    return min(int(at), len(weights) - 1)
