"""A spectrum as a sum of X-ray lines on a smooth background."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from clustem.physics.xray_lines import Line, fwhm
from clustem.prepare._peaks import odd_widths, top_hat, top_hat_variance
from clustem.prepare._vote import Axis

F64 = NDArray[np.float64]

_MISFIT = 0.04  # error of the model itself, as a share of the counts
_SIGMA = 1 / np.sqrt(8 * np.log(2))
_REACH = 6.0  # standard deviations to which a line is drawn
_LARGEST = np.array([0.01, 0.03, 0.08])  # step of scale (relative), offset [keV], resolution
_SOFT = 1.3  # below, the ratios of a shell's lines are not relied on [keV]
_SOFTEST = 0.35  # below, nothing is [keV]
_CLOSE = 1.0  # lines of a family nearer than this share of the width are one feature
_FAINT = 0.1  # weight of a line that is no feature of its own


@dataclass(frozen=True)
class Feature:
    """One line, or several of a family that the detector does not separate.

    Attributes
    ----------
    line
        The strongest one.
    position
        Measured position of that line [channels].
    error
        Standard error of it [channels], from counting alone.
    significance
        Height in units of its standard error.
    """

    line: Line
    position: float
    error: float
    significance: float


@dataclass
class LineModel:
    """Families of lines with free heights on an energy axis that can be fitted.

    Background, whatever its form, is removed from the spectrum and from the model by the same
    top-hat filter.

    Parameters
    ----------
    counts
        Spectrum (n,).
    lines
        Lines that may be in it.
    axis
        Energy axis to begin with.
    resolution
        Full width at half maximum at Mn Ka [eV].
    unknown
        Positions of peaks of no listed line [channels]: free heights there.
    """

    counts: F64
    lines: Sequence[Line]
    axis: Axis
    resolution: float
    unknown: F64 = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        self.width = int(odd_widths(fwhm(3.0, self.resolution) / self.axis.scale))
        self.broadening, self.explained = 1.0, 0.0
        self.families = group(self.lines)
        noise = top_hat_variance(self.counts, self.width)
        smooth = np.convolve(self.counts, np.ones(3) / 3, mode="same")
        model = top_hat_variance((_MISFIT * smooth) ** 2, self.width) * self.width / 2
        used = np.flatnonzero(self.counts)
        weight = np.zeros(len(self.counts))
        inside = slice(
            max(2 * self.width, used[0] + self.width),
            min(len(weight) - 2 * self.width, used[-1] + 1),
        )
        weight[inside] = 1 / np.sqrt(noise + model + 1e-3)[inside]
        self.weight = weight
        self.target = top_hat(self.counts, self.width) * weight
        self.empty = float(self.target @ self.target)

    def columns(self) -> F64:
        """Return the filtered, weighted spectrum of each family, then each unknown peak, (m, n)."""
        return self._columns(self.axis, self.broadening)

    def fit(self, *, rounds: int = 12) -> None:
        """Fit axis, resolution and heights.

        Gauss–Newton in the axis and the resolution, with the best heights for each.
        """
        state = np.array([self.axis.scale, self.axis.offset, self.broadening])
        columns = self.columns()
        heights, cost = self._solve(columns)
        damping = 1e-3
        for _ in range(rounds):
            step = self._step(state, columns, heights, damping)
            for _ in range(6):
                moved = np.array(
                    [state[0] * (1 + step[0]), state[1] + step[1], state[2] * (1 + step[2])]
                )
                moved[2] = np.clip(moved[2], 0.75, 1.5)
                tried = self._columns(Axis(moved[0], moved[1]), moved[2])
                found, lower = self._solve(tried)
                if lower < cost:
                    break
                damping = max(10 * damping, 1e-4)
                step = self._step(state, columns, heights, damping)
            else:
                break
            gain, cost = cost - lower, lower
            state, columns, heights, damping = moved, tried, found, damping / 10
            if gain < 1e-6 * cost:
                break
        self.axis, self.broadening = Axis(float(state[0]), float(state[1])), float(state[2])
        self.explained = self.empty - cost

    def _step(self, state: F64, columns: F64, heights: F64, damping: float) -> F64:
        model = heights @ columns
        slope = np.empty((len(self.target), 3))
        for i, small in enumerate((1e-5, 1e-5, 1e-4)):
            moved = state.copy()
            moved[i] = state[i] + small if i == 1 else state[i] * (1 + small)
            there = heights @ self._columns(Axis(moved[0], moved[1]), moved[2])
            slope[:, i] = (there - model) / small
        active = columns[heights > 0]
        rest = self.target - model
        if len(active):  # what other heights can do is no reason to move
            basis = np.linalg.qr(active.T)[0]
            slope -= basis @ (basis.T @ slope)
        square = slope.T @ slope
        square += damping * np.diag(square.diagonal() + 1e-12)
        step = np.linalg.solve(square, slope.T @ rest)
        return np.clip(step, -_LARGEST, _LARGEST)

    def features(self) -> list[Feature]:
        """Measure the position of each line on its own, all others modelled beside it."""
        columns = self.columns()
        heights = self._solve(columns)[0]
        parts, scales = [], []
        for height, (name, family) in zip(heights, self.families.items(), strict=False):
            if height > 0 and not name.endswith("l"):
                own = _separable(family, self.resolution * self.broadening)
                parts += own
                scales += [height] * len(own)
        if not parts:
            return []
        owners = [max(part, key=lambda line: line.weight) for part in parts]
        drawn = np.array(scales)[:, np.newaxis] * self._drawn(parts, self.axis, self.broadening)
        slopes = -np.gradient(drawn, axis=1)  # of a shift by one channel
        free = np.array([name.endswith("l") for name in self.families])
        free = np.append(free, np.ones(len(self.unknown), dtype=bool))  # not measured
        beside = columns[free & (heights > 0)]
        design = np.vstack([self._filtered(slopes), self._filtered(drawn), beside])
        found, error = self._estimate(design)
        m = len(parts)
        strength = np.maximum(found[m : 2 * m], 1e-3)  # 1 where the family's ratios hold
        position = self.axis.channel(np.array([line.energy for line in owners]))
        return [
            Feature(line, float(at), float(wrong), float(height))
            for line, at, wrong, height in zip(
                owners,
                position + found[:m] / strength,
                error[:m] / strength,
                found[m : 2 * m] / error[m : 2 * m],
                strict=True,
            )
        ]

    def _estimate(self, design: F64) -> tuple[F64, F64]:
        """Coefficients of the rows of a design, and their standard errors from counting."""
        norm = np.sqrt(np.einsum("ij,ij->i", design, design)) + 1e-12
        solver = np.linalg.pinv((design / norm[:, None]).T, rcond=1e-6) / norm[:, None]
        error = top_hat(solver * self.weight, self.width) ** 2 @ np.maximum(self.counts, 0.02)
        return solver @ self.target, np.sqrt(error) + 1e-12

    def _columns(self, axis: Axis, broadening: float) -> F64:
        peaks = [[Line("", "", float(at), 1.0)] for at in axis.energy(self.unknown)]
        return self._filtered(self._drawn([*self.families.values(), *peaks], axis, broadening))

    def _filtered(self, values: F64) -> F64:
        return top_hat(values, self.width) * self.weight

    def _drawn(self, groups: list[list[Line]], axis: Axis, broadening: float) -> F64:
        """Spectrum of each group of lines with unit height (m, n)."""
        n = len(self.counts)
        lines = np.array([(i, x.energy, x.weight) for i, own in enumerate(groups) for x in own])
        owner, energy, weight = lines.reshape(-1, 3).T[:, :, np.newaxis]
        sigma = fwhm(energy, self.resolution * broadening) * _SIGMA / axis.scale
        center = axis.channel(energy)
        reach = int(_REACH * sigma.max(initial=1.0)) + 1
        channel = np.floor(center) + np.arange(-reach, reach + 1)
        height = weight / sigma * np.exp(-0.5 * ((channel - center) / sigma) ** 2)
        inside = (channel >= 0) & (channel < n)
        place = (owner * n + channel)[inside].astype(np.intp)
        flat = np.bincount(place, height[inside], minlength=len(groups) * n)
        return flat.astype(np.float64, copy=False).reshape(len(groups), n)

    def _solve(self, columns: F64) -> tuple[F64, float]:
        from scipy.optimize import nnls

        norm = np.sqrt(np.einsum("ij,ij->i", columns, columns)) + 1e-12
        found, rest = nnls((columns / norm[:, None]).T, self.target)
        return found / norm, float(rest**2)


def group(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """Put lines that keep their ratios together; soft Ll and Ln go their own way."""
    families: dict[str, list[Line]] = {}
    for line in lines:
        side = is_soft(line) and line.name in ("Ll", "Ln")
        families.setdefault(line.family + ("l" if side else ""), []).append(line)
    return families


def is_soft(line: Line) -> bool:
    """Whether bonding and absorption shift the line and change its shell's ratios."""
    return line.energy < (_SOFTEST if line.name[0] == "K" else _SOFT)


def _separable(family: list[Line], resolution: float) -> list[list[Line]]:
    """Cut a family into what can be seen apart; faint and soft lines stay with the main one."""
    strongest = max(family, key=lambda line: line.weight)
    ordered = sorted(family, key=lambda line: line.energy)
    parts = [[ordered[0]]]
    for line in ordered[1:]:
        gap = line.energy - parts[-1][-1].energy
        if gap < _CLOSE * float(fwhm(line.energy, resolution)):
            parts[-1].append(line)
        else:
            parts.append([line])
    own = [p for p in parts if max(line.weight for line in p) >= _FAINT and not is_soft(p[0])]
    main = next((part for part in own if strongest in part), [])
    own = [part for part in own if part is not main]
    apart = [line for part in own for line in part]
    return [[line for line in family if line not in apart], *own]
