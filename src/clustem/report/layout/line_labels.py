"""Which X-ray lines a set of spectra shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Signal, UnknownNameError, elements_of, instrument, type_of
from clustem.physics.xray_lines import Line, fwhm, lines_of

_SIGNIFICANT = 5.0
"""Standard errors by which a peak must rise above the spectrum beside it."""

_LEAST = 0.1
"""Weight of the lines that are looked at, relative to the strongest of their shell."""

_GREEK = {"a": "α", "b": "β", "g": "γ", "l": "ℓ", "n": "η", "z": "ζ"}
_LEADERS = {"Ka", "La", "Ma"}


@dataclass(frozen=True)
class XrayLine:
    """A line to label: its text, energy [keV] and how many standard errors the peak has."""

    text: str
    energy: float
    significance: float


def visible_lines(
    centers: Signal,
    energy: NDArray[np.float64],
    means: NDArray[Any],
    errors: NDArray[Any],
    *,
    elements: Sequence[str] | None = None,
) -> list[XrayLine]:
    """List the lines of elements, of those in the metadata, that stand out in a spectrum.

    Parameters
    ----------
    centers
        Signal whose metadata name the elements, the beam energy and the detector's resolution.
    energy
        Energy of each channel [keV], (channels,).
    means, errors
        Spectra and their standard errors, (k, channels).
    elements
        Symbols of other elements than those in the metadata.
    """
    beam = float(instrument(centers, "beam_energy") or np.inf)
    resolution = float(instrument(centers, "Detector.EDS.energy_resolution_MnKa") or 130.0)
    found: list[XrayLine] = []
    for element in elements_named(centers) if elements is None else elements:
        shown: set[str] = set()
        for line in sorted(_known(element, beam), key=lambda line: -line.weight):
            leads = line.name in _LEADERS
            if not leads and (line.weight < _LEAST or line.family not in shown):
                continue
            width = float(fwhm(line.energy, resolution))
            strength = _stands_out(line.energy, energy, means, errors, width)
            if strength > _SIGNIFICANT:
                shown.add(line.family)
                text = f"{element} {_greek(line.name)}"
                found.append(XrayLine(text, line.energy, strength * (4 if leads else 1)))
    return _separate(found, resolution)


def line_at(signal: Signal, position: float, *, units: str) -> str:
    """Name the line of a listed element that is nearest to an energy; "" if none is that near.

    Parameters
    ----------
    signal
        X-ray spectra; of others there are no lines.
    position, units
        The energy, in keV or eV.
    """
    if not is_eds(signal):
        return ""
    kev = position * (1e-3 if units == "eV" else 1.0)
    beam = float(instrument(signal, "beam_energy") or np.inf)
    resolution = float(instrument(signal, "Detector.EDS.energy_resolution_MnKa") or 130.0)
    lines = [
        (abs(line.energy - kev), f"{element} {_greek(line.name)}")
        for element in elements_named(signal)
        for line in _known(element, beam)
        if line.weight >= _LEAST
    ]
    near = min(lines, default=(np.inf, ""))
    return near[1] if near[0] <= 0.5 * float(fwhm(kev, resolution)) else ""


def is_eds(signal: Signal) -> bool:
    """Whether a signal holds X-ray spectra."""
    return type_of(signal).startswith("EDS")


def elements_named(signal: Signal) -> list[str]:
    """Elements in a signal's metadata: as listed, or of the listed X-ray lines."""
    lines = signal.metadata.get_item("Sample.xray_lines", default=[])
    given = elements_of(signal) or [str(line).split("_")[0] for line in lines]
    return list(dict.fromkeys(given))


def _stands_out(
    at: float, energy: NDArray[Any], means: NDArray[Any], errors: NDArray[Any], fwhm: float
) -> float:
    """Largest significance, among the spectra, of a peak at an energy; 0 if there is none."""
    near = np.abs(energy - at) <= 0.5 * fwhm
    beside = [
        (energy >= at + side * 1.6 * fwhm - 0.5 * fwhm)
        & (energy <= at + side * 1.6 * fwhm + 0.5 * fwhm)
        for side in (-1, 1)
    ]
    if near.sum() < 2 or not any(part.any() for part in beside):
        return 0.0
    top = means[:, near].mean(axis=1)
    flanks = [means[:, part].mean(axis=1) for part in beside if part.any()]
    noise = np.sqrt((errors[:, near] ** 2).sum(axis=1)) / near.sum() * np.sqrt(2)
    excess = top - np.mean(flanks, axis=0)
    crest = _rises(means[:, np.abs(energy - at) <= fwhm])
    noise = np.where(noise > 0, noise, np.inf)
    good = crest & (excess > 0.02 * np.abs(top)) & np.isfinite(excess)
    return float(np.max(np.where(good, excess / noise, 0.0), initial=0.0))


def _rises(parts: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether spectra are higher in the middle half than in both outer quarters."""
    quarter = max(parts.shape[1] // 4, 1)
    middle = parts[:, quarter:-quarter].mean(axis=1)
    left, right = parts[:, :quarter].mean(axis=1), parts[:, -quarter:].mean(axis=1)
    rises: NDArray[np.bool_] = (middle > left) & (middle > right)
    return rises


def _known(element: str, beam: float) -> list[Line]:
    """List the lines of an element below the beam energy; of what is no element, none."""
    try:
        return lines_of([element], high=beam)
    except UnknownNameError:
        return []


def _separate(lines: list[XrayLine], resolution: float) -> list[XrayLine]:
    """Of lines that a detector cannot resolve keep the strongest."""
    kept: list[XrayLine] = []
    for line in sorted(lines, key=lambda line: -line.significance):
        if all(abs(line.energy - k.energy) > 0.5 * fwhm(k.energy, resolution) for k in kept):
            kept.append(line)
    return sorted(kept, key=lambda line: line.energy)


def _greek(name: str) -> str:
    subscript = name[2:].translate(str.maketrans("123456789", "₁₂₃₄₅₆₇₈₉"))
    return name[0] + _GREEK.get(name[1:2], name[1:2]) + subscript
