"""Lattice directions of the clusters of an image, and how neighbours are turned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, checked
from clustem.mapping._turns import turned_by

F64 = NDArray[np.float64]
_PEAK = 0.35  # weaker maxima of a response, relative to its strongest, are no lattice fringes


@dataclass(frozen=True)
class Fringe:
    """One set of lattice planes: direction of its normal [°], spacing, and mean response."""

    direction: float
    spacing: float
    strength: float


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

    def names(self) -> dict[int, str]:
        """Names for the clusters: background, or the lattice's direction."""
        films = np.flatnonzero(self.background)
        out = {
            int(i): "background" if len(films) == 1 else f"background {n + 1}"
            for n, i in enumerate(films)
        }
        for i in np.flatnonzero(~self.background):
            out[int(i)] = f"lattice at {self.directions[i]:.0f}°"
        return dict(sorted(out.items()))


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
    bank = segmentation.lattice
    if bank is None or segmentation.centers.data.ndim != 3:
        raise InputError(
            "Orientations need clusters of an image's Gabor features",
            got=f"centers with {segmentation.centers.data.ndim - 1} axes",
            cure="Run the recipe particles, or describe.gabor before the clustering.",
        )
    responses = np.asarray(segmentation.centers.data, dtype=np.float64)
    angles, pixel = bank.orientations, bank.pixel_size
    spacings = bank.wavelengths * pixel
    strength = np.sqrt((responses**2).sum(axis=(1, 2)))
    background = strength < faintest * strength.max()
    fringes = tuple(
        () if film else _fringes(response, angles, spacings)
        for response, film in zip(responses, background, strict=True)
    )
    labels = segmentation.labels.data
    directions = np.full(len(responses), np.nan)
    facets = np.flatnonzero(~background)
    first = int(facets[0])  # clusters are numbered by falling size
    for i in facets.tolist():
        start = fringes[first][0].direction if fringes[first] else 0.0
        directions[i] = (start + turned_by(responses[first], responses[i])) % 180
    twins: dict[tuple[int, int], float] = {}
    for i, j in _neighbours(labels, min_border):
        if not background[i] and not background[j]:
            turn = turned_by(responses[i], responses[j])
            twins[i, j] = min(turn, 180 - turn)
    regions, region_map = _regions(labels, background, min_size, pixel)
    units = bank.pixel_units or "px"
    return LatticeDirections(
        background, directions, strength, fringes, twins, regions, region_map, units
    )


def _fringes(response: F64, angles: F64, spacings: F64) -> tuple[Fringe, ...]:
    """Maxima over direction of each spacing's response (wavelengths, orientations)."""
    step = angles[1] - angles[0]
    before, after = np.roll(response, 1, axis=1), np.roll(response, -1, axis=1)
    high = (response > before) & (response >= after) & (response >= _PEAK * response.max())
    around = np.maximum(np.maximum(before, response), after)
    high[1:] &= response[1:] > around[:-1]  # else the flank of a fringe of the next spacing
    high[:-1] &= response[:-1] > around[1:]
    found = []
    for i, j in np.argwhere(high):
        a, b, c = before[i, j], response[i, j], after[i, j]
        shift = 0.5 * (a - c) / (a - 2 * b + c)
        direction = float((angles[j] + shift * step) % 180)
        found.append(Fringe(direction, float(spacings[i]), float(b)))
    return tuple(sorted(found, key=lambda fringe: -fringe.strength))


def _neighbours(labels: NDArray[np.int16], least: int) -> list[tuple[int, int]]:
    """Pairs of clusters with at least so many pixel edges in common."""
    sides = [(labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])]
    ends = np.concatenate([np.stack([a.ravel(), b.ravel()], axis=1) for a, b in sides])
    ends = np.sort(ends[(ends[:, 0] != ends[:, 1]) & (ends >= 0).all(axis=1)], axis=1)
    pairs, counts = np.unique(ends, axis=0, return_counts=True)
    return [(int(i), int(j)) for (i, j), n in zip(pairs, counts, strict=True) if n >= least]


def _regions(
    labels: NDArray[np.int16], background: NDArray[np.bool_], least: int, pixel: float
) -> tuple[tuple[Region, ...], NDArray[np.int32]]:
    from scipy.ndimage import center_of_mass, label

    found = []
    for i in np.flatnonzero(~background):
        parts, n = label(labels == i)
        counts = np.bincount(parts.ravel(), minlength=n + 1)
        for part in np.flatnonzero(counts >= least):
            if part:
                here = parts == part
                row, column = center_of_mass(here)
                area = float(counts[part]) * pixel**2
                center = float(row), float(column)
                found.append((Region(int(i), int(counts[part]), area, center), here))
    found.sort(key=lambda item: -item[0].pixels)
    region_map = np.full(labels.shape, -1, dtype=np.int32)
    for number, (_, here) in enumerate(found):
        region_map[here] = number
    return tuple(region for region, _ in found), region_map
