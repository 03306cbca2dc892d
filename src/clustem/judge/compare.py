"""Agreement of two label maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustem.model import InputError


@dataclass(frozen=True)
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
        Variation of information [bit]; 0 for the same partition.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    counts: NDArray[np.int64]
    matching: dict[int, int]
    compared: float
    ari: float
    ami: float
    vi: float

    @property
    def confusion(self) -> NDArray[np.float64]:
        """Counts as a share of each column's total [%], (p, q): columns are the truth."""
        totals = self.counts.sum(axis=0, keepdims=True)
        return 100 * self.counts / np.maximum(totals, 1)

    @property
    def accuracy(self) -> float:
        """Share of compared positions whose labels are matched."""
        return float(sum(self._overlap().values()) / self.counts.sum())

    @property
    def precision(self) -> dict[int, float]:
        """Per label of the second map: share of its matched label's positions that are right."""
        totals = dict(zip(self.rows.tolist(), self.counts.sum(axis=1).tolist(), strict=True))
        back = {second: first for first, second in self.matching.items()}
        overlap = self._overlap()
        return {
            label: overlap[label] / totals[back[label]] if label in back else 0.0
            for label in self.columns.tolist()
        }

    @property
    def recall(self) -> dict[int, float]:
        """Per label of the second map: share of its positions that were found."""
        totals = dict(zip(self.columns.tolist(), self.counts.sum(axis=0).tolist(), strict=True))
        overlap = self._overlap()
        return {label: overlap.get(label, 0) / totals[label] for label in totals}

    @property
    def f1(self) -> dict[int, float]:
        """Per label of the second map: harmonic mean of precision and recall."""
        precision, recall = self.precision, self.recall
        return {
            label: 2 * precision[label] * recall[label] / (precision[label] + recall[label] or 1)
            for label in precision
        }

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the labels of the second map."""
        return float(np.mean(list(self.f1.values())))

    def __str__(self) -> str:
        """Return the figures in one line."""
        return (
            f"accuracy {100 * self.accuracy:.2f} %, macro F1 {100 * self.macro_f1:.2f} %, "
            f"ARI {self.ari:.4f}, AMI {self.ami:.4f}, VI {self.vi:.4f} bit "
            f"({100 * self.compared:.1f} % of the positions compared)"
        )

    def _overlap(self) -> dict[int, int]:
        """Count the matched positions per label of the second map."""
        first, second = self.rows.tolist(), self.columns.tolist()
        return {
            b: int(self.counts[first.index(a), second.index(b)]) for a, b in self.matching.items()
        }


def compare(labels: NDArray[np.integer], truth: NDArray[np.integer]) -> Comparison:
    """Compare two label maps of the same scan.

    Parameters
    ----------
    labels
        Integers, any shape; negative = unassigned.
    truth
        Integers of the same shape; negative = not labelled.

    Returns
    -------
    :
        Figures of agreement over the positions that carry a label in both.

    Raises
    ------
    InputError
        If shapes differ, values are not integers, or no position is labelled in both.

    Notes
    -----
    Numbers are matched by the largest total overlap (Hungarian algorithm).

    References
    ----------
    L. Hubert and P. Arabie, J. Classif. 2 (1985) 193. M. Meilă, J. Multivar. Anal. 98 (2007) 873.

    Examples
    --------
    >>> found = compare(np.array([[1, 1, 0], [0, 0, -1]]), np.array([[0, 0, 1], [1, 0, 1]]))
    >>> found.matching, round(found.accuracy, 2), round(found.compared, 2)
    ({0: 1, 1: 0}, 0.8, 0.83)
    """
    from scipy.optimize import linear_sum_assignment  # noqa: PLC0415  # 0.1 s
    from sklearn.metrics import (  # noqa: PLC0415  # 0.5 s
        adjusted_mutual_info_score,
        adjusted_rand_score,
    )

    first, second = np.asarray(labels), np.asarray(truth)
    if first.shape != second.shape:
        raise InputError(
            "Both label maps must have the same shape",
            got=f"{first.shape} and {second.shape}",
            cure="Compare maps of the same scan, cropped and binned alike.",
        )
    if first.dtype.kind not in "bui" or second.dtype.kind not in "bui":
        raise InputError(
            "Label maps must hold integers",
            got=f"{first.dtype} and {second.dtype}",
            cure="Give label maps, not intensities.",
        )
    both = (first >= 0) & (second >= 0)
    if not both.any():
        raise InputError(
            "At least one position must be labelled in both maps",
            got="none",
            cure="Lower the membership threshold, or check that the maps are of the same scan.",
        )
    a, b = first[both].astype(np.int64), second[both].astype(np.int64)
    rows, i = np.unique(a, return_inverse=True)
    columns, j = np.unique(b, return_inverse=True)
    counts = np.zeros((len(rows), len(columns)), dtype=np.int64)
    np.add.at(counts, (i, j), 1)
    matched = zip(*linear_sum_assignment(counts, maximize=True), strict=True)
    return Comparison(
        rows=rows,
        columns=columns,
        counts=counts,
        matching={int(rows[p]): int(columns[q]) for p, q in matched},
        compared=float(both.mean()),
        ari=float(adjusted_rand_score(b, a)),
        ami=float(adjusted_mutual_info_score(b, a)),
        vi=_variation_of_information(counts),
    )


def _variation_of_information(counts: NDArray[np.int64]) -> float:
    share = counts / counts.sum()
    rows, columns = share.sum(axis=1, keepdims=True), share.sum(axis=0, keepdims=True)
    there = share > 0
    terms = np.log2((share**2)[there] / (rows * columns)[there])
    return abs(float((share[there] * terms).sum()))  # a sum of terms that are all 0 or less
