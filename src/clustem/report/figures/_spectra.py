"""Center spectra: the cascade, and for energy losses the logarithmic view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import Segmentation, Signal, instrument
from clustem.report.layout.extent import axes_of
from clustem.report.layout.line_labels import XrayLine, is_eds, visible_lines
from clustem.report.layout.marks import mark_spectrum, marked_channels
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, FAINT, INK, MUTED, Sheet, fitted, width_of
from clustem.report.layout.units import pretty, round_length, with_units

_LEFT, _RIGHT, _BELOW, _TOP = 14.0, 2.0, 10.5, 2.0
_LABELS = 14.0
"""Height of the band with the names of the lines [mm]."""

_PITCH = 3.2
"""Least distance of two such names [mm]."""


@dataclass(frozen=True)
class _View:
    """What to draw: energies (n,), spectra and standard errors (k, n), names of the axes."""

    x: NDArray[np.float64]
    means: NDArray[np.float64]
    errors: NDArray[np.float64]
    label: str
    quantity: str

    def cut(self, keep: NDArray[np.bool_]) -> _View:
        means, errors = self.means[:, keep], self.errors[:, keep]
        return _View(self.x[keep], means, errors, self.label, self.quantity)


def cascade(segmentation: Segmentation, scale: str, marks: int) -> Figure:
    """Draw the mean spectra below each other; X-ray lines are labelled above."""
    view = _view(segmentation)
    lines: list[XrayLine] = []
    if is_eds(segmentation.centers):
        to_kev = 1e-3 if axes_of(segmentation.centers)[-1].units == "eV" else 1.0
        lines = visible_lines(segmentation.centers, view.x * to_kev, view.means, view.errors)
        view = view.cut(_range(view, lines, segmentation.centers, to_kev))
        lines = [XrayLine(line.text, line.energy / to_kev, line.significance) for line in lines]
    band = _LABELS if lines else _TOP
    k = len(view.means)
    row = float(np.clip(130 / k, 9, max(24, 42 / k)))  # the name of the axis needs 42 mm
    width = DOUBLE - _LEFT - _RIGHT
    sheet = Sheet(DOUBLE, band + k * row + _BELOW)
    _rows(sheet, segmentation, view, (_LEFT, band, width, row), scale=scale, marks=marks)
    if lines:
        _label_lines(sheet, lines, view.x, (_LEFT, band, width, k * row))
    return sheet.figure


def cascade_and_log(segmentation: Segmentation, scale: str, marks: int) -> Figure:
    """Draw the mean spectra below each other, and beside that all in one on a logarithmic axis."""
    view = _view(segmentation)
    k = len(view.means)
    row = max(130 / k if k > 5 else 24, 9)
    height = max(k * row, 60)
    row = height / k
    left_width = 92.0
    sheet = Sheet(DOUBLE, _TOP + height + _BELOW)
    tops = _tops(view)
    box = (_LEFT, _TOP, left_width, row)
    _rows(sheet, segmentation, view, box, scale=scale, marks=marks, tops=tops)
    left = _LEFT + left_width + 17
    ax = sheet.axes(left, _TOP, DOUBLE - _RIGHT - left, height)
    for mean, color in zip(view.means, palette(segmentation), strict=True):
        ax.plot(view.x, np.where(mean > 0, mean, np.nan), color=ink(color))
    positive = view.means[view.means > 0]
    if positive.size:
        _log_axis(ax, float(np.quantile(positive, 0.002)) * 0.7, float(positive.max()) * 1.6)
    ax.set(xlim=(view.x[0], view.x[-1]), xlabel=view.label, ylabel=view.quantity)
    return sheet.figure


def _log_axis(ax: Axes, low: float, high: float) -> None:
    """Make the axis logarithmic; where it spans few decades, with plain numbers in between."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    ax.set_ylim(low, high)
    if high / low < 100:
        ax.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def ink(color: NDArray[np.float64]) -> NDArray[np.float64]:
    """Darken a light color until a thin line of it can be seen on white paper."""
    light = float(np.dot(color[:3], (0.3, 0.59, 0.11)))
    return np.append(color[:3] * min(1.0, 0.55 / max(light, 0.01)), 1.0)


