"""The intensity that stands for the thickness, at each position."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import Segmentation, checked
from clustem.report.layout.extent import Axis, frame_of, scan_axes
from clustem.report.layout.intensities import intensities, label_of
from clustem.report.layout.maps import BAR, CMAP, color_bar, draw_map, scale_bar
from clustem.report.layout.sheet import DOUBLE, SINGLE, Sheet, styled
from clustem.report.layout.units import with_units

_EDGE, _TITLE, _BAR_ROOM, _TALLEST = 1.5, 5.0, 14.0, 100.0


@checked
@styled
def intensity_map(segmentation: Segmentation) -> Figure:
    """Draw the total intensity that was clustered: dark where the specimen is thick.

    Parameters
    ----------
    segmentation
        Clusters of ``describe.total_intensity`` on a scan of one or two axes.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 89 mm wide; for a line scan a curve.

    Raises
    ------
    InputError
        If something else was clustered.

    Notes
    -----
    Excluded positions are white.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from clustem.core import IntensityInfo
    >>> from clustem.report.figures.example import example
    >>> some = np.arange(24, dtype=np.float32)[:, None]
    >>> about = IntensityInfo(ranked_by="ln N_tot")
    >>> given = {"points": some, "feature_names": ("ln N_tot",), "about": about}
    >>> len(intensity_map(replace(example(), **given)).axes)  # the map and its color bar
    2
    """
    values = np.full(segmentation.mask.shape, np.nan)
    values[~segmentation.mask] = intensities(segmentation)
    axes = scan_axes(segmentation)
    if len(axes) == 1:
        return _curve(axes[0], values, label_of(segmentation))
    frame = frame_of(axes)
    width = min(SINGLE - 2 * _EDGE - _BAR_ROOM, _TALLEST * frame.aspect)
    height = width / frame.aspect
    sheet = Sheet(SINGLE, height + _TITLE + BAR + 2 * _EDGE)
    ax = sheet.axes(_EDGE, _EDGE + _TITLE, width, height)
    drawn = draw_map(ax, np.ma.masked_invalid(values), frame, cmap=CMAP)
    ax.set_title(label_of(segmentation), loc="left", pad=3)
    color_bar(sheet, drawn, (_EDGE + width + 2, _EDGE + _TITLE, min(height, 45.0)), label="")
    scale_bar(sheet, _EDGE, _EDGE + _TITLE + height, width, frame)
    return sheet.figure


def _curve(axis: Axis, values: NDArray[np.float64], label: str) -> Figure:
    sheet = Sheet(DOUBLE, 56)
    ax = sheet.axes(16, 4, DOUBLE - 20, 40)
    ax.plot(axis.values, values)
    ax.set_ylabel(label)
    ax.set_xlabel(with_units(axis.name or "Position", axis.units, fallback="px"))
    return sheet.figure
