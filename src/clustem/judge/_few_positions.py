"""Which of a few positions have spectra that differ by more than noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features
from clustem.passes.rows import Rows

F64 = NDArray[np.float64]
FEW = 40
"""Positions below which neither a gap nor a valley can be told from chance."""
_BINS = 24
"""Parts of the spectrum, of equal intensity, that are compared."""
_LEAST = 16
"""Channels that a spectrum must have at least."""
_PER_PART = 20.0
"""Counts that a part must hold on average in the weakest spectrum."""
_SEEN = 10.0
"""Standard errors that the weakest spectrum's total must exceed."""
_RARE = 1e-3
"""Probability that spectra of one shape are told apart in any two parts of the positions."""
_CLEAR = 1e-9
"""Probability below which it is beyond doubt that two spectra differ."""


@dataclass(frozen=True, eq=False)
class Told:
    """What the spectra of a few positions say.

    Parameters
    ----------
    labels
        Group of each position (n,); the spectra of two groups differ.
    weakest
        Largest probability that two groups have one shape; 1 if there is one group.
    """

    labels: NDArray[np.intp]
    weakest: float

    @property
    def size(self) -> int:
        """Number of groups."""
        return int(self.labels.max()) + 1

    @property
    def confidence(self) -> Literal["low", "medium"]:
        """Few positions are never certain to be all that there is."""
        several = 1 < self.size <= len(self.labels) // 2
        return "medium" if several and self.weakest < _CLEAR else "low"

    @property
    def reason(self) -> str:
        """What was compared, in one sentence."""
        n = len(self.labels)
        if self.size == 1:
            return (
                f"the spectra of {n} positions do not differ by more than noise, and fewer than "
                f"{FEW} show no gap: more counts or a longer line may tell"
            )
        single = int((np.bincount(self.labels) == 1).sum())
        some = f", {single} of them of a single position," if single else ""
        return (
            f"{n} positions are too few for gaps, but the spectra of {self.size} groups{some} "
            f"differ by more than noise (least sure: p = {self.weakest:.0e})"
        )


def told_apart(features: Features) -> Told | None:
    """Join positions whose spectra agree within noise; None where there are no spectra.

    Parameters
    ----------
    features
        Rows of a scan of at most some 40 positions.

    Notes
    -----
    Spectra are summed over parts of equal intensity and divided by their totals. Two shapes are
    compared by chi-square; noise is the second difference between neighbouring channels, and for
    whole numbers at least that of counting. The two groups that agree best are joined until any
    two differ, at a level of 1e-3 for all ``2 ** (n - 1)`` ways to divide the positions together.
    """
    source = features.source
    manager = getattr(source, "axes_manager", None)
    if manager is None or manager.signal_dimension != 1 or not features.shape:
        return None
    rows = Rows(source.data, row_ndim=1).take(features.positions).astype(np.float64)
    found = _parts(rows) if rows.shape[1] >= _LEAST and np.isfinite(rows).all() else None
    if found is None:
        return None
    return _joined(*found)


def _joined(sums: F64, variances: F64) -> Told:
    """Join the two groups that agree best until any two differ."""
    labels = np.arange(len(sums))
    level = _RARE / 2.0 ** (len(sums) - 1)
    while labels.max() > 0:
        i, j, same = _likest(sums, variances, labels)
        if same < level:
            return Told(labels, same)
        labels[labels == j] = i
        labels[labels > j] -= 1
    return Told(labels, 1.0)


def _parts(rows: F64) -> tuple[F64, F64] | None:
    """Sum parts of spectra (n, parts); return their variances, too, and None if all is noise."""
    counted = bool((rows >= 0).all() and np.array_equal(rows, np.rint(rows)))
    totals = rows.sum(axis=1)
    mean = np.maximum(rows.sum(axis=0), 0)
    number = min(_BINS, int(totals.min() / _PER_PART)) if counted else _BINS
    if number < 2 or (totals <= 0).any():
        return None
    part = np.minimum((number * np.cumsum(mean) / mean.sum()).astype(np.intp), number - 1)
    first = np.flatnonzero(np.diff(part, prepend=-1))
    sums = np.add.reduceat(rows, first, axis=1)
    twice = np.zeros_like(rows)
    twice[:, 1:-1] = np.diff(rows, 2, axis=1) ** 2 / 6
    noise = np.add.reduceat(twice, first, axis=1).mean(axis=0)  # of each part
    if counted:
        noise = np.maximum(noise, sums.mean(axis=0))
    else:
        width = np.diff(first, append=rows.shape[1])
        noise = np.maximum(noise, width * noise.sum() / rows.shape[1] * 1e-3)
    brighter = totals / totals.mean()
    variances = noise * (brighter if counted else np.maximum(brighter, 1.0))[:, None]
    seen = (totals > _SEEN * np.sqrt(variances.sum(axis=1))).all()
    return (sums, variances) if seen else None


def _likest(sums: F64, variances: F64, labels: NDArray[np.intp]) -> tuple[int, int, float]:
    """Find the two groups, i < j, that differ least, and the probability of that much by chance."""
    from scipy.stats import chi2

    size = int(labels.max()) + 1
    member = np.eye(size)[labels].T
    total = member @ sums
    share = total / total.sum(axis=1, keepdims=True)
    error = (member @ variances) / total.sum(axis=1, keepdims=True) ** 2
    i, j = np.triu_indices(size, 1)
    apart = ((share[i] - share[j]) ** 2 / (error[i] + error[j])).sum(axis=1)
    best = int(apart.argmin())
    return int(i[best]), int(j[best]), float(chi2.sf(apart[best], sums.shape[1] - 1))
