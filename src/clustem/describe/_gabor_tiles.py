"""The same bank for large images: tile by tile, at every so many pixels."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import ceil, cos, pi, radians, sin, sqrt

import numpy as np
from numpy.typing import NDArray

from clustem.describe._gabor_bank import TAIL, Bank, level_of, relative
from clustem.passes.threads import cores, one_blas_thread

F32 = NDArray[np.float32]
MOST = 2**20
"""Pixels up to which all are described."""
_SPARSE = 2.5  # longest distance of described pixels, in units of the shortest wavelength
_TILE = 1024  # side of a tile [px]
_FINE = 0.6  # pixels of a response per standard deviation of its envelope


def automatic_step(shape: tuple[int, int], shortest: float) -> int:
    """Distance of the pixels that are described, so that a large image has a million of them.

    Parameters
    ----------
    shape
        Rows and columns of the image.
    shortest
        Shortest wavelength [px]: responses hardly change within it, so more than 2.5 of it are
        never left out.
    """
    wanted = ceil(sqrt(shape[0] * shape[1] / MOST))
    return max(1, min(wanted, int(_SPARSE * shortest)))


def features_at(bank: Bank, image: F32, out: F32, *, step: int, threads: int | None = None) -> None:
    """Fill ``out`` with the responses at every ``step``-th row and column.

    Parameters
    ----------
    bank
        The filters.
    image
        Image (rows, columns).
    out
        Array (rows / step, columns / step, wavelengths, orientations), rounded up.
    step
        Distance of the pixels that are described [px].
    threads
        Number of threads; one per usable core if None.

    Notes
    -----
    A response is the image's spectrum around the filter's frequency, so its magnitude needs no
    more than a pixel in 0.6 envelopes, and the inverse transform is as much smaller.
    """
    workers = threads or cores()
    side = max(_TILE // step, 1)
    tiles = [
        (first, left) for first in range(0, len(out), side) for left in range(0, out.shape[1], side)
    ]
    mean = float(image.mean(dtype=np.float64))
    with one_blas_thread(), ThreadPoolExecutor(workers) as pool:

        def one(place: tuple[int, int]) -> None:
            tile = out[place[0] : place[0] + side, place[1] : place[1] + side]
            _Tile.of(bank, image, place, tile.shape[:2], step).energies(bank, mean, tile)

        for _ in pool.map(one, tiles):
            pass
        for i in range(len(bank.wavelengths)):
            energies = out[:, :, i]
            if bank.normalize:
                thin = max(3 // step, 1)
                width = max(bank.wavelengths) / step
                floor = level_of(energies[::thin, ::thin])
                relative(energies, width, floor, pool, workers, thin=thin)
            else:
                np.sqrt(np.maximum(energies, 0, out=energies), out=energies)


@dataclass(frozen=True)
class _Tile:
    """A part of the image with what filters see around it; its sides are multiples of the step."""

    image: F32
    pad: int
    step: int

    @classmethod
    def of(
        cls, bank: Bank, image: F32, place: tuple[int, int], shape: tuple[int, ...], step: int
    ) -> _Tile:
        reach = TAIL * (bank.envelope + bank.smooth) * max(bank.wavelengths)
        pad = ceil(reach / step) * step
        spans = []
        for first, size, length in zip(place, shape, image.shape, strict=True):
            where = np.arange(first * step - pad, (first + size) * step + pad)
            spans.append(_mirrored(where, length))
        return cls(image[np.ix_(*spans)], pad, step)

    def energies(self, bank: Bank, mean: float, out: F32) -> None:
        """Fill ``out`` (rows, columns, wavelengths, orientations) with smoothed energies."""
        from scipy.fft import fft2, ifft2, next_fast_len

        counts = [next_fast_len(-(-size // self.step)) for size in self.image.shape]
        whole = [count * self.step for count in counts]
        spectrum = fft2(self.image - np.float32(mean), s=whole)
        for i, wavelength in enumerate(bank.wavelengths):
            width = bank.envelope * wavelength
            fine = min(ceil(self.step / (_FINE * width)), self.step)  # pixels per step
            blur = bank.smooth * wavelength / self.step
            sizes = [count * fine for count in counts]
            blurs = [
                _averages(size, fine, self.pad // self.step, n, blur)
                for size, n in zip(sizes, out.shape, strict=False)
            ]
            for j, angle in enumerate(bank.orientations):
                turned = radians(angle)
                places, weights = zip(
                    *(
                        _around(part / wavelength, size, length, width)
                        for part, size, length in zip(
                            (sin(turned), cos(turned)), sizes, whole, strict=True
                        )
                    ),
                    strict=True,
                )
                part = spectrum[np.ix_(*places)]
                part *= weights[0][:, None]
                part *= weights[1]
                response = ifft2(part, overwrite_x=True)
                energy = response.real**2 + response.imag**2
                out[:, :, i, j] = blurs[0] @ energy @ blurs[1].T


def _mirrored(where: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    """Places in an image whose borders are mirrored."""
    turned = where % (2 * length)
    return np.minimum(turned, 2 * length - 1 - turned)


def _around(frequency: float, size: int, length: int, width: float) -> tuple[NDArray[np.intp], F32]:
    """Places in a spectrum around a frequency [1/px], and the filter's transfer function there."""
    place = round(frequency * length) - size // 2 + np.arange(size)
    distance = place / length - frequency
    weight = np.exp(-2 * (pi * width * distance) ** 2) * (size / length)
    return place % length, weight.astype(np.float32)


def _averages(size: int, fine: int, first: int, n: int, sigma: float) -> F32:
    """Gaussian averages (n, size) around every ``fine``-th place; sigma in units of these."""
    place = np.arange(size) / fine
    distance = place - (first + np.arange(n))[:, None]
    if sigma == 0:
        return np.asarray((distance == 0).astype(np.float32))
    weight = np.exp(-0.5 * (distance / sigma) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.asarray(weight.astype(np.float32))
