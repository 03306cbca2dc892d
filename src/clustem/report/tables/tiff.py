"""Images for other programs, with their pixel size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.report.layout.extent import Axis

_MOST = 42.0
_LARGER = {"pm": "nm", "nm": "µm", "um": "mm", "µm": "mm", "mm": "m"}


def write_tiff(
    path: Path, pages: NDArray[Any], axes: Sequence[Axis], *, title: str, stack: Axis | None = None
) -> Path:
    """Write an image or a stack of images with RosettaSciIO.

    Pixel size and units go where Fiji, DigitalMicrograph and HyperSpy look for them.

    Parameters
    ----------
    path
        File to write.
    pages
        Array (rows, columns) or (pages, rows, columns); a line scan is one row of columns.
    axes
        Axes of rows and columns, or of columns alone.
    title
        What it shows.
    stack
        Axis of the pages; they are clusters if None.
    """
    from rsciio.tiff import file_writer

    if len(axes) == 1:
        row = Axis("", axes[0].units, np.zeros(1), axes[0].scale)
        axes, pages = (row, axes[0]), np.expand_dims(pages, -2)
    described = _within_reach([_described(axis) for axis in axes])
    if pages.ndim == 3:
        first = {"name": "cluster", "units": "", "scale": 1.0, "offset": 0.0}
        described.insert(0, first if stack is None else _described(stack))
    for i, (axis, size) in enumerate(zip(described, pages.shape, strict=True)):
        axis |= {"size": size, "index_in_array": i, "navigate": i < pages.ndim - 2}
    signal = {
        "data": pages,
        "axes": described,
        "metadata": {"General": {"title": title}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
    }
    file_writer(str(path), signal, resolutionunit=1)  # the unit stands in the description
    return path


def _within_reach(axes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Use larger units where RosettaSciIO 0.15 would write fractions beyond 32 bits."""
    while max(axis["scale"] for axis in axes) > _MOST:
        if not all(axis["units"] in _LARGER for axis in axes):
            return [{**axis, "units": "", "scale": 1.0, "offset": 0.0} for axis in axes]
        for axis in axes:
            axis["units"] = _LARGER[axis["units"]]
            axis["scale"], axis["offset"] = axis["scale"] / 1000, axis["offset"] / 1000
    return axes


def _described(axis: Axis) -> dict[str, Any]:
    units = axis.units
    if units not in ("Å", "µm") and not units.isascii():  # these two the writer knows
        units = units.replace("⁻¹", "^-1").replace("Å", "A").replace("µ", "u")
        units = units.encode("ascii", "replace").decode()
    offset = float(axis.values[0]) if len(axis.values) else 0.0
    return {"name": axis.name, "units": units, "scale": axis.scale, "offset": offset}
