"""Connected regions of the clusters on the scan, and the borders between clusters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from clustem.core import InputError, ParticleMap, Segmentation, checked
from clustem.labelmaps.label_maps import LabelMap, as_labels
from clustem.labelmaps.regions import connected, interfaces, outlines

_PART = 2**20
"""Positions that are measured at a time."""


@dataclass(frozen=True)
class Region:
    """A connected part of one cluster.

    Attributes
    ----------
    cluster
        Its number.
    pixels
        Scan positions in it.
    area
        In the units' square.
    center
        Row and column of its center of mass [px].
    diameter
        Of the circle of the same area, in the units.
    axes
        Long and short axis of the ellipse of the same second moments, in the units.
    circularity
        4π area / outline², 1 for a circle, by Crofton's formula: right to some 5 %.
    """

    cluster: int
    pixels: int
    area: float
    center: tuple[float, float]
    diameter: float
    axes: tuple[float, float]
    circularity: float


@dataclass(frozen=True, eq=False)
class RegionStatistics:
    """Regions and borders of a label map.

    Attributes
    ----------
    regions
        The regions, the largest first.
    region_map
        Number of the region of each position, int32; -1 where there is none.
    borders
        Length of the border between each two clusters ``(i, j)``, ``i < j``, in the units.
    units
        Of lengths; areas are in its square. ``"px"`` if the scan is not calibrated.
    pixel
        Height and width of a scan position in the units.
    """

    regions: tuple[Region, ...]
    region_map: NDArray[np.int32]
    borders: Mapping[tuple[int, int], float]
    units: str
    pixel: tuple[float, float]

    def of(self, cluster: int) -> tuple[Region, ...]:
        """List the regions of one cluster, the largest first."""
        return tuple(region for region in self.regions if region.cluster == cluster)


@checked
def regions(result: LabelMap, *, min_size: Annotated[int, Ge(1)] = 1) -> RegionStatistics:
    """Measure the connected regions of each cluster and the borders between clusters.

    Parameters
    ----------
    result
        Segmentation on a scan of two axes, or an integer array (rows, columns),
        negative = unassigned.
    min_size
        Regions with fewer positions are not listed; borders count all.

    Returns
    -------
    :
        Sizes, centers and shapes of regions, lengths of borders.

    Raises
    ------
    InputError
        If the scan has another number of axes.

    Notes
    -----
    Positions that touch by a corner only are not connected. Of a result of ``mapping.particles``,
    particles are the regions, though they may touch. Lengths of borders are by
    Crofton's formula: right to some 5 % in any direction (``labelmaps.regions.interfaces``);
    borders with unassigned and excluded positions do not count.

    Examples
    --------
    >>> labels = np.zeros((20, 30), dtype=int); labels[5:15, 10:20] = 1
    >>> found = regions(labels)
    >>> [(region.cluster, region.pixels) for region in found.regions]
    [(0, 500), (1, 100)]
    >>> round(found.borders[0, 1], 1), found.units  # 36 to 40
    (36.8, 'px')
    """
    labels = (
        np.asarray(result.labels.data) if isinstance(result, Segmentation) else as_labels(result)
    )
    if labels.ndim != 2:
        raise InputError(
            "Regions need a map of two axes",
            got=f"{labels.ndim} axes",
            cure="Take a map; a line scan has no regions.",
        )
    pixel, units = _pixel(result)
    where = _cut(connected(labels), labels, _particles(result))
    sizes, cluster, centers, axes = _measured(where, labels, pixel)
    areas = sizes * pixel[0] * pixel[1]
    diameters = 2 * np.sqrt(areas / np.pi)
    round_ = 4 * np.pi * areas / np.maximum(outlines(where, pixel), 1e-30) ** 2
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] >= min_size]
    columns = (cluster, sizes, areas, centers, diameters, axes, round_.clip(0, 1))
    listed = tuple(
        Region(k, n, area, tuple(center), diameter, tuple(both), circularity)
        for k, n, area, center, diameter, both, circularity in zip(
            *(column[order].tolist() for column in columns), strict=True
        )
    )
    new = np.full(len(sizes) + 1, -1, dtype=np.int32)  # the last is for -1
    new[order] = np.arange(len(order))
    for part in _parts(where):
        part[:] = new[part]
    return RegionStatistics(listed, where, interfaces(labels, pixel), units, pixel)


def _particles(result: LabelMap) -> NDArray[np.int32] | None:
    """Particles that were cut apart, if the result knows any."""
    known = result.find(ParticleMap) if isinstance(result, Segmentation) else None
    return None if known is None else known.particles


def _cut(
    where: NDArray[np.int32], labels: NDArray[np.integer[Any]], particles: NDArray[np.int32] | None
) -> NDArray[np.int32]:
    """Give particles regions of their own, but those that an edit made background."""
    if particles is None or not (particles > 0).any():
        return where
    outside = labels[(particles == 0) & (labels >= 0)]
    background = int(np.bincount(outside).argmax()) if outside.size else -1
    own = (particles > 0) & (labels >= 0) & (labels != background)
    return np.where(own, where.max() + particles, where)


def _measured(
    where: NDArray[np.int32], labels: NDArray[np.integer[Any]], pixel: tuple[float, float]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Sizes and clusters (regions,), centers [px] and axes (regions, 2), some rows at a time.

    Axes are those of the ellipses of the same second moments.
    """
    count = int(where.max(initial=-1)) + 1
    sizes, cluster = np.zeros((2, count), dtype=np.int64)
    sums, squares = np.zeros((2, count)), np.zeros((3, count))
    for values, number, places in _places(where, labels):
        cluster[number] = values
        found, size = np.unique(number, return_counts=True)
        sizes[found] += size
        sums += [np.bincount(number, place, count) for place in places]
    centers = sums / np.maximum(sizes, 1)
    for _, number, places in _places(where, labels):
        row, column = (
            (place - center[number]) * size
            for place, center, size in zip(places, centers, pixel, strict=True)
        )
        products = (row * row, row * column, column * column)
        squares += [np.bincount(number, product, count) for product in products]
    a, b, c = squares / np.maximum(sizes, 1)
    middle, half = (a + c) / 2, np.hypot((a - c) / 2, b)
    both = np.stack([middle + half, np.maximum(middle - half, 0)], axis=1)
    return sizes, cluster, centers.T, 4 * np.sqrt(both)


