"""Agreement of two label maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, checked
from clustem.labelmaps.agreement import (
    adjusted_mutual_information,
    rand_index,
    variation_of_information,
)
from clustem.labelmaps.label_maps import (
    LabelMap,
    as_labels,
    binned,
    binning_between,
    matched,
    overlaps,
)

F64 = NDArray[np.float64]
_PART = 2**20
"""Positions that are compared at a time, which bounds what copies take."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """How two label maps of the same scan agree, after the best matching of their numbers.

    Attributes
    ----------
    rows
        Labels in the first map, (p,).
    columns
        Labels in the second map, (q,).
    counts
        Positions with label ``rows[i]`` in the first and ``columns[j]`` in the second, (p, q).
    matching
        Label of the second map for each matched label of the first.
    compared
        Share of positions that carry a label (0 or more) in both maps.
    ari
        Adjusted Rand index.
    ami
        Adjusted mutual information.
    vi
        Variation of information [bit]; 0 for the same clustering.
    labels, truth
        Both maps as they were compared, int64, of one shape.
    disagreement
        Where the maps differ, int8: 1 = another cluster than the matched one, 0 = the
        same, -1 = not compared.
    note
        What was done to bring both to one shape, "" if nothing.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    counts: NDArray[np.int64]
    matching: dict[int, int]
    compared: float
    ari: float
    ami: float
    vi: float
    labels: NDArray[np.int64]
    truth: NDArray[np.int64]
    disagreement: NDArray[np.int8]
    note: str = ""

    @property
    def confusion(self) -> F64:
        """Counts as a share of each column's total [%], (p, q): columns are the truth."""
        totals = self.counts.sum(axis=0, keepdims=True)
        return np.asarray(100 * self.counts / np.maximum(totals, 1))

    @property
    def accuracy(self) -> float:
        """Share of compared positions whose labels are matched."""
        from sklearn.metrics import accuracy_score

        truth, found = self._matched
        return float(accuracy_score(truth, found, sample_weight=self.counts.ravel()))

    @property
    def precision(self) -> dict[int, float]:
        """Per label of the second map: share of its matched label's positions that are right."""
        return self._per_label[0]

    @property
    def recall(self) -> dict[int, float]:
        """Per label of the second map: share of its positions that were found."""
        return self._per_label[1]

    @property
    def f1(self) -> dict[int, float]:
        """Per label of the second map: harmonic mean of precision and recall."""
        return self._per_label[2]

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the labels of the second map."""
        return float(np.mean(list(self.f1.values())))

    def __str__(self) -> str:
        """Return the figures in one line."""
        return (
            f"accuracy {100 * self.accuracy:.2f} %, macro F1 {100 * self.macro_f1:.2f} %, "
            f"ARI {self.ari:.4f}, AMI {self.ami:.4f}, VI {self.vi:.4f} bit "
            f"({100 * self.compared:.1f} % of the positions compared"
            f"{'; ' if self.note else ''}{self.note})"
        )

    @property
    def _matched(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Labels of the second map, and those matched with the first one's (-1: none), by count."""
        found = np.array([self.matching.get(label, -1) for label in self.rows.tolist()])
        return np.tile(self.columns, len(self.rows)), np.repeat(found, len(self.columns))

    @cached_property
    def _per_label(self) -> tuple[dict[int, float], dict[int, float], dict[int, float]]:
        """Precision, recall and F1 per label of the second map."""
        from sklearn.metrics import precision_recall_fscore_support

        truth, found = self._matched
        figures = precision_recall_fscore_support(
            truth,
            found,
            labels=self.columns,
            sample_weight=self.counts.ravel(),
            zero_division=0.0,
        )
        labels = self.columns.tolist()
        precision, recall, f1 = (
            dict(zip(labels, figure.tolist(), strict=True)) for figure in figures[:3]
        )
        return precision, recall, f1


