"""Where the pixels of a scan or image lie in the units of its axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustem.core import Axis
from clustem.report.layout.units import in_nm, pretty

_STRIP = 6
"""Length of the strip that a line scan is drawn as, in its heights."""


@dataclass(frozen=True)
class Frame:
    """Pixels of a picture in the sample's units.

    Parameters
    ----------
    shape
        Rows and columns.
    corner
        Position of the outer corner of the first pixel: row axis, column axis.
    step
        Height and width of a pixel.
    units
        Of corner and step; ``"px"`` where the axes do not say.
    is_line
        Whether there is one axis only; the height then means nothing.
    """

    shape: tuple[int, int]
    corner: tuple[float, float] = (-0.5, -0.5)
    step: tuple[float, float] = (1.0, 1.0)
    units: str = "px"
    is_line: bool = False

    @classmethod
    def of(cls, axes: Sequence[Axis]) -> Frame:
        """Read one or two HyperSpy axes, row axis first.

        Parameters
        ----------
        axes
            Axes of a scan, line of positions or image.
        """
        if len(axes) == 1:
            frame = cls.of([axes[0], axes[0]])
            size = int(axes[0].size)
            high = frame.step[1] * max(size / _STRIP, 1.0)
            corner, step = (0.0, frame.corner[1]), (high, frame.step[1])
            return cls((1, size), corner, step, frame.units, is_line=True)
        shape = int(axes[0].size), int(axes[1].size)
        units = [pretty(axis.units) for axis in axes]
        to_nm = [in_nm(name) for name in units]
        even = all(axis.is_uniform and axis.scale > 0 for axis in axes)
        if not even or not units[1] or (units[0] != units[1] and None in to_nm):
            return cls._counted(axes, shape)
        factor = 1.0 if units[0] == units[1] else float(to_nm[0] or 1) / float(to_nm[1] or 1)
        step = float(axes[0].scale) * factor, float(axes[1].scale)
        corner = (
            float(axes[0].offset) * factor - step[0] / 2,
            float(axes[1].offset) - step[1] / 2,
        )
        return cls(shape, corner, step, units[1])

    @classmethod
    def _counted(cls, axes: Sequence[Axis], shape: tuple[int, int]) -> Frame:
        """Count pixels where units are unknown; a crop or binning of them still lies in place."""
        plain = [axis.is_uniform and axis.scale > 0 and not pretty(axis.units) for axis in axes]
        if not all(plain):
            return cls(shape)
        step = float(axes[0].scale), float(axes[1].scale)
        corner = float(axes[0].offset) - step[0] / 2, float(axes[1].offset) - step[1] / 2
        return cls(shape, corner, step)

    @property
    def size(self) -> tuple[float, float]:
        """Height and width."""
        return self.shape[0] * self.step[0], self.shape[1] * self.step[1]

    def pixel(self, x: float, y: float) -> tuple[int, int] | None:
        """Row and column of the pixel at a position, None outside."""
        rows, columns = self.pixels(np.array([[x, y]], dtype=np.float64))
        return None if rows[0] < 0 else (int(rows[0]), int(columns[0]))

    def pixels(self, points: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the pixels at positions (n, 2), x and y; -1 and -1 outside.

        The height of a line means nothing: its profile lies above it.
        """
        row = np.floor((points[:, 1] - self.corner[0]) / self.step[0])
        row = np.zeros_like(row) if self.is_line else row
        column = np.floor((points[:, 0] - self.corner[1]) / self.step[1])
        inside = (row >= 0) & (row < self.shape[0]) & (column >= 0) & (column < self.shape[1])
        rows, columns = (np.where(inside, at, -1).astype(np.intp) for at in (row, column))
        return rows, columns

    def place(self, x: float, y: float) -> str:
        """Name the pixel at a position: its row and column, of a line the column; "" outside."""
        pixel = self.pixel(x, y)
        if pixel is None:
            return ""
        row = "" if self.is_line else f"row {pixel[0]}, "
        return f"{row}column {pixel[1]}"

    def middle(self, row: float, column: float) -> tuple[float, float]:
        """Position (x, y) of the middle of a pixel."""
        return (
            self.corner[1] + (column + 0.5) * self.step[1],
            self.corner[0] + (row + 0.5) * self.step[0],
        )

    def middles(self) -> NDArray[np.float64]:
        """Positions (rows · columns, 2) of all pixels, x and y, in C order."""
        rows, columns = np.indices(self.shape)
        x, y = self.middle(rows.ravel(), columns.ravel())  # type: ignore[arg-type]
        return np.column_stack([x, y])

    def span(self, first: float, last: float, axis: int) -> tuple[int, int] | None:
        """First pixel and the one after the last between two positions, None if there is none.

        Parameters
        ----------
        first, last
            Positions along the axis, in any order.
        axis
            0 for rows, 1 for columns.
        """
        ends = sorted((np.array([first, last]) - self.corner[axis]) / self.step[axis])
        start = int(np.clip(np.rint(ends[0]), 0, self.shape[axis]))
        stop = int(np.clip(np.rint(ends[1]), 0, self.shape[axis]))
        return (start, stop) if stop > start else None

    def holds(self, other: Frame) -> bool:
        """Whether another frame lies inside this one, to half a pixel, in the same units."""
        if other.units != self.units:
            return False
        for axis in (0, 1):
            slack = 0.5 * self.step[axis]
            low, high = self.corner[axis], self.corner[axis] + self.size[axis]
            if other.corner[axis] < low - slack:
                return False
            if other.corner[axis] + other.size[axis] > high + slack:
                return False
        return True


def inside(points: NDArray[np.float64], polygon: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which points (n, 2) lie in a polygon (m, 2)."""
    from clustem.prepare.outlines import in_polygon

    if len(polygon) < 3 or not len(points):
        return np.zeros(len(points), dtype=bool)
    return in_polygon(points[:, 0], points[:, 1], polygon)
