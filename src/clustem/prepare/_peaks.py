"""Peaks of a spectrum of counts, on whatever smooth background."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_FLOOR = 0.02  # variance of an empty channel's mean [counts²]


@dataclass(frozen=True)
class Peaks:
    """Peaks by rising position.

    Attributes
    ----------
    position
        Center (p,) [channels].
    significance
        Height over background divided by its standard error, (p,).
    """

    position: F64
    significance: F64


def top_hat(values: F64, width: int) -> F64:
    """Subtract the mean of both sides from the mean of a window.

    A constant or a slope becomes 0, and whatever is much wider than the window nearly so.

    Parameters
    ----------
    values
        Array (..., n).
    width
        Odd number of channels in the window; each side has half as many.

    Returns
    -------
    :
        Array (..., n); the first and last ``width`` channels are cut off and not to be used.

    Examples
    --------
    >>> float(top_hat(np.arange(9.0) + 6 * (np.arange(9) == 4), 3)[4])
    2.0
    """
    middle, sides = _windows(values, width)
    return middle / width - sides / (2 * (width // 2))


def top_hat_variance(variance: F64, width: int) -> F64:
    """Variance of :func:`top_hat` of independent channels with these variances."""
    middle, sides = _windows(variance, width)
    return middle / width**2 + sides / (2 * (width // 2)) ** 2


def _windows(values: F64, width: int) -> tuple[F64, F64]:
    """Sum the window and both its sides."""
    n, half, side = values.shape[-1], width // 2, width // 2
    sums = np.zeros((*values.shape[:-1], n + 1))
    np.cumsum(values, axis=-1, out=sums[..., 1:])
    first = np.arange(n) - half

    def between(start: NDArray[np.intp], length: int) -> F64:
        return sums[..., np.clip(start + length, 0, n)] - sums[..., np.clip(start, 0, n)]

    middle = between(first, width)
    return middle, between(first - side, width + 2 * side) - middle


def odd_widths(fwhm: F64) -> NDArray[np.intp]:
    """Odd number of channels nearest to a full width at half maximum, at least 3."""
    return np.asarray(np.maximum(np.round(fwhm).astype(np.intp) | 1, 3))


def find_peaks(counts: F64, fwhm: F64, *, significance: float = 4.0) -> Peaks:
    """Find what is as wide as a line and higher than noise.

    Parameters
    ----------
    counts
        Spectrum (n,).
    fwhm
        Full width at half maximum of a line at each channel (n,) [channels].
    significance
        Smallest height of a peak in units of its standard error.

    Returns
    -------
    :
        Peaks, with centers from a parabola through the filtered peak's top.

    Examples
    --------
    >>> channel = np.arange(200)
    >>> counts = 50 + 400 * np.exp(-((channel - 80.3) ** 2) / 18)
    >>> find_peaks(counts, np.full(200, 7.0)).position.round(1).tolist()
    [80.3]
    """
    widths = odd_widths(fwhm)
    height, noise = np.zeros(len(counts)), np.ones(len(counts))
    for width in np.unique(widths):
        here = widths == width
        height[here] = top_hat(counts, width)[here]
        variance = top_hat_variance(np.maximum(counts, _FLOOR), width)
        noise[here] = np.sqrt(variance[here])
    score = height / noise
    margin = 2 * int(widths.max())
    inner = np.arange(margin, len(counts) - margin)
    is_top = (height[inner] > height[inner - 1]) & (height[inner] >= height[inner + 1])
    position, strength = [], []
    for top in inner[is_top & (score[inner] > significance)]:
        reach = max(1, int(0.35 * fwhm[top]))
        near = np.arange(top - reach, top + reach + 1)
        if height[top] < height[near].max():
            continue
        curve, slope, _ = np.polyfit(near - top, height[near], 2)
        shift = -slope / (2 * curve) if curve < 0 else 0.0
        position.append(top + float(np.clip(shift, -reach, reach)))
        strength.append(score[top])
    return Peaks(np.array(position, dtype=np.float64), np.array(strength, dtype=np.float64))
