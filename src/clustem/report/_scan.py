"""The scan behind a projection: shape, pixel size, positions; and its clusters' sizes."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import InputError, Projection
from clustem.report._units import in_nm, pretty


@dataclass(frozen=True)
class Axis:
    """One axis of an array, in plain values; ``step`` is None where it is not uniform."""

    name: str
    units: str
    values: NDArray[np.float64]
    step: float | None = None

    @property
    def scale(self) -> float:
        """Size of one (mean) step, positive."""
        mean = (self.values[-1] - self.values[0]) / max(len(self.values) - 1, 1)
        return float(abs(self.step or mean)) or 1.0


@dataclass(frozen=True)
class Frame:
    """Size of an image's pixels: ``height`` and ``width`` in ``units``."""

    shape: tuple[int, int]
    height: float
    width: float
    units: str

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of the image, for imshow."""
        return 0.0, self.shape[1] * self.width, self.shape[0] * self.height, 0.0

    @property
    def aspect(self) -> float:
        """Width over height of the image."""
        return self.shape[1] * self.width / (self.shape[0] * self.height)


@dataclass(frozen=True)
class Size:
    """How much of the scan a cluster takes."""

    number: int
    name: str
    count: int
    fraction: float


def axes_of(signal: Any) -> list[Axis]:
    """Axes of a HyperSpy signal in array order."""
    manager = signal.axes_manager
    ordered = (*manager.navigation_axes[::-1], *manager.signal_axes[::-1])
    return [
        Axis(
            _known(axis.name),
            pretty(axis.units),
            np.asarray(axis.axis, dtype=float),
            float(axis.scale) if axis.is_uniform else None,
        )
        for axis in ordered
    ]


def scan_axes(projection: Projection) -> list[Axis]:
    """Axes of the scan in array order: one or two.

    Raises
    ------
    InputError
        If the scan has another number of axes.
    """
    ndim = projection.labels.data.ndim
    if ndim not in (1, 2):
        raise InputError(
            "A report needs a scan with one or two axes",
            got=f"{ndim} axes",
            cure="Take one scan of the series (signal.inav) and run again.",
        )
    return axes_of(projection.labels)[-ndim:]


def frame_of(axes: list[Axis]) -> Frame:
    """Pixel size of an image from its axes (row, column), both in the column axis' units."""
    rows, columns = axes
    shape = len(rows.values), len(columns.values)
    if rows.units == columns.units and columns.units:
        return Frame(shape, rows.scale, columns.scale, columns.units)
    factors = in_nm(rows.units), in_nm(columns.units)
    if factors[0] and factors[1]:
        return Frame(shape, rows.scale * factors[0] / factors[1], columns.scale, columns.units)
    return Frame(shape, 1.0, 1.0, "px")  # unlike or unknown units: only the pixels are certain


def sizes(projection: Projection) -> list[Size]:
    """Count the positions of each cluster on the map."""
    labels = projection.labels.data
    counts = np.bincount(labels[labels >= 0], minlength=projection.n_clusters)
    total = max(int(np.count_nonzero(~projection.mask)), 1)
    return [
        Size(i, projection.name_of(i), int(counts[i]), float(counts[i] / total))
        for i in range(projection.n_clusters)
    ]


def percent(fraction: float) -> str:
    """Write a share with one decimal; what is not nothing never reads 0.0 %."""
    return "< 0.1 %" if 0 < fraction < 0.0005 else f"{100 * fraction:.1f} %"


def area_of(projection: Projection) -> tuple[float, str] | None:
    """Area of one scan position and its units, None if the scan is not a calibrated map."""
    axes = scan_axes(projection)
    if len(axes) != 2:
        return None
    frame = frame_of(axes)
    return None if frame.units == "px" else (frame.height * frame.width, f"{frame.units}²")


def metadata(signal: Any, path: str, default: Any = None) -> Any:
    """Read an item of a signal's metadata."""
    return signal.metadata.get_item(path, default=default)


def instrument(signal: Any, item: str) -> Any:
    """Read an item that may stand under TEM or SEM; None if neither has it."""
    for kind in ("TEM", "SEM"):
        found = metadata(signal, f"Acquisition_instrument.{kind}.{item}")
        if found is not None:
            return found
    return None


def stem_of(projection: Projection, cluster: int) -> str:
    """Name for a cluster's files, safe on any file system."""
    digits = len(str(projection.n_clusters - 1))
    stem = f"cluster_{cluster:0{digits}d}"
    given = unicodedata.normalize("NFKD", projection.names.get(cluster, ""))
    safe = re.sub(r"[^A-Za-z0-9]+", "-", given.encode("ascii", "ignore").decode()).strip("-")[:40]
    return f"{stem}_{safe}" if safe else stem


def _known(name: Any) -> str:
    text = str(name)
    return "" if text in ("<undefined>", "None") else text
