"""Clusters back on the scan, with centers from the raw data."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Lt
from numpy.typing import NDArray

from clustem.core import (
    Clustering,
    Features,
    Segmentation,
    map_of,
    mapping,
    stack_of_maps,
    stack_of_rows,
)
from clustem.core.about import PatternInfo
from clustem.mapping._in_space import in_space
from clustem.passes.cluster_sums import cluster_sums

_FEW_COLUMNS = 64  # tables up to this width travel with the result


@mapping
def clusters(
    clustering: Clustering,
    *,
    threshold: Annotated[float, Ge(0), Lt(1)] = 0.5,
    smoothness: Annotated[float, Ge(0)] = 0.0,
    min_size: Annotated[int, Ge(0)] = 0,
) -> Segmentation:
    """Draw the map of a clustering and average the raw rows of each cluster.

    Parameters
    ----------
    clustering
        Clusters of the rows of a features whose source is the raw signal.
    threshold
        A position belongs to a cluster if its membership there is above this; if there is no such
        cluster it is unassigned. Without memberships every row keeps its label.
    smoothness
        How much a label counts that a neighbour has: each neighbour makes it ``exp(smoothness)``
        times as likely. 0 leaves neighbours out; 1 removes single pixels that noise has
        turned, 3 and more also fine structure.
    min_size
        Connected regions with fewer positions join the neighbour with which they share the longest
        border; 0 keeps all.

    Returns
    -------
    :
        Maps, and per cluster mean and standard error of the raw rows that belong to it,
        with axes and metadata of the source. An empty cluster has zeros.

    Raises
    ------
    InputError
        If neighbours are asked for where positions lie on no grid, or with smoothness the
        estimator gives neither memberships nor distances.

    Notes
    -----
    One pass over the raw data, one block in memory at a time; k-means of a scan on disk has summed
    it already, and only rows that changed their cluster since are read. Estimators that measure
    distances give two more maps, ``distance`` to the nearest center and ``margin``, the share by
    which the next one is farther (0: on the border, 1: on the center). Where a
    signal mask left out the direct beam, what it hides is summed to an image of the context, the
    virtual bright field.

    With ``smoothness`` labels are those of a Potts model, by iterated conditional modes (J. Besag,
    J. R. Stat. Soc. B 48 (1986) 259): the evidence is the logarithm of the memberships, or of a
    normal distribution of the distances to the centers, ``-d²/2σ²`` with σ² the mean square of the
    distances to the own center per column. Memberships stay as they were; the threshold is held
    against those with the neighbours in them. Small regions join afterwards, and only clusters,
    not unassigned positions, take them in. The history says what was changed.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from sklearn.cluster import KMeans
    >>> from clustem.describe import spectra
    >>> data = np.zeros((2, 3, 4)); data[0] = 1
    >>> features = spectra(hs.signals.Signal1D(data))
    >>> rows = np.asarray(features.rows)
    >>> found = clusters(Clustering.from_estimator(KMeans(2, random_state=0).fit(rows), features))
    >>> found.centers.data.shape, found.counts
    ((2, 4), array([3, 3]))
    """
    features = clustering.features
    labels = _assigned(clustering, threshold)
    if smoothness or min_size:
        labels = in_space(
            clustering, labels, threshold=threshold, smoothness=smoothness, min_size=min_size
        )
    source = features.source
    row_shape = tuple(int(size) for size in source.data.shape[features.mask.ndim :])
    sums = cluster_sums(
        source.data,
        labels,
        clustering.n_clusters,
        mask=features.mask,
        left_out=_left_out(features, row_shape),
        known=getattr(clustering.estimator, "row_sums_", None),
    )
    beam = features.on_scan(sums.hidden, fill=0.0)
    memberships = None
    if clustering.memberships is not None:
        stack = np.moveaxis(features.on_scan(clustering.memberships, fill=0.0), -1, 0)
        memberships = stack_of_maps(stack, source)
    narrow = features.rows.shape[1] <= _FEW_COLUMNS
    points = np.asarray(features.rows, dtype=np.float32) if narrow else np.empty((len(labels), 0))
    distance, margin = _distance_and_margin(clustering)
    return Segmentation(
        labels=map_of(features.on_scan(labels, fill=-1), source),
        memberships=memberships,
        centers=stack_of_rows(sums.means, source),
        standard_error=stack_of_rows(sums.errors, source),
        counts=sums.counts,
        mask=features.mask,
        points=points.astype(np.float32, copy=False),
        feature_names=features.names if narrow else (),
        scores=dict(clustering.scores),
        about=features.about,
        mean=sums.mean,
        feature_centers=_feature_centers(clustering),
        distance=distance,
        margin=margin,
        source=source,
        features=features,
        context=(map_of(beam, source, title="virtual bright field"),) if beam.any() else (),
    )


def _feature_centers(clustering: Clustering) -> NDArray[np.float64] | None:
    """Centers of a single feature, which its histogram shows."""
    centers = np.asarray(getattr(clustering.estimator, "cluster_centers_", np.empty((0, 0))))
    if centers.shape != (clustering.n_clusters, 1):
        return None
    found: NDArray[np.float64] = centers[clustering.order, 0]
    return found


def _assigned(clustering: Clustering, threshold: float) -> NDArray[np.int16]:
    if clustering.memberships is None:
        return clustering.labels
    highest = clustering.memberships.max(axis=1)
    return np.where(highest > threshold, clustering.labels, -1).astype(np.int16)


def _left_out(features: Features, row_shape: tuple[int, ...]) -> NDArray[np.intp]:
    found = features.find(PatternInfo)
    if found is None or np.shape(found.signal_mask) != row_shape or len(row_shape) != 2:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(found.signal_mask)


def _distance_and_margin(
    clustering: Clustering,
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """Map the distance to the nearest center, and the margin to the next, without neighbours."""
    estimator, features = clustering.estimator, clustering.features
    if clustering.memberships is not None or not hasattr(estimator, "transform"):
        return None, None
    near = getattr(estimator, "nearest_distances_", None)
    if near is None:
        near = np.sort(np.asarray(estimator.transform(features.rows)), axis=1)[:, :2]
    near = near.astype(np.float32)
    margin: NDArray[np.float32] = np.ones(len(near), dtype=np.float32)
    if near.shape[1] > 1:
        margin -= near[:, 0] / np.maximum(near[:, 1], np.finfo(np.float32).tiny)
    return features.on_scan(near[:, 0], fill=np.nan), features.on_scan(margin, fill=np.nan)
