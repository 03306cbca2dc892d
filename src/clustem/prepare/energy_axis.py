"""Energy axis from the X-ray lines in the sum spectrum."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray

from clustem.core import (
    InputError,
    Signal,
    UnknownNameError,
    elements_of,
    like,
    preparation,
    record,
)
from clustem.physics.xray_lines import fwhm, lines_of
from clustem.prepare._energy_calibration import EnergyCalibration, Pair
from clustem.prepare._identify import COMMON, OTHERS, identify, trust
from clustem.prepare._line_model import Feature, LineModel, is_soft
from clustem.prepare._peaks import Peaks, find_peaks
from clustem.prepare._sum_spectrum import SumSpectrum
from clustem.prepare._vote import Axis, Ballot, Reach, vote
from clustem.prepare.fit_energy_axis import fit_energy_axis

F64 = NDArray[np.float64]

_LOWEST = 0.2  # lines below are lost in noise and in the window [keV]
_WORTH_A_LOOK = 0.75  # share of the best axis' votes
_RIVAL = 0.93  # share of the best axis' score that leaves it open which one is right
_OUTVOTED = 0.85  # share of the votes of the best axis for any elements
_APART = 0.06  # axes that nowhere differ by more are one and the same [keV]
_TABLE = {False: 0.003, True: 0.008}  # error of the table's centers, and of soft ones [keV]
_SIGNIFICANT = 6.0  # height of a line in standard errors
_BLURRED = 0.02  # a line whose position is less certain is left out [keV]
_OUTLIER = (3.0, 0.008)  # residual in standard errors, and [keV]
_FIRM = 0.3  # weight of a soft line that may explain a peak
_SAME = 0.6  # a peak nearer to a line than this share of the width is that line
_FEWEST = (3, 5)  # pairs of named elements, and of those that had to be found
_SPAN = 0.8  # least distance between the lowest and the highest pair [keV]
_UNSURE = 0.025  # largest standard error of the axis [keV]
_HARDEST = 10.0
"""Up to here the axis must be that good, if the spectrum and the beam reach it [keV]."""


@preparation(kind="geometry")
def energy_axis(
    signal: Signal,
    *,
    elements: Sequence[str] | None = None,
    exclude_lines: Sequence[str] = (),
    scale_error: Annotated[float, Gt(0), Le(0.1)] = 0.06,
    offset_error: Annotated[float, Gt(0), Le(0.5)] = 0.2,
    resolution: Annotated[float, Ge(50), Le(400)] | None = None,
) -> EnergyCalibration:
    """Calibrate the energy axis of an EDS map from the X-ray lines in its sum spectrum.

    Parameters
    ----------
    signal
        EDS scan or spectrum with a roughly calibrated energy axis, lazy or not.
    elements
        Elements whose lines may be used. None: those of the metadata; where there are none, the
        elements are found together with the axis.
    exclude_lines
        Lines that are not to be used, such as ``"Fe_La"``.
    scale_error
        How far the width of a channel may be off, relative.
    offset_error
        How far the energy of channel 0 may be off [keV].
    resolution
        Full width at half maximum at Mn Ka [eV]; the metadata's if None, else 130.

    Returns
    -------
    :
        The calibrated signal, the pairing of peaks and lines, and the residuals of the pairs that
        were used: by name, or ``signal, pairing, residuals = energy_axis(...)``.

    Raises
    ------
    InputError
        If fewer than three lines support an axis, if they lie too close together, or if another
        axis would do as well. Then the axis is better left as it is.

    Notes
    -----
    Every peak votes for the axes that put it on a line. For the best of them, all families of
    lines are fitted to the spectrum at once, together with axis and resolution, so lines may
    overlap, and peaks of other elements are free. The position of each line is then measured
    beside its modelled neighbours, and a straight line fitted to positions and energies by
    weighted least squares, in which the table's energies are trusted to 3 eV, those of soft lines
    to 8 eV. The table lists Kα1; a detector sees the doublet's mean, 4 eV lower at iron.

    Examples
    --------
    >>> from clustem.samples.eds import eds
    >>> spoiled = eds(shape=(16, 18)).signal
    >>> spoiled.axes_manager[-1].scale *= 1.04
    >>> found = energy_axis(spoiled)
    >>> bool(abs(found.scale - 0.01) < 3e-5)
    True
    """
    spectrum = SumSpectrum.of(signal, resolution)
    given = list(elements) if elements is not None else elements_of(signal)
    excluded = _known_lines(exclude_lines)
    peaks = find_peaks(spectrum.counts, spectrum.width)
    fewest = _FEWEST[not given]
    if len(peaks.position) < fewest:
        raise _thin(f"{len(peaks.position)} peaks", f"At least {fewest} peaks")
    reach = Reach(scale_error, offset_error)
    best = _best(spectrum, peaks, given, reach)
    if given:
        _refuse_outvoted(best.axis, spectrum, peaks, given, reach)
    model = _with_unknown_peaks(best, spectrum, peaks)
    features = [f for f in model.features() if f.significance > _SIGNIFICANT]
    usable = [f for f in _believable(features, given) if f.line.label not in excluded]
    line = _straight_line(usable, model.axis, fewest)
    _refuse_unsure(line, spectrum)
    calibrated = _calibrated(signal, line.axis, spectrum.unit)
    pairing = _pairing(features, line, peaks, model)
    error = max(line.error(f.line.energy) for f in line.used)
    found = EnergyCalibration(calibrated, pairing, line.axis.scale, line.axis.offset, error)
    record(found.note, scale=found.scale, offset=found.offset, error=error)
    return found


@dataclass(frozen=True)
class _Line:
    """The fitted axis, the lines it was fitted to, and their standard errors [keV]."""

    axis: Axis
    used: tuple[Feature, ...]
    sigma: F64

    def error(self, energy: float) -> float:
        """Return the standard error of the axis at an energy [keV]."""
        at, weight = np.array([f.line.energy for f in self.used]), 1 / self.sigma**2
        center = np.average(at, weights=weight)
        steepness = (energy - center) ** 2 / (weight @ (at - center) ** 2)
        return float(np.sqrt(1 / weight.sum() + steepness))


def _thin(got: str, what: str) -> InputError:
    return InputError(
        f"{what} are needed to calibrate the energy axis",
        got=got,
        cure="Name the elements, sum more counts, or leave the axis as it is.",
    )


def _known_lines(labels: Iterable[str]) -> set[str]:
    """Refuse lines that no table has: a misspelt one would be used after all."""
    for label in labels:
        names = [line.label for line in lines_of([label.partition("_")[0]])]
        if label not in names:
            raise UnknownNameError.among("X-ray line", label, names)
    return set(labels)


def _best(spectrum: SumSpectrum, peaks: Peaks, given: list[str], reach: Reach) -> LineModel:
    """Fit the axes with most votes, and take the one that explains most."""
    high = spectrum.highest(reach.scale, reach.offset)
    lines = lines_of(given or (*COMMON, *OTHERS), low=_LOWEST, high=high)
    if not lines:
        raise InputError(
            f"The elements need lines between {_LOWEST} and {high:.3g} keV",
            got=", ".join(given),
            cure="Name other elements.",
        )
    belief = (lambda _: 1.0) if given else trust
    ranked = vote(peaks, lines, spectrum.axis, reach, trust=belief)
    fitted: list[tuple[float, LineModel]] = []
    for axis, votes in ranked:
        if votes < _WORTH_A_LOOK * ranked[0][1]:
            break
        model = _fitted(spectrum, axis, given, high)
        if model is not None and _within(model.axis, spectrum, peaks, reach):
            fitted.append((votes * model.explained, model))
    if not fitted:
        raise _thin("no axis that puts the peaks on lines", "Peaks on lines")
    fitted.sort(key=lambda item: item[0], reverse=True)
    score, best = fitted[0]
    for other, rival in fitted[1:]:
        if other > _RIVAL * score and _distance(rival.axis, best.axis, peaks) > _APART:
            raise _thin(f"two: {best.axis}, or {rival.axis}", "Lines that allow one axis")
    return best


def _refuse_outvoted(
    axis: Axis, spectrum: SumSpectrum, peaks: Peaks, given: list[str], reach: Reach
) -> None:
    """Refuse an axis that puts the other peaks on no line at all: the elements must be wrong."""

    def belief(element: str) -> float:
        return 1.0 if element in given else trust(element)

    elements = {*given, *COMMON, *OTHERS}
    lines = lines_of(elements, low=_LOWEST, high=spectrum.highest(reach.scale, reach.offset))
    other, most = vote(peaks, lines, spectrum.axis, reach, trust=belief, most=1)[0]
    votes = float(Ballot.of(peaks, lines, belief).count(axis.energy(peaks.position)))
    if votes < _OUTVOTED * most and _distance(axis, other, peaks) > _APART:
        raise InputError(
            "The elements must fit the peaks",
            got=f"{', '.join(given)}, while {other} puts more peaks on lines of other elements",
            cure="Name the elements that are there, or none to have them found.",
        )


def _fitted(spectrum: SumSpectrum, axis: Axis, given: list[str], high: float) -> LineModel | None:
    """Fit the given elements, or those that the spectrum shows on this axis."""
    model = None
    for _ in range(1 if given else 2):  # elements are named again on the better axis
        elements = given or identify(
            spectrum.counts, axis, lowest=_LOWEST, highest=high, resolution=spectrum.resolution
        )
        lines = lines_of(elements, low=_LOWEST, high=high)
        if not lines:
            return None
        model = LineModel(spectrum.counts, lines, axis, spectrum.resolution)
        model.fit()
        axis = model.axis
    return model


def _within(axis: Axis, spectrum: SumSpectrum, peaks: Peaks, reach: Reach) -> bool:
    """Whether a fit stayed where it was asked to search, with some slack."""
    most = reach.scale * abs(spectrum.axis.energy(peaks.position[-1])) + reach.offset
    near = abs(axis.scale / spectrum.axis.scale - 1) <= 1.2 * reach.scale
    return bool(near and _distance(axis, spectrum.axis, peaks) <= 1.2 * most)


def _distance(one: Axis, other: Axis, peaks: Peaks) -> float:
    """Largest difference of two axes between the first and the last peak [keV]."""
    ends = peaks.position[[0, -1]]
    return float(np.abs(one.energy(ends) - other.energy(ends)).max())


def _with_unknown_peaks(model: LineModel, spectrum: SumSpectrum, peaks: Peaks) -> LineModel:
    """Fit again with a free line under each peak that the model's lines do not explain."""
    energy = model.axis.energy(peaks.position)
    firm = [line for line in model.lines if line.weight > _FIRM or not is_soft(line)]
    lines = np.array([line.energy for line in firm])
    away = np.abs(energy[:, None] - lines).min(axis=1)
    unknown = peaks.position[away > _SAME * fwhm(np.maximum(energy, 0.1), spectrum.resolution)]
    again = LineModel(spectrum.counts, model.lines, model.axis, spectrum.resolution, unknown)
    again.fit()
    return again


