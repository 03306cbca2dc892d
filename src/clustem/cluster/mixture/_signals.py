"""What one detector says about clusters: counts by their shape, other values by their distance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from clustem.core.eigh import eigh

if TYPE_CHECKING:
    from clustem.cluster.mixture._counts import Counts, Fit

F64 = NDArray[np.float64]
TINY = 1e-12
"""Least number that is divided by, or whose logarithm is taken."""
_LEAST = 0.5
"""Least variance within clusters, in units of that of the noise."""
_INFORMS = 3.0
"""Counts of a position that tell as much as values whose variance is twice that of the noise."""


@dataclass(frozen=True, eq=False)
class Counted:
    """Columns that hold counts: multinomial, given their total.

    Parameters
    ----------
    where
        The columns.
    mean
        Mean shape of all counts, (d,), all above 0, sum 1.
    prior
        Number of counts of the mean shape that each cluster starts with.
    shared_intensity
        Whether the total of a cell counts, too.
    weight
        What the log-likelihood is multiplied by.
    """

    where: slice
    mean: F64
    prior: float
    shared_intensity: bool
    weight: float = 1.0

    @property
    def tells(self) -> F64:
        """What each column adds to the total of a cell, (d,)."""
        return np.ones(len(self.mean))

    def shapes(self, sums: F64) -> F64:
        """Shape of each cluster (k, d) from the sums of its counts."""
        drawn = sums[:, self.where] + self.prior * self.mean
        found: F64 = drawn / drawn.sum(axis=1, keepdims=True)
        return found

    def precision(self, shapes: F64, sums: F64, counts: Counts) -> None:
        """Return nothing: counts have no variance of their own."""

    def logs(self, shapes: F64, precision: F64 | None) -> F64:  # noqa: ARG002  # of values
        """Return what each unit of a column adds to the log-likelihood of each cluster, (k, d)."""
        found: F64 = np.log(shapes[:, self.where] / self.mean)
        return found if self.weight == 1 else self.weight * found

    def drawn(self, shapes: F64, precision: F64 | None) -> float:
        """Log-density of the shapes before any data."""
        return self.prior * float((self.logs(shapes, precision) @ self.mean).sum())


@dataclass(frozen=True, eq=False)
class Measured:
    """Columns that hold values with normal noise, in its units; the last is 1 for each position.

    Cells hold sums over their positions. All clusters have the same covariance.

    Parameters
    ----------
    where
        The columns.
    variance
        Variance of all positions along the direction in which they vary most.
    weight
        What the log-likelihood is multiplied by.
    """

    where: slice
    variance: float
    weight: float = 1.0
    shared_intensity: bool = False

    @property
    def tells(self) -> F64:
        """What each column adds to the total of a cell, (d,)."""
        found = np.zeros(self.where.stop - self.where.start)
        found[-1] = _INFORMS * max(self.variance - 1, 0.0)
        return found

    def shapes(self, sums: F64) -> F64:
        """Mean of each cluster (k, d) from the sums of its values, which are 0 on average."""
        own = sums[:, self.where]
        found: F64 = own / (own[:, -1:] + 1.0)
        found[:, -1] = 1.0
        return found

    def precision(self, shapes: F64, sums: F64, counts: Counts) -> F64:
        """Inverse covariance of values within clusters, (d - 1, d - 1)."""
        means, held = shapes[:, self.where][:, :-1], sums[:, self.where][:, -1]
        within = self.moment(counts) - (means.T * held) @ means / len(counts.totals)
        values, vectors = eigh(within)
        return np.asarray((vectors / np.maximum(values, _LEAST)) @ vectors.T)

    def moment(self, counts: Counts) -> F64:
        """Mean product of the values of a position, (d - 1, d - 1)."""
        return counts.moments[self.where.start]

    def logs(self, shapes: F64, precision: F64 | None) -> F64:
        """Return what each unit of a column adds to the log-likelihood of each cluster, (k, d)."""
        if precision is None:
            raise TypeError("Values have a covariance.")
        means = shapes[:, self.where][:, :-1]
        turned = means @ precision
        squares = np.einsum("ij,ij->i", turned, means)
        return self.weight * np.column_stack([turned, -0.5 * squares])

    def drawn(self, shapes: F64, precision: F64 | None) -> float:
        """Log-density of the means before any data: as if each had one position at 0."""
        return float(self.logs(shapes, precision)[:, -1].sum())

    def on_rows(self, precision: F64, counts: Counts) -> F64:
        """Return what the covariance within clusters adds to the log-likelihood of cells, (n,).

        That of one cluster for all is left out.
        """
        whole = np.linalg.inv(self.moment(counts) + 1e-9 * np.eye(len(precision)))
        rows = counts.rows[:, self.where].toarray()
        values = rows[:, :-1] / np.sqrt(np.maximum(rows[:, -1:], TINY))
        squares = np.einsum("ij,jk,ik->i", values, precision - whole, values)
        volume = np.linalg.slogdet(precision)[1] - np.linalg.slogdet(whole)[1]
        found: F64 = 0.5 * self.weight * (volume - squares)
        return found


Detector = Counted | Measured


def moments_of(rows: Any, signals: tuple[Detector, ...]) -> dict[int, F64]:
    """Return the mean product of the values of a position, for each signal that holds values."""
    found = {}
    for signal in signals:
        if isinstance(signal, Measured):
            own = rows[:, signal.where].toarray()
            scaled = own[:, :-1] / np.sqrt(np.maximum(own[:, -1:], TINY))
            found[signal.where.start] = scaled.T @ scaled / len(scaled)
    return found


def row_terms(signals: tuple[Detector, ...], fit: Fit, counts: Counts) -> F64 | float:
    """Return what all clusters have in common in the log-likelihood of cells, (n,); 0 of counts."""
    found: F64 | float = 0.0
    for signal, precision in zip(signals, fit.precisions, strict=True):
        if isinstance(signal, Measured) and precision is not None:
            found = found + signal.on_rows(precision, counts)
    return found
