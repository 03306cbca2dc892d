"""A result as a notebook shows it."""

from __future__ import annotations

import base64
import io

from clustem.core import Segmentation
from clustem.report.figures.phase_map import draw_line
from clustem.report.layout.extent import frame_of, percent, scan_axes
from clustem.report.layout.maps import BAR, draw_map, painted, scale_bar
from clustem.report.layout.sheet import Sheet, styled
from clustem.report.page._html import filled, rows_of

_WIDTH, _TALLEST, _EDGE, _DPI = 70.0, 70.0, 1.0, 150
"""Size of the map with its scale bar and edge [mm], and its resolution [dots per inch]."""


def card(result: Segmentation) -> str:
    """Write the map and the sizes of the clusters as a piece of HTML.

    Parameters
    ----------
    result
        The clusters on their scan; of a scan with more than two axes there is no map.

    Returns
    -------
    :
        One ``div`` that needs nothing from outside; what users wrote is escaped.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> "2 clusters on 4 × 6 positions, 4.2 % unassigned" in card(example())
    True
    """
    k = result.n_clusters
    shape = " × ".join(map(str, result.mask.shape))
    share = percent(result.unassigned_fraction)
    return filled(
        "card.html",
        line=f"{k} cluster{'s' * (k != 1)} on {shape} positions, {share} unassigned",
        map=_map(result) if result.mask.ndim in (1, 2) else "",
        rows=rows_of(result),
    )


@styled
def _map(result: Segmentation) -> str:
    """Draw the map with its scale bar; return it as part of a page."""
    axes = scan_axes(result)
    if len(axes) == 1:
        sheet = Sheet(2 * _WIDTH, 24.0)
        draw_line(sheet.axes(_EDGE, _EDGE, 2 * (_WIDTH - _EDGE), 12.0), result)
    else:
        frame = frame_of(axes)
        width = max(min(_WIDTH, _TALLEST * frame.aspect), 4.0)
        height = width / frame.aspect
        sheet = Sheet(max(width, 20.0) + 2 * _EDGE, height + BAR + _EDGE)
        draw_map(sheet.axes(_EDGE, _EDGE, width, height), painted(result), frame)
        scale_bar(sheet, _EDGE, _EDGE + height, width, frame)
    buffer = io.BytesIO()
    sheet.figure.savefig(buffer, format="png", dpi=_DPI)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
