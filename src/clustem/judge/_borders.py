"""Groups that are only the mixed pixels along the borders of others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features
from clustem.core.about import PatchGrid

F64 = NDArray[np.float64]
Labels = NDArray[np.intp]
_MIXED = 0.6
"""Largest distance of a mixture from the line or plane of its sources [distance to the nearest]."""
_THINNER = 0.75
"""Largest depth of a border [depth of the groups that it lies between]."""
_TOUCH = 0.1
"""Least share of the neighbours by which two groups count as touching."""
_LINE = 1.5
"""Largest depth of a line on the scan [spacing of the rows]."""
_SPREAD = 1.5
"""Least spread of a border between two groups [their mean spread]."""
_NEIGHBOURS = 8
"""Number of neighbours that are looked at."""
_DEEP = 0.9
"""Share of a group's rows that lie less deep than its depth."""


def places_of(features: Features, numbers: NDArray[np.intp]) -> F64:
    """Return where rows lie on the scan or in the image (m, axes)."""
    grid = features.find(PatchGrid)
    if grid is not None:
        return grid.positions[features.positions[numbers]]
    found = np.unravel_index(features.positions[numbers], features.shape)
    return np.stack(found, axis=1).astype(np.float64)


def borders(points: F64, labels: Labels, places: F64) -> list[int]:
    """Find groups that lie between others in the data as well as on the scan.

    Parameters
    ----------
    points
        Rows (m, d).
    labels
        Group of each (m,), 0 ... g-1.
    places
        Where they lie on the scan (m, axes).

    Returns
    -------
    :
        Groups whose mean is a mixture of the means of groups that they touch, up to 0.6
        of its distance to the nearest of these; that are thinner on the scan than these; and whose
        rows are mixtures with many different shares (they spread along the line between the two
        groups 1.5 times as far as those do), or that are no more than a line on the scan.

    Notes
    -----
    A group's depth is the distance to the nearest row of another group that a tenth of its rows
    exceed. Where rows are in no order, all groups are equally thin, and none is a border. A phase
    of its own that happens to be a mixture of its neighbours, and one pixel thin, cannot be
    distinguished from a border.
    """
    size = int(labels.max()) + 1
    if size < 3:
        return []
    depth = _depths(labels, places, size)
    line = _LINE * spacing_of(places)
    touching = _contacts(labels, places, size) >= _TOUCH
    means = np.array([points[labels == i].mean(axis=0) for i in range(size)])
    found: list[int] = []
    for i in np.argsort(depth, kind="stable").tolist():
        thicker = touching[i] & (_THINNER * depth >= depth[i])
        sources = [j for j in np.flatnonzero(thicker).tolist() if j not in found]
        pair = _mixed_of(means, i, sources)
        if pair and (depth[i] <= line or _spread(points, labels, i, pair) >= _SPREAD):
            found.append(i)
    return sorted(found)


def spacing_of(places: F64) -> float:
    """Distance to the nearest row, on the median."""
    from scipy.spatial import cKDTree

    return float(np.median(cKDTree(places).query(places, 2)[0][:, 1]))


def _depths(labels: Labels, places: F64, size: int) -> F64:
    """How deep rows lie inside their group (g,)."""
    from scipy.spatial import cKDTree

    out = np.empty(size)
    for i in range(size):
        own = labels == i
        out[i] = np.quantile(cKDTree(places[~own]).query(places[own])[0], _DEEP)
    return out


def _contacts(labels: Labels, places: F64, size: int) -> F64:
    """Share of each other group among the neighbours that are not of a group's own (g, g)."""
    from scipy.spatial import cKDTree

    count = min(_NEIGHBOURS + 1, len(labels))
    near: NDArray[Any] = cKDTree(places).query(places, count)[1][:, 1:]
    pairs = np.zeros((size, size))
    np.add.at(pairs, (np.repeat(labels, near.shape[1]), labels[near].ravel()), 1)
    np.fill_diagonal(pairs, 0)
    return np.asarray(pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1))


def _mixed_of(means: F64, group: int, sources: list[int]) -> tuple[int, int] | None:
    """Return the two groups that a mean is mixed of most; None if it is no mixture."""
    from scipy.optimize import nnls

    if len(sources) < 2:
        return None
    offsets = means[sources] - means[group]
    nearest = float(np.linalg.norm(offsets, axis=1).min())
    # one more equation, that weighs most: shares add up to 1
    unit = 1e3 * max(float(np.abs(offsets).max()), 1e-300)
    matrix = np.vstack([offsets.T, np.full(len(sources), unit)])
    shares = nnls(matrix, np.append(np.zeros(means.shape[1]), unit))[0]
    off = float(np.linalg.norm(shares @ offsets))
    if off > _MIXED * nearest:
        return None
    first, second = np.argsort(-shares)[:2]
    return sources[first], sources[second]


def _spread(points: F64, labels: Labels, group: int, pair: tuple[int, int]) -> float:
    """Spread of a group along the line between two others, over theirs on average."""
    one, two = (points[labels == i] for i in pair)
    line = two.mean(axis=0) - one.mean(axis=0)
    own, first, second = ((rows @ line).std() for rows in (points[labels == group], one, two))
    return float(own / max((first + second) / 2, 1e-300))