@checked
def compare(
    labels: LabelMap, truth: LabelMap, *, binning: Literal["majority", "nearest"] = "majority"
) -> Comparison:
    """Compare two label maps of the same scan, also at different k and binning.

    Parameters
    ----------
    labels
        Integers, any shape; negative = unassigned: an array, a signal, a segmentation, or the path
        of a file.
    truth
        Integers of the same shape, or of one that is binned by whole factors; negative = not
        labelled.
    binning
        How maps of different shape are brought together. ``"majority"``: each block of the finer
        one takes its most frequent label. ``"nearest"``: each position of the coarser one is
        repeated.

    Returns
    -------
    :
        Figures of agreement over the positions that carry a label in both, and the map of where
        they differ.

    Raises
    ------
    InputError
        If the shapes differ by no whole factors, values are not integers, or no position is
        labelled in both.

    Notes
    -----
    Numbers are matched by the largest total overlap (Hungarian algorithm). Where shapes differ, the
    finer scan's last rows and columns that fill no block are left out, as ``prepare.rebin`` does.

    References
    ----------
    L. Hubert and P. Arabie, J. Classif. 2 (1985) 193. M. Meilă, J. Multivar. Anal. 98 (2007) 873.

    Examples
    --------
    >>> found = compare(np.array([[1, 1, 0], [0, 0, -1]]), np.array([[0, 0, 1], [1, 0, 1]]))
    >>> found.matching, round(found.accuracy, 2), round(found.compared, 2)
    ({0: 1, 1: 0}, 0.8, 0.83)
    >>> found.disagreement
    array([[ 0,  0,  0],
           [ 0,  1, -1]], dtype=int8)
    """
    first, second, note = _together(
        as_labels(labels, what="Label maps"), as_labels(truth, what="Label maps"), binning
    )
    present = [(_present(a), _present(b)) for _, a, b in _parts(first, second)]
    rows, columns = (np.unique(np.concatenate(each)) for each in zip(*present, strict=True))
    if not len(rows):
        raise InputError(
            "At least one position must be labelled in both maps",
            got="none",
            cure="Lower the membership threshold, or check that the maps are of the same scan.",
        )
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    for _, a, b in _parts(first, second):
        i, j = np.searchsorted(rows, a), np.searchsorted(columns, b)
        counts += overlaps(i, j, counts.shape)[:-1, :-1]
    matching = {int(rows[p]): int(columns[q]) for p, q in matched(counts).items()}
    disagreement = np.full(first.size, -1, dtype=np.int8)
    partner = np.array([matching.get(label, -1) for label in rows.tolist()])
    for where, a, b in _parts(first, second):
        disagreement[where] = partner[np.searchsorted(rows, a)] != b
    return Comparison(
        rows=rows,
        columns=columns,
        counts=counts,
        matching=matching,
        compared=float(counts.sum() / first.size),
        ari=rand_index(counts),
        ami=adjusted_mutual_information(counts),
        vi=variation_of_information(counts),
        labels=first,
        truth=second,
        disagreement=disagreement.reshape(first.shape),
        note=note,
    )


def _parts(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]]:
    """Yield flat numbers of positions that are labelled in both maps, and both labels of each."""
    one, two = first.ravel(), second.ravel()
    for start in range(0, one.size, _PART):
        part = slice(start, start + _PART)
        where = start + np.flatnonzero((one[part] >= 0) & (two[part] >= 0))
        yield where, one[where], two[where]


def _present(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the labels that occur: sorting is for those that are no small numbers."""
    if labels.size and labels.max() < labels.size:
        return np.flatnonzero(np.bincount(labels))
    return np.unique(labels)


def _together(
    first: NDArray[np.int64], second: NDArray[np.int64], how: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Bring two maps to one shape; say what was done."""
    if first.shape == second.shape:
        return first, second, ""
    if (factors := binning_between(first.shape, second.shape)) is not None:
        return *_at_one_shape(first, second, factors, how), _note("first", factors, how)
    if (factors := binning_between(second.shape, first.shape)) is not None:
        finer, coarser = _at_one_shape(second, first, factors, how)
        return coarser, finer, _note("second", factors, how)
    raise InputError(
        "Both label maps must have the same shape, or one binned by whole factors",
        got=f"{first.shape} and {second.shape}",
        cure="Compare maps of the same scan, cropped alike.",
    )


def _at_one_shape(
    fine: NDArray[np.int64], coarse: NDArray[np.int64], factors: tuple[int, ...], how: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if how == "majority":
        return binned(fine, factors), coarse
    for axis, factor in enumerate(factors):
        coarse = coarse.repeat(factor, axis=axis)
    return fine[tuple(map(slice, coarse.shape))], coarse


def _note(finer: str, factors: tuple[int, ...], how: str) -> str:
    blocks = " × ".join(map(str, factors))
    if how == "majority":
        return f"{finer} map binned {blocks} by majority vote"
    return f"the other map repeated {blocks} on the {finer} one"
