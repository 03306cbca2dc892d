"""Atom columns in an image of a lattice."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError
from clustem.describe._bands import PIXELS, Bands, deviation
from clustem.passes.scratch import scratch

F64 = NDArray[np.float64]
_REFINEMENTS = 3
_SEEN = 4 * (0.13 + 1.5)
"""Lines around that smoothing sees [spacings]."""
_AT_ONCE = 2**14
"""Columns that are refined at a time."""
_AROUND = 4
"""Neighbours that a column is compared with."""
_HEAVY = 0.6
"""Height of a heavy column at least, as a share of its highest neighbour's."""
_WIDTHS = (12, 36, 108)
"""Parts of the image's shorter side beyond which brightness is background, tried in turn."""
_CLEAR = 0.12
"""Height of a repeat in the autocorrelation from which on an image counts as a lattice."""


def find_columns(
    image: NDArray[Any],
    *,
    spacing: float | None = None,
    contrast: Literal["bright", "dark"] = "bright",
    heavy: bool = False,
) -> tuple[F64, float]:
    """Find the positions of atom columns to a fraction of a pixel.

    Parameters
    ----------
    image
        Image (rows, columns).
    spacing
        Distance of neighbouring columns [px]; taken from the image's autocorrelation if None.
    contrast
        Whether columns are brighter or darker than what is between them.
    heavy
        Whether only the stronger ones of two kinds are taken.

    Returns
    -------
    :
        Positions (n, 2) as row and column [px], and the spacing [px].

    Raises
    ------
    InputError
        If no lattice repeats, no column stands out, or the spacing is wider than the image.

    Notes
    -----
    Maxima of the smoothed image without its background, at least 0.3 spacings apart and higher
    than half its standard deviation; the stronger of two kinds are those with more than 0.6 of
    the height of each of their four neighbours. Each then moves to the center of mass of what lies
    above the lowest value within 0.4 spacings.
    """
    from scipy.spatial import KDTree

    if spacing is not None and spacing > min(image.shape):
        raise InputError(
            "The spacing of atom columns must fit into the image",
            got=f"{spacing:.4g} px in an image of {image.shape}",
            cure="Give the distance of neighbouring columns [px], or leave it out.",
        )
    sign = 1 if contrast == "bright" else -1
    found = spacing or lattice_spacing(_middle(image).astype(np.float64) * sign)
    smooth = scratch(image.shape, np.float64)
    for band in Bands(image).around(ceil(_SEEN * found)):
        smooth[band.lines] = _flat(band.values * sign, found)[band.inside]
    peaks = np.concatenate([*_peaks(smooth, max(1, int(0.3 * found)))])
    heights = smooth[tuple(peaks.T)]
    order = np.argsort(-heights, kind="stable")  # whatever the bands
    peaks, heights = peaks[order], heights[order]
    bar = 0.5 * deviation(band.values for band in Bands(smooth))
    peaks, heights = peaks[heights > bar], heights[heights > bar]
    if heavy and len(peaks) > _AROUND:
        _, near = KDTree(peaks).query(peaks, _AROUND + 1)
        peaks = peaks[heights > _HEAVY * heights[near[:, 1:]].max(axis=1)]
    parts = np.array_split(peaks.astype(np.float64), len(peaks) // _AT_ONCE + 1)
    positions = np.concatenate([_refined(smooth, part, 0.4 * found) for part in parts])
    if len(positions) == 0:
        raise InputError(
            "At least one atom column must stand out",
            got="none",
            cure="Give the spacing [px], try contrast='dark', or take at='grid'.",
        )
    return positions, found


def _middle(image: NDArray[Any]) -> NDArray[Any]:
    """Return the image, or of a large one the middle, in which enough repeats."""
    if image.size <= PIXELS:
        return image
    side = int(np.sqrt(PIXELS))
    cuts = [max((size - side) // 2, 0) for size in image.shape]
    return image[cuts[0] : cuts[0] + side, cuts[1] : cuts[1] + side]


def _flat(image: F64, spacing: float) -> F64:
    """Smooth columns and subtract what varies over more than a spacing."""
    from scipy.ndimage import gaussian_filter

    smooth: F64 = gaussian_filter(image, 0.13 * spacing)
    smooth -= gaussian_filter(smooth, 1.5 * spacing)
    return smooth


def _peaks(smooth: F64, apart: int) -> Iterator[NDArray[np.intp]]:
    """Yield the maxima (n, 2) of some lines at a time."""
    from skimage.feature import peak_local_max

    for band in Bands(smooth).around(4 * apart):
        found = peak_local_max(band.values, min_distance=apart, exclude_border=False)
        first, last = band.inside.start, band.inside.stop
        found = found[(found[:, 0] >= first) & (found[:, 0] < last)]
        yield found + np.array([band.lines.start - first, 0])


def lattice_spacing(image: F64) -> float:
    """Return the distance of neighbouring columns [px], from the autocorrelation.

    Raises
    ------
    InputError
        If nothing repeats.
    """
    from skimage.feature import peak_local_max

    for part in _WIDTHS:
        near = _correlation(image, min(image.shape) / part)
        reach = len(near) // 2
        peaks = peak_local_max(near, min_distance=2, threshold_abs=_CLEAR, exclude_border=False)
        distance = np.hypot(*(peaks - reach).T)
        height = near[tuple(peaks.T)]
        away = distance > 2.5
        if away.any():
            clear = away & (height > 0.5 * height[away].max())
            return float(distance[clear].min())
    raise InputError(
        "A lattice must repeat in the image for its columns to be found",
        got="an image in which nothing does",
        cure="Give the spacing [px], positions, or take at='grid'.",
    )


def _correlation(image: F64, width: float) -> F64:
    """Autocorrelation around zero shift, without what varies over more than a width [px]."""
    from scipy.fft import irfft2, next_fast_len, rfft2
    from scipy.ndimage import gaussian_filter

    x = gaussian_filter(image, 0.7)
    x -= gaussian_filter(x, width)
    x *= np.hanning(len(x))[:, None] * np.hanning(x.shape[1])
    reach = min(image.shape) // 3
    shape = [next_fast_len(length + reach + 1, real=True) for length in image.shape]
    found = irfft2(np.abs(rfft2(x, shape)) ** 2, shape)
    shifts = np.arange(-reach, reach + 1)
    out: F64 = found[np.ix_(shifts, shifts)] / found[0, 0]
    return out


def _refined(smooth: F64, positions: F64, radius: float) -> F64:
    """Move each position to the center of mass around it, some times; off the image: dropped."""
    reach = int(np.ceil(radius))
    shape = np.array(smooth.shape)
    offsets = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1).T
    for _ in range(_REFINEMENTS):
        base = np.rint(positions).astype(np.intp)
        inside = ((base >= reach) & (base < shape - reach)).all(axis=1)
        positions, base = positions[inside], base[inside]
        where = base[:, None] + offsets
        values = smooth[where[..., 0], where[..., 1]]
        distance = np.linalg.norm(where - positions[:, None], axis=-1)
        weight = np.clip(radius + 0.5 - distance, 0, 1)
        lowest = np.where(weight > 0, values, np.inf).min(axis=1, keepdims=True)
        weight *= values - lowest
        total = weight.sum(axis=1)
        moved = (weight[..., None] * where).sum(axis=1) / np.maximum(total, 1e-300)[:, None]
        positions = np.where(total[:, None] > 0, moved, positions)
    return positions
