"""Maps of several scans side by side, at one scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import PatchGrid, Segmentation
from clustem.report.layout.extent import Frame, frame_of, scan_axes
from clustem.report.layout.maps import BAR, ROW, draw_map, names_key, painted, scale_bar
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, Sheet, fitted, styled

_EDGE, _GAP, _TITLE, _TALLEST, _WIDEST, _LEAST = 1.5, 4.0, 5.0, 200.0, 60.0, 9.0
_BAND = 12.0
"""Length of a line over its height."""


@styled
def study_maps(maps: Sequence[Segmentation], titles: Sequence[str]) -> Figure:
    """Draw the maps of a study at one scale, with one key.

    Parameters
    ----------
    maps
        Results on scans of one or two axes, with the same clusters.
    titles
        Name of each.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide. Scans whose axes have no common unit are drawn
        with pixels of one size.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> len(study_maps([example(), example()], ["one", "two"]).axes)
    2
    """
    frames, images = zip(*map(_image, maps), strict=True)
    if len({frame.units for frame in frames}) > 1:
        frames = tuple(Frame(frame.shape, 1.0, 1.0, "px") for frame in frames)
    wide = [frame.shape[1] * frame.width for frame in frames]
    tall = [frame.shape[0] * frame.height for frame in frames]
    unit, rows = _packed(wide, tall)
    heights = [max(tall[i] for i in row) * unit for row in rows]
    key, lines = names_key(maps[0], DOUBLE - 2 * _EDGE)
    below = sum(heights) + len(rows) * (_TITLE + _GAP)
    sheet = Sheet(DOUBLE, _EDGE + below + BAR + lines * ROW + _EDGE + 1)
    top = _EDGE
    for row, height in zip(rows, heights, strict=True):
        left = _EDGE
        for i in row:
            room = max(wide[i] * unit, _LEAST)
            sheet.text(left, top + 2, fitted(titles[i], room))
            ax = sheet.axes(left, top + _TITLE - 0.6, wide[i] * unit, tall[i] * unit)
            draw_map(ax, images[i], frames[i])
            left += room + _GAP
        top += height + _TITLE + _GAP
    last = rows[-1][0]
    scale_bar(sheet, _EDGE, top - _GAP - 0.6, wide[last] * unit, frames[last])
    key(sheet, _EDGE, top - _GAP + BAR + 1)
    return sheet.figure


def _image(one: Segmentation) -> tuple[Frame, NDArray[np.uint8]]:
    """Paint the map of a scan or of patches; a line becomes a band."""
    grid = one.find(PatchGrid)
    if one.mask.ndim == 2:
        return frame_of(scan_axes(one)), painted(one)
    if grid is None:
        n = one.mask.size
        return Frame((1, n), max(n / _BAND, 1.0), 1.0, "px"), painted(one)
    from scipy.spatial import cKDTree

    step = max(grid.patch_size // 6, 1)
    height, width = (-(-size // step) for size in grid.image.shape[:2])
    places = step * np.indices((height, width)).reshape(2, -1).T
    far, near = cKDTree(grid.positions).query(places)
    labels = np.append(one.labels.data, -1)[np.where(far <= grid.patch_size, near, -1)]
    shades = np.rint(255 * palette(one)[:, :3]).astype(np.uint8)
    image = np.vstack([shades, [[255, 255, 255]]]).astype(np.uint8)[labels]
    rows, columns = (float(scale) * step for scale in grid.image_scale)
    units = grid.image_units or "px"
    return Frame((height, width), rows, columns, units), image.reshape(height, width, 3)


def _packed(wide: Sequence[float], tall: Sequence[float]) -> tuple[float, list[list[int]]]:
    """Return mm of a unit, and which maps stand in each row; as large as the page allows."""
    unit = _WIDEST / max(wide)
    while True:
        rows: list[list[int]] = [[]]
        left = 0.0
        for i, width in enumerate(wide):
            room = max(width * unit, _LEAST)
            if rows[-1] and left + room > DOUBLE - 2 * _EDGE:
                rows.append([])
                left = 0.0
            rows[-1].append(i)
            left += room + _GAP
        height = sum(max(tall[i] for i in row) * unit + _TITLE + _GAP for row in rows)
        if height <= _TALLEST or max(wide) * unit < _LEAST / 3:
            return unit, rows
        unit *= 0.93
