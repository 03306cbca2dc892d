"""Center patterns: linear and logarithmic, side by side in the colors of the map."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import Projection
from clustem.report._maps import bare, color_bar
from clustem.report._palette import palette
from clustem.report._scan import Axis, axes_of
from clustem.report._sheet import DOUBLE, Sheet, fitted, packed
from clustem.report._spectra import ink, quantity
from clustem.report._units import round_length, with_units

_EDGE, _GAP, _TITLE, _AXIS, _BELOW, _BAR = 1.5, 2.0, 5.0, 14.0, 10.0, 20.0
_MASK = "#ff9d00"
_TALLEST, _WIDEST = 220.0, 42.0
_CUT = 3.0
"""White of the linear scale, in units of what 99 % of the pixels stay below."""


@dataclass(frozen=True)
class _Scale:
    """One image of each pattern: what is drawn, how, and the label of its color bar."""

    images: NDArray[np.float64]
    norm: Any
    cmap: str
    label: str

    @property
    def clipped(self) -> bool:
        return bool(self.norm.vmax < self.images.max())


def pattern_grid(projection: Projection) -> Any:
    """Draw each pattern on a linear and a logarithmic scale, and its difference from the mean."""
    rows_axis, columns_axis = axes_of(projection.centers)[-2:]
    scales = _scales(projection)
    extent = _extent(rows_axis, columns_axis)
    aspect = abs((extent[1] - extent[0]) / (extent[2] - extent[3]))
    k, high = projection.n_clusters, len(scales)
    group_gap = _TITLE + _GAP + 3.0
    columns, width = packed(
        aspect / high,  # images of one pattern, one above the other
        k,
        width=DOUBLE - _AXIS - _EDGE - _BAR,
        gap=(_GAP, group_gap),
        limit=_TALLEST - _BELOW,
        most=_WIDEST * min(aspect, 1.5),
    )
    height, bands = width / aspect, -(-k // columns)
    band = high * height + (high - 2) * _GAP + group_gap
    used = columns * (width + _GAP) - _GAP
    sheet = Sheet(_AXIS + used + _BAR + _EDGE, bands * band + _BELOW)
    hidden = projection.details.get("signal_mask")
    for i, color in enumerate(palette(projection)):
        left = _AXIS + (i % columns) * (width + _GAP)
        top = (i // columns) * band
        sheet.box(left, top + 1.5, 3.0, 2.4, facecolor=color, edgecolor="none")
        sheet.text(left + 4.2, top + 2.8, fitted(projection.name_of(i), width - 4.2))
        for j, scale in enumerate(scales):
            ax = sheet.axes(left, top + _TITLE + j * (height + _GAP), width, height)
            drawn = ax.imshow(
                scale.images[i], extent=extent, aspect="auto", cmap=scale.cmap, norm=scale.norm
            )
            _outline(ax, hidden, extent)
            bare(ax, ink(color), 1.4)
            last = j == high - 1 and i + columns >= k
            _calibrate(ax, (rows_axis, columns_axis), rows=i % columns == 0, columns=last)
            if i == min(columns, k) - 1:
                place = left + width + 2.5, top + _TITLE + j * (height + _GAP), height
                color_bar(sheet, drawn, place, label=scale.label, clipped=scale.clipped)
    values = fitted(quantity(projection.centers), high * height)
    middle = _TITLE + (high * height + (high - 1) * _GAP) / 2
    sheet.text(sheet.width - 2.5, middle, values, rotation=90, ha="center")
    return sheet.figure


def _scales(projection: Projection) -> list[_Scale]:
    from matplotlib.colors import Normalize  # noqa: PLC0415  # 0.3 s

    data = np.nan_to_num(np.asarray(projection.centers.data, dtype=np.float64))
    linear, logarithmic = _norms(data)
    scales = [
        _Scale(data, linear, "gray", "linear"),
        _Scale(data, logarithmic, "gray", "logarithmic"),
    ]
    mean = projection.details.get("mean")
    if mean is None or np.shape(mean) != data.shape[1:] or len(data) == 1:
        return scales
    difference = data - np.asarray(mean, dtype=np.float64)
    hidden = projection.details.get("signal_mask")
    if hidden is not None and np.shape(hidden) == data.shape[1:]:
        difference[:, np.asarray(hidden, dtype=bool)] = 0  # took no part in the clustering
    reach = float(np.quantile(np.abs(difference), 0.999)) or 1.0
    return [*scales, _Scale(difference, Normalize(-reach, reach), "RdBu_r", "minus mean")]


def _outline(ax: Any, hidden: Any, extent: tuple[float, float, float, float]) -> None:
    """Draw the border of what was masked."""
    if hidden is None or not np.any(hidden):
        return
    options = {"levels": [0.5], "colors": _MASK, "linewidths": 0.6, "linestyles": "--"}
    ax.contour(np.asarray(hidden, dtype=float), extent=extent, origin="upper", **options)


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
