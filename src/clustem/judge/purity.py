"""Whether clusters hold several groups, and how much of each its largest one takes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from scipy.sparse import csr_array

from clustem.core import Clustering, Features, PatchGrid, checked, quiet
from clustem.core.progress import tick
from clustem.judge._borders import places_of
from clustem.judge._parts import FEWEST, parts_by_counts, parts_by_gaps
from clustem.judge._sample import drawn
from clustem.passes.picked_rows import picked
from clustem.passes.rows import Rows
from clustem.passes.sparse import sparse

_SAMPLE = 4096
"""Rows of all clusters together that are asked for gaps."""
_LEAST = 400
"""Rows of a cluster that are asked at least, if it has them."""
_NEIGHBOURS = 8
"""Neighbours of a patch that must be of its cluster."""


@checked
def purity(
    clustering: Clustering, *, random_state: Annotated[int, Ge(0)] = 0
) -> NDArray[np.float64]:
    """Say which share of each cluster its largest group takes.

    Parameters
    ----------
    clustering
        Clusters of rows.
    random_state
        Seed of the rows that are looked at.

    Returns
    -------
    :
        Share (k,); 1 where nothing says for certain that a cluster holds several groups.

    Notes
    -----
    A membership is a probability among the clusters that there are. Where two groups are one
    cluster, as k is too small, this share is the most with which a position is of the group that
    the cluster stands for: recipes multiply memberships by it.

    Each cluster is asked by itself: whether a gap beyond doubt lies between two groups of its rows;
    of counts, whether two shapes, fitted to 70 % of them, explain the others better than one does,
    by two standard errors and so much as one shape gains by chance in 1 % of cases. Each group is
    asked again. Only positions are asked whose neighbours are of the same cluster, as others may be
    mixtures; these are of the group of the nearest one. Groups that follow a smooth surface over
    the scan or the intensity, or lie there as by chance, are none.

    Examples
    --------
    >>> from clustem.cluster import GaussianMixture
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(600, 2))
    >>> rows[200:300] += [9, 0]
    >>> rows[300:] += [0, 60]
    >>> fitted = GaussianMixture(2, covariance_type="tied").fit(rows)
    >>> purity(Clustering.from_estimator(fitted, Features(rows))).round(2)
    array([1.  , 0.67])
    """
    features, labels = clustering.features, clustering.labels
    if len(features.scans) > 1:  # their positions are not those of one scan
        features = Features(features.rows, features.names, about=features.about)
    by_counts = _of_counts(clustering.estimator)
    inner = _inside(features, labels)
    counts = None
    if by_counts:
        counts, fitted = _counts(clustering)
        inner &= fitted
    found = np.ones(clustering.n_clusters)
    for i in range(clustering.n_clusters):
        every = np.flatnonzero(labels == i)
        own = every[inner[every]]
        if len(own) < FEWEST:
            continue
        tick()
        with quiet():
            if by_counts:
                parts = parts_by_counts(features, counts, own, clustering.estimator, random_state)
            else:
                count = max(round(_SAMPLE * len(own) / len(labels)), _LEAST)
                parts = parts_by_gaps(features, own, count, random_state)
        some = every[drawn(len(every), _SAMPLE, random_state)]
        found[i] = parts.largest(places_of(features, some) if features.scans else None)
    return found


def _of_counts(estimator: Any) -> bool:
    """Whether it is a mixture of counts, and of nothing else."""
    kinds = getattr(estimator, "kinds", None) or ()
    return hasattr(estimator, "held_out_gains") and "values" not in kinds


def _counts(clustering: Clustering) -> tuple[Any, NDArray[np.bool_]]:
    """Return counts, empty in rows that clusters were not fitted to, and which rows they were."""
    rows, some = Rows.of(clustering.features.rows), clustering.estimator.fitted_rows_
    fitted = np.ones(len(rows), dtype=bool)
    if some is None:
        return sparse(rows).astype(np.float64), fitted
    found = sparse(picked(rows, some)).astype(np.float64)
    held = np.zeros(len(rows) + 1, dtype=found.indptr.dtype)
    held[some + 1] = np.diff(found.indptr)
    fitted[:] = False
    fitted[some] = True
    whole = csr_array((found.data, found.indices, np.cumsum(held)), shape=rows.shape)
    return whole, fitted


def _inside(features: Features, labels: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Whether all neighbours of a row on the scan are of its cluster, (n,)."""
    from scipy.ndimage import maximum_filter, minimum_filter
    from scipy.spatial import cKDTree

    if not features.scans:
        return np.ones(len(labels), dtype=bool)
    if features.find(PatchGrid) is not None:
        places = places_of(features, np.arange(len(labels)))
        near = cKDTree(places).query(places, min(_NEIGHBOURS + 1, len(places)))[1]
        return np.asarray((labels[near] == labels[:, None]).all(axis=1))
    low = minimum_filter(features.on_scan(labels, fill=np.iinfo(np.int16).max), 3)
    high = maximum_filter(features.on_scan(labels, fill=-1), 3)
    return np.asarray((low == high)[~features.mask])
