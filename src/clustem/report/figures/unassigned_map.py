"""Where positions are unassigned, and the largest membership of each position."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import Segmentation, checked
from clustem.report.layout.extent import frame_of, percent, scan_axes
from clustem.report.layout.maps import BAR, CMAP, color_bar, draw_map, scale_bar
from clustem.report.layout.sheet import DOUBLE, Sheet, packed, styled
from clustem.report.layout.units import with_units

_EDGE, _GAP, _TITLE, _BAR_ROOM = 1.5, 4.0, 5.0, 14.0
_PITCH = 36.0
"""Least distance of the two images, so that their titles do not meet [mm]."""

_DARK, _PALE = "#20262e", "#e9edf1"


@checked
@styled
def unassigned_map(segmentation: Segmentation) -> Figure:
    """Draw the unassigned pixels, and beside them each pixel's largest membership.

    Parameters
    ----------
    segmentation
        The clusters on their scan.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``; without memberships only the unassigned pixels.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> len(unassigned_map(example()).axes)
    3
    """
    axes = scan_axes(segmentation)
    largest = _largest(segmentation)
    share = f"Unassigned: {percent(segmentation.unassigned_fraction)}"
    if len(axes) == 1:
        return _line(segmentation, largest, share)
    frame = frame_of(axes)
    panels = 1 if largest is None else 2
    room = DOUBLE - 2 * _EDGE - _BAR_ROOM
    columns, width = packed(
        frame.aspect, panels, width=room, gap=(_GAP, _TITLE + BAR), limit=100, most=80
    )
    height = width / frame.aspect
    rows = panels // columns
    pitch = max(width + _GAP, _PITCH)
    used = (columns - 1) * pitch + width
    paper = max(used + 2 * _EDGE + _BAR_ROOM, (columns - 1) * pitch + 45)
    sheet = Sheet(paper, rows * (height + _TITLE + BAR) + 2 * _EDGE)
    draw_map(sheet.axes(_EDGE, _EDGE + _TITLE, width, height), _marked(segmentation), frame)
    sheet.text(_EDGE, _EDGE + 2, share)
    scale_bar(sheet, _EDGE, _EDGE + _TITLE + height, width, frame)
    if largest is not None:
        left = _EDGE + (columns - 1) * pitch
        top = _EDGE + (rows - 1) * (height + _TITLE + BAR)
        ax = sheet.axes(left, top + _TITLE, width, height)
        drawn = draw_map(ax, largest, frame, cmap=CMAP, vmin=0, vmax=1)
        sheet.text(left, top + 2, "Largest membership")
        color_bar(sheet, drawn, (left + width + 2.5, top + _TITLE, min(height, 45.0)))
    return sheet.figure


def _largest(segmentation: Segmentation) -> np.ma.MaskedArray[Any, Any] | None:
    if segmentation.memberships is None:
        return None
    return np.ma.array(segmentation.memberships.data.max(axis=0), mask=segmentation.mask)


def _marked(segmentation: Segmentation) -> NDArray[np.uint8]:
    from matplotlib.colors import to_rgb

    palette = np.array([to_rgb(code) for code in (_PALE, _DARK, "white")])
    index = np.where(segmentation.mask, 2, segmentation.unassigned.astype(int))
    image: NDArray[np.uint8] = np.rint(palette[np.atleast_2d(index)] * 255).astype(np.uint8)
    return image


def _line(
    segmentation: Segmentation, largest: np.ma.MaskedArray[Any, Any] | None, share: str
) -> Figure:
    axis = scan_axes(segmentation)[0]
    sheet = Sheet(DOUBLE, 56)
    sheet.text(14, 4, share)
    ax = sheet.axes(14, 8, DOUBLE - 18, 36)
    if largest is not None:
        ax.plot(axis.values, largest, color=_DARK)
    half = axis.scale / 2
    for start, stop in _runs(segmentation.unassigned):
        ax.axvspan(axis.values[start] - half, axis.values[stop - 1] + half, color="#d0d5da", lw=0)
    ax.set(ylim=(0, 1.03), xlim=(axis.values[0] - half, axis.values[-1] + half))
    ax.set_ylabel("Largest membership" if largest is not None else "")
    if largest is None:
        ax.set_yticks([])
    ax.set_xlabel(with_units(axis.name or "Position", axis.units, fallback="px"))
    return sheet.figure


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
