"""A bank of Gabor filters, applied to an image in bands of rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, cos, pi, radians, sin

import numpy as np
from numpy.typing import NDArray

from clustem.passes.storage import release
from clustem.passes.threads import cores

F32 = NDArray[np.float32]
TAIL = 3.0  # standard deviations after which a Gaussian is over
_BAND = 2**27  # bytes of a wavelength's features made at a time, where the image is large
_WINDOW = 512  # side of the parts of an image that set the floors
_NOISE = 1.0  # energies up to this many times the median over orientations are noise
_ISOTROPIC = 1.0  # standard deviation over which that median is averaged [wavelengths]
_FINE = 4.0  # pixels per wavelength that energies are computed on
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
        rows, columns = image.shape
        workers = threads or cores()
        centered = (image - image.mean(dtype=np.float64)).astype(np.float32)
        per_row = columns * len(self.orientations) * 4
        step = rows if rows * per_row <= _BAND else max(2 * self._over, _BAND // per_row)
        with ThreadPoolExecutor(workers) as pool:
            floors: list[tuple[float, float] | None] = [None] * len(self.wavelengths)
            if self.normalize and (step < rows or max(image.shape) > _WINDOW):
                floors = [self._floor(centered, wave, pool) for wave in self.wavelengths]
            for first in range(0, rows, step):
                band = slice(first, min(first + step, rows))
                for i, wave in enumerate(self.wavelengths):
                    out_i, crew = out[band, :, i], (pool, workers)
                    self._fill(centered, band, wave, out_i, floor=floors[i], crew=crew)
                release(out[band])

    @property
    def _over(self) -> int:
        """Rows beyond a band that the surroundings reach [px]."""
        widest = max(self.wavelengths)
        return ceil(TAIL * (_ISOTROPIC + _AROUND) * widest) + 2 if self.normalize else ceil(widest)

    def _fill(
        self,
        image: F32,
        band: slice,
        wavelength: float,
        out: F32,
        *,
        floor: tuple[float, float] | None,
        crew: tuple[ThreadPoolExecutor, int],
    ) -> None:
        """Fill ``out`` (rows of the band, columns, orientations)."""
        pad, grain = self._frame(wavelength)
        top = max(band.start - self._over, 0) // (grain * _THIN) * grain * _THIN
        bottom = min(band.stop + self._over, len(image))
        above, below = min(pad, top), min(pad, len(image) - bottom)
        part = image[top - above : bottom + below]
        part = np.pad(part, ((pad - above, pad - below), (pad, pad)), mode="symmetric")
        energies = self._energies(part, wavelength, crew[0])
        if self.normalize:
            level = floor or level_of(energies[::_THIN, ::_THIN])
            relative(energies, max(self.wavelengths) / grain, level, *crew)
        else:
            np.sqrt(np.maximum(energies, 0, out=energies), out=energies)
        if grain == 1:
            out[:] = energies[band.start - top : band.stop - top]
        else:
            _enlarge(energies, grain, band.start - top, out)

    def _frame(self, wavelength: float) -> tuple[int, int]:
        """Pixels to add around, and how many apart the energies are computed."""
        grain = max(int(wavelength / _FINE), 1)
        return grain * ceil(TAIL * (self.envelope + self.smooth) * wavelength / grain), grain

    def _energies(self, band: F32, wavelength: float, pool: ThreadPoolExecutor) -> F32:
        """Smoothed energies (rows, columns, orientations) of every ``grain``-th pixel."""
        from scipy.fft import fft2, next_fast_len

        pad, grain = self._frame(wavelength)
        whole = tuple(grain * next_fast_len(-(-size // grain)) for size in band.shape)
        spectrum = _cropped(fft2(band, s=whole), grain)
        carrier = wavelength / grain
        blur = _gaussian(spectrum.shape, self.smooth * carrier) if self.smooth else None
        start = pad // grain
        inner = tuple(
            slice(start, start + -(-(size - 2 * pad - 1) // grain) + 1) for size in band.shape
        )

        def one(angle: float) -> F32:
            return _energy(spectrum, (carrier, angle, self.envelope), blur)[inner]

        return np.stack(list(pool.map(one, self.orientations)), axis=-1)

    def _floor(
        self, image: F32, wavelength: float, pool: ThreadPoolExecutor
    ) -> tuple[float, float]:
        """Level of the noise and of the lattice, from parts of a large image."""
        found = []
        for first in _starts(image.shape[0]):
            for left in _starts(image.shape[1]):
                part = image[first : first + _WINDOW, left : left + _WINDOW]
                padded = np.pad(part, self._frame(wavelength)[0], mode="symmetric")
                energies = self._energies(padded, wavelength, pool)
                found.append(energies[::_THIN, ::_THIN].reshape(-1, energies.shape[-1]))
        return level_of(np.concatenate(found))


def level_of(energies: F32) -> tuple[float, float]:
    """Level of the noise and of the lattice in energies (..., orientations)."""
    noise = np.median(energies, axis=-1)
    excess = np.maximum(energies - _NOISE * noise[..., None], 0).sum(axis=-1)
    isotropic = float(np.median(noise)) * energies.shape[-1] / 4
    return isotropic, float(np.quantile(excess, 0.98))


def _cropped(spectrum: NDArray[np.complex64], grain: int) -> NDArray[np.complex64]:
    """Spectrum of every ``grain``-th pixel of the image without what is too fast for them."""
    for axis in (0, 1) if grain > 1 else ():
        size = spectrum.shape[axis] // grain
        slow = np.rint(np.fft.fftfreq(size, 1 / size)).astype(int)
        spectrum = spectrum.take(slow, axis=axis, mode="wrap") / grain
    return spectrum


def _enlarge(part: F32, grain: int, first: int, out: F32) -> None:
    """Interpolate linearly between every ``grain``-th row and column."""
    column, right = _between(np.arange(out.shape[1]), grain, part.shape[1])
    row, down = _between(first + np.arange(len(out)), grain, part.shape[0])
    for target, i, share in zip(out, row, down, strict=True):
        line = (1 - share) * part[i] + share * part[min(i + 1, len(part) - 1)]
        after = line[np.minimum(column + 1, len(line) - 1)]
        target[:] = (1 - right)[:, None] * line[column] + right[:, None] * after


def _between(place: NDArray[np.intp], grain: int, size: int) -> tuple[NDArray[np.intp], F32]:
    """Index before each place on the coarse grid, and the share of the next."""
    index = np.minimum(place // grain, size - 1)
    return index, (place / grain - index).astype(np.float32)


def relative(
    stack: F32,
    width: float,
    floor: tuple[float, float],
    pool: ThreadPoolExecutor,
    workers: int,
    *,
    thin: int = _THIN,
) -> None:
    """Make energies (rows, columns, orientations) relative to the surroundings', in place.

    What all orientations share is noise or film, and goes. The energy left is divided by that of
    the surroundings, weighted by itself: at the edge of a thin facet beside a thick one it
    still falls to a quarter where the fringes fall to half. The noise is taken at every
    ``thin``-th row and column.
    """
    from scipy.ndimage import gaussian_filter, map_coordinates

    height, columns = stack.shape[:2]
    cuts = np.linspace(0, height, min(height, 4 * workers) + 1).astype(int)
    parts = [slice(a, b) for a, b in pairwise(cuts.tolist())]
    some = stack[::thin, ::thin]
    few = np.empty(some.shape[:2], dtype=np.float32)
    noise, total = np.empty((2, height, columns), dtype=np.float32)

    def median(rows: slice) -> None:
        few[rows] = np.median(some[rows], axis=-1)

    def spread(rows: slice) -> None:
        place = np.meshgrid(np.arange(rows.start, rows.stop), np.arange(columns), indexing="ij")
        noise[rows] = map_coordinates(few, np.array(place) / thin, order=1, mode="nearest")

    def subtract(rows: slice) -> None:
        stack[rows] -= _NOISE * noise[rows, :, None]
        np.maximum(stack[rows], 0, out=stack[rows])
        total[rows] = stack[rows].sum(axis=-1)

    def divide(rows: slice) -> None:
        stack[rows] *= scale[rows, :, None]
        np.sqrt(stack[rows], out=stack[rows])

    list(pool.map(median, [slice(i, i + 8) for i in range(0, len(few), 8)]))
    few = gaussian_filter(few, _ISOTROPIC * width / thin, truncate=TAIL, mode="nearest")
    list(pool.map(spread, parts))
    list(pool.map(subtract, parts))
    level = max(floor[1], 1e-30)
    total /= level  # squares must not overflow
    mean, square = (gaussian_filter(x, _AROUND * width, truncate=TAIL) for x in (total, total**2))
    around = level * square / np.maximum(mean, 1e-12)
    scale = 1 / (around + _FLOOR[0] * floor[0] + _FLOOR[1] * floor[1] + 1e-30)
    list(pool.map(divide, parts))


def _energy(
    spectrum: NDArray[np.complex64],
    kernel: tuple[float, float, float],
    blur: F32 | None,
) -> F32:
    """Squared magnitude of one filter's response, averaged."""
    from scipy.fft import ifft2, irfft2, rfft2

    rows, columns = transfer(spectrum.shape, *kernel)
    response = ifft2(spectrum * rows[:, None] * columns, overwrite_x=True)
    energy = response.real**2 + response.imag**2
    if blur is not None:
        energy = irfft2(rfft2(energy) * blur, s=spectrum.shape)
    found: F32 = energy
    return found


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
