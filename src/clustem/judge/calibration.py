"""Whether memberships are right as often as they say, where the truth is known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge
from numpy.typing import ArrayLike, NDArray

from clustem.core import InputError, Segmentation, checked
from clustem.judge.compare import compare

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """How sure positions are, and how often they are right, in bins of their largest membership.

    Attributes
    ----------
    sure
        Mean largest membership of each bin that holds positions (b,).
    right
        Share of its positions that are right (b,).
    counts
        Number of its positions (b,).
    """

    sure: F64
    right: F64
    counts: NDArray[np.int64]

    @property
    def error(self) -> float:
        """Expected calibration error: mean distance of the two, weighted by the positions."""
        return float(np.abs(self.sure - self.right) @ self.counts / self.counts.sum())


@checked
def calibration(
    segmentation: Segmentation, truth: ArrayLike, *, bins: Annotated[int, Ge(1)] = 10
) -> Calibration:
    """Hold memberships against the truth.

    Parameters
    ----------
    segmentation
        A result with memberships.
    truth
        Labels of the map's shape that are known to be right, negative where there are none.
    bins
        Number of bins of the largest membership, 0 ... 1.

    Returns
    -------
    :
        The reliability curve. Clusters are matched with the truth so that most positions are right;
        positions without a cluster or without a truth are left out.

    Raises
    ------
    InputError
        If there are no memberships, or the truth has another shape.

    References
    ----------
    M. P. Naeini, G. F. Cooper, M. Hauskrecht, AAAI (2015) 2901.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> truth = (np.arange(24).reshape(4, 6) % 6 > 2).astype(int)
    >>> found = calibration(example(), truth)
    >>> found.sure.round(2), found.right.round(2), round(found.error, 2)
    (array([0.85]), array([1.]), 0.15)
    """
    if segmentation.memberships is None:
        raise InputError(
            "Only memberships can be calibrated",
            got="hard clusters",
            cure="Cluster with GaussianMixture, MultinomialMixture or GustafsonKessel.",
        )
    labels, given = np.asarray(segmentation.labels.data), np.asarray(truth)
    found = compare(labels, given)
    partner = np.array([found.matching.get(i, -2) for i in range(segmentation.n_clusters)])
    largest = np.asarray(segmentation.memberships.data, dtype=np.float64).max(axis=0)
    there = (labels >= 0) & (given >= 0)
    sure, right = largest[there], partner[labels[there]] == given[there]
    place = np.minimum((sure * bins).astype(np.intp), bins - 1)
    counts = np.bincount(place, minlength=bins)
    held = counts > 0
    sums = (np.bincount(place, values, minlength=bins)[held] for values in (sure, right))
    means = [total / counts[held] for total in sums]
    return Calibration(means[0], means[1], counts[held])
