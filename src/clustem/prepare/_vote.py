"""Which energy axis puts the peaks of a spectrum on X-ray lines: every peak votes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustem.physics.xray_lines import Line
from clustem.prepare._peaks import Peaks

F64 = NDArray[np.float64]

_FINE = 0.002  # step of the table of votes [keV]
_SCALE_STEP, _OFFSET_STEP = 0.002, 0.008  # of the search, relative and [keV]
_NEAR = 0.015  # standard deviation of a peak from its line in a vote [keV]
_ZERO = (0.7, 0.03)  # vote of a peak of electronic noise at 0 keV, and its width
_APART = 0.06  # axes that nowhere differ by more are one and the same [keV]
_WEAK = 0.8  # a line that is not the main one of its shell votes with its root, times this


@dataclass(frozen=True)
class Axis:
    """An energy axis: ``energy = scale * channel + offset`` [keV]."""

    scale: float
    offset: float

    def energy(self, channel: ArrayLike) -> F64:
        """Energies of channels."""
        return self.scale * np.asarray(channel, dtype=np.float64) + self.offset

    def channel(self, energy: ArrayLike) -> F64:
        """Channels of energies."""
        return (np.asarray(energy, dtype=np.float64) - self.offset) / self.scale

    def __str__(self) -> str:
        """Return the equation."""
        return f"{self.scale:.6g} keV * channel {self.offset:+.4g} keV"


@dataclass(frozen=True)
class Reach:
    """How far the true axis may be from the given one: relative, and [keV]."""

    scale: float
    offset: float


@dataclass(frozen=True)
class Ballot:
    """What each peak votes with, and the vote for a peak at each energy.

    Make one with :meth:`of`.
    """

    loud: F64
    table: F64
    low: float

    @classmethod
    def of(cls, peaks: Peaks, lines: Iterable[Line], trust: Callable[[str], float]) -> Ballot:
        """Let each peak vote with the logarithm of its significance, for any of the lines."""
        loud = np.log1p(peaks.significance / 4)
        return cls(loud / loud.sum(), *_votes(lines, trust))

    def count(self, energies: F64) -> F64:
        """Share of votes (...) of axes that put the peaks at these energies (..., p)."""
        index = np.round((energies - self.low) / _FINE).astype(np.intp)
        found: F64 = self.table[np.clip(index, 0, len(self.table) - 1)] @ self.loud
        return found


def vote(
    peaks: Peaks,
    lines: Iterable[Line],
    start: Axis,
    reach: Reach,
    *,
    trust: Callable[[str], float] = lambda _: 1.0,
    most: int = 5,
) -> list[tuple[Axis, float]]:
    """Rank energy axes by how many peaks they put on lines.

    Parameters
    ----------
    peaks
        Peaks of the spectrum; each votes with the logarithm of its significance.
    lines
        Lines that may be there.
    start
        Axis as it is.
    reach
        How far from it to search.
    trust
        Weight of an element's lines.
    most
        Number of axes to return.

    Returns
    -------
    :
        Axes that differ noticeably, with their votes as a share of all, best first.
    """
    ballot = Ballot.of(peaks, lines, trust)
    scales = start.scale * (1 + _steps(reach.scale, _SCALE_STEP))
    offsets = start.offset + _steps(reach.offset, _OFFSET_STEP)
    score = ballot.count(scales[:, None, None] * peaks.position + offsets[None, :, None])
    ends = peaks.position[[0, -1]]
    return _distinct(scales, offsets, score, ends, most)


def _steps(reach: float, step: float) -> F64:
    count = int(np.ceil(reach / step))
    return np.linspace(-reach, reach, 2 * count + 1)


def _votes(lines: Iterable[Line], trust: Callable[[str], float]) -> tuple[F64, float]:
    """Table of the vote for a peak at each energy, and the energy of its first entry."""
    lines = list(lines)
    low, high = -0.5, max((line.energy for line in lines), default=0.0) + 0.5
    energy = np.arange(low, high, _FINE)
    zero, width = _ZERO
    table = zero * np.exp(-(energy**2) / (2 * width**2))
    for line in lines:
        main = 1.0 if line.weight > 0.5 else _WEAK * np.sqrt(line.weight)
        first, last = np.searchsorted(energy, [line.energy - 0.1, line.energy + 0.1])
        distance = energy[first:last] - line.energy
        bell = trust(line.element) * main * np.exp(-(distance**2) / (2 * _NEAR**2))
        table[first:last] = np.maximum(table[first:last], bell)
    table[[0, -1]] = 0
    return table, low


def _distinct(
    scales: F64, offsets: F64, score: F64, ends: Sequence[float] | F64, most: int
) -> list[tuple[Axis, float]]:
    """Best axes of the search, each noticeably different from all before it."""
    at = np.stack([scales[:, None] * end + offsets for end in ends])
    left = score.copy()
    found = []
    for _ in range(most):
        i, j = np.unravel_index(left.argmax(), left.shape)
        if left[i, j] <= 0:
            break
        found.append((Axis(float(scales[i]), float(offsets[j])), float(score[i, j])))
        left[np.abs(at - at[:, i, j][:, None, None]).max(axis=0) < _APART] = 0
    return found
