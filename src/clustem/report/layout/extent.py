"""The scan behind a segmentation: shape, pixel size, positions; and its clusters' sizes."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, Signal
from clustem.report.layout.units import in_nm, pretty

_PART = 2**20
"""Positions that are counted at a time."""


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


def axes_of(signal: Signal) -> list[Axis]:
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


def scan_axes(segmentation: Segmentation) -> list[Axis]:
    """Axes of the scan in array order: one or two.

    Raises
    ------
    InputError
        If the scan has another number of axes.
    """
    ndim = segmentation.labels.data.ndim
    if ndim not in (1, 2):
        raise InputError(
            "A report needs a scan with one or two axes",
            got=f"{ndim} axes",
            cure="Take one scan of the series (signal.inav) and run again.",
        )
    return axes_of(segmentation.labels)[-ndim:]


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


def sizes(segmentation: Segmentation) -> list[Size]:
    """Count the positions of each cluster on the map."""
    labels, k = segmentation.labels.data, segmentation.n_clusters
    parts = np.array_split(labels, max(labels.size // _PART, 1))
    counts = np.sum([np.bincount(part[part >= 0], minlength=k) for part in parts], axis=0)
    total = max(int(np.count_nonzero(~segmentation.mask)), 1)
    return [
        Size(i, segmentation.name_of(i), int(counts[i]), float(counts[i] / total))
        for i in range(segmentation.n_clusters)
    ]


def percent(fraction: float) -> str:
    """Write a share with one decimal; what is not nothing never reads 0.0 %."""
    return "< 0.1 %" if 0 < fraction < 0.0005 else f"{100 * fraction:.1f} %"


def area_of(segmentation: Segmentation) -> tuple[float, str] | None:
    """Area of one scan position and its units, None if the scan is not a calibrated map."""
    axes = scan_axes(segmentation)
    if len(axes) != 2:
        return None
    frame = frame_of(axes)
    return None if frame.units == "px" else (frame.height * frame.width, f"{frame.units}²")


def stem_of(segmentation: Segmentation, cluster: int) -> str:
    """Name for a cluster's files, safe on any file system."""
    digits = len(str(segmentation.n_clusters - 1))
    stem = f"cluster_{cluster:0{digits}d}"
    given = unicodedata.normalize("NFKD", segmentation.names.get(cluster, ""))
    safe = re.sub(r"[^A-Za-z0-9]+", "-", given.encode("ascii", "ignore").decode()).strip("-")[:40]
    return f"{stem}_{safe}" if safe else stem


def _known(name: object) -> str:
    text = str(name)
    return "" if text in ("<undefined>", "None") else text
