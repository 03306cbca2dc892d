"""Groups that are only the mixed pixels along the borders of others."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import Table

F64 = NDArray[np.float64]
Labels = NDArray[np.intp]
_MIXED, _THINNER, _TOUCH = 0.6, 0.75, 0.1
"""How far off a mixture may lie, how much thinner it is, what share of neighbours is touch."""
_LINE, _SPREAD = 1.5, 1.5
"""Thickness of a line in units of the rows' spacing, and spread that many shares make."""
_NEIGHBOURS = 8
_DEEP = 0.9


def places_of(table: Table, numbers: NDArray[np.intp]) -> F64:
    """Return where rows lie on the scan or in the image (m, axes)."""
    given = table.details.get("positions")
    if given is not None:
        return np.asarray(given, dtype=np.float64).reshape(table.mask.size, -1)[
            table.positions[numbers]
        ]
    found = np.unravel_index(table.positions[numbers], table.shape)
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
        Groups whose mean is a mixture of the means of groups that they touch, but for 0.6
        of its distance to the nearest of these; that are thinner on the scan than these; and whose
        rows are mixtures of many shares (spread along the line between the two that they are
        mixed of, 1.5 times as far as those), or that are no more than a line on the scan.

    Notes
    -----
    A group's thickness is how deep its rows lie inside it: the distance to the nearest row of
    another group, which a tenth of them exceed. Where rows are in no order, all groups are alike
    thin, and none is a border. A phase of its own that happens to be a mixture of its
    neighbours, and one pixel thin, cannot be told from a border.
    """
    size = int(labels.max()) + 1
    if size < 3:
        return []
    depth = _depths(labels, places, size)
    line = _LINE * _spacing(places)
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


def _spacing(places: F64) -> float:
    """Distance to the nearest row, on the median."""
    from scipy.spatial import cKDTree  # noqa: PLC0415  # 0.1 s

    return float(np.median(cKDTree(places).query(places, 2)[0][:, 1]))


def _depths(labels: Labels, places: F64, size: int) -> F64:
    """How deep rows lie inside their group (g,)."""
    from scipy.spatial import cKDTree  # noqa: PLC0415  # 0.1 s

    out = np.empty(size)
    for i in range(size):
        own = labels == i
        out[i] = np.quantile(cKDTree(places[~own]).query(places[own])[0], _DEEP)
    return out


def _contacts(labels: Labels, places: F64, size: int) -> F64:
    """Share of each other group among the neighbours that are not of a group's own (g, g)."""
    from scipy.spatial import cKDTree  # noqa: PLC0415  # 0.1 s

    count = min(_NEIGHBOURS + 1, len(labels))
    near: NDArray[Any] = cKDTree(places).query(places, count)[1][:, 1:]
    pairs = np.zeros((size, size))
    np.add.at(pairs, (np.repeat(labels, near.shape[1]), labels[near].ravel()), 1)
    np.fill_diagonal(pairs, 0)
    return np.asarray(pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1))


def _mixed_of(means: F64, group: int, sources: list[int]) -> tuple[int, int] | None:
    """Return the two groups that a mean is mixed of most; None if it is no mixture."""
    from scipy.optimize import nnls  # noqa: PLC0415  # 0.1 s

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
