"""Lattice directions of the clusters of an image, and how neighbours are turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from clustem.core import Segmentation, checked
from clustem.labelmaps.regions import shared_edges
from clustem.mapping import _lattices
from clustem.mapping._turns import turned_by

F64 = NDArray[np.float64]
Fringe = _lattices.Fringe


@dataclass(frozen=True)
class Region:
    """A connected part of one cluster."""

    cluster: int
    pixels: int
    area: float
    center: tuple[float, float]


@dataclass(frozen=True)
class LatticeDirections:
    """What the mean responses say about each cluster.

    Attributes
    ----------
    background
        Whether a cluster shows no lattice, (k,).
    directions
        Direction of each lattice [°], 0 ... 180, (k,): of the largest facet its strongest fringes,
        of the others that direction turned along with the lattice. NaN for background.
    strength
        Length of the mean response, (k,).
    fringes
        Per cluster its sets of planes, the strongest first. Directions are those of the normals,
        from the columns' axis toward the rows'.
    twins
        Turn [°], 0 ... 90, between neighbouring clusters ``(i, j)``, ``i < j``.
    regions
        Connected regions of facets, the largest first.
    region_map
        Number of the region of each pixel, -1 outside, int32, shape of the image.
    units
        Of spacings; areas are in its square.
    """

    background: NDArray[np.bool_]
    directions: F64
    strength: F64
    fringes: tuple[tuple[Fringe, ...], ...]
    twins: dict[tuple[int, int], float]
    regions: tuple[Region, ...]
    region_map: NDArray[np.int32]
    units: str


@checked
def orientations(
    segmentation: Segmentation,
    *,
    faintest: Annotated[float, Gt(0), Lt(1)] = 0.4,
    min_size: Annotated[int, Ge(1)] = 50,
    min_border: Annotated[int, Ge(1)] = 10,
) -> LatticeDirections:
    """Read lattice directions, spacings and twin angles from the clusters' mean responses.

    Parameters
    ----------
    segmentation
        Clusters of an image described by ``describe.gabor``.
    faintest
        A cluster whose response is weaker than this share of the strongest is background.
    min_size
        Connected regions with fewer pixels are left out.
    min_border
        Clusters are neighbours if they share at least so many pixel edges.

    Returns
    -------
    :
        Directions, spacings, strengths, twin angles, regions.

    Raises
    ------
    InputError
        If the clusters are not of an image's Gabor features.

    Notes
    -----
    The turn between two lattices is where the correlation of their responses over all directions
    is highest, interpolated between the filters. Directions are those of an axis: 180° is 0°.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from sklearn.cluster import KMeans
    >>> from clustem.describe import gabor
    >>> from clustem.core import Clustering
    >>> from clustem.mapping import clusters
    >>> row, column = np.indices((60, 80))
    >>> image = np.where(column < 40, np.sin(1.2 * row), np.sin(1.2 * column))
    >>> features = gabor(hs.signals.Signal2D(image))
    >>> found = KMeans(2, random_state=0).fit(np.asarray(features.rows))
    >>> turned = orientations(clusters(Clustering.from_estimator(found, features)))
    >>> round(turned.twins[0, 1])
    90
    """
    found = _lattices.lattices(segmentation, faintest=faintest)
    bank, responses = found.bank, found.responses
    labels = segmentation.labels.data
    twins: dict[tuple[int, int], float] = {}
    pairs, edges = shared_edges(labels)
    for (i, j), n in zip(pairs.tolist(), edges.tolist(), strict=True):
        if n >= min_border and not found.background[i] and not found.background[j]:
            turn = turned_by(responses[i], responses[j])
            twins[i, j] = min(turn, 180 - turn)
    pixel = bank.pixel_size * bank.step
    regions, region_map = _regions(labels, found.background, min_size, pixel)
    return LatticeDirections(
        found.background,
        found.directions,
        found.strength,
        found.fringes,
        twins,
        regions,
        region_map,
        bank.pixel_units or "px",
    )


def _regions(
    labels: NDArray[np.int16], background: NDArray[np.bool_], least: int, pixel: float
) -> tuple[tuple[Region, ...], NDArray[np.int32]]:
    """Regions of facets, the largest first, and the map of their numbers."""
    from scipy.ndimage import find_objects, label

    found: list[Region] = []
    region_map = np.full(labels.shape, -1, dtype=np.int32)
    for i in np.flatnonzero(~background):
        parts, n = label(labels == i)
        counts = np.bincount(parts.ravel(), minlength=n + 1)
        boxes = find_objects(parts)
        for part in np.flatnonzero(counts >= least):
            if not part:
                continue
            box = boxes[part - 1]
            here = parts[box] == part
            rows, columns = (here.sum(axis=axis) for axis in (1, 0))
            size = int(counts[part])
            center = (
                box[0].start + float(rows @ np.arange(len(rows))) / size,
                box[1].start + float(columns @ np.arange(len(columns))) / size,
            )
            region_map[box][here] = len(found)
            found.append(Region(int(i), size, size * pixel**2, center))
    order = np.argsort([-region.pixels for region in found], kind="stable")
    rank = np.full(len(found) + 1, -1, dtype=np.int32)  # the last is for -1
    rank[order] = np.arange(len(order))
    return tuple(found[i] for i in order), rank[region_map]
