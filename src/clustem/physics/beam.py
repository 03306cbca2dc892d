"""Where the direct beam hits the detector, and how large its disc is."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, fitting_mask
from clustem.passes.rows import Rows
from clustem.physics.detector import check_center

F64 = NDArray[np.float64]
_SIGNIFICANT = 8.0
"""How far the beam must stand out [standard deviations of the pixels' noise]."""
_WIDEST = 0.2
"""Largest share of the detector that still is a beam and not just uneven light."""
_FLAT = 0.05
"""Share of the steepest slope below which the edge of the disc has ended."""
_MARGIN = 0.5


class Beam(NamedTuple):
    """Center of the direct beam (row, column) and radius of its disc with its blurred edge [px]."""

    center: tuple[float, float]
    radius: float


def sample_positions(rows: Rows, *, runs: int = 32, length: int = 16) -> NDArray[np.intp]:
    """Choose rows in short runs, evenly spaced: few chunks of a file hold them all.

    Parameters
    ----------
    rows
        Rows of a scan.
    runs, length
        Number of runs and rows in each; all rows if there are no more.
    """
    n = len(rows)
    if n <= runs * length:
        return np.arange(n)
    first = np.linspace(0, n - length, runs).astype(np.intp)
    return np.unique(first[:, None] + np.arange(length))


def mean_pattern(rows: Rows) -> F64:
    """Return the mean of some rows in the shape of one row; what is not finite does not count."""
    return finite_mean(rows, subset=sample_positions(rows))


def finite_mean(rows: Rows, *, subset: NDArray[np.intp] | None = None) -> F64:
    """Return the mean of rows in the shape of one row; what is not finite does not count.

    Parameters
    ----------
    rows
        Rows of numbers.
    subset
        Which of them, None for all.
    """

    def one(block: NDArray[Any], _: NDArray[np.intp]) -> tuple[F64, F64]:
        with np.errstate(invalid="ignore", over="ignore"):
            total = block.sum(axis=0, dtype=np.float64)
        if np.isfinite(total).all():  # the usual case, without a copy
            return total, np.full(block.shape[1], float(len(block)))
        finite = np.isfinite(block)
        return (
            np.where(finite, block, 0).sum(axis=0, dtype=np.float64),
            finite.sum(axis=0, dtype=np.float64),
        )

    total, count = np.zeros(rows.shape[1]), np.zeros(rows.shape[1])
    for _, (part, number) in rows.map(one, subset=subset):
        total += part
        count += number
    mean = np.full(len(total), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean.reshape(rows.row_shape)


def find_beam(
    pattern: F64,
    *,
    excluded: NDArray[np.bool_] | None = None,
    center: tuple[float, float] | None = None,
) -> Beam:
    """Find the direct beam in a mean pattern.

    Parameters
    ----------
    pattern
        Mean of many patterns (rows, columns).
    excluded
        Pixels not to be trusted, same shape; those that are not finite are excluded anyway.
    center
        Where the beam is (row, column), if it is known: then only its radius is looked for.

    Raises
    ------
    InputError
        If nothing stands out.

    Notes
    -----
    The beam is the connected region around the brightest point that is brighter than half of it,
    its center that region's center of mass. Its edge ends where the median over each
    ring, forced to fall, has flattened to a twentieth of its steepest slope: spots and single
    hot pixels do not shift a median, and diffuse scattering around the disc is flat.

    Examples
    --------
    >>> row, column = np.mgrid[:40, :50]
    >>> disc = 9.0 * (np.hypot(row - 18, column - 27) < 5)
    >>> beam = find_beam(disc)
    >>> [round(value, 6) for value in beam.center], 5 <= beam.radius <= 7
    ([18.0, 27.0], True)
    """
    clean = _clean(pattern, excluded)
    if center is None:
        center = _center(clean)
    return Beam(center, _radius(clean, center))


def _clean(pattern: F64, excluded: NDArray[np.bool_] | None) -> F64:
    """Fill excluded pixels from their neighbours, and cut single pixels down to these."""
    from scipy.ndimage import gaussian_filter, maximum_filter

    bad = ~np.isfinite(pattern)
    if excluded is not None:
        bad |= excluded
    if bad.all():
        raise InputError(
            "At least one detector pixel must be left in to find the direct beam",
            got=f"all {bad.size} excluded or not finite",
            cure="Loosen the mask.",
        )
    out = np.where(bad, 0.0, pattern)
    if bad.any():
        sigma = 1.0
        while (weight := gaussian_filter((~bad).astype(np.float64), sigma))[bad].min() < 1e-3:
            sigma *= 2
        out[bad] = (gaussian_filter(out, sigma)[bad]) / weight[bad]
    around = np.ones((3, 3), dtype=bool)
    around[1, 1] = False
    out = np.minimum(out, maximum_filter(out, footprint=around, mode="nearest"))
    return np.asarray(out)


def _center(clean: F64) -> tuple[float, float]:
    from scipy.ndimage import gaussian_filter, label

    smooth = gaussian_filter(clean, 1.0, mode="nearest")
    floor = float(np.median(smooth))
    rough = clean - smooth
    noise = 1.4826 * float(np.median(np.abs(rough - np.median(rough))))
    peak = float(smooth.max())
    half = (peak + floor) / 2
    regions, _ = label(smooth > half)
    region = regions == regions.flat[int(smooth.argmax())]
    rises = peak - floor > max(_SIGNIFICANT * noise, 1e-9 * abs(peak))
    if not rises or region.mean() > _WIDEST:
        raise InputError(
            "The direct beam must stand out in the mean pattern",
            got=f"at most {peak:.4g} above a median of {floor:.4g}"
            if not rises
            else f"a bright region that covers {100 * region.mean():.0f} % of the detector",
            cure="Give its center (row, column) and radius, or leave the beam mask out.",
        )
    weight = np.where(region, np.maximum(clean - half, 0.0), 0.0)
    if not weight.any():
        weight = region.astype(np.float64)
    row, column = np.indices(clean.shape)
    total = weight.sum()
    return float((row * weight).sum() / total), float((column * weight).sum() / total)


def _radius(clean: F64, center: tuple[float, float]) -> float:
    row, column = np.indices(clean.shape)
    ring = np.rint(np.hypot(row - center[0], column - center[1])).astype(np.intp)
    order = np.argsort(ring, axis=None, kind="stable")
    ends = np.cumsum(np.bincount(ring.ravel()))
    parts = np.split(clean.ravel()[order], ends[:-1])
    rings = np.flatnonzero([len(part) for part in parts])  # the innermost may hold no pixel
    profile = np.array([np.median(parts[i]) for i in rings])
    falling = np.minimum.accumulate(np.interp(np.arange(len(parts)), rings, profile))
    slope = -np.diff(falling)
    if not slope.any():
        raise InputError(
            "The intensity must fall from the beam's center outwards",
            got="none of it falls",
            cure="Check the center (row, column), or give a radius.",
        )
    steepest = int(slope.argmax())
    flat = np.flatnonzero(slope[steepest:] < _FLAT * slope[steepest])
    end = steepest + int(flat[0]) if len(flat) else len(slope)
    return end + _MARGIN


def beam_of(
    rows: Rows,
    *,
    center: tuple[float, float] | None = None,
    mask: NDArray[np.bool_] | None = None,
) -> Beam:
    """Find the direct beam in the mean of some patterns of a scan.

    Parameters
    ----------
    rows
        Patterns as rows.
    center
        Row and column [px] where they are known: then only the radius is looked for.
    mask
        Boolean, shape of a pattern, True = pixels not to be trusted. A mask over the beam is no
        reason not to see it: leave that out.

    Raises
    ------
    InputError
        If the center lies outside the pattern, the mask does not fit, or there is no beam.
    """
    if center is not None:
        check_center(center, rows.row_shape)
    excluded = fitting_mask(mask, rows.row_shape, "signal")
    return find_beam(mean_pattern(rows), excluded=excluded, center=center)
