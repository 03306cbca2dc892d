"""Connected regions of the clusters on the scan, and the borders between clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from clustem.core import InputError, ParticleMap, Segmentation, checked
from clustem.labelmaps.label_maps import LabelMap, as_labels
from clustem.labelmaps.regions import connected, interfaces, outlines


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
    labels = as_labels(result)
    if labels.ndim != 2:
        raise InputError(
            "Regions need a map of two axes",
            got=f"{labels.ndim} axes",
            cure="Take a map; a line scan has no regions.",
        )
    pixel, units = _pixel(result)
    where = _cut(connected(labels), labels, _particles(result))
    inside = where >= 0
    number, sizes = where[inside], np.bincount(where[inside])
    cluster = np.zeros(len(sizes), dtype=np.int64)
    cluster[number] = labels[inside]
    centers, axes = _ellipses(number, np.argwhere(inside), sizes, pixel)
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
    return RegionStatistics(listed, new[where], interfaces(labels, pixel), units, pixel)


def _particles(result: LabelMap) -> NDArray[np.int32] | None:
    """Particles that were cut apart, if the result knows any."""
    known = result.find(ParticleMap) if isinstance(result, Segmentation) else None
    return None if known is None else known.particles


def _cut(
    where: NDArray[np.int64], labels: NDArray[np.integer[Any]], particles: NDArray[np.int32] | None
) -> NDArray[np.int64]:
    """Give particles regions of their own, but those that an edit made background."""
    if particles is None or not (particles > 0).any():
        return where
    outside = labels[(particles == 0) & (labels >= 0)]
    background = int(np.bincount(outside).argmax()) if outside.size else -1
    own = (particles > 0) & (labels >= 0) & (labels != background)
    return np.where(own, where.max() + particles, where)


def _ellipses(
    number: NDArray[np.int64],
    places: NDArray[np.intp],
    sizes: NDArray[np.intp],
    pixel: tuple[float, float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centers [px], and axes of the ellipses of the same second moments, (regions, 2) each."""

    def mean(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.bincount(number, values, len(sizes)) / np.maximum(sizes, 1))

    centers = np.stack([mean(places[:, 0]), mean(places[:, 1])], axis=1)
    row, column = ((places - centers[number]) * pixel).T
    a, b, c = mean(row * row), mean(row * column), mean(column * column)
    middle, half = (a + c) / 2, np.hypot((a - c) / 2, b)
    squares = np.stack([middle + half, np.maximum(middle - half, 0)], axis=1)
    return centers, 4 * np.sqrt(squares)


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
