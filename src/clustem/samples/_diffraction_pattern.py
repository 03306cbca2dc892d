"""Kinematic patterns of a cubic crystal: discs, streaks, diffuse scattering."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import cos, pi, sin, sqrt

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
WAVELENGTH = 0.02508  # at 200 kV [Å]
_LATTICE = 3.9  # [Å]
_RELROD = 0.011  # half length of a reflection along the beam [1/Å]
_EDGE = 0.4  # softness of a disc's edge [px]
_ZONES = (  # two shortest reciprocal vectors (length, length, angle) of [001], [011] and [111]
    (1.0, 1.0, 90.0),
    (1.0, sqrt(2), 90.0),
    (sqrt(2), sqrt(2), 60.0),
)


@dataclass(frozen=True)
class Detector:
    """Pixels (rows, columns), size of one [1/Å], beam center [px] and radius of its disc [1/Å]."""

    shape: tuple[int, int]
    scale: float
    center: tuple[float, float]
    disc: float

    @classmethod
    def sized(cls, shape: tuple[int, int], *, reach: float, disc: float) -> Detector:
        """Spread a shape over ``reach`` [1/Å] either side of a beam a little off the middle."""
        rows, columns = shape
        center = (rows / 2 - 0.5 - 0.027 * rows, columns / 2 - 0.5 + 0.019 * columns)
        return cls(shape, 2 * reach / min(shape), center, disc)

    @cached_property
    def distances(self) -> tuple[F64, F64]:
        """Scattering vector (row, column) of each pixel [1/Å], flat."""
        row, column = np.indices(self.shape, dtype=np.float64)
        return (
            (row.ravel() - self.center[0]) * self.scale,
            (column.ravel() - self.center[1]) * self.scale,
        )

    def discs(self, at: F64) -> F64:
        """Discs around points (m, 2) [1/Å]: (m, pixels), each adding up to 1 if all of it hits."""
        row, column = self.distances
        away = np.hypot(row - at[:, :1], column - at[:, 1:]) / self.scale
        radius = self.disc / self.scale
        soft = np.clip((radius - away) / _EDGE, -30, 30)
        out: F64 = 1 / (1 + np.exp(-soft)) / (pi * (radius**2 + (pi * _EDGE) ** 2 / 3))
        return out

    @cached_property
    def beam(self) -> F64:
        """Direct beam."""
        out: F64 = self.discs(np.zeros((1, 2)))[0]
        return out

    @cached_property
    def skirt(self) -> F64:
        """Diffuse scattering close to the beam."""
        return self._normed(np.exp(-np.hypot(*self.distances) / (0.75 * self.disc)))

    @cached_property
    def halo(self) -> F64:
        """Rings of an amorphous layer."""
        g = np.hypot(*self.distances)
        rings = np.exp(-(((g - 0.47) / 0.09) ** 2)) + 0.5 * np.exp(-(((g - 0.83) / 0.13) ** 2))
        return self._normed(rings + 0.8 * np.exp(-g / 0.3))

    @staticmethod
    def _normed(values: F64) -> F64:
        out: F64 = values / values.sum()
        return out

    def shifted(self, patterns: F64, shift: F64) -> F64:
        """Move patterns (m, pixels) by (m, 2) [px], linearly between pixels, zeros coming in."""
        reach = int(np.ceil(np.abs(shift).max())) + 1
        padded = np.pad(patterns.reshape(-1, *self.shape), ((0, 0), *[(reach, reach)] * 2))
        out = np.empty_like(patterns)
        for i, move in enumerate(shift):
            first = np.floor(-move).astype(int)
            part = -move - first
            rows, columns = (
                slice(reach + start, reach + start + size + 1)
                for start, size in zip(first, self.shape, strict=True)
            )
            cut = padded[i, rows, columns]
            cut = cut[:-1] * (1 - part[0]) + cut[1:] * part[0]
            out[i] = (cut[:, :-1] * (1 - part[1]) + cut[:, 1:] * part[1]).ravel()
        return out


@dataclass(frozen=True)
class Reflections:
    """Scattering vectors (m, 2) [1/Å], strengths (m,) and shapes (m, pixels) of spots."""

    vectors: F64
    strengths: F64
    shapes: F64

    def intensities(self, tilt: F64, wavelength: float) -> F64:
        """Intensities (positions, m) for a crystal tilted by (positions, 2) [rad]."""
        length = np.einsum("ij,ij->i", self.vectors, self.vectors)
        off = wavelength / 2 * length - tilt @ self.vectors.T
        out: F64 = self.strengths * np.exp(-((off / _RELROD) ** 2))
        return out


def reflections(plane: Detector, *, zone: int, turn: float, defect: bool = False) -> Reflections:
    """List the spots of a zone, turned [rad], with the marks of a planar defect if there is one.

    Parameters
    ----------
    plane
        Detector.
    zone
        0 [001], 1 [011], 2 [111].
    turn
        Rotation about the beam [rad].
    defect
        Whether spots are streaked along the first vector and repeated, fainter, half way.
    """
    first, second, angle = _ZONES[zone]
    basis = np.array(
        [
            [first * sin(turn), first * cos(turn)],
            [second * sin(turn + angle * pi / 180), second * cos(turn + angle * pi / 180)],
        ]
    )
    basis /= _LATTICE
    orders = np.arange(-6.0, 7.0)
    index = np.stack(np.meshgrid(orders, orders, indexing="ij"), axis=-1).reshape(-1, 2)
    index = index[np.any(index != 0, axis=1)]
    vectors, strengths = index @ basis, _strengths(index, index @ basis)
    if not defect:
        return _on_detector(plane, vectors, strengths)
    along = np.linspace(-0.35, 0.35, 9)
    streak = (vectors[:, None] + along[:, None] * basis[0]).reshape(-1, 2)
    fading = np.exp(-np.abs(along) / 0.2)
    weak = (strengths[:, None] * fading / fading.sum()).ravel()
    half = np.concatenate([index, [[0, 0]]]) + np.array([0.5, 0.5])
    extra = half @ basis
    return _on_detector(
        plane,
        np.concatenate([vectors, streak, extra]),
        np.concatenate([0.35 * strengths, 0.35 * weak, 0.3 * _strengths(half, extra)]),
    )


def _strengths(index: F64, vectors: F64) -> F64:
    """Structure factor squared, adding up to 1: even orders strong, all falling with length."""
    odd = np.abs(np.rint(index).sum(axis=1)) % 2
    fall = np.exp(-2.2 * np.hypot(*vectors.T))
    strength = fall * np.where(odd, 0.45, 1.0)
    out: F64 = strength / strength.sum()
    return out


def _on_detector(plane: Detector, vectors: F64, strengths: F64) -> Reflections:
    row, column = plane.distances
    reach = plane.disc + plane.scale
    inside = (
        (vectors[:, 0] > row.min() - reach)
        & (vectors[:, 0] < row.max() + reach)
        & (vectors[:, 1] > column.min() - reach)
        & (vectors[:, 1] < column.max() + reach)
    )
    kept = vectors[inside]
    return Reflections(kept, strengths[inside], plane.discs(kept))
