"""How the signals of a scan lie on each other."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.report.layout.extent import frame_of, scan_axes
from clustem.report.layout.maps import BAR, draw_map, grey_limits, scale_bar
from clustem.report.layout.sheet import DOUBLE, Sheet, fitted, styled

_EDGE, _GAP, _TITLE, _WIDEST = 1.5, 4.0, 5.0, 57.0


@styled
def placements(
    segmentation: Segmentation, images: Mapping[str, NDArray[np.float64]], name: str
) -> Figure:
    """Draw images of signals over that of the signal whose positions are the common ones.

    Parameters
    ----------
    segmentation
        A result of the scan, for its axes.
    images
        Total intensity by the name of the signal, shape of the scan; NaN where one does not reach.
    name
        Name of the signal whose positions are the common ones.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide: that signal is magenta, the other green, and
        what both show is gray.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> found = example()
    >>> image = np.random.default_rng(0).random(found.mask.shape)
    >>> len(placements(found, {"eds": image, "haadf": image}, "eds").axes)
    1
    """
    frame = frame_of(scan_axes(segmentation))
    others = [other for other in images if other != name]
    columns = min(len(others), 3)
    tall = frame.shape[0] * frame.height / (frame.shape[1] * frame.width)
    width = min(_WIDEST, 120 / tall)
    height = width * tall
    lines = -(-len(others) // columns)
    sheet = Sheet(DOUBLE, _EDGE + lines * (height + _TITLE + _GAP) + BAR + _EDGE)
    red = _stretched(images[name])
    for i, other in enumerate(others):
        left = _EDGE + i % columns * (width + _GAP)
        top = _EDGE + i // columns * (height + _TITLE + _GAP)
        sheet.text(left, top + 2, fitted(f"{name} (magenta), {other} (green)", width))
        ax = sheet.axes(left, top + _TITLE - 0.6, width, height)
        draw_map(ax, np.stack([red, _stretched(images[other]), red], axis=-1), frame)
    scale_bar(sheet, _EDGE, _EDGE + lines * (height + _TITLE + _GAP) - _GAP, width, frame)
    return sheet.figure


def _stretched(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale an image from 0 to 1, all but its outermost values; 0 where there is none."""
    low, high = grey_limits(image)
    found = np.clip((image - low) / max(high - low, 1e-300), 0, 1)
    return np.nan_to_num(found, nan=0.0)
