"""Sum spectrum of an EDS map, and what its metadata say about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, instrument
from clustem.physics.xray_lines import fwhm
from clustem.prepare._vote import Axis

F64 = NDArray[np.float64]

_UNITS = {"keV": 1.0, "eV": 1e-3}
_SCALES = (0.0005, 0.1)  # widths of a channel that make sense [keV]
_RESOLUTION = 130.0  # of an ordinary silicon drift detector at Mn Ka [eV]
_EXCESS = 1.02  # an electron must have this much more energy than the line


@dataclass(frozen=True)
class SumSpectrum:
    """Counts, energy axis and instrument.

    Attributes
    ----------
    counts
        Sum over the scan (n,).
    axis
        Energy axis as it is.
    unit
        Unit of the signal's own axis [keV].
    resolution
        Full width at half maximum at Mn Ka [eV].
    beam_energy
        Electron energy [keV], infinite if not known.
    """

    counts: F64
    axis: Axis
    unit: float
    resolution: float
    beam_energy: float

    @classmethod
    def of(cls, signal: Any, resolution: float | None) -> SumSpectrum:
        """Sum a signal; refuse what has no roughly calibrated energy axis."""
        manager = signal.axes_manager
        if manager.signal_dimension != 1:
            raise InputError(
                "An energy axis needs spectra",
                got=f"{manager.signal_dimension} signal axes",
                cure="Give an EDS map or spectrum.",
            )
        axis, unit = _energy_axis_of(manager.signal_axes[0])
        over_scan = tuple(range(signal.data.ndim - 1))
        counts = np.asarray(signal.data.sum(axis=over_scan, dtype=np.float64))
        if not np.isfinite(counts).all() or counts.min() < 0 or not counts.any():
            raise InputError(
                "An energy axis is found from counts",
                got="negative or missing values" if counts.any() else "an empty spectrum",
                cure="Calibrate the raw map, before other preparations.",
            )
        found = resolution or _positive(signal, "Detector.EDS.energy_resolution_MnKa")
        beam = _positive(signal, "beam_energy") or np.inf
        return cls(counts, axis, unit, found or _RESOLUTION, beam)

    @property
    def width(self) -> F64:
        """Full width at half maximum of a line at each channel (n,) [channels]."""
        energy = np.maximum(self.axis.energy(np.arange(len(self.counts))), 0.1)
        return fwhm(energy, self.resolution) / self.axis.scale

    def highest(self, scale_error: float, offset_error: float) -> float:
        """Highest energy that a line in the spectrum may have [keV]."""
        end = float(self.axis.energy(len(self.counts) - 1))
        return min(end * (1 + scale_error) + offset_error, self.beam_energy / _EXCESS)


def _energy_axis_of(axis: Any) -> tuple[Axis, float]:
    name = str(axis.units or "")
    unit = _UNITS.get(name, 1.0 if "undefined" in name or not name else 0.0)
    scale = axis.scale * unit if axis.is_uniform else 0.0
    if not _SCALES[0] <= scale <= _SCALES[1]:
        raise InputError(
            f"The energy axis must be known roughly, {_SCALES[0]} to {_SCALES[1]} keV a channel",
            got=f"{axis.scale:g} {name} a channel" if axis.is_uniform else "a non-uniform axis",
            cure="Set scale, offset and units of signal.axes_manager[-1] to what the detector was "
            "set to, for example 0.01, 0 and 'keV'.",
        )
    return Axis(scale, axis.offset * unit), unit


def _positive(signal: Any, name: str) -> float | None:
    found = instrument(signal, name)
    return float(found) if found is not None and 0 < float(found) < np.inf else None
