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
_WINDOW = 2048  # side of the parts of a large image whose spectra are averaged
_LARGE = 2**20  # pixels from which on they are
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
    and the peaks of this profile are the fringes. Beyond 2^20 pixels the spectra of squares of
    up to 2048 pixels are averaged, which cover the image.
    """
    from scipy.ndimage import gaussian_filter1d
    from scipy.signal import find_peaks

    large = image.size > _LARGE
    power, ring = _mean_spectrum(image) if large else _spectrum(image)
    size = min(power.shape)
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
    return power, _rings(power.shape)


def _mean_spectrum(image: NDArray[np.float32]) -> tuple[F64, NDArray[np.intp]]:
    """Average the spectra of squares; a Hann window holds back what is slower than 10 fringes."""
    from scipy.fft import fft2
    from scipy.ndimage import gaussian_filter

    side = min(_WINDOW, *image.shape)
    window = np.hanning(side + 2)[1:-1].astype(np.float32)
    starts = [
        np.unique(np.linspace(0, size - side, -(-size // side)).astype(int)) for size in image.shape
    ]
    total = np.zeros((side, side))
    for first in starts[0]:
        for left in starts[1]:
            part = image[first : first + side, left : left + side]
            part = (part - part.mean()) * window[:, None] * window
            total += np.abs(fft2(part, overwrite_x=True)) ** 2
    power = gaussian_filter(total / (len(starts[0]) * len(starts[1])), 1.5, mode="wrap")
    return power, _rings(power.shape)


def _rings(shape: tuple[int, ...]) -> NDArray[np.intp]:
    q = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    return np.asarray((q * min(shape) + 0.5).astype(np.intp))
