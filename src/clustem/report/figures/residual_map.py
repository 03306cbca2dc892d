"""How far positions are from their clusters, and the regions that no cluster explains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from clustem.core import Segmentation, checked
from clustem.judge.residuals import Candidate, Residuals
from clustem.report.layout.extent import Axis, Frame, axes_of, frame_of, scan_axes
from clustem.report.layout.maps import BAR, CMAP, color_bar, draw_map, scale_bar
from clustem.report.layout.sheet import DOUBLE, INK, Sheet, fitted, styled
from clustem.report.layout.units import significant, with_units

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_EDGE, _TITLE, _BAR_ROOM, _ROW = 1.5, 5.0, 14.0, 4.2
_LISTED = 12
"""Most regions that are listed."""
_LIMITS = -3.0, 8.0
"""Deviances between which colors change [standard deviations]."""
_MOST = 80.0
"""Largest width and height of the map [mm]."""
_LIST = 84.0
"""Least width of the list [mm]."""
_OUTLINE = "#e4572e"


@checked
@styled
def residual_map(segmentation: Segmentation, found: Residuals) -> Figure:
    """Draw the map of deviances with the regions that no cluster explains, and list them.

    Parameters
    ----------
    segmentation
        The clusters on their scan.
    found
        What they leave unexplained, of ``judge.residuals``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``; for a line scan, a curve over the position. Regions are
        numbered in the order of ``found.candidates``.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> none = Residuals(np.zeros((4, 6)), (), 0.01, "no region departs from its cluster")
    >>> len(residual_map(example(), none).axes)
    2
    """
    axes = scan_axes(segmentation)
    lines = _lines(segmentation, found)
    if len(axes) == 1:
        return _line(axes[0], found, lines)
    frame = frame_of(axes)
    width = min(_MOST, _MOST * frame.aspect)
    height = width / frame.aspect
    column = _EDGE + width + _BAR_ROOM + 3
    long = max(height + _TITLE + BAR, _TITLE + _ROW * len(lines)) + 2 * _EDGE
    sheet = Sheet(min(DOUBLE, column + _LIST), long)
    ax = sheet.axes(_EDGE, _EDGE + _TITLE, width, height)
    values = np.ma.masked_invalid(found.deviance)
    drawn = draw_map(ax, values, frame, cmap=CMAP, vmin=_LIMITS[0], vmax=_LIMITS[1])
    for number, one in enumerate(found.candidates, start=1):
        _outline(ax, number, one, frame)
    sheet.text(_EDGE, _EDGE + 2, fitted("Deviance from the clusters", max(width + _BAR_ROOM, 40)))
    scale_bar(sheet, _EDGE, _EDGE + _TITLE + height, width, frame)
    box = (_EDGE + width + 2.0, _EDGE + _TITLE, min(height, 45.0))
    color_bar(sheet, drawn, box, label="Standard deviations", clipped=True)
    for i, text in enumerate(lines):
        sheet.text(column, _EDGE + 2 + i * _ROW, fitted(text, sheet.width - column - _EDGE))
    return sheet.figure


def _outline(ax: Axes, number: int, one: Candidate, frame: Frame) -> None:
    """Draw the edges of a region between its pixels, and its number beside it."""
    high, wide = frame.height, frame.width
    padded = np.pad(one.mask, 1)
    rows, columns = np.nonzero(padded[1:] != padded[:-1])
    left, level = (columns - 1) * wide, rows * high
    ax.hlines(level, left, left + wide, color=_OUTLINE, lw=0.8)
    rows, columns = np.nonzero(padded[:, 1:] != padded[:, :-1])
    side, top = columns * wide, (rows - 1) * high
    ax.vlines(side, top, top + high, color=_OUTLINE, lw=0.8)
    if number > _LISTED:
        return
    places = np.argwhere(one.mask)
    row, column = places[places[:, 1].argmax()]
    near_right = column > 0.9 * frame.shape[1]
    ax.text(
        (column - 1 if near_right else column + 1.5) * wide,
        (row + 0.5) * high,
        str(number),
        color="white",
        va="center",
        ha="right" if near_right else "left",
        clip_on=True,
    )


def _lines(segmentation: Segmentation, found: Residuals) -> list[str]:
    """Describe the regions, one a line."""
    if not found.candidates:
        return ["No region departs from its cluster"]
    many = len(found.candidates)
    lines = ["1 region that no cluster explains" if many == 1 else f"{many} regions unexplained"]
    signal_axes = axes_of(segmentation.centers)[1:]
    for number, one in enumerate(found.candidates[:_LISTED], start=1):
        line = f"{number}: {one.size} px, {100 * one.share:.0f} % of counts"
        if one.channels:
            places = [_place(each.position, signal_axes) for each in one.channels]
            line += f", at {', '.join(places)} {signal_axes[0].units}".rstrip()
        lines.append(line)
    if many > _LISTED:
        lines.append(f"and {many - _LISTED} more")
    return lines


def _place(position: tuple[float, ...], axes: list[Axis]) -> str:
    if len(position) == 1:
        return significant(position[0])
    return "(" + ", ".join(significant(value) for value in position[: len(axes)]) + ")"


def _line(axis: Axis, found: Residuals, lines: list[str]) -> Figure:
    sheet = Sheet(DOUBLE, 58 + _ROW * len(lines))
    ax = sheet.axes(14, 4, DOUBLE - 18, 40)
    ax.plot(axis.values, found.deviance, color=INK)
    for one in found.candidates:
        for start in np.flatnonzero(one.mask):
            middle = axis.values[start]
            ax.axvspan(middle - axis.scale / 2, middle + axis.scale / 2, color=_OUTLINE, alpha=0.3)
    ax.set_xlabel(with_units(axis.name or "Position", axis.units, fallback="px"))
    ax.set_ylabel("Deviance (standard deviations)")
    for i, text in enumerate(lines):
        sheet.text(14, 58 + i * _ROW, fitted(text, DOUBLE - 18))
    return sheet.figure