def _view(segmentation: Segmentation) -> _View:
    axis = axes_of(segmentation.centers)[-1]
    label = with_units(axis.name or "Channel", axis.units, fallback="" if axis.name else "number")
    means = np.nan_to_num(np.asarray(segmentation.centers.data, dtype=np.float64))
    errors = np.nan_to_num(np.asarray(segmentation.standard_error.data, dtype=np.float64))
    return _View(axis.values, means, errors, label, quantity(segmentation.centers))


def quantity(signal: Signal) -> str:
    """Name what the values of a mean are, with units."""
    given = str(signal.metadata.get_item("Signal.quantity", default="") or "")
    name, _, units = given.partition("(")
    name = name.strip()
    name = name.lower() if name[1:].islower() and "-" not in name else name  # not of X-rays
    if not given and is_eds(signal):
        name, units = "X-rays", "Counts"
    if units.strip(") ").lower() == "counts":
        return f"Mean {name or 'signal'} (counts per pixel)"
    return with_units(f"Mean {name or 'intensity'}", pretty(units.strip(") ")), fallback="a.u.")


def _range(view: _View, lines: list[XrayLine], centers: Signal, to_kev: float) -> NDArray[np.bool_]:
    """Keep what holds counts: from above the electronic zero peak (0.1 keV) to the last line."""
    kev = view.x * to_kev
    low = 0.1 if kev[0] < 0.1 < kev[-1] else kev[0]
    beam = instrument(centers, "beam_energy") or np.inf
    total = np.clip(view.means, 0, None).sum(axis=0) * (kev >= low)
    running = np.cumsum(total)
    end = kev[np.searchsorted(running, 0.985 * running[-1])] if running[-1] > 0 else kev[-1]
    last = max((line.energy for line in lines), default=0.0)
    keep: NDArray[np.bool_] = (kev >= low) & (kev <= min(max(end, 1.06 * last), beam))
    return keep if keep.sum() > 1 else np.ones_like(keep)


def _rows(
    sheet: Sheet,
    segmentation: Segmentation,
    view: _View,
    box: tuple[float, float, float, float],
    *,
    scale: str,
    marks: int,
    tops: NDArray[np.float64] | None = None,
) -> None:
    left, top, width, row = box
    k = len(view.means)
    peaks = view.means.max(axis=1) if tops is None else tops
    channels = marked_channels(segmentation, marks)
    for i, color in enumerate(palette(segmentation)):
        ax = sheet.axes(left, top + i * row, width, row)
        mean, error, dark = view.means[i], view.errors[i], ink(color)
        ax.patch.set_alpha(0)
        if mean.any():
            ax.fill_between(view.x, mean, color=color, alpha=0.3, linewidth=0)
            ax.fill_between(view.x, mean - error, mean + error, color=dark, alpha=0.35, linewidth=0)
            ax.plot(view.x, mean, color=dark, linewidth=0.7)
            _limit(ax, mean, float(peaks[i]), scale)
        else:  # an empty cluster
            ax.set_yticks([])
        if row < 12 and scale != "log":
            ax.set_yticks(ax.get_yticks()[-1:])
        ax.set_xlim(view.x[0], view.x[-1])
        ax.tick_params(labelbottom=i == k - 1, bottom=i == k - 1)
        for side in ("top", "bottom"):
            ax.spines[side].set(
                linewidth=0.6 if (side, i) in (("top", 0), ("bottom", k - 1)) else 0.3
            )
        _name_row(sheet, segmentation, i, (left + width, top + i * row + 2.6, width * 0.4))
        if channels[i]:
            place = (left + width, top + i * row + 5.9, width * 0.6) if row >= 12 else None
            mark_spectrum(sheet, ax, channels[i], (view.x, mean, dark), place)
    ax.set_xlabel(view.label)
    what = _on_scale(view.quantity, scale, k * row)
    sheet.text(2.6, top + k * row / 2, what, rotation=90, ha="center")