def _places(
    where: NDArray[np.int32], labels: NDArray[np.integer[Any]]
) -> Iterator[tuple[NDArray[Any], NDArray[np.int32], tuple[NDArray[np.intp], ...]]]:
    """Labels, regions, rows and columns of the positions in regions, some rows at a time."""
    first = 0
    for part in _parts(where):
        rows, columns = np.nonzero(part >= 0)
        here = labels[first : first + len(part)]
        yield here[rows, columns], part[rows, columns], (rows + first, columns)
        first += len(part)


def _parts(where: NDArray[np.int32]) -> Iterator[NDArray[np.int32]]:
    """Give some rows at a time, as views."""
    rows = max(_PART // max(where.shape[1], 1), 1)
    for first in range(0, len(where), rows):
        yield where[first : first + rows]


def _pixel(result: LabelMap) -> tuple[tuple[float, float], str]:
    """Size of a scan position and its units."""
    signal = getattr(result, "labels", result)
    if not hasattr(signal, "axes_manager"):
        return (1.0, 1.0), "px"
    rows, columns = signal.axes_manager._axes[-2:]
    units = {str(axis.units).strip() for axis in (rows, columns)}
    known = units - {"", "<undefined>", "px", "None"}
    if len(units) > 1 or not known or not (rows.is_uniform and columns.is_uniform):
        return (1.0, 1.0), "px"  # unlike or unknown: only the pixels are certain
    return (abs(float(rows.scale)), abs(float(columns.scale))), known.pop()
