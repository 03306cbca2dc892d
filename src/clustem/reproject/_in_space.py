"""Labels that heed where they lie: neighbours, and regions too small to count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.compute.potts import potts
from clustem.compute.regions import without_small
from clustem.model import InputError, Partition

_LEAST = 1e-12  # membership below which a cluster is as good as impossible


def in_space(
    partition: Partition,
    labels: NDArray[np.int16],
    *,
    threshold: float,
    smoothness: float,
    smallest: int,
) -> tuple[NDArray[np.int16], dict[str, str]]:
    """Weigh labels against those of neighbours, then let small regions join theirs.

    Parameters
    ----------
    partition
        Clusters of the rows.
    labels
        Label of each row (n,) without neighbours, -1 = unassigned.
    threshold, smoothness, smallest
        As in ``project``.

    Returns
    -------
    :
        Labels (n,), and what was changed, as ``spatial``.
    """
    table = partition.table
    if "positions" in table.details and table.mask.ndim == 1:
        raise InputError(
            "Neighbours need positions on a grid",
            got="patches around atom columns",
            cure="Set smoothness and smallest_area to 0, or describe.patches.at to grid.",
        )
    told = []
    if smoothness:
        smooth = _smoothed(partition, threshold, smoothness)
        changed = np.count_nonzero(smooth != labels)
        labels = smooth
        told.append(
            f"neighbours weighed in (Potts model, smoothness {smoothness:g}): {changed} of "
            f"{len(labels)} labels changed"
        )
    if smallest:
        joined = without_small(table.on_scan(labels, fill=-1), smallest)[~table.mask]
        changed = np.count_nonzero(joined != labels)
        labels = joined.astype(np.int16)
        told.append(f"regions below {smallest} positions joined their neighbours: {changed} labels")
    return labels, {"spatial": "; ".join(told)}


def _smoothed(partition: Partition, threshold: float, smoothness: float) -> NDArray[np.int16]:
    table = partition.table
    evidence = table.on_scan(_evidence(partition), fill=0.0)
    settled = potts(evidence, table.mask, smoothness=smoothness)[~table.mask]
    labels = settled.argmax(axis=1).astype(np.int16)
    if partition.memberships is None:
        return labels
    share = np.exp(settled - settled.max(axis=1, keepdims=True))
    total = partition.memberships.sum(axis=1)  # 1 but for possibilistic ones
    highest = total * share.max(axis=1) / share.sum(axis=1)
    return np.where(highest > threshold, labels, -1).astype(np.int16)


def _evidence(partition: Partition) -> NDArray[np.float64]:
    """Logarithm (n, k) of how well clusters fit rows."""
    if partition.memberships is not None:
        return np.log(np.maximum(partition.memberships.astype(np.float64), _LEAST))
    if not hasattr(partition.estimator, "distances"):
        raise InputError(
            "smoothness needs memberships or distances to the centers",
            got=type(partition.estimator).__name__,
            cure="Use KMeans, a fuzzy method or a mixture.",
        )
    rows = partition.table.rows
    squares = partition.estimator.distances(rows)[:, partition.order] ** 2
    own = float(squares.min(axis=1).mean()) / rows.shape[1]
    tiny = float(np.finfo(np.float64).tiny)
    return np.asarray(-squares / (2 * max(own, tiny)))
