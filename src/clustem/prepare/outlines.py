"""Regions of the scan, drawn by hand."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, Signal, preparation

Outline = tuple[tuple[float, float], ...]
"""Corners: position along the row axis and along the column axis, in the units of the axes."""


@preparation(kind="scan mask")
def outlines(
    signal: Signal,
    *,
    polygons: tuple[Outline, ...] = (),
    keep: Literal["outside", "inside"] = "outside",
) -> NDArray[np.bool_]:
    """Exclude the positions inside outlines, or all others.

    Parameters
    ----------
    signal
        Scan of spectra or patterns, or an image.
    polygons
        Outlines of three corners or more, each corner by its position along the row axis and the
        column axis, in the units of these axes: a crop or a binning before does not move them. On
        a line scan the first of the two does not count, positions are taken to lie at 0.
    keep
        ``"outside"`` leaves in what lies in none of the outlines, ``"inside"`` what lies in any.

    Returns
    -------
    :
        Boolean, shape of the scan or image, True = excluded. Without an outline nothing is.

    Raises
    ------
    InputError
        If an outline has fewer than three corners or one that is no number, or all would be
        excluded.

    Notes
    -----
    A position counts by its middle.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = hs.signals.Signal1D(np.zeros((4, 6, 8)))
    >>> corner = ((-1.0, -1.0), (-1.0, 1.5), (1.5, 1.5), (1.5, -1.0))
    >>> outlines(scan, polygons=(corner,)).sum(axis=1).tolist()
    [2, 2, 0, 0]
    """
    manager = signal.axes_manager
    axes = list(manager.navigation_axes[::-1]) or list(manager._axes[:2])
    shape = tuple(int(axis.size) for axis in axes)
    if not polygons:
        return np.zeros(shape, dtype=bool)
    grids = np.meshgrid(*(np.asarray(axis.axis, dtype=float) for axis in axes), indexing="ij")
    columns = grids[-1].ravel()
    rows = grids[0].ravel() if len(axes) > 1 else np.zeros_like(columns)
    inside = np.zeros(columns.size, dtype=bool)
    for polygon in polygons:
        inside |= in_polygon(rows, columns, _corners(polygon))
    mask = (inside if keep == "outside" else ~inside).reshape(shape)
    if mask.all():
        raise InputError(
            "Outlines must leave some positions in",
            got=f"all {mask.size} excluded",
            cure="Draw them again, or keep the other side.",
        )
    return mask


def _corners(polygon: Outline) -> NDArray[np.float64]:
    corners = np.asarray(polygon, dtype=float)
    if len(corners) < 3 or not np.isfinite(corners).all():
        raise InputError(
            "An outline must have three corners or more",
            got=f"{len(corners)} corners"
            if np.isfinite(corners).all()
            else "one that is no number",
            cure="Give each as (row, column).",
        )
    return corners


def in_polygon(
    rows: NDArray[np.float64], columns: NDArray[np.float64], corners: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Count how often a ray from each point crosses the outline: odd is inside.

    A point on an edge that two outlines share is inside one of them, which scikit-image and
    matplotlib do not promise.
    """
    inside = np.zeros(rows.shape, dtype=bool)
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        between = (y0 > rows) != (y1 > rows)
        if y0 != y1:
            inside ^= between & (columns < x0 + (rows - y0) / (y1 - y0) * (x1 - x0))
    return inside
