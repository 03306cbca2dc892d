"""The map of the clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

from clustem.model import Projection, checked
from clustem.report._maps import (
    BAR,
    ROW,
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
from clustem.report._scan import Frame, frame_of, scan_axes
from clustem.report._sheet import DOUBLE, SINGLE, Sheet, fitted, styled
from clustem.report._units import with_units

_EDGE, _GAP, _KEY, _TITLE, _TALLEST = 1.5, 4.0, 40.0, 4.5, 90.0
_Image = tuple[str, Any, Frame]


@checked
@styled
def phase_map(projection: Projection, *, context: bool = True) -> Any:
    """Draw the map of the clusters with scale bar and color key, other images beside it.

    Parameters
    ----------
    projection
        The clusters on their scan of one or two axes.
    context
        Whether to draw the first two of ``projection.context`` beside the map.

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
    >>> from clustem.report._example import example
    >>> figure = phase_map(example())
    >>> round(float(figure.get_figwidth()) * 25.4)
    89
    """
    axes = scan_axes(projection)
    if len(axes) == 1:
        return _line(projection)
    frame = frame_of(axes)
    images = context_images(projection) if context else []
    if not images:
        return _alone(projection, frame)
    return _beside(projection, frame, images)


def _alone(projection: Projection, frame: Frame) -> Any:
    inner = SINGLE - 2 * _EDGE
    if frame.aspect < 0.75:  # a tall map leaves its side to the key
        width = max(min(inner - _KEY - _GAP, 1.3 * _TALLEST * frame.aspect), 4.0)
        height = width / frame.aspect
        lines = len(key_entries(projection)) * ROW
        left = _EDGE + max(width, 16.0) + _GAP  # the scale bar's text needs 16 mm
        sheet = Sheet(left + _KEY + _EDGE, max(_EDGE + height + BAR, lines + 2 * _EDGE))
        key: dict[str, Any] = {"left": left, "top": _EDGE, "width": _KEY}
    else:
        width, height = inner, inner / frame.aspect
        columns = key_columns(projection, inner)
        lines = -(-len(key_entries(projection)) // columns) * ROW
        top = _EDGE + height + BAR + 1
        sheet = Sheet(SINGLE, top + lines + _EDGE)
        key = {"left": _EDGE, "top": top, "width": inner, "columns": columns}
    draw_map(sheet.axes(_EDGE, _EDGE, width, height), painted(projection), frame)
    scale_bar(sheet, _EDGE, _EDGE + height, width, frame)
    color_key(sheet, projection, **key)
    return sheet.figure


def _beside(projection: Projection, frame: Frame, images: list[_Image]) -> Any:
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
    lines = len(key_entries(projection)) * ROW
    sheet = Sheet(min(end + _KEY + _EDGE, DOUBLE), top + max(height + BAR, lines) + _EDGE)
    draw_map(sheet.axes(_EDGE, top, main, height), painted(projection), frame)
    sheet.text(_EDGE, top - 2.7, "Clusters")
    scale_bar(sheet, _EDGE, top + height, main, frame)
    for (left, y), (title, image, its) in zip(spots, images, strict=True):
        width = small * its.aspect
        low, high = grey_limits(image)
        ax = sheet.axes(left, y, width, small)
        draw_map(ax, image, its, cmap="gray", vmin=low, vmax=high)
        sheet.text(left, y - 2.7, fitted(title, width))
        scale_bar(sheet, left, y + small, width, its)
    color_key(sheet, projection, left=end, top=top, width=min(_KEY, DOUBLE - _EDGE - end))
    return sheet.figure


def _line(projection: Projection) -> Any:
    axis = scan_axes(projection)[0]
    positions = axis.values
    columns = key_columns(projection, DOUBLE - 2 * _EDGE)
    lines = -(-len(key_entries(projection)) // columns) * ROW
    sheet = Sheet(DOUBLE, 28 + lines)
    ax = sheet.axes(_EDGE, _EDGE, DOUBLE - 2 * _EDGE, 14)
    half = np.diff(positions).mean() / 2 if len(positions) > 1 else 0.5
    extent = (positions[0] - half, positions[-1] + half, 0, 1)
    ax.imshow(painted(projection), extent=extent, aspect="auto")
    bare(ax)
    ax.xaxis.set_major_locator(_locator())
    ax.set_xlabel(with_units(axis.name or "Position", axis.units, fallback="px"))
    color_key(sheet, projection, left=_EDGE, top=26.5, width=DOUBLE - 2 * _EDGE, columns=columns)
    return sheet.figure


def _locator() -> Any:
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415  # 0.3 s

    return MaxNLocator(8)
