"""Cut a cluster into parts."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge

from clustem.core import InputError, Segmentation, edit
from clustem.edits._parts import Parts, clustered_rows, cut, means, renumbered
from clustem.labelmaps.inheritance import inherited


@edit
def split(
    segmentation: Segmentation,
    *,
    cluster: int,
    n: Annotated[int, Ge(2)] = 2,
    random_state: Annotated[int, Ge(0)] = 0,
) -> Segmentation:
    """Cut a cluster into parts by k-means of what was clustered.

    Parameters
    ----------
    segmentation
        A result, with its source.
    cluster
        Number of the cluster.
    n
        Number of parts.
    random_state
        Seed of the k-means.

    Returns
    -------
    :
        The result with its clusters numbered anew; the largest part keeps the color. Where there
        are memberships, each position's goes to the part it is nearer.

    Raises
    ------
    InputError
        If there is no such cluster, it has fewer different members, or the rows are missing.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> found = segment(samples.eds(shape=(20, 24)).signal, "eds", n_clusters=4)
    >>> split(found, cluster=0).n_clusters
    5
    """
    segmentation.check_clusters([cluster])
    rows, positions = clustered_rows(segmentation)
    flat = segmentation.labels.data.ravel()
    members = np.flatnonzero(flat[positions] == cluster)
    if len(members) < n:
        raise InputError(
            f"Cluster {cluster} can be split into at most as many as it has members "
            f"({len(members)})",
            got=n,
            cure="Use a smaller n.",
        )
    part_of = cut(rows, members, n, random_state, everywhere=segmentation.memberships is not None)
    k = segmentation.n_clusters
    labels = flat.astype(np.int16)
    child = np.array([cluster, *range(k, k + n - 1)], dtype=np.int16)
    labels[positions[members]] = child[part_of[members]]
    sums = means(segmentation, labels.reshape(segmentation.mask.shape), child)
    mean, error = (
        np.concatenate([data, np.zeros((n - 1, *data.shape[1:]), data.dtype)])
        for data in (segmentation.centers.data, segmentation.standard_error.data)
    )
    mean[child], error[child] = sums.means, sums.errors
    counts = np.append(segmentation.counts, np.zeros(n - 1, dtype=segmentation.counts.dtype))
    counts[child] = sums.counts
    memberships = None
    if segmentation.memberships is not None:
        memberships = np.concatenate(
            [segmentation.memberships.data, np.zeros((n - 1, *segmentation.mask.shape))]
        )
        whole = segmentation.memberships.data[cluster].ravel()
        share = np.zeros((n, segmentation.mask.size))
        share[part_of, positions] = whole[positions]
        memberships[child] = share.reshape(n, *segmentation.mask.shape)
        memberships = memberships.astype(segmentation.memberships.data.dtype)
    names = dict(segmentation.names)
    if cluster in names:
        names |= {int(c): f"{names[cluster]} {i + 1}" for i, c in enumerate(child)}
    color_index = inherited({i: i for i in range(k)}, segmentation.color_index, k + n - 1)
    parts = Parts(
        labels.reshape(segmentation.mask.shape),
        memberships,
        mean,
        error,
        counts,
        color_index,
        names,
    )
    return renumbered(segmentation, parts)
