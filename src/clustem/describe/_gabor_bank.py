"""A bank of Gabor filters, applied to an image in bands of rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, cos, pi, radians, sin

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
_TAIL = 3.0  # standard deviations after which a Gaussian is over
_BAND = 2**26  # bytes of features made at a time, where the image is large
_WINDOW = 512  # side of the parts of an image that set the floors
_NOISE = 1.0  # energies up to this many times the median over orientations are noise
_ISOTROPIC = 1.0  # standard deviation over which that median is averaged [wavelengths]
_THIN = 3  # every third pixel is enough for the median, which is averaged anyway
_AROUND = 2.0  # standard deviation of the surroundings that set the scale [wavelengths]
_FLOOR = 10.0, 0.01  # shares of noise and lattice: energies far below are not scaled up


@dataclass(frozen=True)
class Bank:
    """Filters by wavelength and orientation, and what is done with their responses.

    Parameters
    ----------
    wavelengths
        Wavelengths [px].
    orientations
        Directions of the wave vector [°], from the columns' axis toward the rows'.
    envelope
        Standard deviation of the Gaussian envelope [wavelengths].
    smooth
        Standard deviation over which energies are averaged [wavelengths].
    normalize
        Whether energies become relative to the strongest around.
    """

    wavelengths: tuple[float, ...]
    orientations: tuple[float, ...]
    envelope: float
    smooth: float
    normalize: bool

    def features(self, image: F32, out: F32, *, threads: int | None = None) -> None:
        """Fill ``out`` (rows, columns, wavelengths, orientations) with the responses."""
        workers = threads or _cores()
        rows, columns = image.shape
        widest = max(self.wavelengths)
        pad = ceil(_TAIL * (self.envelope + self.smooth) * widest)
        over = ceil(_TAIL * (_ISOTROPIC + _AROUND) * widest) + 2 if self.normalize else 0
        centered = (image - image.mean(dtype=np.float64)).astype(np.float32)
        padded = np.pad(centered, pad, mode="symmetric")
        per_row = columns * len(self.wavelengths) * len(self.orientations) * 4
        step = rows if rows * per_row <= 4 * _BAND else max(2 * over, _BAND // per_row, 1)
        with ThreadPoolExecutor(workers) as pool:
            floors = self._floors(centered, pad, pool) if self.normalize else ()
            for first in range(0, rows, step):
                last = min(first + step, rows)
                top, bottom = max(first - over, 0) // _THIN * _THIN, min(last + over, rows)
                band = padded[top : bottom + 2 * pad]
                for i, energies in enumerate(self._energies(band, pool)):
                    inner = [e[pad : pad + bottom - top, pad : pad + columns] for e in energies]
                    part = np.stack(inner, axis=-1)
                    if self.normalize:
                        relative(part, widest, floors[i], pool, workers)
                    else:
                        np.sqrt(np.maximum(part, 0, out=part), out=part)
                    out[first:last, :, i] = part[first - top : last - top]

    def _energies(self, band: F32, pool: ThreadPoolExecutor) -> Iterator[list[F32]]:
        """Smoothed energies of all orientations, wavelength by wavelength."""
        from scipy.fft import fft2, next_fast_len  # noqa: PLC0415  # 0.1 s

        sizes = tuple(next_fast_len(size) for size in band.shape)
        spectrum = fft2(band, s=sizes)
        for wavelength in self.wavelengths:
            blur = _gaussian(sizes, self.smooth * wavelength) if self.smooth else None

            def one(angle: float, wavelength: float = wavelength, blur: F32 | None = blur) -> F32:
                return _energy(spectrum, band.shape, (wavelength, angle, self.envelope), blur)

            yield list(pool.map(one, self.orientations))

    def _floors(
        self, image: F32, pad: int, pool: ThreadPoolExecutor
    ) -> tuple[tuple[float, float], ...]:
        """Per wavelength the level of the noise and of the lattice, from a coarse look."""
        found: list[list[F32]] = [[] for _ in self.wavelengths]
        for first in _starts(image.shape[0]):
            for left in _starts(image.shape[1]):
                part = image[first : first + _WINDOW, left : left + _WINDOW]
                padded = np.pad(part, pad, mode="symmetric")
                for i, energies in enumerate(self._energies(padded, pool)):
                    rows, columns = (slice(pad, pad + size, 3) for size in part.shape)
                    thin = np.stack([energy[rows, columns] for energy in energies], axis=-1)
                    found[i].append(thin.reshape(-1, thin.shape[-1]))
        floors = []
        for pieces in found:
            energies = np.concatenate(pieces)
            noise = np.median(energies, axis=1)
            excess = np.maximum(energies - _NOISE * noise[:, None], 0).sum(axis=1)
            isotropic = float(np.median(noise)) * energies.shape[1] / 4
            floors.append((isotropic, float(np.quantile(excess, 0.98))))
        return tuple(floors)


def relative(
    stack: F32, width: float, floor: tuple[float, float], pool: ThreadPoolExecutor, workers: int
) -> None:
    """Make energies (rows, columns, orientations) relative to the surroundings', in place.

    What all orientations share is noise or film, and goes. The energy left is divided by that of
    the surroundings, weighted by itself: at the edge of a thin facet beside a thick one it
    still falls to a quarter where the fringes fall to half.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates  # noqa: PLC0415  # 0.1 s

    height, columns = stack.shape[:2]
    cuts = np.linspace(0, height, min(height, 4 * workers) + 1).astype(int)
    parts = [slice(a, b) for a, b in pairwise(cuts.tolist())]
    thin = stack[::_THIN, ::_THIN]
    few = np.empty(thin.shape[:2], dtype=np.float32)
    noise, total = np.empty((2, height, columns), dtype=np.float32)

    def median(rows: slice) -> None:
        few[rows] = np.median(thin[rows], axis=-1)

    def spread(rows: slice) -> None:
        place = np.meshgrid(np.arange(rows.start, rows.stop), np.arange(columns), indexing="ij")
        noise[rows] = map_coordinates(few, np.array(place) / _THIN, order=1, mode="nearest")

    def subtract(rows: slice) -> None:
        stack[rows] -= _NOISE * noise[rows, :, None]
        np.maximum(stack[rows], 0, out=stack[rows])
        total[rows] = stack[rows].sum(axis=-1)

    def divide(rows: slice) -> None:
        stack[rows] *= scale[rows, :, None]
        np.sqrt(stack[rows], out=stack[rows])

    list(pool.map(median, [slice(i, i + 8) for i in range(0, len(few), 8)]))
    few = gaussian_filter(few, _ISOTROPIC * width / _THIN, truncate=_TAIL, mode="nearest")
    list(pool.map(spread, parts))
    list(pool.map(subtract, parts))
    level = max(floor[1], 1e-30)
    total /= level  # squares must not overflow
    mean, square = (gaussian_filter(x, _AROUND * width, truncate=_TAIL) for x in (total, total**2))
    around = level * square / np.maximum(mean, 1e-12)
    scale = 1 / (around + _FLOOR[0] * floor[0] + _FLOOR[1] * floor[1] + 1e-30)
    list(pool.map(divide, parts))


