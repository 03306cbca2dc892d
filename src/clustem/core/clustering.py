"""Which row belongs to which cluster, and the only place that numbers clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from clustem.core.about import IntensityInfo
from clustem.core.features import Features

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SCORES = {
    "inertia_": "inertia",
    "objective_": "objective",
    "n_iter_": "iterations",
    "converged_": "converged",
    "certified_": "certified",
    "cost_": "cost",
    "optimal_": "optimal",
    "gap_bound_": "gap to the optimum at most",
    "agreement_": "agreement with p = 1",
    "held_out_gain_": "held-out gain",
    "held_out_error_": "held-out gain, error",
}
"""Figures of merit by the attribute of an estimator that holds them."""


@dataclass(frozen=True, eq=False)
class Clustering:
    """Labels, and where there are any memberships, of rows.

    Make one with :meth:`from_estimator`.

    Parameters
    ----------
    labels
        Cluster of each row, int16 (n,), 0 ... k-1.
    memberships
        Degree to which each row belongs to each cluster, float32 (n, k), or None.
    features
        The features that were clustered.
    estimator
        The fitted estimator, with its own numbering.
    order
        Number of each cluster in the estimator's numbering, (k,).
    scores
        Figures of merit by name.
    """

    labels: NDArray[np.int16]
    memberships: NDArray[np.float32] | None
    features: Features
    estimator: Any
    order: NDArray[np.intp]
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def n_clusters(self) -> int:
        """Number of clusters k, empty ones included."""
        return len(self.order)

    @classmethod
    def from_estimator(
        cls, estimator: Any, features: Features, *, by: NDArray[Any] | None = None
    ) -> Clustering:
        """Take the labels of a fitted estimator, clusters numbered anew.

        Parameters
        ----------
        estimator
            Fitted, with ``labels_`` (n,) and possibly ``memberships_`` (n, k).
        features
            The features that it was fitted on.
        by
            One value per row (n,): clusters are numbered by falling median of it. If None: of the
            feature that the descriptor names for it (EELS: the total intensity); by falling
            number of rows if there is none.

        Returns
        -------
        :
            The clustering; ties keep the estimator's order.
        """
        raw = np.asarray(estimator.labels_)
        given = getattr(estimator, "memberships_", None)
        centers = getattr(estimator, "cluster_centers_", None)
        k = len(centers) if centers is not None else int(raw.max()) + 1
        if by is None and (name := ranked_by(features)) in features.names:
            by = np.asarray(features.rows)[:, features.names.index(name)]
        order = numbered(raw, k, by=by)
        number = np.empty(k, dtype=np.int16)
        number[order] = np.arange(k, dtype=np.int16)
        memberships = None if given is None else np.asarray(given, dtype=np.float32)[:, order]
        return cls(number[raw], memberships, features, estimator, order, _scores(estimator))


def ranked_by(features: Features) -> str:
    """Return the name of the feature that clusters are numbered by; empty for their size."""
    found = features.find(IntensityInfo)
    return "" if found is None else found.ranked_by


def numbered(
    labels: NDArray[np.integer[Any]], k: int, *, by: NDArray[Any] | None = None
) -> NDArray[np.intp]:
    """Order clusters by falling size, or by the falling median of a value.

    Parameters
    ----------
    labels
        Cluster of each row (n,), -1 = none.
    k
        Number of clusters, empty ones included.
    by
        One value per row (n,), or None for the size.

    Returns
    -------
    :
        The clusters in their new order, (k,); ties keep the old one.

    Examples
    --------
    >>> numbered(np.array([0, 1, 1, 2]), 3)
    array([1, 0, 2])
    """
    if by is None:
        rank = np.bincount(labels[labels >= 0], minlength=k).astype(np.float64)
    else:
        groups = [by[labels == i] for i in range(k)]
        rank = np.array([np.median(group) if len(group) else -np.inf for group in groups])
    return np.argsort(-rank, kind="stable")


def _scores(estimator: Any) -> dict[str, float]:
    return {
        name: float(getattr(estimator, attribute))
        for attribute, name in _SCORES.items()
        if hasattr(estimator, attribute)
    }
