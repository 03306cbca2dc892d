"""How far the energy axes of two spectra are off each other, by the lines that both show."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]

_NARROW, _WIDE = 0.03, 0.25
"""Widths of the Gaussians between which lines lie [keV]."""
_SHIFT = 0.15
"""Largest shift that is looked for [keV]."""
_STRETCH = 0.03
"""Largest relative difference of the scales that is looked for."""
_ALIKE = 0.5
"""Correlation from which on two spectra show the same lines."""
_SIGMAS = 4.0
"""A difference of the axes below so many standard errors is none."""
_LEAST = 0.15
"""Energy below which detectors see noise [keV]."""


class AxisChange(NamedTuple):
    """What brings the energies E of one spectrum to those of another, ``stretch * E + shift``.

    Attributes
    ----------
    stretch
        Factor, 1 where nothing is to be changed.
    shift
        Added energy [keV].
    correlation
        Correlation of the lines of both spectra afterwards.
    """

    stretch: float
    shift: float
    correlation: float


def shared_lines(
    counts: ArrayLike, energy: ArrayLike, reference: ArrayLike, reference_energy: ArrayLike
) -> AxisChange:
    """Find how to change the energy axis of a spectrum so that its lines lie where another's do.

    Parameters
    ----------
    counts, energy
        A sum spectrum (D,), and the energies of its channels [keV], evenly spaced.
    reference, reference_energy
        The other (E,), likewise.

    Returns
    -------
    :
        The change; none where the spectra have too few lines in common to tell, or where it is
        below four standard errors or a tenth of a channel.

    Notes
    -----
    The square roots of the counts, less their mean over 0.25 keV, are correlated over shifts up to
    0.15 keV and stretches up to 3 %. Standard errors are those of counting, for the reference's
    lines at the counts of the spectrum.

    Examples
    --------
    >>> energy = 0.01 * np.arange(1000)
    >>> def lines(energy):
    ...     at = np.array([0.52, 1.74, 4.51, 6.4, 7.06])
    ...     return 2 + 1000 * np.exp(-(((energy[:, None] - at) / 0.05) ** 2) / 2).sum(axis=1)
    >>> found = shared_lines(lines(1.01 * energy + 0.03), energy, lines(energy), energy)
    >>> round(found.stretch, 3), round(found.shift, 3)
    (1.01, 0.03)
    """
    from scipy.optimize import minimize

    x, own = np.asarray(counts, dtype=np.float64), np.asarray(energy, dtype=np.float64)
    y, other = np.asarray(reference, dtype=np.float64), np.asarray(reference_energy, np.float64)
    lines, template = _lines(x, own), _lines(y, other)
    used = (other > max(_LEAST, own[0])) & (other < own[-1])
    none = AxisChange(1.0, 0.0, 0.0)
    if used.sum() < 16 or not x.any() or not y.any():
        return none

    def apart(change: F64) -> float:
        stretch, shift = 1 + change[0] * _STRETCH, change[1] * _SHIFT
        moved = np.interp((other[used] - shift) / stretch, own, lines)
        norm = np.linalg.norm(moved) * np.linalg.norm(template[used])
        edge = max(abs(change[0]), abs(change[1])) > 1
        return 1.0 if edge or not norm else 1 - float(moved @ template[used] / norm)

    steps = np.linspace(-1, 1, 31)
    tried = [(apart(np.array([a, b])), a, b) for a in steps for b in steps]
    _, a, b = min(tried)
    best = minimize(apart, [a, b], method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7})
    stretch, shift = 1 + best.x[0] * _STRETCH, best.x[1] * _SHIFT
    correlation = 1 - float(best.fun)
    seen = (other > _LEAST) & (other < own[-1])
    rates = y * min(x.sum() / max(y.sum(), 1), 1)
    if correlation < _ALIKE or not _certain(stretch, shift, rates, other, seen):
        return none._replace(correlation=correlation)
    return AxisChange(float(stretch), float(shift), correlation)


def _lines(counts: F64, energy: F64) -> F64:
    """Return what is narrower than some 0.25 keV, on a scale on which counting noise is even."""
    from scipy.ndimage import gaussian_filter1d

    scale = abs(energy[1] - energy[0])
    root = np.sqrt(np.maximum(gaussian_filter1d(counts, _NARROW / scale), 0))
    found: F64 = root - gaussian_filter1d(root, _WIDE / scale)
    found[energy < _LEAST] = 0
    return found


def _certain(
    stretch: float, shift: float, counts: F64, energy: F64, used: NDArray[np.bool_]
) -> bool:
    """Whether a change is more than counting noise and a tenth of a channel."""
    from scipy.ndimage import gaussian_filter1d

    scale = abs(energy[1] - energy[0])
    rate = gaussian_filter1d(counts, _NARROW / scale)[used] + 1e-9
    slope = np.gradient(rate, scale)
    design = np.stack([slope * energy[used], slope])
    information = (design / rate) @ design.T
    change = np.array([stretch - 1, shift])
    moved = (stretch - 1) * energy[used] + shift
    weight = slope**2 / rate
    off = float(np.sqrt((weight * moved**2).sum() / max(weight.sum(), 1e-30)))
    return bool(change @ information @ change > _SIGMAS**2 and off > 0.1 * scale)
