"""What an energy calibration found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Signal


@dataclass(frozen=True)
class Pair:
    """A peak of the sum spectrum and the line it was paired with.

    Attributes
    ----------
    position
        Center of the peak [channels].
    energy
        Energy of the line [keV]; NaN for a peak of no listed line.
    line
        Name of the line such as ``"Fe_Ka"``; empty for a peak of no listed line.
    residual
        Energy of the line less that of the fitted axis at the peak [keV].
    used
        Whether the axis was fitted to this pair.
    """

    position: float
    energy: float
    line: str
    residual: float
    used: bool


@dataclass(frozen=True)
class EnergyCalibration:
    """A calibrated signal and the evidence; unpacks as ``signal, pairing, residuals``.

    Attributes
    ----------
    signal
        The signal with the fitted energy axis.
    pairing
        Peaks and lines by rising position.
    scale
        Width of a channel [keV].
    offset
        Energy of channel 0 [keV].
    error
        Largest standard error of the axis between the lowest and the highest pair used [keV].
    """

    signal: Signal
    pairing: tuple[Pair, ...]
    scale: float
    offset: float
    error: float

    @property
    def residuals(self) -> NDArray[np.float64]:
        """Residuals of the pairs that were used [keV]."""
        return np.array([pair.residual for pair in self.pairing if pair.used])

    @property
    def note(self) -> str:
        """What a reader of the history should know, in one sentence."""
        used = [pair.line for pair in self.pairing if pair.used]
        worst = 1000 * float(np.abs(self.residuals).max())
        return (
            f"{self.scale:.7f} keV * channel {self.offset:+.5f} keV from {len(used)} lines "
            f"({', '.join(used)}), residuals up to {worst:.1f} eV"
        )

    def __iter__(self) -> Iterator[Any]:
        """Unpack as ``signal, pairing, residuals``."""
        return iter((self.signal, self.pairing, self.residuals))

    def __str__(self) -> str:
        """Return the pairing as a table."""
        head = f"{'channel':>9} {'keV':>8} {'line':<7} {'residual [eV]':>13}"
        rows = [
            f"{pair.position:9.2f} {pair.energy:8.4f} {pair.line:<7} {1000 * pair.residual:13.1f}"
            f"{'' if pair.used else '  not used'}"
            for pair in self.pairing
        ]
        fit = f"energy = {self.scale:.8f} * channel {self.offset:+.5f} keV (± {self.error:.4f})"
        return "\n".join([head, *rows, fit])
