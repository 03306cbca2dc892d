"""Patches where they lie in their image, in the colors of their clusters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, PatchGrid, Segmentation
from clustem.report.layout.extent import Frame
from clustem.report.layout.maps import UNASSIGNED, draw_map, grey_limits
from clustem.report.layout.palette import palette
from clustem.report.layout.units import pretty

if TYPE_CHECKING:
    from matplotlib.axes import Axes

F64 = NDArray[np.float64]
_OPACITY = 0.5
_PALE, _LARGER = 0.55, 2.0
_SHARE = 0.62
"""Diameter of a mark, as a share of the distance to the next one."""


def is_placed(segmentation: Segmentation) -> bool:
    """Whether the rows are patches of an image that is known."""
    return segmentation.find(PatchGrid) is not None


def patches_of(segmentation: Segmentation) -> PatchGrid:
    """Return where the patches lie, and their image.

    Raises
    ------
    InputError
        If the rows are no patches.
    """
    patches = segmentation.find(PatchGrid)
    if patches is None:
        raise InputError(
            "A map on the image needs patches of an image",
            got="rows without positions",
            cure="Use phase_map, or describe.patches.",
        )
    return patches


def image_frame(patches: PatchGrid) -> Frame:
    """Pixel size of the image that the patches are from."""
    height, width = (float(value) for value in np.abs(patches.image_scale))
    units = pretty(patches.image_units) or "px"
    if units == "px":
        height, width = height / width, 1.0
    rows, columns = patches.image.shape
    return Frame((rows, columns), height, width, units)


def draw_placed(
    ax: Axes, segmentation: Segmentation, frame: Frame, *, width: float, few: bool = False
) -> None:
    """Draw the image in grey and each patch on it.

    Parameters
    ----------
    ax
        Axes of the image's proportions.
    segmentation
        Of patches with positions.
    frame
        Of the image.
    width
        Width of the axes [mm].
    few
        Whether only some patches are shown, which have to be seen: larger, on a pale image.
    """
    patches = patches_of(segmentation)
    low, high = grey_limits(patches.image)
    draw_map(ax, patches.image, frame, cmap="gray", vmin=low, vmax=high)
    if few:
        ax.imshow(np.full((1, 1, 4), (1, 1, 1, _PALE)), extent=frame.extent, aspect="auto")
    if segmentation.mask.ndim == 2:
        _shade(ax, segmentation, patches.positions, frame)
    else:
        larger = width * (_LARGER if few else 1.0)
        _mark(ax, segmentation, patches.positions, frame, width=larger)
    left, right, bottom, top = frame.extent
    ax.set(xlim=(left, right), ylim=(bottom, top))


def _shade(ax: Axes, segmentation: Segmentation, at: F64, frame: Frame) -> None:
    """Lay the label map over the middles of the patches, half transparent."""
    rows, columns = segmentation.mask.shape
    positions = at.reshape(rows, columns, 2)
    step = _steps(positions)
    first, last = positions[0, 0] - step / 2 + 0.5, positions[-1, -1] + step / 2 + 0.5
    extent = (
        first[1] * frame.width, last[1] * frame.width,
        last[0] * frame.height, first[0] * frame.height,
    )  # fmt: skip
    ax.imshow(_shades(segmentation, _OPACITY), extent=extent, aspect="auto")


def _steps(positions: F64) -> F64:
    rows, columns = positions.shape[:2]
    down = positions[1, 0, 0] - positions[0, 0, 0] if rows > 1 else 1.0
    across = positions[0, 1, 1] - positions[0, 0, 1] if columns > 1 else 1.0
    steps: F64 = np.array([down, across])
    return steps


def _mark(ax: Axes, segmentation: Segmentation, at: F64, frame: Frame, *, width: float) -> None:
    """Draw a dot on each position, as large as the distances allow."""
    shown = ~segmentation.mask
    place = (at + 0.5) * (frame.height, frame.width)
    per_mm = frame.shape[1] * frame.width / width
    diameter = _SHARE * _spacing(place) / per_mm * 72 / 25.4
    ax.scatter(
        place[shown, 1],
        place[shown, 0],
        s=float(np.clip(diameter, 0.8, 9.0)) ** 2,
        c=_shades(segmentation, 1.0)[shown],
        edgecolors="#00000080",
        linewidths=0.25,
    )


def _spacing(place: F64) -> float:
    from scipy.spatial import KDTree

    if len(place) < 2:
        return 1.0
    distance, _ = KDTree(place).query(place, 2)
    return float(np.median(distance[:, 1]))


def _shades(segmentation: Segmentation, opacity: float) -> F64:
    """Colors of the label map with opacity; excluded ones are clear."""
    from matplotlib.colors import to_rgb

    lookup = np.vstack([palette(segmentation), (*to_rgb(UNASSIGNED), 1.0)])
    out: F64 = lookup[segmentation.labels.data]
    out[..., 3] = np.where(segmentation.mask, 0.0, opacity)
    return out
