"""From atoms to an image, with numpy only."""

from __future__ import annotations

from math import pi

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_WAVELENGTH = 1.969e-3  # electrons of 300 kV [nm]
_PROBE = 0.045  # standard deviation of probe and thermal motion [nm]
_Z = (79, 6)
_ABSORPTION = 25.0  # depth of gold at which dark field has lost 1/e of its gain [nm]
_SLICE = 1.0  # thickness of a slice [nm]
_PHASE = (0.0115, 0.0011)  # phase of one atom of gold and carbon, integrated [rad nm²]
_ATOM = 0.035  # standard deviation of an atom's potential and thermal motion [nm]
_DEFOCUS, _CS = -4.0, 3e3  # of a corrected lens; negative is under focus [nm]
_SPREAD, _ANGLE = 3.0, 0.4e-3  # focus spread [nm], semi-angle of illumination [rad]
_LOSS = 0.12  # part of the potential that takes electrons away
_FINE = 0.035  # largest pixel of the simulation [nm]
_MARGIN = 0.6  # around the image, against the borders [nm]


def dark_field(gold: F64, carbon: F64, shape: tuple[int, int], pixel: float) -> F64:
    """Incoherent image, its brightest pixel 1."""
    brightness = [z**1.7 for z in _Z]
    grid = _Grid(shape, pixel)
    depth = gold[:, 2] - gold[:, 2].min()
    weight = brightness[0] * np.exp(-depth / _ABSORPTION)
    total = grid.deposited(gold, weight)
    total += grid.deposited(carbon, np.full(len(carbon), brightness[1]))
    blur = np.exp(-2 * (pi * _PROBE) ** 2 * grid.squared_frequency)
    image = np.fft.ifft2(np.fft.fft2(total) * blur).real
    image = grid.cut(np.maximum(image, 0))
    found: F64 = image / image.max()
    return found


def bright_field(gold: F64, carbon: F64, shape: tuple[int, int], pixel: float) -> F64:
    """Coherent image, 1 where there is nothing."""
    grid = _Grid(shape, pixel)
    g2 = grid.squared_frequency
    atom = np.exp(-2 * (pi * _ATOM) ** 2 * g2)
    hop = np.exp(-1j * pi * _WAVELENGTH * _SLICE * g2)
    wave = np.ones(g2.shape, dtype=complex)
    everything = np.concatenate([gold, carbon])
    phases = np.repeat(_PHASE, (len(gold), len(carbon)))
    number = ((everything[:, 2] - everything[:, 2].min()) / _SLICE).astype(int)
    for i in range(number.max() + 1):
        here = number == i
        potential = grid.deposited(everything[here], phases[here]) / grid.step**2
        phase = np.fft.ifft2(np.fft.fft2(potential) * atom).real
        wave = np.fft.ifft2(np.fft.fft2(wave * np.exp((1j - _LOSS) * phase)) * hop)
    chi = pi * _WAVELENGTH * g2 * (_DEFOCUS + 0.5 * _CS * _WAVELENGTH**2 * g2)
    focus = np.exp(-0.5 * (pi * _WAVELENGTH * _SPREAD * g2) ** 2)
    slope = _WAVELENGTH * np.sqrt(g2) * (_DEFOCUS + _CS * _WAVELENGTH**2 * g2)
    lens = np.exp(-1j * chi) * focus * np.exp(-((pi * _ANGLE / _WAVELENGTH * slope) ** 2))
    return grid.cut(np.abs(np.fft.ifft2(np.fft.fft2(wave) * lens)) ** 2)


class _Grid:
    """A fine periodic grid with a margin around the image."""

    def __init__(self, shape: tuple[int, int], pixel: float) -> None:
        self.times = int(np.ceil(pixel / _FINE))
        self.step = pixel / self.times
        self.margin = int(np.ceil(_MARGIN / pixel)) * self.times
        self.inner = tuple(size * self.times for size in shape)
        self.shape = tuple(size + 2 * self.margin for size in self.inner)
        rows, columns = (np.fft.fftfreq(size, self.step) for size in self.shape)
        self.squared_frequency = rows[:, None] ** 2 + columns**2

    def deposited(self, positions: F64, weights: F64) -> F64:
        """Add atoms to the four grid points around each, so that they keep their places."""
        place = positions[:, :2] / self.step + self.margin + (self.times - 1) / 2
        first = np.floor(place).astype(int)
        rest = place - first
        out = np.zeros(self.shape)
        for i in (0, 1):
            for j in (0, 1):
                share = np.abs(1 - i - rest[:, 0]) * np.abs(1 - j - rest[:, 1]) * weights
                where = (first + np.array([i, j])) % self.shape
                np.add.at(out, (where[:, 0], where[:, 1]), share)
        return out

    def cut(self, fine: F64) -> F64:
        """Bring an image of the fine grid to the pixels of the detector."""
        m, (rows, columns), times = self.margin, self.inner, self.times
        inner = fine[m : m + rows, m : m + columns]
        out: F64 = inner.reshape(rows // times, times, columns // times, times).mean(axis=(1, 3))
        return out
