"""Maps of one number per position, on a scan or on the image that patches are from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, VAEInfo
from clustem.report.layout.extent import Frame, frame_of, scan_axes
from clustem.report.layout.maps import draw_map, grey_limits
from clustem.report.layout.placed import image_frame, is_placed, patches_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MARK = 0.8
"""Diameter of a mark, as a share of the distance to the next one."""


def learned_of(segmentation: Segmentation) -> VAEInfo:
    """Return what an autoencoder knows of the rows.

    Raises
    ------
    InputError
        If there was none.
    """
    known = segmentation.find(VAEInfo)
    if known is None:
        raise InputError(
            "The figure needs clusters of learned descriptors",
            got="clusters of others",
            cure="Put reduce.vae before the clustering.",
        )
    return known


def frame_for(segmentation: Segmentation) -> Frame:
    """Frame of the scan, or of the image where positions lie on no grid."""
    if segmentation.mask.ndim == 2:
        return frame_of(scan_axes(segmentation))
    if is_placed(segmentation):
        return image_frame(patches_of(segmentation))
    return Frame((1, segmentation.mask.size), 1.0, 1.0, "px")


def draw_values(
    ax: Axes, segmentation: Segmentation, values: NDArray[Any], frame: Frame, **given: Any
) -> Any:
    """Draw numbers or colors of the positions.

    Parameters
    ----------
    ax
        Axes of the frame's proportions.
    segmentation
        Whose positions they are.
    values
        Shape of the scan, or that and (4,) for colors.
    frame
        Of :func:`frame_for`.
    **given
        As for ``imshow``: ``cmap``, ``vmin``, ``vmax``.

    Returns
    -------
    :
        What a color bar is made of.
    """
    if segmentation.mask.ndim == 2 or not is_placed(segmentation):
        if segmentation.mask.ndim == 1:
            values = values[None]
        return draw_map(ax, values, frame, **given)
    patches = patches_of(segmentation)
    low, high = grey_limits(patches.image)
    draw_map(ax, patches.image, frame, cmap="gray", vmin=low, vmax=high)
    place = (patches.positions + 0.5) * (frame.height, frame.width)
    shown = ~segmentation.mask
    per_point = frame.shape[1] * frame.width / (ax.get_position().width * _points(ax))
    apart = np.sqrt(frame.shape[0] * frame.height * frame.extent[1] / max(len(place), 1))
    size = float(np.clip(_MARK * apart / per_point, 0.8, 9.0)) ** 2
    drawn = ax.scatter(
        place[shown, 1], place[shown, 0], s=size, c=values[shown], linewidths=0, **given
    )
    left, right, bottom, top = frame.extent
    ax.set(xlim=(left, right), ylim=(bottom, top))
    return drawn


def _points(ax: Axes) -> float:
    """Width of the sheet [pt]."""
    return float(ax.figure.get_figwidth()) * 72  # type: ignore[union-attr]  # a figure, no part of one
