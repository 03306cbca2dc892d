"""Join clusters."""

from __future__ import annotations

import numpy as np

from clustem.core import InputError, Segmentation, edit
from clustem.edits._parts import Parts, pooled, renumbered


@edit
def merge(segmentation: Segmentation, *, clusters: list[int]) -> Segmentation:
    """Join clusters into the one of them with the lowest number.

    Parameters
    ----------
    segmentation
        A result.
    clusters
        Two or more numbers.

    Returns
    -------
    :
        The result with its clusters numbered anew, in the colors they had. Memberships add up,
        means are weighted by the counts, standard errors are pooled.

    Raises
    ------
    InputError
        If there is no such cluster, or fewer than two are named.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> found = segment(samples.eds(shape=(20, 24)).signal, "eds", n_clusters=4)
    >>> merge(found, clusters=[1, 2]).n_clusters
    3
    """
    wanted = sorted(set(clusters))
    segmentation.check_clusters(wanted)
    if len(wanted) < 2:
        raise InputError("A merge needs two clusters or more", got=wanted, cure="Name them all.")
    first = np.arange(segmentation.n_clusters)
    first[wanted] = wanted[0]
    parts = [np.flatnonzero(first == i) for i in np.unique(first)]
    mean, error = pooled(segmentation, parts)
    memberships = None
    if segmentation.memberships is not None:
        memberships = np.stack([segmentation.memberships.data[part].sum(axis=0) for part in parts])
    number = np.empty(segmentation.n_clusters + 1, dtype=np.int16)
    number[-1] = -1
    for new, part in enumerate(parts):
        number[part] = new
    leaders = [int(part[0]) for part in parts]
    return renumbered(
        segmentation,
        Parts(
            labels=number[segmentation.labels.data],
            memberships=memberships,
            means=mean,
            errors=error,
            counts=np.array([segmentation.counts[part].sum() for part in parts]),
            color_index=tuple(segmentation.color_index[i] for i in leaders),
            names={
                new: segmentation.names[i]
                for new, i in enumerate(leaders)
                if i in segmentation.names
            },
            part=number[:-1].astype(np.intp),
        ),
    )
