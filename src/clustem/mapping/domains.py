"""Clusters of an image's patches back on their positions, with those on a wall shared."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt
from numpy.typing import NDArray

from clustem.core import Clustering, InputError, PatchGrid, Segmentation, mapping, record
from clustem.mapping.clusters import clusters

F64 = NDArray[np.float64]
_REACH = 1.5
"""Distance up to which a wall's two sides are looked for [patches]."""
_SEEN = 2
"""Positions around that a cluster must have to be one of a wall's sides."""
_MIXED = 0.3
"""Prior probability that a patch at a wall is a mixture of both sides."""
_ABSENT = 0.1
"""Positions that a cluster which is not around counts for."""


@mapping
def domains(
    clustering: Clustering, *, threshold: Annotated[float, Ge(0), Lt(1)] = 0.5
) -> Segmentation:
    """Draw the map of patches; where one lies across a wall, share it between both sides.

    Parameters
    ----------
    clustering
        Clusters, with memberships, of patches that overlap.
    threshold
        As in ``clusters``.

    Returns
    -------
    :
        As ``clusters`` gives.

    Raises
    ------
    InputError
        If the features are not of patches.

    Notes
    -----
    A patch across a wall is a mixture of what lies on its two sides. It can look like a third
    cluster, of which a mixture model is certain. So wherever two clusters lie within 1.5 patches
    around, a position is either of one cluster, the likelier the more of it lies around, or, with
    probability 0.3, a mixture of two of those around in any proportion. Its memberships are the
    probabilities of the former, and its shares in the latter. Distances are those of a normal
    distribution common to all clusters.

    Examples
    --------
    >>> from clustem.cluster import GaussianMixture
    >>> from clustem.describe import patches
    >>> from clustem.reduce import pca
    >>> from clustem.samples import domains as film
    >>> features = pca(patches(film(shape=(160, 200)).signal, size=24, at="heavy columns"))
    >>> fitted = GaussianMixture(3, covariance_type="tied").fit(features.rows)
    >>> domains(Clustering.from_estimator(fitted, features)).n_clusters
    3
    """
    grid = clustering.features.find(PatchGrid)
    if grid is None:
        raise InputError(
            "Domains are those of an image's patches",
            got="features of another kind",
            cure="Use mapping.clusters.",
        )
    if clustering.memberships is None or clustering.n_clusters < 2:
        return clusters(clustering, threshold=threshold)
    places = grid.positions[clustering.features.positions]
    rows = np.asarray(clustering.features.rows, dtype=np.float64)
    memberships = _shared(clustering, rows, places, _REACH * grid.patch_size)
    labels = memberships.argmax(axis=1).astype(np.int16)
    changed = int((labels != clustering.labels).sum())
    record(f"{changed} of {len(labels)} positions at walls changed their cluster")
    shared = replace(clustering, labels=labels, memberships=memberships)
    return clusters(shared, threshold=threshold)


def _shared(clustering: Clustering, rows: F64, places: F64, reach: float) -> NDArray[np.float32]:
    """Return memberships (n, k), anew where two clusters are near."""
    from scipy.sparse import csr_array
    from scipy.spatial import cKDTree

    k, labels = clustering.n_clusters, clustering.labels
    tree = cKDTree(places)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    n = len(labels)
    ones = np.ones(2 * len(pairs))
    both = np.concatenate([pairs, pairs[:, ::-1]])
    graph = csr_array((ones, (both[:, 0], both[:, 1])), shape=(n, n))
    around = np.asarray(graph @ np.eye(k)[labels])
    inner = (around > 0).sum(axis=1) == 1
    inner &= around[np.arange(n), labels] > 0
    found = np.array(clustering.memberships, dtype=np.float32)
    units = _in_units(rows, labels, inner, k)
    if units is None:
        return found
    points, means = units
    for i in np.flatnonzero(~inner & (around >= _SEEN).any(axis=1)):
        found[i] = _posterior(points[i], means, around[i])
    return found


def _in_units(
    rows: F64, labels: NDArray[np.int16], inner: NDArray[np.bool_], k: int
) -> tuple[F64, F64] | None:
    """Rows and means of clusters, in units of the scatter within clusters away from walls.

    None if there is no scatter: each row is as its cluster's mean, and none is a mixture.
    """
    counts = np.bincount(labels[inner], minlength=k)
    used = inner | (counts < rows.shape[1])[labels]  # where there is no inside, all of it
    means = np.full((k, rows.shape[1]), np.inf)  # an empty cluster is far from everything
    for i in np.unique(labels):
        means[i] = rows[used & (labels == i)].mean(axis=0)
    rest = rows[used] - means[labels[used]]
    scatter = rest.T @ rest / max(len(rest), 1)
    if not scatter.any():
        return None
    scatter += 1e-6 * np.trace(scatter) / len(scatter) * np.eye(len(scatter))
    factor = np.linalg.inv(np.linalg.cholesky(scatter)).T
    known = np.isfinite(means).all(axis=1, keepdims=True)
    return rows @ factor, np.where(known, np.where(known, means, 0) @ factor, np.inf)


def _posterior(point: F64, means: F64, around: F64) -> F64:
    """Return memberships (k,) of one row from its place between the means of what lies around."""
    from scipy.special import log_ndtr, logsumexp

    k = len(means)
    there = np.flatnonzero(around >= _SEEN)
    mixed = [(a, b) for a, b in combinations(there, 2) if (means[a] != means[b]).any()]
    apart = ((point - means) ** 2).sum(axis=1)
    weight = (around + _ABSENT) / (around + _ABSENT).sum()
    pure = -0.5 * apart + np.log(weight * (1 - _MIXED if mixed else 1))
    logs, shares = [*pure], [*np.eye(k)]
    for a, b in mixed:
        line = means[b] - means[a]
        length = float(np.sqrt(line @ line))
        at = float((point - means[a]) @ line) / length  # along the line, 0 to its length
        off = float(((point - means[a]) ** 2).sum()) - at**2
        low, high = log_ndtr(-at), log_ndtr(length - at)
        inside = high + np.log1p(-np.exp(min(low - high, -1e-12)))
        logs.append(-0.5 * off + inside + np.log(np.sqrt(2 * np.pi) / length * _MIXED / len(mixed)))
        share = float(np.clip(at / length, 0, 1))
        shares.append((1 - share) * np.eye(k)[a] + share * np.eye(k)[b])
    probabilities = np.exp(np.array(logs) - logsumexp(logs))
    return np.asarray(probabilities @ np.array(shares))
