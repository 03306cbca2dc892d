"""How far each pixel belongs to each cluster."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from clustem.core import InputError, Segmentation, Signal, checked
from clustem.report.layout.extent import frame_of, scan_axes
from clustem.report.layout.maps import BAR, CMAP, STRIPE, color_bar, draw_map, scale_bar
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, MUTED, Sheet, fitted, packed, styled
from clustem.report.layout.units import with_units

_EDGE, _GAP, _TITLE, _BAR_ROOM, _TALLEST, _WIDEST = 1.5, 3.0, 5.0, 14.0, 140.0, 75.0


@checked
@styled
def membership_maps(segmentation: Segmentation) -> Figure:
    """Draw one map per cluster of the memberships, on the common scale 0 ... 1.

    Parameters
    ----------
    segmentation
        The clusters on their scan, with memberships.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide; for a line scan, curves over the
        position.

    Raises
    ------
    InputError
        If the clusters are hard (no memberships).

    Notes
    -----
    Excluded pixels are white.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> len(membership_maps(example()).axes)  # two maps and their color bar
    3
    """
    if segmentation.memberships is None:
        raise InputError(
            "Membership maps need memberships",
            got="hard clusters",
            cure="Use a fuzzy method or a mixture, or plot the phase map.",
        )
    axes = scan_axes(segmentation)
    if len(axes) == 1:
        return _curves(segmentation, segmentation.memberships)
    frame = frame_of(axes)
    k = segmentation.n_clusters
    room = DOUBLE - 2 * _EDGE - _BAR_ROOM
    limit = _TALLEST - BAR - 2 * _EDGE
    columns, width = packed(
        frame.aspect, k, width=room, gap=(_GAP, _TITLE), limit=limit, most=_WIDEST
    )
    height, rows = width / frame.aspect, -(-k // columns)
    used = columns * (width + _GAP) - _GAP
    sheet = Sheet(used + 2 * _EDGE + _BAR_ROOM, rows * (height + _TITLE) + BAR + 2 * _EDGE)
    maps = np.ma.array(segmentation.memberships.data)
    maps[:, segmentation.mask] = np.ma.masked
    for i, color in enumerate(palette(segmentation)):
        left = _EDGE + (i % columns) * (width + _GAP)
        top = _EDGE + (i // columns) * (height + _TITLE)
        sheet.box(left, top + 0.7, 3.0, 2.4, facecolor=color, edgecolor="none")
        sheet.text(left + 4.2, top + 2.0, fitted(segmentation.name_of(i), width - 4.2))
        ax = sheet.axes(left, top + _TITLE - 0.6, width, height)
        drawn = draw_map(ax, maps[i], frame, cmap=CMAP, vmin=0, vmax=1)
    bottom = _EDGE + rows * (height + _TITLE) - 0.6
    scale_bar(sheet, _EDGE, bottom, width, frame)
    color_bar(sheet, drawn, (_EDGE + used + 2.5, _EDGE + _TITLE - 0.6, min(height, 45.0)))
    return sheet.figure


def _curves(segmentation: Segmentation, memberships: Signal) -> Figure:
    axis = scan_axes(segmentation)[0]
    k = segmentation.n_clusters
    sheet = Sheet(DOUBLE, 62)
    ax = sheet.axes(14, 3, DOUBLE - 14 - 42, 47)
    maps = np.ma.array(memberships.data)
    maps[:, segmentation.mask] = np.ma.masked
    for i, color in enumerate(palette(segmentation)):
        ax.plot(axis.values, maps[i], color=color, linewidth=1.2)
    labels = segmentation.unassigned
    if labels.any():
        ax.plot(axis.values[labels], np.full(labels.sum(), -0.05), "|", color=STRIPE, ms=4)
    ax.set(ylim=(-0.08, 1.03), xlim=(axis.values[0], axis.values[-1]), ylabel="Membership")
    ax.set_xlabel(with_units(axis.name or "Position", axis.units, fallback="px"))
    ax.spines[["top", "right"]].set_visible(False)
    step = min(4.4, 54 / (k + 1))
    for i, color in enumerate(palette(segmentation)):
        top = 5 + i * step
        sheet.line((DOUBLE - 39, DOUBLE - 34), (top, top), color=color, linewidth=2)
        sheet.text(DOUBLE - 32.5, top, fitted(segmentation.name_of(i), 31))
    if labels.any():
        top = 5 + k * step
        sheet.text(DOUBLE - 36.5, top, "|", color=STRIPE, ha="center")
        sheet.text(DOUBLE - 32.5, top, "unassigned", color=MUTED)
    return sheet.figure
