"""Which row belongs to which cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model.step import Step
from clustem.model.table import Table


@dataclass(frozen=True)
class Partition:
    """Labels, and where there are any memberships, of the rows of a table.

    Make one with :meth:`from_estimator`, which is the only place where clusters get their numbers.

    Parameters
    ----------
    labels
        Cluster of each row, int16 (n,), 0 ... k-1.
    memberships
        Degree to which each row belongs to each cluster, float32 (n, k), or None.
    table
        The table that was clustered.
    estimator
        The fitted estimator, with its own numbering.
    order
        Number of each cluster in the estimator's numbering, (k,).
    scores
        Figures of merit by name.
    history
        What was done so far.
    """

    labels: NDArray[np.int16]
    memberships: NDArray[np.float32] | None
    table: Table
    estimator: Any
    order: NDArray[np.intp]
    scores: Mapping[str, float] = field(default_factory=dict)
    history: tuple[Step, ...] = ()

    @property
    def n_clusters(self) -> int:
        """Number of clusters k, empty ones included."""
        return len(self.order)

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        table: Table,
        *,
        by: NDArray[Any] | None = None,
        history: tuple[Step, ...] = (),
    ) -> Partition:
        """Give the clusters of a fitted estimator their numbers.

        Parameters
        ----------
        estimator
            Fitted, with ``labels_`` (n,) and possibly ``memberships_`` (n, k).
        table
            The table it was fitted on.
        by
            One value per row (n,): clusters are numbered by falling median of it. If None: of the
            column that the table's details name as ``numbered_by`` (EELS: the total intensity);
            by falling number of rows if there is none.
        history
            History of the table and the clustering step.

        Returns
        -------
        :
            The partition; ties keep the estimator's order.
        """
        raw = np.asarray(estimator.labels_)
        given = getattr(estimator, "memberships_", None)
        centers = getattr(estimator, "cluster_centers_", None)
        k = len(centers) if centers is not None else int(raw.max()) + 1
        by = _named_column(table) if by is None else by
        if by is None:
            rank = np.bincount(raw, minlength=k).astype(np.float64)
        else:
            rank = np.array(
                [np.median(by[raw == i]) if np.any(raw == i) else -np.inf for i in range(k)]
            )
        order = falling_order(rank)
        number = np.empty(k, dtype=np.int16)
        number[order] = np.arange(k, dtype=np.int16)
        memberships = None if given is None else np.asarray(given, dtype=np.float32)[:, order]
        return cls(number[raw], memberships, table, estimator, order, _scores(estimator), history)


def falling_order(rank: NDArray[Any]) -> NDArray[np.intp]:
    """Order clusters by falling rank (k,); ties keep their order."""
    return np.argsort(-np.asarray(rank, dtype=np.float64), kind="stable")


def _named_column(table: Table) -> NDArray[Any] | None:
    """Return the column that clusters are numbered by, if the table still has it."""
    name = table.details.get("numbered_by")
    if name not in table.features:
        return None
    column: NDArray[Any] = np.asarray(table.rows)[:, table.features.index(name)]
    return column


def _scores(estimator: Any) -> dict[str, float]:
    names = {
        "inertia_": "inertia",
        "objective_": "objective",
        "n_iter_": "iterations",
        "converged_": "converged",
        "certified_": "certified",
        "cost_": "cost",
        "optimal_": "optimal",
        "gap_bound_": "gap to the optimum at most",
        "agreement_": "agreement with p = 1",
    }
    return {
        name: float(getattr(estimator, attribute))
        for attribute, name in names.items()
        if hasattr(estimator, attribute)
    }
