"""Maps of the same scan beside each other."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from clustem.core import InputError, Segmentation
from clustem.report.layout.extent import frame_of, scan_axes
from clustem.report.layout.maps import BAR, draw_map, painted, scale_bar
from clustem.report.layout.sheet import DOUBLE, Sheet, fitted, packed, styled

_EDGE, _GAP, _TITLE, _TALLEST, _WIDEST = 1.5, 4.0, 5.0, 200.0, 85.0


@styled
def side_by_side(segmentations: Mapping[str, Segmentation]) -> Figure:
    """Draw the maps of several results, each in the colors that it has.

    Parameters
    ----------
    segmentations
        Results on scans of the same shape with two axes, by title.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide.

    Raises
    ------
    InputError
        If there is none, or the scans differ in shape or have one axis.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> len(side_by_side({"one": example(), "two": example()}).axes)
    2
    """
    shapes = {segmentation.mask.shape for segmentation in segmentations.values()}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise InputError(
            "Maps side by side need results on two-dimensional scans of one shape",
            got=", ".join(map(str, sorted(shapes))) or "none",
            cure="Give results of the same scan.",
        )
    frame = frame_of(scan_axes(next(iter(segmentations.values()))))
    columns, width = packed(
        frame.aspect,
        len(segmentations),
        width=DOUBLE - 2 * _EDGE,
        gap=(_GAP, _TITLE),
        limit=_TALLEST - BAR,
        most=_WIDEST,
    )
    height, rows = width / frame.aspect, -(-len(segmentations) // columns)
    paper = max(columns * (width + _GAP) - _GAP + 2 * _EDGE, 45.0)
    sheet = Sheet(paper, rows * (height + _TITLE) + BAR + 2 * _EDGE)
    for i, (title, segmentation) in enumerate(segmentations.items()):
        left = _EDGE + (i % columns) * (width + _GAP)
        top = _EDGE + (i // columns) * (height + _TITLE)
        sheet.text(left, top + 2, fitted(title, width))
        ax = sheet.axes(left, top + _TITLE - 0.6, width, height)
        draw_map(ax, painted(segmentation), frame)
    scale_bar(sheet, _EDGE, _EDGE + rows * (height + _TITLE) - 0.6, width, frame)
    return sheet.figure
