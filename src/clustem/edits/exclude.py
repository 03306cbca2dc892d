"""Take positions out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, edit, like
from clustem.edits._parts import means
from clustem.labelmaps.label_maps import as_labels, on_shape


@edit
def exclude(segmentation: Segmentation, *, mask: str | NDArray[np.bool_]) -> Segmentation:
    """Take positions out: they belong to no cluster, mean or share any more.

    Parameters
    ----------
    segmentation
        A result, with its source.
    mask
        Boolean, shape of the scan, True = excluded; an array, or packed into a text.

    Returns
    -------
    :
        The result without these positions; clusters keep their numbers.

    Raises
    ------
    InputError
        If the mask has another shape or leaves nothing, or the raw signal is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from clustem import samples, segment
    >>> found = segment(samples.eds(shape=(20, 24)).signal, "eds", n_clusters=4)
    >>> mask = np.zeros((20, 24), dtype=bool); mask[:5] = True
    >>> int((exclude(found, mask=mask).labels.data[:5] == -1).sum())
    120
    """
    given, _ = on_shape(
        as_labels(mask, what="A mask"),
        segmentation.mask.shape,
        what="A mask must have the shape of the scan, or be binned to it by whole factors",
        cure="Make it for the scan as it was cropped and binned.",
    )
    out = given != 0
    new = out & ~segmentation.mask
    if (segmentation.mask | out).all():
        raise InputError(
            "At least one position must be left in",
            got=f"all {out.size} excluded",
            cure="True means excluded: invert the mask, or make it smaller.",
        )
    labels = np.where(out, -1, segmentation.labels.data).astype(np.int16)
    memberships = segmentation.memberships
    if memberships is not None:
        memberships = like(memberships, np.where(out, 0, memberships.data))
    found = replace(
        segmentation,
        labels=like(segmentation.labels, labels),
        memberships=memberships,
        mask=segmentation.mask | out,
        points=segmentation.points[~out[~segmentation.mask]],
        distance=_without(segmentation.distance, new),
        margin=_without(segmentation.margin, new),
        thickness=None if segmentation.thickness is None else segmentation.thickness.without(new),
    )
    if not (segmentation.labels.data[new] >= 0).any():
        return found
    sums = means(found, labels, np.arange(segmentation.n_clusters))
    return replace(
        found,
        centers=like(segmentation.centers, sums.means),
        standard_error=like(segmentation.standard_error, sums.errors),
        counts=sums.counts,
        mean=sums.mean,
    )


def _without(
    values: NDArray[np.float32] | None, excluded: NDArray[np.bool_]
) -> NDArray[np.float32] | None:
    return None if values is None else np.where(excluded, np.float32(np.nan), values)
