"""What a report on a 4D-STEM scan shows beside the map."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.compute import Rows
from clustem.compute.beam import find_beam
from clustem.compute.binning import group_sums
from clustem.model import InputError, Partition

F32 = NDArray[np.float32]


def pattern_details(
    partition: Partition, means: NDArray[Any], counts: NDArray[np.int64]
) -> dict[str, F32]:
    """Compute what tells orientations apart, and how certain each position is.

    Parameters
    ----------
    partition
        Clusters of the rows of a table.
    means
        Mean raw pattern of each cluster (k, rows, columns).
    counts
        Number of positions in each mean (k,).

    Returns
    -------
    :
        Empty unless the source is a scan of patterns. ``mean_pattern`` (rows, columns) of all
        positions in a mean. ``virtual_bright_field``, shape of the scan: sum over the direct beam's
        disc, where one stands out. For estimators that know distances (k-means):
        ``distance`` of each position to its own center and ``margin``, how much farther the
        next one is, both in the space that was clustered, NaN where excluded.

    Notes
    -----
    One pass over the scan for distances, one over the pixels of the disc alone.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from clustem.cluster import KMeans
    >>> from clustem.describe import patterns
    >>> data = np.zeros((2, 3, 8, 9), dtype=np.uint8); data[0, :, 2, 3], data[1, :, 6, 7] = 3, 4
    >>> table = patterns(hs.signals.Signal2D(data))
    >>> found = Partition.from_estimator(KMeans(2).fit(table.rows), table)
    >>> means = np.stack([data[found.labels.reshape(2, 3) == i].mean(axis=0) for i in (0, 1)])
    >>> details = pattern_details(found, means, np.array([3, 3]))
    >>> sorted(details), details["margin"][0].tolist()
    (['distance', 'margin', 'mean_pattern'], [5.0, 5.0, 5.0])
    """
    table = partition.table
    if means.ndim != 3 or table.source.data.ndim != table.mask.ndim + 2:
        return {}
    mean = np.einsum("k,kij->ij", counts / max(counts.sum(), 1), means)
    found = {"mean_pattern": mean.astype(np.float32)}
    bright = _bright_field(table.source.data, table.mask, mean)
    if bright is not None:
        found["virtual_bright_field"] = table.on_scan(bright, fill=np.nan)
    if hasattr(partition.estimator, "distances"):
        distance, margin = _distances(partition)
        found["distance"] = table.on_scan(distance, fill=np.nan)
        found["margin"] = table.on_scan(margin, fill=np.nan)
    return found


def _bright_field(data: Any, mask: NDArray[np.bool_], mean: NDArray[np.float64]) -> F32 | None:
    try:
        beam = find_beam(mean)
    except InputError:
        return None
    row, column = np.indices(mean.shape)
    inside = np.hypot(row - beam.center[0], column - beam.center[1]) <= beam.radius
    group = np.where(inside & np.isfinite(mean), 0, -1).ravel()
    rows = Rows(data, row_ndim=2, mask=mask if mask.any() else None)
    return group_sums(rows, group, 1)[:, 0].astype(np.float32)


def _distances(partition: Partition) -> tuple[F32, F32]:
    """Distance of each row to its center, and how much farther the next center is."""
    all_of_them = partition.estimator.distances(partition.table.rows)[:, partition.order]
    own = np.take_along_axis(all_of_them, partition.labels[:, None].astype(np.intp), axis=1)
    np.put_along_axis(all_of_them, partition.labels[:, None].astype(np.intp), np.inf, axis=1)
    following = all_of_them.min(axis=1) if all_of_them.shape[1] > 1 else own[:, 0]
    return own[:, 0].astype(np.float32), (following - own[:, 0]).astype(np.float32)
