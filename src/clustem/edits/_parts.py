"""Clusters that were joined or cut: their numbers, means and errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Fitted, InputError, Segmentation, collecting, like, numbered, registry
from clustem.passes.cluster_sums import ClusterSums, cluster_sums
from clustem.passes.picked_rows import PickedRows
from clustem.passes.rows import Rows


@dataclass(frozen=True)
class Parts:
    """Clusters in any order, before they are numbered."""

    labels: NDArray[np.int16]
    memberships: NDArray[Any] | None
    means: NDArray[np.float32]
    errors: NDArray[np.float32]
    counts: NDArray[np.int64]
    color_index: tuple[int, ...]
    names: Mapping[int, str]
    part: NDArray[np.intp] | None = None  # of each cluster before; None where one was cut


def renumbered(segmentation: Segmentation, parts: Parts) -> Segmentation:
    """Put clusters into a result, numbered as its own were."""
    order = _numbered(segmentation, parts)
    number = np.full(len(order) + 1, -1, dtype=np.int16)  # the last is for -1
    number[order] = np.arange(len(order))
    memberships = None
    if parts.memberships is not None and segmentation.memberships is not None:
        memberships = like(segmentation.memberships, parts.memberships[order])
    return replace(
        segmentation,
        labels=like(segmentation.labels, number[parts.labels]),
        memberships=memberships,
        centers=like(segmentation.centers, parts.means[order]),
        standard_error=like(segmentation.standard_error, parts.errors[order]),
        counts=parts.counts[order].astype(np.int64),
        names={int(number[i]): parts.names[i] for i in order.tolist() if i in parts.names},
        color_index=tuple(parts.color_index[i] for i in order),
        distance=None,
        margin=None,
        zero_loss=None,
        feature_centers=None,
        fitted=_refitted(segmentation.fitted, parts, number),
    )


def _refitted(fitted: Fitted | None, parts: Parts, number: NDArray[np.int16]) -> Fitted | None:
    """Give what was fitted the new numbers; a cluster that was cut cannot be had from it."""
    if fitted is None or parts.part is None:
        return None
    new = number[parts.part].astype(np.intp)
    purity = np.ones(int(new.max()) + 1)
    np.minimum.at(purity, new, fitted.purity)
    return replace(fitted, number=new[fitted.number], purity=purity)


def clustered_rows(segmentation: Segmentation) -> tuple[Rows, NDArray[np.intp]]:
    """Rows that were clustered (n, d), and the flat index in the scan of each."""
    if segmentation.features is not None:
        return Rows.of(segmentation.features.rows), segmentation.features.positions
    if segmentation.points.shape[1]:
        return Rows.of(segmentation.points), np.flatnonzero(~segmentation.mask)
    raise InputError(
        "A split needs the rows that were clustered",
        got="a result loaded from disk, whose rows are too wide to be saved",
        cure='Run its recipe again, and split that; or add [[edit]] with do = "split" to it.',
    )


def cut(
    rows: Rows, members: NDArray[np.intp], n: int, seed: int, *, everywhere: bool
) -> NDArray[np.int32]:
    """Part (rows,) of each member, or of all rows."""
    estimator = registry("cluster")["KMeans"].step(n, random_state=seed)
    with collecting():  # too few different members: refused below, with its cure
        found = estimator.fit(PickedRows(rows, members))
    if len(np.unique(found.labels_)) < n:
        raise InputError(
            "A cluster can be split into as many as it has different members",
            got=f"fewer than {n}",
            cure="Use a smaller n.",
        )
    if everywhere:
        return np.asarray(found.predict(rows))
    parts = np.zeros(len(rows), dtype=np.int32)
    parts[members] = found.labels_
    return parts


def means(
    segmentation: Segmentation, labels: NDArray[np.int16], clusters: NDArray[Any]
) -> ClusterSums:
    """Average the raw rows of some clusters of a label map."""
    if segmentation.source is None:
        raise InputError(
            "The raw signal is needed to average the clusters anew",
            got="none",
            cure="Pass source=signal, cropped and binned as in the recipe.",
        )
    place = np.full(max(labels.max(initial=0), clusters.max(initial=0)) + 2, -1)  # the last: of -1
    place[clusters] = np.arange(len(clusters))
    flat = place[labels[~segmentation.mask]]
    return cluster_sums(segmentation.source.data, flat, len(clusters), mask=segmentation.mask)


def pooled(segmentation: Segmentation, parts: list[Any]) -> tuple[Any, Any]:
    """Means weighted by the counts, and their standard errors, of groups of clusters."""
    mean = segmentation.centers.data.astype(np.float64)
    error = segmentation.standard_error.data.astype(np.float64)
    n = segmentation.counts.reshape(-1, *[1] * (mean.ndim - 1)).astype(np.float64)
    squares = error**2 * n * np.maximum(n - 1, 0) + n * mean**2  # sums of squares per cluster
    means, errors = [], []
    for part in parts:
        total = max(float(n[part].sum()), 1.0)
        together = (n[part] * mean[part]).sum(axis=0) / total
        rest = np.maximum(squares[part].sum(axis=0) - total * together**2, 0)
        means.append(together)
        errors.append(np.sqrt(rest / max(total - 1, 1) / total))
    return np.stack(means).astype(np.float32), np.stack(errors).astype(np.float32)


def _numbered(segmentation: Segmentation, parts: Parts) -> NDArray[np.intp]:
    """Order clusters as those of the result were: by size, or by the feature that ranks them."""
    k, names = len(parts.counts), segmentation.feature_names
    if segmentation.ranked_by not in names:
        return numbered(parts.labels.ravel(), k)
    values = segmentation.points[:, names.index(segmentation.ranked_by)]
    return numbered(parts.labels[~segmentation.mask], k, by=values)
