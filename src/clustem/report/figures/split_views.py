"""Two clusterings of the same rows: both maps, and how clusters of one split into the other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, checked
from clustem.labelmaps.inheritance import inherited
from clustem.labelmaps.label_maps import matched, overlaps
from clustem.report.figures._spectra import ink
from clustem.report.layout.extent import frame_of, scan_axes
from clustem.report.layout.maps import BAR, bare, draw_map, painted, scale_bar
from clustem.report.layout.palette import palette
from clustem.report.layout.placed import draw_placed, image_frame, is_placed, patches_of
from clustem.report.layout.sheet import DOUBLE, MUTED, Sheet, fitted, styled

_EDGE, _GAP, _TITLE, _NAME, _TALLEST = 1.5, 6.0, 5.5, 22.0, 110.0
_CELL = (13.0, 7.0)
_SHOWN = 0.5
"""Share above which the number of a cell is written in white."""


@checked
@styled
def split_views(
    first: Segmentation,
    second: Segmentation,
    *,
    titles: tuple[str, str] = ("First clustering", "Second clustering"),
) -> Figure:
    """Draw two clusterings side by side and a table of how one splits into the other.

    Parameters
    ----------
    first, second
        Of the same positions.
    titles
        What to write above each.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide. Rows of the table are clusters of the first,
        and add up to 100 % over the clusters of the second, whose colors and order are matched.

    Raises
    ------
    InputError
        If they are not of the same positions.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> len(split_views(example(), example()).axes)  # two maps and the table
    3
    """
    if first.labels.data.shape != second.labels.data.shape:
        raise InputError(
            "Both clusterings must be of the same positions",
            got=f"{first.labels.data.shape} and {second.labels.data.shape}",
            cure="Run both recipes on the same signal, with the same patches.",
        )
    placed = is_placed(first) and is_placed(second)
    frame = image_frame(patches_of(first)) if placed else frame_of(scan_axes(first))
    width = min((DOUBLE - 2 * _EDGE - _GAP) / 2, _TALLEST * frame.aspect)
    height = width / frame.aspect
    table_top = _EDGE + _TITLE + height + BAR + 3
    rows = first.n_clusters
    sheet = Sheet(DOUBLE, table_top + 2 * _TITLE + rows * _CELL[1] + _EDGE)
    pairs = matched(_shared(first, second))
    second = replace(second, color_index=inherited(pairs, first.color_index, second.n_clusters))
    for i, (segmentation, title) in enumerate(zip((first, second), titles, strict=True)):
        left = _EDGE + i * (width + _GAP)
        sheet.text(left, _EDGE + 2.2, fitted(title, width))
        ax = sheet.axes(left, _EDGE + _TITLE, width, height)
        if placed:
            draw_placed(ax, segmentation, frame, width=width)
        else:
            draw_map(ax, painted(segmentation), frame)
        scale_bar(sheet, left, _EDGE + _TITLE + height, width, frame)
        if segmentation.unassigned.any():
            below = left + width, _EDGE + _TITLE + height + 2.0
            look = "pale" if placed else "hatched"
            sheet.text(*below, f"{look}: unassigned", ha="right", color=MUTED)
    partner = {new: old for old, new in pairs.items()}
    order = sorted(range(second.n_clusters), key=lambda j: (partner.get(j, rows), j))
    _table(sheet, first, second, top=table_top, titles=titles, order=order)
    return sheet.figure


def shares(first: Segmentation, second: Segmentation) -> NDArray[np.float64]:
    """Share of each cluster of the first (rows) that lies in each of the second, (p, q)."""
    counts = _shared(first, second)
    found: NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return found


def _shared(first: Segmentation, second: Segmentation) -> NDArray[np.int64]:
    shape = first.n_clusters, second.n_clusters
    return overlaps(first.labels.data, second.labels.data, shape)[:-1, :-1]


def _table(
    sheet: Sheet,
    first: Segmentation,
    second: Segmentation,
    *,
    top: float,
    titles: tuple[str, str],
    order: list[int],
) -> None:
    found = shares(first, second)[:, order]
    p, q = found.shape
    cell = min(_CELL[0], (DOUBLE - 2 * _EDGE - _NAME - 8) / q)
    left, begin = _EDGE + _NAME + 8, top + 2 * _TITLE
    heading = f"How clusters of “{titles[0]}” (rows) split into “{titles[1]}” (columns), %"
    sheet.text(_EDGE, top + 1.5, fitted(heading, DOUBLE - 2 * _EDGE))
    for j, color in enumerate(palette(second)[order]):
        x = left + (j + 0.5) * cell
        sheet.box(x - 1.6, begin - 3.6, 3.2, 2.4, facecolor=color, edgecolor="none")
        sheet.text(x + 2.2, begin - 2.4, str(order[j]), color=MUTED)
    for i, color in enumerate(palette(first)):
        y = begin + (i + 0.5) * _CELL[1]
        sheet.box(_EDGE, y - 1.2, 3.2, 2.4, facecolor=color, edgecolor="none")
        sheet.text(_EDGE + 4.4, y, fitted(first.name_of(i), _NAME))
    ax = sheet.axes(left, begin, q * cell, p * _CELL[1])
    ax.imshow(found, cmap="Greys", vmin=0, vmax=1, aspect="auto")
    bare(ax, ink(np.array([0.4, 0.4, 0.4, 1.0])), 0.5)
    for (i, j), share in np.ndenumerate(found):
        if share >= 0.0005:
            color = "white" if share > _SHOWN else "black"
            text = "100" if share > 0.9995 else f"{100 * share:.1f}"
            ax.text(j, i, text, ha="center", va="center", color=color)