def _on_scale(what: str, scale: str, room: float) -> str:
    """Name the scale of an axis that is not linear, where there is room for it [mm]."""
    named = what + {"sqrt": ", √ scale", "log": ", log scale"}.get(scale, "")
    return named if width_of(named) <= room else what


def _name_row(
    sheet: Sheet, segmentation: Segmentation, i: int, place: tuple[float, float, float]
) -> None:
    """Write color, number of positions and name, up to the right end of a row."""
    right, y, room = place
    shade = palette(segmentation)[i]
    count = f"n = {int(segmentation.counts[i]):,}".replace(",", "\u2009")
    sheet.box(right - 4.2, y - 1.2, 3.2, 2.4, facecolor=shade, edgecolor="none")
    sheet.text(right - 5.4, y, count, ha="right", color=MUTED)
    name = fitted(segmentation.name_of(i), room)
    sheet.text(right - 7.4 - width_of(count), y, name, ha="right")


def _limit(ax: Axes, mean: NDArray[np.float64], peak: float, scale: str) -> None:
    """Set the range and the ticks of a row; its name needs air above the peaks."""
    low = min(float(np.quantile(mean, 0.002)), 0.0)
    if scale == "log" and peak > 0:
        floor = float(np.quantile(mean[mean > 0], 0.01)) * 0.8
        _log_axis(ax, min(floor, peak / 10), peak * 6)
        return
    peak = peak if peak > 0 else 1.0
    tick = round_length(peak)
    if scale == "sqrt":
        ax.set_yscale("function", functions=(_signed_root, _signed_square))
        ax.set_ylim(low, peak * 1.5)
        ticks = [0.0, round_length(peak / 5), tick]
    else:
        ax.set_ylim(low, peak * 1.28)
        ticks = [0.0, tick / 2, tick]
    ax.set_yticks(ticks)
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")


def _signed_root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(values) * np.sqrt(np.abs(values))


def _signed_square(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sign(values) * np.square(values)


def _tops(view: _View) -> NDArray[np.float64]:
    """Height of each row; where a zero-loss peak towers over the losses, that of the losses."""
    means = view.means
    peaks: NDArray[np.float64] = means.max(axis=1)
    mean = means.mean(axis=0)
    top = int(mean.argmax())
    if not view.x[0] < 0 < view.x[-1] or mean[top] <= 0:
        return peaks
    half = np.flatnonzero(mean > mean[top] / 2)
    wide = max(float(view.x[half[-1]] - view.x[half[0]]), 0.2)
    losses = view.x > view.x[top] + max(5 * wide, 3.0)
    return means[:, losses].max(axis=1) if losses.sum() > 10 else peaks


def _label_lines(
    sheet: Sheet,
    lines: list[XrayLine],
    x: NDArray[np.float64],
    box: tuple[float, float, float, float],
) -> None:
    """Write the names side by side above the rows, with leaders down to their energies."""
    from sklearn.isotonic import isotonic_regression

    left, top, width, height = box
    room = int(width / _PITCH)
    best = sorted(lines, key=lambda line: -line.significance)[:room]
    shown = sorted((ln for ln in best if x[0] < ln.energy < x[-1]), key=lambda ln: ln.energy)
    if not shown:
        return
    at = left + (np.array([line.energy for line in shown]) - x[0]) / (x[-1] - x[0]) * width
    slots = np.arange(len(shown)) * _PITCH
    bounds = {"y_min": left + 1.5, "y_max": left + width - 1.5 - slots[-1]}
    placed = isotonic_regression(at - slots, **bounds) + slots
    for line, true, name in zip(shown, at, placed, strict=True):
        ys = (top + height, top, top - 1.5, top - 3.5, top - 4.2)
        sheet.line(
            (true, true), ys[:2], color=FAINT, linewidth=0.4, linestyle=(0, (1, 1.5)), zorder=-1
        )
        sheet.line((true, true, name, name), ys[1:], color=MUTED, linewidth=0.4)
        sheet.text(
            name,
            top - 4.8,
            line.text,
            rotation=90,
            va="bottom",
            ha="center",
            color=INK,
        )
