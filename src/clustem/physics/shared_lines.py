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
_WINDOW = 0.5
"""Width of the windows whose shifts must agree [keV]."""
_NEAR = 0.25
"""Largest shift of such a window [keV]."""
_WEAK = 0.005
"""Share of the strongest window's weight below which one tells nothing."""
_FEWEST = 4
"""Windows that are needed."""
_CHANCE = 1e-3
"""Chance of windows that agree by accident."""
_FINER = 0.75
"""Ratio of two scales from which on one is finer."""
_SURE = 0.05
"""Error of the shift of a window, at least [channels]."""
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
        The change; none where the spectra have too few lines in common to tell, where their lines
        do not agree on one, or where it is below a tenth of a channel.

    Notes
    -----
    The square roots of the counts, less their mean over 0.25 keV, are correlated over shifts up to
    0.15 keV and stretches up to 3 %. Another composition shifts lines that overlap, too, each by
    another energy: windows of 0.5 keV are laid over each other one by one, and a straight line
    through their shifts must be significant at 0.1 %.

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
    if np.ptp(own) * len(other) < _FINER * np.ptp(other) * len(own):  # the finer axis is the rule
        found = shared_lines(y, other, x, own)
        shift = -found.shift / found.stretch + 0.0
        return AxisChange(1 / found.stretch, shift, found.correlation)
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
    apart_by_line = _line_shifts(lines, own, template, other, best.x)
    if correlation < _ALIKE or not _agree(*apart_by_line, abs(other[1] - other[0])):
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


def _line_shifts(
    lines: F64, own: F64, template: F64, other: F64, change: F64
) -> tuple[F64, F64, F64]:
    """Energy, shift and weight of each window of the spectrum that holds lines."""
    scale = abs(other[1] - other[0])
    stretch, shift = 1 + change[0] * _STRETCH, change[1] * _SHIFT
    steps = np.arange(-_NEAR, _NEAR + scale / 4, scale / 2)
    moved = np.array([np.interp(other - step, own, lines) for step in steps])  # by each step
    first = np.arange(max(_LEAST, other[0]), min(own[-1], other[-1]) - _WINDOW / 2, _WINDOW)
    found = []
    for low in first:
        inside = (other >= low) & (other < low + _WINDOW)
        part = template[inside]
        power = float((part**2).sum())
        middle = float((part**2 @ other[inside]) / max(power, 1e-30))
        expects = (stretch - 1) * middle + shift
        cuts = moved[:, inside]
        norms = np.linalg.norm(cuts, axis=1) * np.sqrt(power)
        near = np.abs(steps - expects) <= _NEAR / 2
        score = np.where(near & (norms > 0), cuts @ part / np.maximum(norms, 1e-30), -1)
        found.append((middle, _peak(steps, score), power * max(float(score.max()), 0.0) ** 6))
    energy, apart, weight = np.array(found).T if found else np.zeros((3, 0))
    return energy, apart, weight


def _peak(steps: F64, score: F64) -> float:
    """Return where a score is highest, between the steps."""
    top = int(score.argmax())
    before, here, after = score[max(top - 1, 0)], score[top], score[min(top + 1, len(score) - 1)]
    bend = float(before - 2 * here + after)
    inside = 0 < top < len(score) - 1 and min(before, after) > 0 and bend < 0
    between = 0.5 * float(before - after) / bend if inside else 0.0
    return float(steps[top] + between * (steps[1] - steps[0]))


def _agree(energy: F64, apart: F64, weight: F64, scale: float) -> bool:
    """Whether the lines agree on a change: an F-test of a straight line against none."""
    from scipy.stats import f

    used = weight > _WEAK * weight.max(initial=0)
    n = int(used.sum())
    if n < _FEWEST:
        return False
    energy, apart, weight = energy[used], apart[used], weight[used]
    root = np.sqrt(weight / weight.mean())
    design = np.stack([np.ones(n), energy], axis=1) * root[:, None]
    fitted = design @ np.linalg.lstsq(design, apart * root, rcond=None)[0]
    rest = float(((apart * root - fitted) ** 2).sum()) + n * (_SURE * scale) ** 2
    off = float(np.sqrt((fitted**2).mean()))
    statistic = float((fitted**2).sum()) / 2 / (rest / (n - 2))
    return bool(f.sf(statistic, 2, n - 2) < _CHANCE and off > 0.1 * scale)