def _believable(features: list[Feature], given: list[str]) -> list[Feature]:
    """Drop rare elements that nobody named and that only one line speaks for."""
    if given:
        return features
    seen = [feature.line.element for feature in features]
    return [f for f in features if f.line.element in COMMON or seen.count(f.line.element) > 1]


def _straight_line(features: list[Feature], rough: Axis, fewest: int) -> _Line:
    """Fit an axis to the lines, leaving out one after the other that does not fit."""
    left = [f for f in features if f.error * rough.scale < _BLURRED]
    many, far = _OUTLIER
    while True:
        if len(left) < fewest:
            names = ", ".join(f.line.label for f in left) or "none"
            raise _thin(f"{len(left)} that fit ({names})", f"At least {fewest} clear lines")
        at = np.array([f.position for f in left])
        energy = np.array([f.line.energy for f in left])
        table = np.array([_TABLE[is_soft(f.line)] for f in left])
        sigma = np.hypot([f.error for f in left], table / rough.scale)
        axis = Axis(*fit_energy_axis(at, energy, sigma=sigma))
        residual = np.abs(energy - axis.energy(at))
        score = residual / (sigma * axis.scale)
        worst = int(score.argmax())
        if score[worst] < many or residual[worst] < far:
            break
        del left[worst]
    spread = max(1.0, float(np.sqrt(np.sum(score**2) / (len(left) - 2))))
    return _Line(axis, tuple(left), spread * sigma * axis.scale)


