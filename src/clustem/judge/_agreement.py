"""How two labellings of the same rows agree."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustem.labelmaps.agreement import rand_index, variation_of_information
from clustem.labelmaps.label_maps import matched, overlaps

F64 = NDArray[np.float64]


class Agreement(NamedTuple):
    """Agreement of a labelling with a reference over the rows that have a label in both.

    Parameters
    ----------
    ari
        Adjusted Rand index.
    vi
        Variation of information [bit].
    jaccard
        Of each cluster of the reference (k,): rows shared with the cluster of the other
        labelling that is most like it, over the rows in either.
    kept
        Whether each row stays in the cluster that is matched with its own (n,).
    """

    ari: float
    vi: float
    jaccard: F64
    kept: NDArray[np.bool_]


def agreement(reference: NDArray[Any], other: NDArray[Any]) -> Agreement:
    """Compare labels (n,) with those of a reference (n,); negative ones are not compared."""
    both = (reference >= 0) & (other >= 0)
    shape = int(reference.max()) + 1, max(int(other.max()), 0) + 1
    counts = overlaps(reference[both], other[both], shape)[:-1, :-1]
    rows, columns = counts.sum(axis=1, keepdims=True), counts.sum(axis=0, keepdims=True)
    either = rows + columns - counts
    jaccard = (counts / np.maximum(either, 1)).max(axis=1)
    partner = np.full(shape[0] + 1, -2)
    for row, column in matched(counts).items():
        partner[row] = column
    kept = both & (partner[np.where(both, reference, -1)] == other)
    return Agreement(rand_index(counts), variation_of_information(counts), jaccard, kept)
