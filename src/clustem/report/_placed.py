"""Patches where they lie in their image, in the colors of their clusters."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import Projection
from clustem.report._maps import UNASSIGNED, draw_map, grey_limits
from clustem.report._palette import palette
from clustem.report._scan import Frame
from clustem.report._units import pretty

_OPACITY = 0.5
_PALE, _LARGER = 0.55, 2.0
_SHARE = 0.62
"""Diameter of a mark, as a share of the distance to the next one."""


def is_placed(projection: Projection) -> bool:
    """Whether the rows are patches of an image that is known."""
    return {"image", "positions", "image_scale"} <= set(projection.details)


def image_frame(projection: Projection) -> Frame:
    """Pixel size of the image that the patches are from."""
    height, width = (float(value) for value in np.abs(projection.details["image_scale"]))
    units = pretty(projection.details.get("image_units", "")) or "px"
    if units == "px":
        height, width = height / width, 1.0
    return Frame(projection.details["image"].shape, height, width, units)


def draw_placed(
    ax: Any, projection: Projection, frame: Frame, *, width: float, few: bool = False
) -> None:
    """Draw the image in grey and each patch on it.

    Parameters
    ----------
    ax
        Axes of the image's proportions.
    projection
        Of patches with positions.
    frame
        Of the image.
    width
        Width of the axes [mm].
    few
        Whether only some patches are shown, which have to be seen: larger, on a pale image.
    """
    image = projection.details["image"]
    low, high = grey_limits(image)
    draw_map(ax, image, frame, cmap="gray", vmin=low, vmax=high)
    if few:
        ax.imshow(np.full((1, 1, 4), (1, 1, 1, _PALE)), extent=frame.extent, aspect="auto")
    if projection.mask.ndim == 2:
        _shade(ax, projection, frame)
    else:
        _mark(ax, projection, frame, width * (_LARGER if few else 1.0))
    left, right, bottom, top = frame.extent
    ax.set(xlim=(left, right), ylim=(bottom, top))


def _shade(ax: Any, projection: Projection, frame: Frame) -> None:
    """Lay the label map over the middles of the patches, half transparent."""
    rows, columns = projection.mask.shape
    positions = projection.details["positions"].reshape(rows, columns, 2)
    step = _steps(positions)
    first, last = positions[0, 0] - step / 2 + 0.5, positions[-1, -1] + step / 2 + 0.5
    extent = (
        first[1] * frame.width, last[1] * frame.width,
        last[0] * frame.height, first[0] * frame.height,
    )  # fmt: skip
    ax.imshow(_shades(projection, _OPACITY), extent=extent, aspect="auto")


def _steps(positions: NDArray[np.float64]) -> NDArray[np.float64]:
    rows, columns = positions.shape[:2]
    down = positions[1, 0, 0] - positions[0, 0, 0] if rows > 1 else 1.0
    across = positions[0, 1, 1] - positions[0, 0, 1] if columns > 1 else 1.0
    return np.array([down, across])


def _mark(ax: Any, projection: Projection, frame: Frame, width: float) -> None:
    """Draw a dot on each position, as large as the distances allow."""
    positions = projection.details["positions"]
    shown = ~projection.mask
    place = (positions + 0.5) * (frame.height, frame.width)
    per_mm = frame.shape[1] * frame.width / width
    diameter = _SHARE * _spacing(place) / per_mm * 72 / 25.4
    ax.scatter(
        place[shown, 1],
        place[shown, 0],
        s=float(np.clip(diameter, 0.8, 9.0)) ** 2,
        c=_shades(projection, 1.0)[shown],
        edgecolors="#00000080",
        linewidths=0.25,
    )


def _spacing(place: NDArray[np.float64]) -> float:
    from scipy.spatial import KDTree  # noqa: PLC0415  # 0.1 s

    if len(place) < 2:
        return 1.0
    distance, _ = KDTree(place).query(place, 2)
    return float(np.median(distance[:, 1]))


def _shades(projection: Projection, opacity: float) -> NDArray[np.float64]:
    """Colors of the label map with opacity; excluded ones are clear."""
    from matplotlib.colors import to_rgb  # noqa: PLC0415  # 0.3 s

    lookup = np.vstack([palette(projection), (*to_rgb(UNASSIGNED), 1.0)])
    out = lookup[projection.labels.data]
    out[..., 3] = np.where(projection.mask, 0.0, opacity)
    return out
