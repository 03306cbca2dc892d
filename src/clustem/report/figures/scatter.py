"""The clusters in the data space that they were found in."""

from __future__ import annotations

from functools import partial
from itertools import combinations
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, PCAInfo, Segmentation, checked
from clustem.report.layout.maps import ROW, STRIPE, color_key, key_columns, key_entries
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, SINGLE, Sheet, printable, styled
from clustem.report.layout.units import common_power, power_text

_LEFT, _BELOW, _EDGE = 14.0, 11.0, 2.0
_DOTS_PER_MM = 250 / 25.4
_OPACITY = 0.7
"""Opacity of a single dot."""


@checked
@styled
def scatter(segmentation: Segmentation, *, max_features: Annotated[int, Ge(2)] = 4) -> Figure:
    """Draw each pair of features as a scatter plot in the colors of the map.

    Parameters
    ----------
    segmentation
        With ``points`` of at least one column.
    max_features
        Number of features to draw, from the first.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide; a histogram if there is one feature.

    Raises
    ------
    InputError
        If the segmentation has no points.

    Notes
    -----
    All points are drawn, into an image: where they lie on top of each other their colors mix by
    number, so no cluster hides another because it was drawn later. A 1/2000 of the points on
    either side of each feature may lie outside the axes.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> scatter(example()).axes[0].get_xlabel()
    'PC 1 (a.u.; 60.0 %)'
    """
    from matplotlib.colors import to_rgb

    d = segmentation.points.shape[1]
    if not d:
        raise InputError(
            "A scatter plot needs points with few columns",
            got="none",
            cure="Put a reduction such as pca before the clustering.",
        )
    labels = segmentation.labels.data[~segmentation.mask]
    names = axis_labels(segmentation)
    if d == 1:
        return _histogram(segmentation, labels, names[0])
    pairs = list(combinations(range(min(d, max_features)), 2))
    columns, total = (1, SINGLE) if len(pairs) == 1 else (3, DOUBLE)
    side = (total - _EDGE) / columns - _LEFT
    bottom = -(-len(pairs) // columns) * (side + _BELOW) + _EDGE
    sheet = sheet_with_key(segmentation, total, bottom)
    shades = np.vstack([palette(segmentation)[:, :3], to_rgb(STRIPE)])[labels]
    for i, (a, b) in enumerate(pairs):
        left = _LEFT + (i % columns) * (side + _LEFT)
        ax = sheet.axes(left, _EDGE + (i // columns) * (side + _BELOW), side, side)
        x, y = segmentation.points[:, a], segmentation.points[:, b]
        limits = (*limits_of(x), *limits_of(y))
        image = _dots(x, y, shades, limits, round(side * _DOTS_PER_MM))
        ax.imshow(image, extent=limits, aspect="auto", interpolation="auto", origin="lower")
        label_axes(ax, names[a], names[b])
        ax.spines[["top", "right"]].set_visible(False)
    return sheet.figure


def _histogram(segmentation: Segmentation, labels: NDArray[np.int16], name: str) -> Figure:
    values = segmentation.points[:, 0]
    sheet = sheet_with_key(segmentation, SINGLE, 62 + _EDGE)
    ax = sheet.axes(_LEFT, _EDGE, SINGLE - _LEFT - _EDGE, 62 - _BELOW)
    groups = [values[labels == i] for i in range(segmentation.n_clusters)]
    shades = list(palette(segmentation))
    if (labels < 0).any():
        groups.append(values[labels < 0])
        shades.append(STRIPE)
    ax.hist(
        groups, bins=80, range=limits_of(values), stacked=True, color=shades, histtype="stepfilled"
    )
    label_axes(ax, name, "Scan positions (number)")
    ax.spines[["top", "right"]].set_visible(False)
    return sheet.figure


def sheet_with_key(segmentation: Segmentation, width: float, bottom: float) -> Sheet:
    """Make paper with a color key below ``bottom`` [mm]."""
    inner = width - _LEFT - _EDGE
    columns = key_columns(segmentation, inner)
    lines = -(-len(key_entries(segmentation)) // columns)
    sheet = Sheet(width, bottom + lines * ROW + _EDGE)
    color_key(sheet, segmentation, left=_LEFT, top=bottom, width=inner, columns=columns)
    return sheet


def axis_labels(segmentation: Segmentation) -> list[str]:
    """Return the names of the features, with the share of the variance that they explain."""
    components = segmentation.find(PCAInfo)
    explained = () if components is None else components.explained_variance_ratio
    labels = []
    for i in range(segmentation.points.shape[1]):
        name = (
            segmentation.feature_names[i]
            if i < len(segmentation.feature_names)
            else f"feature {i + 1}"
        )
        share = f"; {100 * explained[i]:.1f} %" if i < len(explained) else ""
        labels.append(printable(f"{name} (a.u.{share})"))
    return labels


def label_axes(ax: Axes, across: str, up: str) -> None:
    """Name both axes and set few ticks; powers of ten of the values stand with the units."""
    ax.locator_params(nbins=5)
    for axis, limits, label in (
        (ax.xaxis, ax.get_xlim(), across),
        (ax.yaxis, ax.get_ylim(), up),
    ):
        power = common_power(limits)
        if power:
            axis.set_major_formatter(partial(_tick, power=power))
        text = label.replace("(", f"({power_text(power)} ", 1) if power else label
        axis.set_label_text(text, parse_math=False)


def _tick(value: float, _: int, *, power: int) -> str:
    return f"{value / 10.0**power:.6g}".replace("-", "−")


def _dots(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    shades: NDArray[np.float64],
    limits: tuple[float, float, float, float],
    side: int,
) -> NDArray[np.uint8]:
    """Draw points as round dots: image (side, side, 4) of mixed colors, denser = more opaque."""
    left, right, low, high = limits
    column = np.floor((x - left) / (right - left) * side).astype(np.intp)
    row = np.floor((y - low) / (high - low) * side).astype(np.intp)
    inside = (column >= 0) & (column < side) & (row >= 0) & (row < side)
    cells, cell_of = np.unique(row[inside] * side + column[inside], return_inverse=True)
    layers: list[NDArray[Any]] = [np.bincount(cell_of, minlength=len(cells))]
    layers += [np.bincount(cell_of, shade, minlength=len(cells)) for shade in shades[inside].T]
    radius = float(np.clip(200 / np.sqrt(max(len(x), 1)), 1.6, 5.0))
    count, *mixed = _discs(cells, layers, radius, side)
    image = np.zeros((side, side, 4), dtype=np.uint8)
    for channel in range(3):
        image[..., channel] = np.rint(255 * mixed[channel] / np.maximum(count, 1e-12))
    image[..., 3] = np.rint(255 * (1 - (1 - _OPACITY) ** count))
    return image


def _discs(
    cells: NDArray[np.intp], layers: list[NDArray[Any]], radius: float, side: int
) -> list[NDArray[np.float64]]:
    """Add the values of each cell to a disc with a soft rim around it: images (side, side)."""
    reach = int(np.ceil(radius))
    wide = side + 2 * reach
    dy, dx = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    weight = np.clip(radius + 0.5 - np.hypot(dy, dx), 0, 1)
    part = weight > 0
    center = (cells // side + reach) * wide + cells % side + reach
    where = (center[:, None] + (dy * wide + dx)[part]).ravel()
    inner = slice(reach, reach + side)
    sums = (
        np.bincount(where, (layer[:, None] * weight[part]).ravel(), minlength=wide * wide)
        for layer in layers
    )
    return [np.asarray(s, dtype=np.float64).reshape(wide, wide)[inner, inner] for s in sums]


def limits_of(values: NDArray[np.float32]) -> tuple[float, float]:
    """Range of the values, without the outermost 1/2000 on either side, and a margin."""
    low, high = np.quantile(values, (0.0005, 0.9995))
    digits = 1e-5 * max(abs(low), abs(high))  # float32 has no finer steps
    margin = max(0.05 * (high - low), digits) or 0.5
    return float(low - margin), float(high + margin)
