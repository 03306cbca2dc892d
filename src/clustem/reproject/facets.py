"""Clusters of an image's pixels back on the image, none thinner than the filters can see."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Lt
from numpy.typing import NDArray

from clustem.compute import Rows
from clustem.model import InputError, Partition, Projection, checked, falling_order
from clustem.reproject.orientations import orientations
from clustem.reproject.project import project

_ROUNDS = 3  # of averaging and assigning, after clusters were dropped


@checked
def facets(
    partition: Partition,
    *,
    width: Annotated[float, Ge(0)] = 1.25,
    threshold: Annotated[float, Ge(0), Lt(1)] = 0.5,
) -> Projection:
    """Draw the map of an image's clusters, those that the filters cannot resolve left out.

    Parameters
    ----------
    partition
        Clusters of the pixels of an image, from a table whose details hold ``envelope`` [px].
    width
        A cluster stays if a circle of this radius fits into it somewhere [envelopes]; 0 keeps all.
    threshold
        As in ``project``; only memberships are compared with it.

    Returns
    -------
    :
        As ``project`` gives, clusters named background or by their lattice's direction, and again
        numbered by falling size. Fuzzy partitions and
        partitions without an envelope come out as ``project`` draws them.

    Raises
    ------
    InputError
        If the table is not of an image.

    Notes
    -----
    Where two facets meet, or a facet ends, a filter sees both sides, and with enough clusters
    k-means gives this seam a cluster of its own. It is as wide as the filter, not a facet. The
    thinnest cluster is dropped and its pixels go to the nearest of the others, until
    all are wide enough; then means and labels settle in three rounds of Lloyd's algorithm. So the
    facets stay as they are when k grows beyond their number.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from sklearn.cluster import KMeans
    >>> from clustem.describe import gabor
    >>> image = np.sin(2 * np.pi * np.arange(64) / 5) * np.ones((48, 1)); image[:, 30:] = 0
    >>> table = gabor(hs.signals.Signal2D(image), orientations=4, wavelengths=[5.0])
    >>> found = KMeans(3, random_state=0).fit(np.asarray(table.rows))
    >>> facets(Partition.from_estimator(found, table)).n_clusters
    2
    """
    table = partition.table
    if table.mask.ndim != 2:
        raise InputError(
            "Facets are those of an image", got=f"{table.mask.ndim} axes", cure="Use project."
        )
    envelope = float(table.details.get("envelope", 0))
    if partition.memberships is not None or not width * envelope:
        return _named(project(partition, threshold=threshold))
    labels = _resolved(partition, width * envelope)
    sizes = np.bincount(labels)
    order = falling_order(sizes)
    number = np.empty(len(order), dtype=np.int16)
    number[order] = np.arange(len(order), dtype=np.int16)
    kept = replace(partition, labels=number[labels], order=order)
    found = project(kept, threshold=threshold)
    dropped = partition.n_clusters - kept.n_clusters
    scores = {**found.scores, "clusters asked for": float(partition.n_clusters)} if dropped else {}
    return _named(replace(found, scores=scores or found.scores))


def _named(found: Projection) -> Projection:
    """Name clusters by their lattice's direction, the others background; add the image."""
    if "orientations" not in found.details:
        return found
    details = dict(found.details)
    context = found.context
    if "image" in details:  # to be shown beside the map
        import hyperspy.api as hs  # noqa: PLC0415  # 0.5 s

        axes = [axis.get_axis_dictionary() for axis in found.labels.axes_manager._axes]
        image = hs.signals.Signal2D(details.pop("image"), axes=axes)
        image.metadata.General.title = found.labels.metadata.get_item("General.title", "")
        context = (image, *context)
    return replace(found, names=orientations(found).names(), context=context, details=details)


def _resolved(partition: Partition, radius: float) -> NDArray[np.intp]:
    """Labels (n,) after the clusters that are too thin have gone."""
    rows, table = Rows.of(partition.table.rows), partition.table
    distances = _distances(rows, _means(rows, partition.labels, partition.n_clusters))
    alive = np.arange(partition.n_clusters)
    while True:
        labels = distances[:, alive].argmin(axis=1)
        reach = _reach(table.on_scan(labels, fill=-1), len(alive))
        if len(alive) == 1 or reach.min() >= radius:
            break
        alive = np.delete(alive, reach.argmin())
    if len(alive) == partition.n_clusters:
        return partition.labels.astype(np.intp)
    for _ in range(_ROUNDS):
        labels = _distances(rows, _means(rows, labels, len(alive))).argmin(axis=1)
    _, labels = np.unique(labels, return_inverse=True)
    return labels.astype(np.intp)


def _means(rows: Rows, labels: NDArray[Any], k: int) -> NDArray[np.float64]:
    """Mean row (k, D) of each cluster."""

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> NDArray[np.float64]:
        chosen = (labels[where] == np.arange(k)[:, None]).astype(np.float32)
        return (chosen @ block).astype(np.float64)

    total = sum(part for _, part in rows.map(one))
    return total / np.maximum(np.bincount(labels, minlength=k), 1)[:, None]


def _distances(rows: Rows, centers: NDArray[np.float64]) -> NDArray[np.float32]:
    """Squared distances (n, k) up to a constant of each row."""
    out = np.empty((len(rows), len(centers)), dtype=np.float32)
    flat = centers.astype(np.float32).T
    squares = (flat**2).sum(axis=0)

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> None:
        out[where] = squares - 2 * (block @ flat)

    for _ in rows.map(one):
        pass
    return out


def _reach(labels: NDArray[np.intp], k: int) -> NDArray[np.float64]:
    """Radius (k,) of the largest circle in each cluster [px]; the image's border is no limit."""
    from scipy.ndimage import distance_transform_edt  # noqa: PLC0415  # 0.1 s

    seam = np.zeros(labels.shape, dtype=bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    seam[1:] |= down
    seam[:-1] |= down
    seam[:, 1:] |= right
    seam[:, :-1] |= right
    inside = distance_transform_edt(~seam) if seam.any() else np.full(labels.shape, np.inf)
    out = np.zeros(k)
    taking_part = labels >= 0
    np.maximum.at(out, labels[taking_part], inside[taking_part])
    return out
