"""The trend over a scan that is there instead of groups."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from clustem.core import Segmentation, checked
from clustem.judge.smooth_trend import SmoothTrend
from clustem.report.layout.extent import frame_of, scan_axes
from clustem.report.layout.maps import BAR, CMAP, color_bar, draw_map, scale_bar
from clustem.report.layout.sheet import DOUBLE, Sheet, packed, styled

_EDGE, _GAP, _TITLE, _BAR_ROOM = 1.5, 4.0, 5.0, 16.0
_LABELS = "Smooth trend", "Each position by itself"


@checked
@styled
def trend_map(segmentation: Segmentation, trend: SmoothTrend) -> Figure:
    """Draw the surface that rows follow, and beside it what each position says by itself.

    Parameters
    ----------
    segmentation
        The result, on a scan of two axes.
    trend
        What ``judge.smooth_trend`` found of it.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide. Both panels have one scale, in standard
        deviations of the surface.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> values = np.linspace(-1, 1, 24).reshape(4, 6)
    >>> len(trend_map(example(), SmoothTrend(values, values)).axes)  # with color bars
    4
    """
    frame = frame_of(scan_axes(segmentation))
    room = DOUBLE - 2 * _EDGE - 2 * _BAR_ROOM
    columns, width = packed(
        frame.aspect, 2, width=room, gap=(_GAP, _TITLE + BAR), limit=100, most=70
    )
    height, pitch = width / frame.aspect, max(width + _BAR_ROOM, 48.0) + _GAP
    rows = 2 // columns
    sheet = Sheet(columns * pitch + 2 * _EDGE, rows * (height + _TITLE + BAR) + 2 * _EDGE)
    known = trend.fitted[np.isfinite(trend.fitted)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    for i, (image, title) in enumerate(zip((trend.fitted, trend.measured), _LABELS, strict=True)):
        left = _EDGE + (i % columns) * pitch
        top = _EDGE + (i // columns) * (height + _TITLE + BAR)
        ax = sheet.axes(left, top + _TITLE, width, height)
        shown = np.ma.masked_invalid(image)
        drawn = draw_map(ax, shown, frame, cmap=CMAP, vmin=low, vmax=max(high, low + 1e-12))
        sheet.text(left, top + 2, title)
        color_bar(sheet, drawn, (left + width + 2.0, top + _TITLE, min(height, 45.0)), label="")
    scale_bar(sheet, _EDGE, _EDGE + _TITLE + height, width, frame)
    return sheet.figure
