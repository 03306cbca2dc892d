"""Center patterns: linear and logarithmic, side by side in the colors of the map."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import Projection
from clustem.report._maps import bare, color_bar
from clustem.report._scan import Axis, axes_of
from clustem.report._sheet import DOUBLE, Sheet, fitted, packed
from clustem.report._spectra import ink, quantity
from clustem.report._units import round_length, with_units
from clustem.report.colors import colors

_EDGE, _GAP, _TITLE, _AXIS, _BELOW, _BAR = 1.5, 2.0, 5.0, 14.0, 10.0, 20.0
_SCALES = ("linear", "logarithmic")
_TALLEST, _WIDEST = 220.0, 42.0
_CUT = 3.0
"""White of the linear scale, in units of what 99 % of the pixels stay below."""


def pattern_grid(projection: Projection) -> Any:
    """Draw each pattern twice, on a linear and on a logarithmic grey scale common to all."""
    rows_axis, columns_axis = axes_of(projection.centers)[-2:]
    data = np.nan_to_num(np.asarray(projection.centers.data, dtype=np.float64))
    extent = _extent(rows_axis, columns_axis)
    aspect = abs((extent[1] - extent[0]) / (extent[2] - extent[3]))
    k = len(data)
    pair_gap = _TITLE + _GAP + 3.0
    columns, width = packed(
        aspect / 2,  # two images, one above the other
        k,
        width=DOUBLE - _AXIS - _EDGE - _BAR,
        gap=(_GAP, pair_gap),
        limit=_TALLEST - _BELOW,
        most=_WIDEST * min(aspect, 1.5),
    )
    height, bands = width / aspect, -(-k // columns)
    band = 2 * height + pair_gap
    used = columns * (width + _GAP) - _GAP
    sheet = Sheet(_AXIS + used + _BAR + _EDGE, bands * band + _BELOW)
    norms = _norms(data)
    for i, color in enumerate(colors(k)):
        left = _AXIS + (i % columns) * (width + _GAP)
        top = (i // columns) * band
        sheet.box(left, top + 1.5, 3.0, 2.4, facecolor=color, edgecolor="none")
        sheet.text(left + 4.2, top + 2.8, fitted(projection.name_of(i), width - 4.2))
        for j, norm in enumerate(norms):
            ax = sheet.axes(left, top + _TITLE + j * (height + _GAP), width, height)
            drawn = ax.imshow(data[i], extent=extent, aspect="auto", cmap="gray", norm=norm)
            bare(ax, ink(color), 1.4)
            last = j == 1 and i + columns >= k
            _calibrate(ax, (rows_axis, columns_axis), rows=i % columns == 0, columns=last)
            if i == min(columns, k) - 1:
                place = left + width + 2.5, top + _TITLE + j * (height + _GAP), height
                color_bar(sheet, drawn, place, label=_SCALES[j], clipped=norm.vmax < data.max())
    values = fitted(quantity(projection.centers), 2 * height)
    middle = _TITLE + height + _GAP / 2
    sheet.text(sheet.width - 2.5, middle, values, rotation=90, ha="center")
    return sheet.figure


def _norms(data: NDArray[np.float64]) -> tuple[Any, Any]:
    """Make a linear and a logarithmic grey scale; the latter over the decades that hold signal."""
    from matplotlib.colors import LogNorm, Normalize  # noqa: PLC0415  # 0.3 s

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


def _calibrate(ax: Any, axes: tuple[Axis, Axis], *, rows: bool, columns: bool) -> None:
    if rows:
        ax.set_yticks(_ticks(axes[0]))
        ax.set_ylabel(with_units(axes[0].name or "row", axes[0].units, fallback="px"))
    if columns:
        ax.set_xticks(_ticks(axes[1]))
        ax.set_xlabel(with_units(axes[1].name or "column", axes[1].units, fallback="px"))


def _ticks(axis: Axis) -> list[float]:
    """Few ticks, away from the ends, where they would touch those of the next image."""
    low, high = sorted((float(axis.values[0]), float(axis.values[-1])))
    reach = min(-low, high)
    if reach > 0.2 * (high - low):
        tick = round_length(0.85 * reach)
        return [-tick, 0.0, tick]
    tick = round_length(0.45 * (high - low)) if high > low else 1.0
    first, last = math.ceil(low / tick), math.floor((high - 0.1 * (high - low)) / tick)
    return [tick * i for i in range(first, last + 1)]
