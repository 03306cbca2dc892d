"""Dead and hot pixels of a detector."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from clustem.core import Signal, preparation
from clustem.passes.rows import Rows
from clustem.physics.beam import sample_positions
from clustem.prepare._patterns import require_patterns

F64 = NDArray[np.float64]
_RUNS, _RUN = 64, 32
_EXPECTED = 25.0
"""A pixel without counts where this many are expected is dead: chance has exp(-25)."""
_STANDARD_ERRORS = 10.0


@preparation(kind="signal mask")
def bad_pixels(signal: Signal, *, ratio: Annotated[float, Gt(1)] = 5.0) -> NDArray[np.bool_]:
    """Mask dead and hot detector pixels.

    Parameters
    ----------
    signal
        Scan of patterns (scan | row, column), lazy or not.
    ratio
        How many times brighter than its neighbours a hot pixel is, and how many times
        darker a dead one.

    Returns
    -------
    :
        Boolean, shape of a pattern, True = excluded.

    Raises
    ------
    InputError
        If it is not a scan of patterns.

    Notes
    -----
    Judged from some 2000 patterns, spread over the scan. A pixel is dead if it never changes and
    the third darkest of its 8 neighbours is ``ratio`` times as bright, so lines one pixel wide are
    found; where that is fewer than 25 counts in all patterns together, nothing is said. It is hot
    if it is brighter than ``ratio`` times the second brightest of its 8 neighbours, by 10 standard
    errors: pairs of hot pixels are found, and the direct beam is safe unless it is narrower than
    about one pixel. A pixel that is not finite in any of the patterns is bad.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = np.random.default_rng(0).poisson(9, (6, 7, 20, 30))
    >>> scan[..., 3, 4], scan[..., 15, 25] = 0, 200
    >>> np.argwhere(bad_pixels(hs.signals.Signal2D(scan))).tolist()
    [[3, 4], [15, 25]]
    """
    require_patterns(signal, "A search for bad pixels")
    rows = Rows(signal.data, row_ndim=2)
    total, squares, lowest, highest = (
        values.reshape(rows.row_shape) for values in _statistics(rows)
    )
    count = len(sample_positions(rows, runs=_RUNS, length=_RUN))
    broken = ~np.isfinite(total)
    total = np.where(broken, 0.0, total)
    return broken | _dead(total, lowest, highest, ratio) | _hot(total, squares, count, ratio)


def _statistics(rows: Rows) -> list[F64]:
    """Sum, sum of squares, least and largest value of each pixel over some patterns."""

    def one(block: NDArray[Any], _: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        x = block.astype(np.float64)
        return x.sum(axis=0), np.einsum("ij,ij->j", x, x), x.min(axis=0), x.max(axis=0)

    some = sample_positions(rows, runs=_RUNS, length=_RUN)
    with np.errstate(invalid="ignore", over="ignore"):
        parts = [part for _, part in rows.map(one, subset=some)]
    total, squares, lowest, highest = (np.stack(values) for values in zip(*parts, strict=True))
    return [total.sum(axis=0), squares.sum(axis=0), lowest.min(axis=0), highest.max(axis=0)]


def _dead(total: F64, lowest: F64, highest: F64, ratio: float) -> NDArray[np.bool_]:
    third = _of_ring(total, 2)
    dead: NDArray[np.bool_]
    dead = (lowest == highest) & (total * ratio < third) & (third >= _EXPECTED)
    return dead


def _hot(total: F64, squares: F64, count: int, ratio: float) -> NDArray[np.bool_]:
    second = _of_ring(total, -2)
    with np.errstate(invalid="ignore", over="ignore"):
        scatter = np.sqrt(np.maximum(squares - total**2 / count, 0.0))
    error = np.sqrt(np.maximum(second, 0.0)) + np.where(np.isfinite(scatter), scatter, 0.0)
    return (total > ratio * second) & (total - second > _STANDARD_ERRORS * error)


def _of_ring(total: F64, rank: int) -> F64:
    """Pick one of each pixel's 8 neighbours by its rank."""
    from scipy.ndimage import rank_filter

    ring = np.ones((3, 3), dtype=bool)
    ring[1, 1] = False
    return np.asarray(rank_filter(total, rank, footprint=ring, mode="mirror"))
