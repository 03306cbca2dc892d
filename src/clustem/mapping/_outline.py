"""Where facets end: the outline against what shows no lattice, sharper than the filters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_SHARP = 0.36  # standard deviation of the average at the outline [spacings]
_WIDE = 2.5  # of the average that the lattice is followed with [spacings]
_REACH = 1.0, 2.0  # how far the outline may move outward and inward [spacings]
_SIGMAS = 8.0  # strength that is lattice, over the noise of what is none ...
_BRIGHT = 0.13, 0.25  # ... but at least and at most that share of the facet's own,
_DARK = 0.2, 0.25  # where particles are dark: their waves go on beside them
_CROSS = 0.26  # sine of the angle from which on two waves cross
_PEAKS, _FAINT = 4, 0.25  # most peaks of a facet, and their least height [highest]
_SLOW, _FAST = 1.4, 0.45  # longest period [spacings] and highest frequency of a peak [1/px]


def outlined(
    labels: NDArray[np.intp], image: F64, *, spacing: float, grain: int = 1
) -> NDArray[np.intp]:
    """Move the outline of facets to where their lattice ends.

    Parameters
    ----------
    labels
        Facet of each pixel, -1 where there is none, (rows, columns).
    image
        The image.
    spacing
        Largest spacing of the fringes [px].
    grain
        Pixels along a side that share an average over 2.5 spacings; from 2 on in single precision.

    Returns
    -------
    :
        Labels; borders between facets stay, and the outline of those with one set of fringes.

    Notes
    -----
    The phase of each of a facet's strongest waves is followed through it and beyond it. The
    image in step with them, averaged over a third of a spacing, is 1 in the facet and 0 where there
    is noise or another lattice; an eighth to a quarter of that, by the noise beside the facets,
    is lattice, so that thin rims count. Dark particles, in bright field, need a fifth: defocus
    carries their waves beyond their edge. Filters are wider, and their strength has no phase.
    """
    from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter

    off = labels < 0
    if off.all() or not off.any():
        return labels
    outside, places = distance_transform_edt(off, return_indices=True)
    inside = distance_transform_edt(~off)
    nearest = labels[tuple(places)]
    detail = image - gaussian_filter(image, 2 * spacing)
    strength, fixed = np.zeros(image.shape), np.zeros(image.shape, dtype=bool)
    reach = int(np.ceil(3 * spacing))
    for facet in np.unique(labels[~off]):
        rows, columns = (np.flatnonzero((labels == facet).any(axis=axis)) for axis in (1, 0))
        box = tuple(
            slice(max(int(along[0]) - reach, 0), int(along[-1]) + reach + 1)
            for along in (rows, columns)
        )
        found = _in_step(detail[box], labels[box] == facet, spacing, grain)
        if found is None:
            fixed |= nearest == facet
        else:
            strength[box] = np.where(nearest[box] == facet, found, strength[box])
    film = strength[~fixed & (outside > spacing) & (outside < reach)]
    noise = 1.4826 * float(np.median(np.abs(film - np.median(film)))) if film.size else 0.0
    dark = image[~off].mean() < image[off & (outside < reach)].mean()
    lattice = strength > np.clip(_SIGMAS * noise, *(_DARK if dark else _BRIGHT))
    lattice &= outside < _REACH[0] * spacing
    lattice |= inside > _REACH[1] * spacing
    sharp = np.where(binary_fill_holes(lattice), nearest, -1)
    return np.where(fixed, labels, sharp)


def _in_step(image: F64, facet: NDArray[np.bool_], spacing: float, grain: int) -> F64 | None:
    """Follow the waves of a facet: 1 where the image is in step with them as in the facet.

    None where they have one direction only: an edge along them would be in step, too.
    """
    from scipy.ndimage import binary_erosion, gaussian_filter

    real = np.dtype(np.float64 if grain == 1 else np.float32)
    core = binary_erosion(facet, iterations=2).astype(real)
    waves = _waves(image * gaussian_filter(core, 3.0), spacing)
    if not _cross(waves):
        return None
    total, out = 0.0, np.zeros(image.shape, dtype=real)
    weight = _coarse(core, grain, _WIDE * spacing)
    row, column = (np.arange(size) for size in image.shape)
    for wave in waves:
        turned = (
            np.exp(-2j * np.pi * place * f) for place, f in zip((row, column), wave, strict=True)
        )
        down, right = (factor.astype(np.result_type(real, np.complex64)) for factor in turned)
        still = image.astype(real) * down[:, None] * right
        inside = still * core
        own = _coarse(inside, grain, _WIDE * spacing) / np.maximum(weight, 1e-6)
        power = float(np.abs(inside.sum(dtype=np.complex128) / max(core.sum(), 1.0)) ** 2)
        unit = own.conj() / np.maximum(np.abs(own) ** 2, 1e-30)
        here = _averaged(still, _SHARP * spacing)
        out += power * (here * _enlarged(unit, grain, image.shape)).real
        total += power
    near = _enlarged(weight, grain, image.shape) > 1e-3
    return np.where(near, out / total, 0.0).astype(np.float64) if total else out.astype(np.float64)


def _coarse(values: NDArray[Any], grain: int, sigma: float) -> NDArray[Any]:
    """Average over a width [px] that hardly changes within a grain; one value for each grain."""
    rows, columns = (-(-size // grain) for size in values.shape)
    gap = [(0, n * grain - size) for n, size in zip((rows, columns), values.shape, strict=True)]
    padded = np.pad(values, gap, mode="symmetric")
    means = padded.reshape(rows, grain, columns, grain).mean(axis=(1, 3))
    return _averaged(means, sigma / grain)


def _enlarged(values: NDArray[Any], grain: int, shape: tuple[int, ...]) -> NDArray[Any]:
    """Interpolate linearly between the middles of grains."""
    for axis, size in enumerate(shape if grain > 1 else ()):
        place = ((np.arange(size) + 0.5) / grain - 0.5).clip(0, values.shape[axis] - 1)
        first = np.minimum(place.astype(np.intp), max(values.shape[axis] - 2, 0))
        share = np.expand_dims((place - first).astype(np.float32), 1 - axis)
        second = np.minimum(first + 1, values.shape[axis] - 1)
        low, high = values.take(first, axis), values.take(second, axis)
        values = low + share * (high - low)
    return values


def _waves(image: F64, spacing: float) -> list[tuple[float, float]]:
    """Frequencies along rows and columns of the strongest peaks of the spectrum [1/px]."""
    size = np.array(image.shape)
    power = np.abs(np.fft.fft2(image))
    row, column = np.fft.fftfreq(size[0])[:, None], np.fft.fftfreq(size[1])
    frequency = np.hypot(row, column)
    half = (column > 0) | ((column == 0) & (row > 0))
    power = np.where(half & (frequency > 1 / (_SLOW * spacing)) & (frequency < _FAST), power, 0)
    highest, apart = power.max(), 2.5 / np.sqrt(size.prod()) * 2
    found = []
    for _ in range(_PEAKS):
        i, j = np.unravel_index(power.argmax(), power.shape)
        if power[i, j] <= _FAINT * highest:
            break
        found.append((float(row[i, 0]), float(column[j])))
        power = np.where(np.hypot(row - row[i, 0], column - column[j]) < apart, 0, power)
    return found


def _cross(waves: list[tuple[float, float]]) -> bool:
    """Whether waves have more than one direction."""
    angles = np.arctan2(*np.reshape(waves, (-1, 2)).T)
    return bool((np.abs(np.sin(angles - angles[:1])) > _CROSS).any())


def _averaged(values: NDArray[Any], sigma: float) -> NDArray[Any]:
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(values, sigma))
