"""What lies under the cursor: a spectrum, pattern or patch, its center and its memberships."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.app.frames import Frame
from clustem.app.opened import Opened
from clustem.app.runs import Outcome
from clustem.model import Projection
from clustem.report._placed import is_placed

PIECE = (48, 48)
"""An image's piece that is shown where no patches were cut [px]."""


@dataclass(frozen=True)
class Reading:
    """What lies at one position.

    Parameters
    ----------
    values
        Raw spectrum (channels,), pattern or patch (rows, columns).
    label
        Number of its cluster, -1 if none, None before there is a result.
    memberships
        Degrees (k,), None for hard clusters.
    excluded
        Whether it was left out of the result.
    """

    values: NDArray[Any]
    label: int | None = None
    memberships: NDArray[np.float32] | None = None
    excluded: bool = False


class Places:
    """Where the rows of a result lie: on a grid of pixels, or each at its own position.

    Parameters
    ----------
    outcome
        A result and the signal it was made from.

    Attributes
    ----------
    frame
        Pixels of the label map; of rows with positions of their own, those of the image.
    points
        Position (n, 2) of each entry of the label map, x and y, in C order.
    scattered
        Whether the rows have positions of their own.
    """

    def __init__(self, outcome: Outcome) -> None:
        projection: Projection = outcome.result.projection
        self.shape = projection.mask.shape
        self.scattered = is_placed(projection) and projection.mask.ndim == 1
        if self.scattered:
            self.frame = Frame.of(list(outcome.raw.axes_manager._axes[:2]))
            rows, columns = projection.details["positions"].T
            x, y = self.frame.middle(rows, columns)
            self.points = np.column_stack([x, y])
        else:
            self.frame = Frame.of(list(projection.labels.axes_manager._axes))
            self.points = self.frame.middles()

    def at(self, x: float, y: float) -> int | None:
        """Return the number of the entry at a position, the nearest of those that are scattered."""
        if self.scattered:
            squares = ((self.points - (x, y)) ** 2).sum(axis=1)
            return int(squares.argmin())
        pixel = self.frame.pixel(x, y)
        return None if pixel is None else pixel[0] * self.frame.shape[1] + pixel[1]

    def entries(self, points: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the number of the entry at each of some positions (n, 2), -1 outside."""
        if self.scattered:
            from scipy.spatial import cKDTree  # noqa: PLC0415  # 0.1 s

            return np.asarray(cKDTree(self.points).query(points)[1], dtype=np.intp)
        if self.frame.is_line:  # its height means nothing
            middle = np.full(len(points), self.frame.size[0] / 2)
            points = np.column_stack([points[:, 0], middle])
        rows, columns = self.frame.pixels(points)
        return np.where(rows < 0, -1, rows * self.frame.shape[1] + columns)


def read_open(opened: Opened, image: NDArray[Any], x: float, y: float) -> Reading | None:
    """Read what is under the cursor before there is a result.

    Parameters
    ----------
    opened
        What is open.
    image
        Its picture, from which pieces of an image are cut.
    x, y
        Position in the units of the axes.
    """
    pixel = opened.frame.pixel(x, y)
    if pixel is None:
        return None
    if opened.kind == "image":
        return Reading(_piece(image, pixel))
    flat = pixel[0] * opened.frame.shape[1] + pixel[1]
    return Reading(_row(opened.signal, opened.signal.axes_manager.navigation_dimension, flat))


def read_result(outcome: Outcome, places: Places, x: float, y: float) -> Reading | None:
    """Read what is under the cursor of a result; see :func:`read_open`."""
    number = places.at(x, y)
    projection: Projection = outcome.result.projection
    if number is None or projection.source is None:
        return None
    values = _row(projection.source, projection.mask.ndim, number)
    label = int(projection.labels.data.flat[number])
    degrees = None
    if projection.memberships is not None:
        stack = np.asarray(projection.memberships.data)
        degrees = stack.reshape(len(stack), -1)[:, number]
    return Reading(values, label, degrees, excluded=bool(projection.mask.flat[number]))


def mean_of_chosen(outcome: Outcome, chosen: NDArray[np.bool_], most: int = 4096) -> Any:
    """Mean raw row of some positions, of at most so many of them, evenly spread.

    Parameters
    ----------
    outcome
        A result.
    chosen
        Boolean, one per entry of the label map in C order.
    most
        How many rows are read at most.
    """
    from clustem.compute import Rows  # noqa: PLC0415  # numba, with the first result
    from clustem.compute.beam import finite_mean  # noqa: PLC0415

    projection: Projection = outcome.result.projection
    source = projection.source
    numbers = np.flatnonzero(chosen)
    if source is None or not len(numbers):
        return None
    numbers = numbers[np.linspace(0, len(numbers) - 1, min(most, len(numbers))).astype(np.intp)]
    rows = Rows(source.data, row_ndim=source.data.ndim - projection.mask.ndim)
    return finite_mean(rows, subset=numbers)


def _row(signal: Any, scan_ndim: int, flat: int) -> NDArray[Any]:
    shape = signal.data.shape[:scan_ndim]
    values = signal.data[np.unravel_index(flat, shape)]
    return np.asarray(
        values.compute(scheduler="synchronous") if hasattr(values, "dask") else values
    )


def _piece(image: NDArray[Any], pixel: tuple[int, int]) -> NDArray[Any]:
    """Cut a square around a pixel, moved inside where it would stick out."""
    cuts = []
    for at, size, wanted in zip(pixel, image.shape, PIECE, strict=True):
        first = int(np.clip(at - wanted // 2, 0, max(size - wanted, 0)))
        cuts.append(slice(first, first + wanted))
    return image[tuple(cuts)]
