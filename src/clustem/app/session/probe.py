"""What lies under the cursor: a spectrum, pattern or patch, its center and its memberships."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.app.session.frames import Frame
from clustem.app.session.opened import Opened
from clustem.app.session.outcome import Outcome
from clustem.core import PatchGrid, Segmentation, Signal

PIECE = (48, 48)
"""Size of the piece of an image that is shown where no patches were cut [px]."""


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
        segmentation: Segmentation = outcome.result
        self.shape = segmentation.mask.shape
        grid = segmentation.find(PatchGrid) if segmentation.mask.ndim == 1 else None
        self.scattered = grid is not None
        if grid is not None:
            self.frame = Frame.of(list(outcome.raw.axes_manager._axes[:2]))
            rows, columns = grid.positions.T
            x, y = self.frame.middle(rows, columns)
            self.points = np.column_stack([x, y])
        else:
            self.frame = Frame.of(list(segmentation.labels.axes_manager._axes))
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
            from scipy.spatial import cKDTree

            return np.asarray(cKDTree(self.points).query(points)[1], dtype=np.intp)
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
    segmentation: Segmentation = outcome.result
    if number is None or segmentation.source is None:
        return None
    values = _row(segmentation.source, segmentation.mask.ndim, number)
    label = int(segmentation.labels.data.flat[number])
    degrees = None
    if segmentation.memberships is not None:
        stack = np.asarray(segmentation.memberships.data)
        degrees = stack.reshape(len(stack), -1)[:, number]
    return Reading(values, label, degrees, excluded=bool(segmentation.mask.flat[number]))


def mean_of_chosen(
    outcome: Outcome, chosen: NDArray[np.bool_], most: int = 4096
) -> NDArray[np.float64] | None:
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
    from clustem.passes.rows import Rows
    from clustem.physics.beam import finite_mean

    segmentation: Segmentation = outcome.result
    source = segmentation.source
    numbers = np.flatnonzero(chosen)
    if source is None or not len(numbers):
        return None
    numbers = numbers[np.linspace(0, len(numbers) - 1, min(most, len(numbers))).astype(np.intp)]
    rows = Rows(source.data, row_ndim=source.data.ndim - segmentation.mask.ndim)
    return finite_mean(rows, subset=numbers)


def _row(signal: Signal, scan_ndim: int, flat: int) -> NDArray[Any]:
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
