"""X-ray spectrum of a compound in a scanning electron microscope, to some ten per cent."""

from __future__ import annotations

from collections.abc import Mapping
from math import radians, sin

import numpy as np
from numpy.typing import NDArray

from clustem.physics.xray_lines import fwhm, lines_of, material

F64 = NDArray[np.float64]

_RANGE = 6.4e-6  # Anderson and Hasler's X-ray range [g/cm² per keV^1.68]
_YIELD = {"K": 1.06e6, "L": 1.0e8, "M": 1.4e9}  # fluorescence yield Z⁴ / (Z⁴ + this)
_SHELL = {"K": 1.0, "L": 0.5, "M": 1.0}  # what one unit of line weight means in each shell
_CONTINUUM = 1.5e-5  # counts per keV of continuum, in units of the lines
_DIMMEST = 0.1  # eXSpy's absorption coefficients start below this [keV]


def spectrum(
    composition: Mapping[str, float],
    energy: F64,
    *,
    beam_energy: float,
    take_off_angle: float,
    resolution: float,
) -> F64:
    """Return the expected counts per channel of a compound, for one unit of dose.

    Parameters
    ----------
    composition
        Mass fraction of each element.
    energy
        Energy of the channels (D,) [keV], evenly spaced.
    beam_energy
        Electron energy [keV].
    take_off_angle
        Angle between surface and detector [°].
    resolution
        Full width at half maximum at Mn Ka [eV].

    Notes
    -----
    Lines: ionisation ``(U - 1)^1.67`` of the shell's overvoltage U, fluorescence yield, the line's
    weight. Continuum: Kramers' ``Z (E0 - E) / E``. Both are absorbed in the compound over a depth
    of half the X-ray range, and in the detector's window.

    References
    ----------
    J. I. Goldstein et al., Scanning Electron Microscopy and X-Ray Microanalysis, 4th ed. (2018).
    """
    table = material().elements
    width = energy[1] - energy[0]
    lines = lines_of(composition, low=_DIMMEST, high=beam_energy)
    edges = {line.family: 1.02 * line.energy for line in lines}  # lines rise: the last one stays
    counts = np.zeros(len(energy))
    strengths = []
    for line in lines:
        z = table[line.element]["General_properties"]["Z"]
        mass = table[line.element]["General_properties"]["atomic_weight"]
        overvoltage = max(beam_energy / edges[line.family], 1.0)
        shell = line.name[0]
        strength = composition[line.element] / mass * _SHELL[shell] * (overvoltage - 1) ** 1.67
        strengths.append(strength * z**4 / (z**4 + _YIELD[shell]) * line.weight)
    at = np.array([line.energy for line in lines])
    heights = np.array(strengths) * _transmission(composition, at, beam_energy, take_off_angle)
    for center, height in zip(at, heights, strict=True):
        sigma = float(fwhm(center, resolution)) / np.sqrt(8 * np.log(2))
        counts += height * np.exp(-((energy - center) ** 2) / (2 * sigma**2)) * width / sigma
    counts /= np.sqrt(2 * np.pi)
    mean_z = sum(share * table[e]["General_properties"]["Z"] for e, share in composition.items())
    bright = np.maximum(energy, _DIMMEST)
    continuum = _CONTINUUM * mean_z * np.maximum(beam_energy / bright - 1, 0) * width
    seen = _transmission(composition, bright, beam_energy, take_off_angle)
    return counts + np.where(energy > 0, continuum * seen, 0)


def _transmission(
    composition: Mapping[str, float], energy: F64, beam_energy: float, take_off_angle: float
) -> F64:
    """Share of X-rays that leave the compound and pass the window."""
    at = np.maximum(energy, _DIMMEST)
    percent = [100 * share for share in composition.values()]
    absorption = np.asarray(
        material().mass_absorption_mixture(
            weight_percent=percent, elements=list(composition), energies=at.tolist()
        )
    )
    depth = 0.5 * _RANGE * np.maximum(beam_energy**1.68 - at**1.68, 0)
    optical = np.maximum(absorption * depth / sin(radians(take_off_angle)), 1e-9)
    window = 1 - np.exp(-((at / 0.45) ** 1.5))
    share: F64 = -np.expm1(-optical) / optical * window
    return share
