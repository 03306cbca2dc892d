"""How near each position is to its center, and how much nearer than to the next."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, checked
from clustem.report.layout.extent import Axis, frame_of, scan_axes
from clustem.report.layout.maps import BAR, CMAP, color_bar, draw_map, scale_bar
from clustem.report.layout.sheet import DOUBLE, Sheet, packed, styled
from clustem.report.layout.units import with_units

_EDGE, _GAP, _TITLE, _BAR_ROOM = 1.5, 4.0, 5.0, 14.0
_DISTANCE, _MARGIN = "Distance to the center", "Margin to the next center"


@checked
@styled
def margin_maps(segmentation: Segmentation) -> Figure:
    """Draw each position's distance to its center, and its margin to the next one.

    Parameters
    ----------
    segmentation
        The clusters on their scan, with ``distance`` and ``margin``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``; for a line scan, curves over the position.

    Raises
    ------
    InputError
        If the clustering measured no distances.

    Notes
    -----
    The margin is 1 - d1/d2 of the distances to the two nearest centers: 0 on the border between
    two clusters, 1 on a center.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from clustem.report.figures.example import example
    >>> found = example()
    >>> some = np.ones(found.mask.shape)
    >>> len(margin_maps(replace(found, distance=some, margin=some)).axes)
    4
    """
    if segmentation.distance is None or segmentation.margin is None:
        raise InputError(
            "Margin maps need the distances to the centers",
            got="a result without them",
            cure="Cluster with KMeans, or plot the memberships.",
        )
    axes = scan_axes(segmentation)
    maps = {_DISTANCE: segmentation.distance, _MARGIN: segmentation.margin}
    if len(axes) == 1:
        return _curves(axes[0], maps)
    frame = frame_of(axes)
    room = DOUBLE - 2 * _EDGE - 2 * _BAR_ROOM
    columns, width = packed(
        frame.aspect, 2, width=room, gap=(_GAP, _TITLE + BAR), limit=100, most=70
    )
    height, pitch = width / frame.aspect, width + _GAP + _BAR_ROOM
    rows = 2 // columns
    paper = max(columns * pitch + 2 * _EDGE, 60.0)
    sheet = Sheet(paper, rows * (height + _TITLE + BAR) + 2 * _EDGE)
    for i, (title, values) in enumerate(maps.items()):
        left = _EDGE + (i % columns) * pitch
        top = _EDGE + (i // columns) * (height + _TITLE + BAR)
        ax = sheet.axes(left, top + _TITLE, width, height)
        limits = {"vmin": 0} if title == _MARGIN else {}
        drawn = draw_map(ax, np.ma.masked_invalid(values), frame, cmap=CMAP, **limits)
        sheet.text(left, top + 2, title)
        place = left + width + 2.0, top + _TITLE, min(height, 45.0)
        color_bar(sheet, drawn, place, label="")
    scale_bar(sheet, _EDGE, _EDGE + _TITLE + height, width, frame)
    return sheet.figure


def _curves(axis: Axis, maps: dict[str, NDArray[np.float32]]) -> Figure:
    sheet = Sheet(DOUBLE, 92)
    for i, (title, values) in enumerate(maps.items()):
        ax = sheet.axes(14, 4 + 42 * i, DOUBLE - 18, 32)
        ax.plot(axis.values, values)
        ax.set_ylabel(title.split(" ")[0])
    ax.set_xlabel(with_units(axis.name or "Position", axis.units, fallback="px"))
    return sheet.figure
