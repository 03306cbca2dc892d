"""Core-loss spectra of a manganite film in strontium titanate, without noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.physics.xray_lines import material

F64 = NDArray[np.float64]

PHASES = ("SrTiO3", "LaMnO3", "vacuum")
_EXPONENT = 3.0  # of the background
_EDGES = {
    "SrTiO3": (("Ti", "L3", 0.5, 1.1), ("Ti", "L2", 0.3, 0.9), ("O", "K", 0.55, 0.35)),
    "LaMnO3": (
        *(("O", "K", 0.45, 0.25), ("Mn", "L3", 0.22, 0.8), ("Mn", "L2", 0.12, 0.4)),
        *(("La", "M5", 0.3, 1.5), ("La", "M4", 0.25, 1.2)),
    ),
}
"""Element, edge, height of its step and of its white line, over the background there."""
_LINE = 2.2  # half width of a white line [eV]
_SLOPE = 3.5  # how steeply the step falls above its edge


def backgrounds(energy: F64) -> F64:
    """Return the power law under the edges, (phases, D), 1 at the first channel.

    Vacuum has a two hundredth of it: electrons scattered by an aperture.
    """
    law = (energy / energy[0]) ** -_EXPONENT
    return np.array([law, law, law / 200])


def edges(energy: F64) -> F64:
    """Return the ionisation edges in the unit of the backgrounds, (phases, D); none in vacuum.

    Onsets are eXSpy's. Each edge is a smoothed step that falls with a power of the energy, and a
    Lorentzian white line 2 eV above the onset.
    """
    table = material().elements
    law = backgrounds(energy)[0]
    out = np.zeros((len(PHASES), len(energy)))
    for i, phase in enumerate(PHASES):
        for element, shell, step, line in _EDGES.get(phase, ()):
            shells = table[element]["Atomic_properties"]["Binding_energies"]
            onset = shells[shell]["onset_energy (eV)"]
            under = np.interp(onset, energy, law, right=0.0)
            rise = 0.5 + np.arctan((energy - onset) / 1.5) / np.pi
            fall = np.maximum(energy / onset, 1) ** -_SLOPE
            peak = 1 / (1 + ((energy - onset - 2) / _LINE) ** 2)
            tail = np.exp(-(np.maximum(onset - 3 - energy, 0) ** 2) / 50)  # nothing far below
            out[i] += under * tail * (step * rise * fall + line * peak)
    return out


def film(shape: tuple[int, int]) -> F64:
    """Draw substrate, film, substrate and the hole beside them, with interfaces a pixel wide.

    Returns
    -------
    :
        Share of each phase, (rows, columns, phases), adding up to 1.
    """
    down, right = (np.arange(size) + 0.5 for size in shape)
    rows, columns = shape
    wave = 0.02 * rows * np.sin(9 * right / columns)
    height = down[:, np.newaxis] + 0.1 * rows * (right / columns - 0.5) + wave
    inside = _step(height - 0.36 * rows) * _step(0.62 * rows - height)
    edge = columns * (0.8 + 0.06 * np.sin(4 * down / rows) + 0.07 * (down / rows))
    hole = _step(right - edge[:, np.newaxis])
    solid = 1 - hole
    return np.stack([solid * (1 - inside), solid * inside, hole], axis=-1)


def _step(distance: F64) -> F64:
    """From 0 to 1 over about a pixel."""
    out: F64 = 1 / (1 + np.exp(-5 * distance))
    return out
