"""What a fit leaves for other scans: the same clusters without fitting again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from clustem.core.about import Info
from clustem.core.clustering import Clustering
from clustem.core.features import Features

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted estimator, and what was found on the way to its rows.

    Parameters
    ----------
    estimator
        The fitted estimator, with its own numbering.
    number
        Number in the result of each of its clusters, (k,); two that were merged have the same.
    purity
        Share of each cluster of the result that its largest group takes: memberships are lowered
        to it.
    described
        Parameters that the descriptor chose by itself.
    about
        What the steps that made the features know about them.
    spectrum
        Sum spectrum of the scan whose lines those of others are laid over, (D,); None where there
        was one scan.
    typical
        Quantiles of the distances of rows from their own cluster, (k, q); None where counts tell.
    """

    estimator: Any
    number: NDArray[np.intp]
    purity: NDArray[np.float64]
    described: Mapping[str, Any] = field(default_factory=dict)
    about: Info | None = None
    spectrum: NDArray[np.float64] | None = None
    typical: NDArray[np.float64] | None = None

    def assign(self, features: Features, connectivity: Any = None) -> Clustering:
        """Assign rows to the clusters as they are.

        Parameters
        ----------
        features
            Rows made by the same steps, of this scan or another.
        connectivity
            Weights between neighbouring rows, sparse (n, n), for an estimator that heeds them.

        Returns
        -------
        :
            The clustering, in the numbers of the result; rows of the fit get what they got there.
        """
        estimator, rows, k = self.estimator, features.rows, int(self.number.max()) + 1
        known = None
        if hasattr(estimator, "assign"):
            known = estimator.assign(rows, connectivity=connectivity)
        elif hasattr(estimator, "predict_proba"):
            known = estimator.predict_proba(rows)
        if known is None:
            labels = self.number[np.asarray(estimator.predict(rows))].astype(np.int16)
            return Clustering(labels, None, features, estimator, np.arange(k))
        memberships = np.zeros((len(known), k))
        for i, number in enumerate(self.number):
            memberships[:, number] += known[:, i]
        labels = memberships.argmax(axis=1).astype(np.int16)
        return Clustering(labels, memberships.astype(np.float32), features, estimator, np.arange(k))
