"""Clusters back on the scan, with centers from the raw data."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Lt
from numpy.typing import NDArray

from clustem.compute import Rows
from clustem.model import Partition, Projection, checked

_FEW_COLUMNS = 64  # tables up to this width travel with the result


@checked
def project(partition: Partition, *, threshold: Annotated[float, Ge(0), Lt(1)] = 0.5) -> Projection:
    """Draw the map of a partition and average the raw rows of each cluster.

    Parameters
    ----------
    partition
        Clusters of the rows of a table whose source is the raw signal.
    threshold
        A position belongs to a cluster if its membership there is above this; if there is no such
        cluster it is unassigned. Without memberships every row keeps its label.

    Returns
    -------
    :
        Maps, and per cluster mean and standard error of the raw rows that belong to it,
        with axes and metadata of the source. An empty cluster has zeros.

    Notes
    -----
    One pass over the raw data, one block in memory at a time, sums in float64.

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
    mean, error, counts = _means(table.source, labels, table.mask, partition.n_clusters)
    memberships = None
    if partition.memberships is not None:
        stack = np.moveaxis(table.on_scan(partition.memberships, fill=0.0), -1, 0)
        memberships = _maps(stack, table.source, stacked=True)
    narrow = table.rows.shape[1] <= _FEW_COLUMNS
    points = np.asarray(table.rows, dtype=np.float32) if narrow else np.empty((len(labels), 0))
    return Projection(
        labels=_maps(table.on_scan(labels, fill=-1), table.source),
        memberships=memberships,
        centers=_rows_signal(mean, table.source),
        spread=_rows_signal(error, table.source),
        counts=counts,
        mask=table.mask,
        points=points.astype(np.float32, copy=False),
        features=table.features if narrow else (),
        scores=dict(partition.scores),
        details=dict(table.details),
        history=partition.history,
        source=table.source,
    )


def _assigned(partition: Partition, threshold: float) -> NDArray[np.int16]:
    if partition.memberships is None:
        return partition.labels
    highest = partition.memberships.max(axis=1)
    return np.where(highest > threshold, partition.labels, -1).astype(np.int16)


def _means(
    source: Any, labels: NDArray[np.int16], mask: NDArray[np.bool_], k: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Mean and standard error (k, *row shape) of the raw rows, and the counts (k,)."""
    signal_ndim = source.data.ndim - mask.ndim
    rows = Rows(source.data, row_ndim=signal_ndim, mask=mask if mask.any() else None)
    counts = np.bincount(labels[labels >= 0], minlength=k)
    shift = rows.pilot_mean()

    def one(
        block: NDArray[Any], where: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        here = labels[where]
        total, square = np.zeros((2, k, rows.shape[1]))
        for i in np.unique(here[here >= 0]):
            members = np.subtract(block[here == i], shift, dtype=np.float64)
            total[i] = members.sum(axis=0)
            square[i] = np.einsum("ij,ij->j", members, members)
        return total, square

    total, square = np.zeros((2, k, rows.shape[1]))
    for _, (part, part_square) in rows.map(one, subset=np.flatnonzero(labels >= 0)):
        total += part
        square += part_square
    n = np.maximum(counts, 1)[:, None]
    mean = total / n + np.where(counts[:, None] > 0, shift, 0)
    variance = np.maximum(square - total**2 / n, 0) / np.maximum(n - 1, 1)
    error = np.sqrt(variance / n)
    shape = (k, *rows.row_shape)
    return mean.reshape(shape).astype(np.float32), error.reshape(shape).astype(np.float32), counts


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


def _maps(values: NDArray[Any], source: Any, *, stacked: bool = False) -> Any:
    """Wrap maps of the scan's shape, one or a stack (k, scan), with the scan's axes."""
    import hyperspy.api as hs  # noqa: PLC0415  # 0.5 s

    scan_ndim = values.ndim - stacked
    axes = [{"name": "cluster", "size": len(values), "navigate": True}] if stacked else []
    axes += [
        {**axis.get_axis_dictionary(), "navigate": False}
        for axis in source.axes_manager._axes[:scan_ndim]
    ]
    kind = hs.signals.Signal1D if scan_ndim == 1 else hs.signals.Signal2D
    title = source.metadata.get_item("General.title", "")
    return kind(values, axes=axes, metadata={"General": {"title": title}})