def _energy(
    spectrum: NDArray[np.complex64],
    shape: tuple[int, ...],
    kernel: tuple[float, float, float],
    blur: F32 | None,
) -> F32:
    """Squared magnitude of one filter's response, averaged."""
    from scipy.fft import ifft2, irfft2, rfft2  # noqa: PLC0415  # 0.1 s

    rows, columns = transfer(spectrum.shape, *kernel)
    response = ifft2(spectrum * rows[:, None] * columns, overwrite_x=True)
    energy = response.real**2 + response.imag**2
    if blur is not None:
        energy = irfft2(rfft2(energy) * blur, s=spectrum.shape)
    return energy[: shape[0], : shape[1]]


def transfer(
    shape: tuple[int, ...], wavelength: float, angle: float, envelope: float
) -> tuple[F32, F32]:
    """Transfer function of a Gabor filter as a product of rows and columns.

    The Fourier transform of ``exp(-r² / (2 s²) + 2 pi i x' / wavelength)`` with ``s`` of
    ``envelope`` wavelengths, divided by ``2 pi s²``: a fringe of amplitude 1 gives 1/2.
    """
    width = 2 * (pi * envelope * wavelength) ** 2
    turned = radians(angle)
    out = []
    for size, part in zip(shape, (sin(turned), cos(turned)), strict=True):
        distance = np.fft.fftfreq(size) - part / wavelength
        distance -= np.rint(distance)  # frequencies repeat beyond Nyquist's
        out.append(np.exp(-width * distance**2).astype(np.float32))
    return out[0], out[1]


def _gaussian(shape: tuple[int, ...], sigma: float) -> F32:
    """Transfer function of a Gaussian for ``rfft2``."""
    square = np.fft.fftfreq(shape[0])[:, None] ** 2 + np.fft.rfftfreq(shape[1]) ** 2
    return np.exp(-2 * (pi * sigma) ** 2 * square).astype(np.float32)


def _starts(size: int) -> list[int]:
    """Where at most three windows along an axis begin."""
    return [0] if size <= _WINDOW else sorted({0, (size - _WINDOW) // 2, size - _WINDOW})


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
