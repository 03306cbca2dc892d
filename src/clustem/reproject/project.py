"""Clusters back on the scan, with centers from the raw data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Lt
from numpy.typing import NDArray

from clustem.compute import Rows
from clustem.model import Partition, Projection, Table, checked

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
    One pass over the raw data, one block in memory at a time, sums in float64. Estimators that
    measure distances give two more maps in the details, ``distance`` to the nearest center and
    ``margin``, the share by which the next one is farther (0: on the border, 1: on the center);
    that is a second pass. Where a signal mask left out the direct beam, what it hides is summed
    to an image of the context, the virtual bright field. ``mean`` in the details is the mean row.

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
    sums = _sums(table, labels, partition.n_clusters)
    beam = table.on_scan(sums.hidden, fill=0.0)
    memberships = None
    if partition.memberships is not None:
        stack = np.moveaxis(table.on_scan(partition.memberships, fill=0.0), -1, 0)
        memberships = _maps(stack, table.source, stacked=True)
    narrow = table.rows.shape[1] <= _FEW_COLUMNS
    points = np.asarray(table.rows, dtype=np.float32) if narrow else np.empty((len(labels), 0))
    return Projection(
        labels=_maps(table.on_scan(labels, fill=-1), table.source),
        memberships=memberships,
        centers=_rows_signal(sums.means, table.source),
        spread=_rows_signal(sums.errors, table.source),
        counts=sums.counts,
        mask=table.mask,
        points=points.astype(np.float32, copy=False),
        features=table.features if narrow else (),
        scores=dict(partition.scores),
        details={**table.details, "mean": sums.mean, **_sureness(partition)},
        history=partition.history,
        source=table.source,
        context=(_maps(beam, table.source, title="virtual bright field"),) if beam.any() else (),
    )


def _assigned(partition: Partition, threshold: float) -> NDArray[np.int16]:
    if partition.memberships is None:
        return partition.labels
    highest = partition.memberships.max(axis=1)
    return np.where(highest > threshold, partition.labels, -1).astype(np.int16)


@dataclass(frozen=True)
class _Sums:
    """What one pass over the raw rows finds; rows have the source's row shape."""

    means: NDArray[np.float32]  # (k, *row shape)
    errors: NDArray[np.float32]
    counts: NDArray[np.int64]  # (k,)
    mean: NDArray[np.float32]  # of all rows
    hidden: NDArray[np.float32]  # (n,) what the signal mask left out of each row


def _sums(table: Table, labels: NDArray[np.int16], k: int) -> _Sums:
    mask = table.mask
    row_ndim = table.source.data.ndim - mask.ndim
    rows = Rows(table.source.data, row_ndim=row_ndim, mask=mask if mask.any() else None)
    counts = np.bincount(labels[labels >= 0], minlength=k)
    shift = rows.pilot_mean()
    left_out = _left_out(table, rows.row_shape)

    narrow = rows.dtype.itemsize <= 2  # then float32 holds a shifted value to all its digits
    working = np.float32 if narrow else np.float64

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        x = np.subtract(block, shift, dtype=working)
        member = np.zeros((k + 1, len(x)), dtype=working)
        member[labels[where], np.arange(len(x))] = 1  # the unassigned, -1, go last
        hidden = np.nansum(block[:, left_out], axis=1, dtype=np.float64)
        return member @ x, member[:k] @ np.square(x, out=x), hidden

    total, square = np.zeros((k + 1, rows.shape[1])), np.zeros((k, rows.shape[1]))
    hidden = np.zeros(len(rows), dtype=np.float32)
    for where, (part, part_square, part_hidden) in rows.map(one):
        total += part
        square += part_square
        hidden[where] = part_hidden
    n = np.maximum(counts, 1)[:, None]
    means = total[:k] / n + np.where(counts[:, None] > 0, shift, 0)
    variance = np.maximum(square - total[:k] ** 2 / n, 0) / np.maximum(n - 1, 1)
    shape = (k, *rows.row_shape)
    return _Sums(
        means.reshape(shape).astype(np.float32),
        np.sqrt(variance / n).reshape(shape).astype(np.float32),
        counts,
        (total.sum(axis=0) / len(rows) + shift).reshape(shape[1:]).astype(np.float32),
        hidden,
    )


def _left_out(table: Table, row_shape: tuple[int, ...]) -> NDArray[np.intp]:
    mask = table.details.get("signal_mask")
    if mask is None or np.shape(mask) != row_shape or len(row_shape) != 2:
        return np.empty(0, dtype=np.intp)
    return np.flatnonzero(mask)


def _sureness(partition: Partition) -> dict[str, NDArray[np.float32]]:
    """Map the distance to the nearest center, and the margin to the next."""
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
