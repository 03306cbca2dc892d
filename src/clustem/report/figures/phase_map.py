"""The map of the clusters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clustem.core import Segmentation, checked
from clustem.report.layout.extent import Frame, frame_of, scan_axes
from clustem.report.layout.maps import (
    BAR,
    ROW,
    Image,
    bare,
    color_key,
    context_images,
    draw_map,
    grey_limits,
    key_columns,
    key_entries,
    painted,
    scale_bar,
)
from clustem.report.layout.sheet import DOUBLE, SINGLE, Sheet, fitted, styled
from clustem.report.layout.units import with_units

_EDGE, _GAP, _KEY, _TITLE, _TALLEST = 1.5, 4.0, 40.0, 4.5, 90.0


@checked
@styled
def phase_map(segmentation: Segmentation, *, context: bool = True) -> Figure:
    """Draw the map of the clusters with scale bar and color key, other images beside it.

    Parameters
    ----------
    segmentation
        The clusters on their scan of one or two axes.
    context
        Whether to draw the first two of ``segmentation.context`` beside the map.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 89 mm wide, 183 mm with context or for a line scan.

    Notes
    -----
    Unassigned pixels are grey and hatched, excluded ones white. Pixels keep the proportions that
    the scan's axes give them.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> figure = phase_map(example())
    >>> round(float(figure.get_figwidth()) * 25.4)
    89
    """
    return draw_phase_map(segmentation, context_images(segmentation) if context else [])


def draw_phase_map(
    segmentation: Segmentation, images: Sequence[Image] = (), figure: Figure | None = None
) -> Figure:
    """Draw the map, its scale bar and color key on paper.

    Parameters
    ----------
    segmentation
        The clusters on their scan of one or two axes.
    images
        From ``context_images``, drawn beside the map; none beside a line scan.
    figure
        As for :class:`Sheet`.
    """
    axes = scan_axes(segmentation)
    if len(axes) == 1:
        return _line(segmentation, figure)
    frame = frame_of(axes)
    if not images:
        return _alone(segmentation, frame, figure)
    return _beside(segmentation, frame, images, figure)


def _alone(segmentation: Segmentation, frame: Frame, figure: Figure | None) -> Figure:
    inner = SINGLE - 2 * _EDGE
    if frame.aspect < 0.75:  # a tall map leaves its side to the key
        width = max(min(inner - _KEY - _GAP, 1.3 * _TALLEST * frame.aspect), 4.0)
        height = width / frame.aspect
        lines = len(key_entries(segmentation)) * ROW
        left = _EDGE + max(width, 16.0) + _GAP  # the scale bar's text needs 16 mm
        sheet = Sheet(left + _KEY + _EDGE, max(_EDGE + height + BAR, lines + 2 * _EDGE), figure)
        key: dict[str, Any] = {"left": left, "top": _EDGE, "width": _KEY}
    else:
        width, height = inner, inner / frame.aspect
        columns = key_columns(segmentation, inner)
        lines = -(-len(key_entries(segmentation)) // columns) * ROW
        top = _EDGE + height + BAR + 1
        sheet = Sheet(SINGLE, top + lines + _EDGE, figure)
        key = {"left": _EDGE, "top": top, "width": inner, "columns": columns}
    draw_map(sheet.axes(_EDGE, _EDGE, width, height), painted(segmentation), frame)
    scale_bar(sheet, _EDGE, _EDGE + height, width, frame)
    color_key(sheet, segmentation, **key)
    return sheet.figure


def _beside(
    segmentation: Segmentation, frame: Frame, images: Sequence[Image], figure: Figure | None
) -> Figure:
    """Place the other images beside the map, in a row or in a column, and the key at the right."""
    room = DOUBLE - 2 * _EDGE - _KEY - _GAP
    aspects = [image_frame.aspect for *_, image_frame in images]
    height = (room - len(images) * _GAP) / (frame.aspect + sum(aspects))
    each = _TITLE + BAR  # what an image of a column needs above or below
    rows = 1 if height > 0.7 * _TALLEST else len(images)
    wide = max(aspects) if rows > 1 else sum(aspects)
    if rows > 1:
        share = wide / rows
        height = (room - _GAP + share * (rows - 1) * each) / (frame.aspect + share)
    height = min(height, _TALLEST)
    small = max((height - (rows - 1) * each) / rows, 8.0)
    main, top = height * frame.aspect, _EDGE + _TITLE
    first = _EDGE + main + _GAP
    spots = [
        (first, top + i * (small + each)) if rows > 1
        else (first + height * sum(aspects[:i]) + i * _GAP, top)
        for i in range(len(images))
    ]  # fmt: skip
    end = first + small * wide + (1 if rows > 1 else len(images)) * _GAP
    lines = len(key_entries(segmentation)) * ROW
    sheet = Sheet(min(end + _KEY + _EDGE, DOUBLE), top + max(height + BAR, lines) + _EDGE, figure)
    draw_map(sheet.axes(_EDGE, top, main, height), painted(segmentation), frame)
    sheet.text(_EDGE, top - 2.7, "Clusters")
    scale_bar(sheet, _EDGE, top + height, main, frame)
    for (left, y), (title, image, its) in zip(spots, images, strict=True):
        width = small * its.aspect
        low, high = grey_limits(image)
        ax = sheet.axes(left, y, width, small)
        draw_map(ax, image, its, cmap="gray", vmin=low, vmax=high)
        sheet.text(left, y - 2.7, fitted(title, width))
        scale_bar(sheet, left, y + small, width, its)
    color_key(sheet, segmentation, left=end, top=top, width=min(_KEY, DOUBLE - _EDGE - end))
    return sheet.figure


def _line(segmentation: Segmentation, figure: Figure | None) -> Figure:
    columns = key_columns(segmentation, DOUBLE - 2 * _EDGE)
    lines = -(-len(key_entries(segmentation)) // columns) * ROW
    sheet = Sheet(DOUBLE, 28 + lines, figure)
    draw_line(sheet.axes(_EDGE, _EDGE, DOUBLE - 2 * _EDGE, 14), segmentation)
    color_key(sheet, segmentation, left=_EDGE, top=26.5, width=DOUBLE - 2 * _EDGE, columns=columns)
    return sheet.figure


def draw_line(ax: Axes, segmentation: Segmentation) -> None:
    """Draw the clusters of a line scan as a strip over its positions."""
    from matplotlib.ticker import MaxNLocator

    axis = scan_axes(segmentation)[0]
    positions = axis.values
    half = np.diff(positions).mean() / 2 if len(positions) > 1 else 0.5
    extent = (positions[0] - half, positions[-1] + half, 0, 1)
    ax.imshow(painted(segmentation), extent=extent, aspect="auto")
    bare(ax)
    ax.xaxis.set_major_locator(MaxNLocator(8))
    ax.set_xlabel(with_units(axis.name or "Position", axis.units, fallback="px"))
