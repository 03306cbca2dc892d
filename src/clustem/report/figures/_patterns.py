"""Center patterns and patches: grey scales and differences, framed in the colors of the map."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.report.figures._spectra import ink, quantity
from clustem.report.layout.extent import Axis, axes_of
from clustem.report.layout.maps import bare, color_bar
from clustem.report.layout.marks import outline, outlines
from clustem.report.layout.palette import palette
from clustem.report.layout.placed import is_placed
from clustem.report.layout.sheet import DOUBLE, Sheet, fitted, packed, width_of
from clustem.report.layout.units import common_power, power_text, round_length, with_units

_EDGE, _GAP, _TITLE, _AXIS, _BELOW, _BAR = 1.5, 2.0, 5.0, 14.0, 10.0, 7.5
_LINE = 4.2
_MASK = "#ff9d00"
_TALLEST, _WIDEST, _WIDEST_PATCH = 220.0, 42.0, 36.0
_CUT = 3.0
"""White of the linear scale, in units of what 99 % of the pixels stay below."""


@dataclass(frozen=True)
class _Scale:
    """One image of each pattern: what is drawn, how, and the label of its color bar."""

    images: NDArray[np.float64]
    norm: Normalize
    cmap: str
    label: str

    @property
    def limits(self) -> tuple[float, float]:
        """Values of black and white."""
        low, high = self.norm.vmin, self.norm.vmax
        return (0.0, 1.0) if low is None or high is None else (float(low), float(high))

    @property
    def clipped(self) -> bool:
        return self.limits[1] < float(np.nanmax(self.images))

    @property
    def ticks(self) -> dict[float, str]:
        """Few values of the color bar, as they are written."""
        low, high = self.limits
        found = _decades(low, high) if self.label == "logarithmic" and low > 0 else []
        if len(found) < 2:
            step = round_length((high - low) / 3)
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            found = [step * i for i in range(first, last + 1)]
        return dict(zip(found, _written(found), strict=True))


def pattern_grid(segmentation: Segmentation, marks: int) -> Figure:
    """Draw each pattern on its grey scales, and its difference from the mean of all rows."""
    marked = outlines(segmentation, marks)
    rows_axis, columns_axis = axes_of(segmentation.centers)[-2:]
    scales = _scales(segmentation)
    extent = _extent(rows_axis, columns_axis)
    aspect = abs((extent[1] - extent[0]) / (extent[2] - extent[3]))
    k, high = segmentation.n_clusters, len(scales)
    group_gap = _TITLE + _GAP + 3.0
    numbers = max(width_of(text) for scale in scales for text in scale.ticks.values())
    beside = _BAR + numbers + 2 * _LINE
    columns, width = packed(
        aspect / high,  # images of one pattern, one above the other
        k,
        width=DOUBLE - _AXIS - _EDGE - beside,
        gap=(_GAP, group_gap),
        limit=_TALLEST - _BELOW,
        most=(_WIDEST_PATCH if is_placed(segmentation) else _WIDEST) * min(aspect, 1.5),
    )
    height, bands = width / aspect, -(-k // columns)
    band = high * height + (high - 2) * _GAP + group_gap
    used = columns * (width + _GAP) - _GAP
    sheet = Sheet(_AXIS + used + beside + _EDGE, bands * band + _BELOW)
    hidden = segmentation.signal_mask
    for i, color in enumerate(palette(segmentation)):
        left = _AXIS + (i % columns) * (width + _GAP)
        top = (i // columns) * band
        sheet.box(left, top + 1.5, 3.0, 2.4, facecolor=color, edgecolor="none")
        sheet.text(left + 4.2, top + 2.8, fitted(segmentation.name_of(i), width - 4.2))
        for j, scale in enumerate(scales):
            ax = sheet.axes(left, top + _TITLE + j * (height + _GAP), width, height)
            drawn = ax.imshow(
                scale.images[i], extent=extent, aspect="auto", cmap=scale.cmap, norm=scale.norm
            )
            _outline(ax, hidden, extent)
            if j == 0:
                outline(ax, marked[i], extent)
            bare(ax, ink(color), 1.4)
            if i % columns == 0:
                ax.set_yticks(_ticks(rows_axis, height, wide=False))
                ax.set_ylabel(with_units(rows_axis.name or "row", rows_axis.units, fallback="px"))
            if j == high - 1 and i + columns >= k:
                ax.set_xticks(_ticks(columns_axis, width, wide=True))
                name = columns_axis.name or "column"
                ax.set_xlabel(with_units(name, columns_axis.units, fallback="px"))
            if i == min(columns, k) - 1:
                place = left + width + 2.0, top + _TITLE + j * (height + _GAP)
                _bar(sheet, drawn, scale, (*place, height), numbers=numbers)
    values = fitted(quantity(segmentation.centers), high * height)
    middle = _TITLE + (high * height + (high - 1) * _GAP) / 2
    sheet.text(sheet.width - 2.5, middle, values, rotation=90, ha="center")
    return sheet.figure


def _bar(
    sheet: Sheet,
    drawn: AxesImage,
    scale: _Scale,
    box: tuple[float, float, float],
    *,
    numbers: float,
) -> None:
    """Draw the color bar of one scale; its name stands beyond the widest number of all bars."""
    left, top, height = box
    bar = color_bar(sheet, drawn, box, label="", clipped=scale.clipped)
    bar.set_ticks(list(scale.ticks), labels=list(scale.ticks.values()))
    bar.ax.minorticks_off()
    x = left + _BAR - 2.0 + numbers + _LINE / 2
    name = fitted(scale.label, height)
    sheet.text(x, top + height / 2, name, rotation=90, ha="center")


def _scales(segmentation: Segmentation) -> list[_Scale]:
    """Linear, for diffraction also logarithmic, and minus the mean where that is known."""
    data = np.nan_to_num(np.asarray(segmentation.centers.data, dtype=np.float64))
    there = segmentation.counts > 0
    data[~there] = np.nan  # an empty cluster has no mean
    linear, logarithmic = _norms(data[there])
    scales = [_Scale(data, linear, "gray", "linear")]
    if not is_placed(segmentation):  # what an image shows has no decades
        scales.append(_Scale(data, logarithmic, "gray", "logarithmic"))
    mean = segmentation.mean
    if mean is None or np.shape(mean) != data.shape[1:] or len(data) == 1:
        return scales
    difference = data - np.asarray(mean, dtype=np.float64)
    hidden = segmentation.signal_mask
    if hidden is not None and np.shape(hidden) == data.shape[1:]:
        difference[:, np.asarray(hidden, dtype=bool)] = 0  # took no part in the clustering
    reach = float(np.quantile(np.abs(difference[there]), 0.999)) or 1.0
    return [*scales, _Scale(difference, Normalize(-reach, reach), "RdBu_r", "minus mean")]


def _outline(
    ax: Axes, hidden: NDArray[np.bool_] | None, extent: tuple[float, float, float, float]
) -> None:
    """Draw the border of what was masked."""
    if hidden is None or not np.any(hidden):
        return
    ax.contour(
        np.asarray(hidden, dtype=float), extent=extent, origin="upper",
        levels=[0.5], colors=_MASK, linewidths=0.6, linestyles="--",
    )  # fmt: skip


def _norms(data: NDArray[np.float64]) -> tuple[Normalize, Normalize]:
    """Make a linear and a logarithmic grey scale; the latter over the decades that hold signal."""
    low, bright, high = (float(value) for value in np.quantile(data, (0.01, 0.99, 1)))
    high = high if high > low else low + 1
    linear = Normalize(low, min(high, _CUT * bright) if bright > low else high)
    positive = data[data > 0]
    if not positive.size:
        return linear, Normalize(low, high)
    floor = max(float(np.quantile(positive, 0.02)), high * 1e-5)
    return linear, LogNorm(min(floor, high / 10), high, clip=True)


def _extent(rows: Axis, columns: Axis) -> tuple[float, float, float, float]:
    dy, dx = (rows.step or rows.scale) / 2, (columns.step or columns.scale) / 2
    return (
        columns.values[0] - dx,
        columns.values[-1] + dx,
        rows.values[-1] + dy,
        rows.values[0] - dy,
    )


def _ticks(axis: Axis, room: float, *, wide: bool) -> list[float]:
    """Few ticks in ``room`` mm, of which neither those of one nor of two images touch."""
    low, high = sorted((float(axis.values[0]), float(axis.values[-1])))
    span = high - low + axis.scale
    reach = min(-low, high)
    choices = []
    if reach > 0.2 * (high - low):
        for share in (0.85, 0.5):
            tick = round_length(share * reach)
            choices += [[-tick, 0.0, tick], [-tick, tick]]
    else:
        for share in (0.45, 0.9):
            tick = round_length(share * (high - low)) if high > low else 1.0
            first, last = math.ceil(low / tick), math.floor((high - 0.1 * (high - low)) / tick)
            choices.append([tick * i for i in range(first, last + 1)])
    for ticks in choices:
        at = [(value - low) / span * room for value in ticks]
        needs = [width_of(f"−{abs(v):g}" if v < 0 else f"{v:g}") if wide else 3.0 for v in ticks]
        gaps = np.diff([*at, at[0] + room + _GAP]) if len(at) > 1 else [room]
        after = [*needs[1:], needs[0]]
        free = [gap - (a + b) / 2 for gap, a, b in zip(gaps, needs, after, strict=True)]
        if min(free) > 1.0:
            return ticks
    return choices[-1][:1]


def _decades(low: float, high: float) -> list[float]:
    """1, 2 and 5 times the powers of ten in a range, or fewer if they are many."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = []
    for factors in ((1, 2, 5), (1,)):
        found = [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]
        if len(found) <= 5:
            return found
    return found[-1::-2][::-1]


def _written(values: list[float]) -> list[str]:
    """Write numbers briefly; very large or small ones share a power of ten."""
    ratio = max(values) / min(values) if min(values) > 0 else 1.0
    if ratio > 50:  # decades: each has its own power
        return [_briefly(value) for value in values]
    power = common_power(values)
    texts = [f"{value / 10.0**power:.6g}".replace("-", "−") for value in values]
    return [f"{t}·{power_text(power)}" if power and t != "0" else t for t in texts]


def _briefly(value: float) -> str:
    power = common_power([value])
    factor = f"{value / 10.0**power:.3g}"
    if not power:
        return f"{value:.6g}"
    return power_text(power) if factor == "1" else f"{factor}·{power_text(power)}"
