"""Labels that heed where they lie: neighbours, and regions too small to count."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.core import Clustering, InputError, PatchGrid, record
from clustem.labelmaps.potts import potts
from clustem.labelmaps.regions import without_small

_LEAST = 1e-12  # membership below which a cluster is as good as impossible


def in_space(
    clustering: Clustering,
    labels: NDArray[np.int16],
    *,
    threshold: float,
    smoothness: float,
    min_size: int,
) -> NDArray[np.int16]:
    """Weigh labels against those of neighbours, then let small regions join theirs.

    Parameters
    ----------
    clustering
        Clusters of the rows.
    labels
        Label of each row (n,) without neighbours, -1 = unassigned.
    threshold, smoothness, min_size
        As in ``clusters``.

    Returns
    -------
    :
        Labels (n,). The history says what was changed.
    """
    features = clustering.features
    if features.find(PatchGrid) is not None and features.mask.ndim == 1:
        raise InputError(
            "Neighbours need positions on a grid",
            got="patches around atom columns",
            cure="Set smoothness and min_size to 0, or describe.patches.at to grid.",
        )
    if smoothness:
        smooth = _smoothed(clustering, threshold, smoothness)
        changed = np.count_nonzero(smooth != labels)
        labels = smooth
        record(
            f"neighbours weighed in (Potts model, smoothness {smoothness:g}): {changed} of "
            f"{len(labels)} labels changed"
        )
    if min_size:
        joined = without_small(features.on_scan(labels, fill=-1), min_size)[~features.mask]
        changed = np.count_nonzero(joined != labels)
        labels = joined.astype(np.int16)
        record(f"regions below {min_size} positions joined their neighbours: {changed} labels")
    return labels


def _smoothed(clustering: Clustering, threshold: float, smoothness: float) -> NDArray[np.int16]:
    features = clustering.features
    evidence = features.on_scan(_evidence(clustering), fill=0.0)
    smooth = potts(evidence, features.mask, smoothness=smoothness)[~features.mask]
    labels: NDArray[np.int16] = smooth.argmax(axis=1).astype(np.int16)
    if clustering.memberships is None:
        return labels
    share = np.exp(smooth - smooth.max(axis=1, keepdims=True))
    total = clustering.memberships.sum(axis=1)  # 1 but for possibilistic ones
    highest = total * share.max(axis=1) / share.sum(axis=1)
    return np.where(highest > threshold, labels, -1).astype(np.int16)


def _evidence(clustering: Clustering) -> NDArray[np.float64]:
    """Logarithm (n, k) of how well clusters fit rows."""
    if clustering.memberships is not None:
        return np.log(np.maximum(clustering.memberships.astype(np.float64), _LEAST))
    if not hasattr(clustering.estimator, "transform"):
        raise InputError(
            "smoothness needs memberships or distances to the centers",
            got=type(clustering.estimator).__name__,
            cure="Use KMeans, a fuzzy method or a mixture.",
        )
    rows = clustering.features.rows
    squares = clustering.estimator.transform(rows)[:, clustering.order] ** 2
    own = float(squares.min(axis=1).mean()) / rows.shape[1]
    tiny = float(np.finfo(np.float64).tiny)
    return np.asarray(-squares / (2 * max(own, tiny)))