def _refuse_unsure(line: _Line, spectrum: SumSpectrum) -> None:
    energy = [f.line.energy for f in line.used]
    if np.ptp(energy) < _SPAN:
        raise _thin(f"lines from {min(energy)} to {max(energy)} keV", f"Lines {_SPAN} keV apart")
    end = line.axis.energy(len(spectrum.counts) - 1)
    hardest = max(energy[-1], min(_HARDEST, spectrum.beam_energy, float(end)))
    error = max(line.error(energy[0]), line.error(hardest))
    if error > _UNSURE:
        raise _thin(
            f"one good to {1000 * error:.0f} eV at {hardest:.3g} keV",
            f"Lines that fix the axis to {1000 * _UNSURE:.0f} eV",
        )


def _pairing(
    features: list[Feature], line: _Line, peaks: Peaks, model: LineModel
) -> tuple[Pair, ...]:
    """List measured lines and all other peaks by rising position."""
    pairs = [
        Pair(
            f.position,
            f.line.energy,
            f.line.label,
            float(f.line.energy - line.axis.energy(f.position)),
            f in line.used,
        )
        for f in features
    ]
    measured = line.axis.energy([pair.position for pair in pairs])
    table = np.array([known.energy for known in model.lines])
    for position in peaks.position:
        energy = float(line.axis.energy(position))
        near = _SAME * float(fwhm(max(energy, 0.1), model.resolution))
        if np.abs(measured - energy).min() <= near:
            continue
        closest = model.lines[int(np.abs(table - energy).argmin())]
        away = closest.energy - energy
        found = (closest.energy, closest.label, away) if abs(away) < near else (np.nan, "", np.nan)
        pairs.append(Pair(float(position), *found, used=False))
    return tuple(sorted(pairs, key=lambda pair: pair.position))


def _calibrated(signal: Signal, axis: Axis, unit: float) -> Signal:
    out = like(signal, signal.data, copy_variance=True)
    energy = out.axes_manager.signal_axes[0]
    energy.scale, energy.offset = axis.scale / unit, axis.offset / unit
    if "undefined" in str(energy.units):
        energy.units = "keV"
    return out
