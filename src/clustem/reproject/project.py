"""Clusters back on the scan, with centers from the raw data."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Lt
from numpy.typing import NDArray

from clustem.compute.cluster_sums import cluster_sums
from clustem.model import Partition, Projection, Table, checked
from clustem.reproject._in_space import in_space

_FEW_COLUMNS = 64  # tables up to this width travel with the result


@checked
def project(
    partition: Partition,
    *,
    threshold: Annotated[float, Ge(0), Lt(1)] = 0.5,
    smoothness: Annotated[float, Ge(0)] = 0.0,
    smallest_area: Annotated[int, Ge(0)] = 0,
) -> Projection:
    """Draw the map of a partition and average the raw rows of each cluster.

    Parameters
    ----------
    partition
        Clusters of the rows of a table whose source is the raw signal.
    threshold
        A position belongs to a cluster if its membership there is above this; if there is no such
        cluster it is unassigned. Without memberships every row keeps its label.
    smoothness
        How much a label counts that a neighbour has: each neighbour makes it ``exp(smoothness)``
        times as likely. 0 leaves neighbours out; 1 removes single pixels that noise has
        turned, 3 and more also fine structure.
    smallest_area
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
    One pass over the raw data, one block in memory at a time, sums in float64. Estimators that
    measure distances give two more maps in the details, ``distance`` to the nearest center and
    ``margin``, the share by which the next one is farther (0: on the border, 1: on the center);
    that is a second pass. Where a signal mask left out the direct beam, what it hides is summed
    to an image of the context, the virtual bright field. ``mean`` in the details is the mean row,
    ``feature_centers`` the centers of a clustering of a single feature.

    With ``smoothness`` labels are those of a Potts model, by iterated conditional modes (J. Besag,
    J. R. Stat. Soc. B 48 (1986) 259): the evidence is the logarithm of the memberships, or of a
    normal distribution of the distances to the centers, ``-d²/2σ²`` with σ² the mean square of the
    distances to the own center per column. Memberships stay as they were; the threshold is held
    against those with the neighbours in them. Small regions join afterwards, and only clusters,
    not unassigned positions, take them in. ``spatial`` in the details says what was changed.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from sklearn.cluster import KMeans
    >>> from clustem.describe import spectra
    >>> data = np.zeros((2, 3, 4)); data[0] = 1
    >>> table = spectra(hs.signals.Signal1D(data))
    >>> rows = np.asarray(table.rows)
    >>> found = project(Partition.from_estimator(KMeans(2, random_state=0).fit(rows), table))
    >>> found.centers.data.shape, found.counts
    ((2, 4), array([3, 3]))
    """
    table = partition.table
    labels = _assigned(partition, threshold)
    told: dict[str, str] = {}
    if smoothness or smallest_area:
        labels, told = in_space(
            partition, labels, threshold=threshold, smoothness=smoothness, smallest=smallest_area
        )
    source = table.source
    row_shape = tuple(int(size) for size in source.data.shape[table.mask.ndim :])
    sums = cluster_sums(
        source.data,
        labels,
        partition.n_clusters,
        mask=table.mask,
        left_out=_left_out(table, row_shape),
    )
    beam = table.on_scan(sums.hidden, fill=0.0)
    memberships = None
    if partition.memberships is not None:
        stack = np.moveaxis(table.on_scan(partition.memberships, fill=0.0), -1, 0)
        memberships = _maps(stack, source, stacked=True)
    narrow = table.rows.shape[1] <= _FEW_COLUMNS
    points = np.asarray(table.rows, dtype=np.float32) if narrow else np.empty((len(labels), 0))
    return Projection(
        labels=_maps(table.on_scan(labels, fill=-1), source),
        memberships=memberships,
        centers=_rows_signal(sums.means, source),
        spread=_rows_signal(sums.errors, source),
        counts=sums.counts,
        mask=table.mask,
        points=points.astype(np.float32, copy=False),
        features=table.features if narrow else (),
        scores=dict(partition.scores),
        details={
            **table.details,
            "mean": sums.mean,
            **_sureness(partition),
            **_on_a_line(partition),
            **told,
        },
        history=partition.history,
        source=source,
        table=table,
        context=(_maps(beam, source, title="virtual bright field"),) if beam.any() else (),
    )


def _on_a_line(partition: Partition) -> dict[str, NDArray[np.float64]]:
    """Centers of a single feature, which its histogram shows."""
    centers = np.asarray(getattr(partition.estimator, "cluster_centers_", np.empty((0, 0))))
    if centers.shape != (partition.n_clusters, 1):
        return {}
    return {"feature_centers": centers[partition.order, 0]}


def _assigned(partition: Partition, threshold: float) -> NDArray[np.int16]:
    if partition.memberships is None:
        return partition.labels
    highest = partition.memberships.max(axis=1)
    return np.where(highest > threshold, partition.labels, -1).astype(np.int16)


def _left_out(table: Table, row_shape: tuple[int, ...]) -> NDArray[np.intp]:
    mask = table.details.get("signal_mask")
    if mask is None or np.shape(mask) != row_shape or len(row_shape) != 2:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(mask)


def _sureness(partition: Partition) -> dict[str, NDArray[np.float32]]:
    """Map the distance to the nearest center, and the margin to the next, without neighbours."""
    estimator, table = partition.estimator, partition.table
    if partition.memberships is not None or not hasattr(estimator, "distances"):
        return {}
    near = np.sort(estimator.distances(table.rows), axis=1)[:, :2].astype(np.float32)
    if near.shape[1] < 2:
        margin = np.ones(len(near), dtype=np.float32)
    else:
        margin = 1 - near[:, 0] / np.maximum(near[:, 1], np.finfo(np.float32).tiny)
    return {
        "distance": table.on_scan(near[:, 0], fill=np.nan),
        "margin": table.on_scan(margin, fill=np.nan),
    }


def _rows_signal(values: NDArray[np.float32], source: Any) -> Any:
    """Wrap (k, *row shape) in the source's type, signal axes and metadata."""
    import hyperspy.api as hs  # noqa: PLC0415  # 0.5 s

    axes = [{"name": "cluster", "size": len(values), "navigate": True, "units": "", "scale": 1.0}]
    axes += [axis.get_axis_dictionary() for axis in source.axes_manager._axes[-values.ndim + 1 :]]
    kind = hs.signals.Signal1D if values.ndim == 2 else hs.signals.Signal2D
    out = kind(values, axes=axes, metadata=source.metadata.as_dictionary())
    if source._signal_type:  # of the class: one whose package is not installed stays in metadata
        out.set_signal_type(source._signal_type)
    return out


def _maps(values: NDArray[Any], source: Any, *, stacked: bool = False, title: str = "") -> Any:
    """Wrap maps of the scan's shape, one or a stack (k, scan), with the scan's axes."""
    import hyperspy.api as hs  # noqa: PLC0415  # 0.5 s

    scan_ndim = values.ndim - stacked
    axes = [{"name": "cluster", "size": len(values), "navigate": True}] if stacked else []
    axes += [
        {**axis.get_axis_dictionary(), "navigate": False}
        for axis in source.axes_manager._axes[:scan_ndim]
    ]
    kind = hs.signals.Signal1D if scan_ndim == 1 else hs.signals.Signal2D
    title = title or source.metadata.get_item("General.title", "")
    return kind(values, axes=axes, metadata={"General": {"title": title}})
