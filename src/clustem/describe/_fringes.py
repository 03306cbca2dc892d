"""Lattice fringes in the power spectrum of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError

F64 = NDArray[np.float64]
_FIRST = 10  # fringes across the shorter side at least; what is slower is shape, not lattice
_ABOVE = 10.0  # a spot rises this much above the background; noise and amorphous films do not
_RINGS = 4.0  # how much brighter a ring may be than the gaps before it, and still be background
_FASTEST = 2.4  # shortest spacing [px]; faster ones are noise of the detector
_FAINT = 0.05  # fainter peaks of the profile, relative to the strongest, do not count


def fringe_wavelengths(image: NDArray[np.float32], *, most: int) -> list[float]:
    """Find the spacings of an image's lattice fringes.

    Parameters
    ----------
    image
        Image (rows, columns).
    most
        Number of spacings at most, the strongest first chosen.

    Returns
    -------
    :
        Spacings [px], longest first.

    Raises
    ------
    InputError
        If no spot of the power spectrum stands out.

    Notes
    -----
    The spectrum is taken of the windowed image without its slow changes, and smoothed. The
    background of a ring is its median, held down to what the rings before it had, since
    many grains fill a whole ring with spots. What rises above it is added up along each ring,
    and the peaks of this profile are the fringes.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    size = min(image.shape)
    power, ring = _spectrum(image)
    last = size // 2
    ring = np.minimum(ring, last)
    order = np.argsort(ring, axis=None, kind="stable")
    cuts = np.searchsorted(ring.ravel()[order], np.arange(1, last + 1))
    middle = np.array([np.median(part) for part in np.split(power.ravel()[order], cuts)])
    held = np.minimum.accumulate(middle[_FIRST // 2 :])
    base = np.maximum(np.concatenate([middle[: _FIRST // 2], held]), middle / _RINGS)
    base = np.maximum(base, power.max() * 1e-12)
    spots = np.where(power > _ABOVE * base[ring], power - base[ring], 0)
    profile = np.bincount(ring.ravel(), spots.ravel(), last + 1)
    profile[-1] = 0
    smooth = gaussian_filter1d(profile, 1.0)
    highest = smooth[_FIRST + 1 :].max(initial=0.0)
    peaks = np.array([], dtype=np.intp)
    if highest > 0:
        apart = max(3, int(0.015 * size))
        peaks, _ = find_peaks(
            smooth, height=_FAINT * highest, prominence=0.5 * _FAINT * highest, distance=apart
        )
        peaks = peaks[peaks > _FIRST]
        peaks = peaks[size / peaks >= _FASTEST]
    if not len(peaks):
        raise InputError(
            "The image must show lattice fringes",
            got=f"no spot in its power spectrum between 2.4 and {size / _FIRST:.0f} px",
            cure="Give the wavelengths [px], or an image with atomic resolution.",
        )
    strongest = np.sort(peaks[np.argsort(-smooth[peaks], kind="stable")][:most])
    found = []
    for peak in strongest:
        near = slice(max(peak - 2, 0), peak + 3)
        rings = np.arange(last + 1)[near]
        found.append(size * profile[near].sum() / float(profile[near] @ rings))
    return found


def _spectrum(image: NDArray[np.float32]) -> tuple[F64, NDArray[np.intp]]:
    """Smoothed power of each Fourier coefficient and the ring it lies in, 1 / shorter side wide."""
    from scipy.fft import fft2
    from scipy.ndimage import gaussian_filter

    rows, columns = image.shape
    window = np.hanning(rows + 2)[1:-1, None] * np.hanning(columns + 2)[1:-1]
    detail = image - gaussian_filter(image, min(rows, columns) / 12)
    power = np.abs(fft2(detail * window)) ** 2
    power = gaussian_filter(power, 1.5, mode="wrap")
    q = np.hypot(np.fft.fftfreq(rows)[:, None], np.fft.fftfreq(columns))
    return power, (q * min(rows, columns) + 0.5).astype(np.intp)
