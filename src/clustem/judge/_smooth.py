"""Whether a smooth change over the scan explains counts as well as clusters do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.judge._coherence import surface

F64 = NDArray[np.float64]
_LEARNED = 0.7
"""Share of the counts that the surface is fitted to."""
_LEAST = 0.02
"""Least share of a channel's mean that a surface may fall to."""
_CLEAR = 2.0
"""Standard errors by which clusters must explain counts better than the surface alone."""
_SHARES = (0.1, 0.3, 1.0)
"""Parts of a cluster's factors that are tried."""
_PRIOR = 100.0
"""Counts of the mean shape that the factors of a cluster are drawn towards."""
_BLOCK = 2**22
"""Values that are held at a time."""


def split(counts: Any, random_state: int) -> tuple[Any, Any]:
    """Split sparse counts at random: 70 % that are fitted, and the others."""
    random = np.random.default_rng([random_state, 30])
    counts = counts.tocsr()
    known, rest = counts.copy(), counts.copy()
    known.data = random.binomial(counts.data.astype(np.int64), _LEARNED).astype(np.float64)
    rest.data = counts.data - known.data
    return known, rest


@dataclass(frozen=True, eq=False)
class Surface:
    """Counts whose shape follows a cubic surface over the scan, fitted to 70 % of them.

    Parameters
    ----------
    known, rest
        The counts that it is fitted to, and the others, sparse (n, d).
    terms
        Of the surface, (n, 10).
    shares
        Their coefficients for each channel, (10, d).
    mean
        Mean shape of the counts that it is fitted to, (d,).
    """

    known: Any
    rest: Any
    terms: F64
    shares: F64
    mean: F64

    @classmethod
    def of(cls, known: Any, rest: Any, places: F64) -> Surface:
        """Fit sparse counts (n, D) at places (n, 2) on the scan [px]; others are held against it.

        The share of each channel is fitted by least squares with the totals as weights. In units in
        which counting noise is 1, singular values of the coefficients are shrunk by what noise adds
        to them; up to ``sqrt(D) + sqrt(10)`` they are noise, and left out.

        References
        ----------
        M. Gavish, D. Donoho, IEEE Trans. Inf. Theory 63 (2017) 2137 (shrinkage).
        """
        mean = np.asarray(known.sum(axis=0), dtype=np.float64).ravel()
        channels = np.flatnonzero(mean > 0)
        known, rest, mean = known[:, channels], rest[:, channels], mean[channels] / mean.sum()
        terms = surface(places)
        totals = np.asarray(known.sum(axis=1), dtype=np.float64).ravel()
        scatter = (terms.T * totals) @ terms + 1e-9 * totals.sum() * np.eye(terms.shape[1])
        factor = np.linalg.cholesky(scatter)
        found = np.linalg.solve(factor, np.asarray(known.T @ terms).T) / np.sqrt(mean)
        left, values, right = np.linalg.svd(found, full_matrices=False)
        noise, less = len(mean) + len(values), 4.0 * len(mean) * len(values)
        above = values**2 > noise + np.sqrt(less)  # beyond the largest of noise
        kept = np.sqrt(np.maximum((values**2 - noise) ** 2 - less, 0)) / np.maximum(values, 1e-300)
        shares = np.linalg.solve(factor.T, (left * np.where(above, kept, 0.0)) @ right)
        return cls(known, rest, terms, shares * np.sqrt(mean), mean)

    @property
    def gain(self) -> float:
        """Log-likelihood of the other counts above that of the mean shape."""
        gain = 0.0
        for block, expected in self._blocks():
            some = self.rest[block].tocoo()
            ratio = expected[some.row, some.col] / self.mean[some.col]
            gain += float(some.data @ np.log(ratio))
        return gain

    def leaves(self, labels: NDArray[np.intp]) -> bool:
        """Whether clusters add to what the surface explains, by two standard errors.

        Parameters
        ----------
        labels
            Cluster of each row, found without the counts that are held against the surface. The
            share of a channel is then that of the surface times one factor for each cluster, of
            which such a part is taken as explains most: the rest of it is noise.
        """
        k = int(labels.max()) + 1
        seen, expected_sums = np.zeros((k, len(self.mean))), np.zeros((k, len(self.mean)))
        totals = np.asarray(self.known.sum(axis=1), dtype=np.float64).ravel()
        for block, expected in self._blocks():
            hot = np.eye(k)[labels[block]].T
            seen += (self.known[block].T @ hot.T).T
            expected_sums += (hot * totals[block]) @ expected
        drawn = _PRIOR * self.mean
        factors = (seen + drawn) / (expected_sums + drawn)
        gains = [self._added(labels, 1 + share * (factors - 1)) for share in _SHARES]
        gain = max(gains, key=np.sum)
        return bool(gain.sum() > _CLEAR * np.sqrt(len(gain)) * gain.std())

    def _added(self, labels: NDArray[np.intp], factors: F64) -> F64:
        """Log-likelihood (n,) of the other counts when shares are multiplied by factors (k, d)."""
        gain = np.zeros(len(labels))
        for block, expected in self._blocks():
            scaled = expected * factors[labels[block]]
            scaled /= scaled.sum(axis=1, keepdims=True)
            some = self.rest[block].tocoo()
            ratio = scaled[some.row, some.col] / expected[some.row, some.col]
            gain[block] = np.bincount(some.row, some.data * np.log(ratio), minlength=len(expected))
        return gain

    def _blocks(self) -> Iterator[tuple[slice, F64]]:
        """Go through the shapes that the surface gives, (rows, d), each with sum 1."""
        step = max(1, _BLOCK // len(self.mean))
        for i in range(0, len(self.terms), step):
            block = slice(i, min(i + step, len(self.terms)))
            expected = np.maximum(self.terms[block] @ self.shares, _LEAST * self.mean)
            expected /= expected.sum(axis=1, keepdims=True)
            yield block, expected


def smooth_intensity_gain(totals: F64, places: F64, random_state: int) -> float:
    """Log-likelihood of 30 % of the counts of each position, when they follow a cubic surface.

    Parameters
    ----------
    totals
        Counts of each position (n,).
    places
        Where positions lie on the scan (n, 2) [px].
    random_state
        Seed of the split.

    Returns
    -------
    :
        Above that of one intensity for all.
    """
    from sklearn.linear_model import PoissonRegressor

    random = np.random.default_rng([random_state, 31])
    known = random.binomial(totals.astype(np.int64), _LEARNED)
    rest = totals - known
    fitted = PoissonRegressor(alpha=0.0, max_iter=300).fit(surface(places), known)
    expected = fitted.predict(surface(places))
    mean = float(known.mean())
    change = float((expected - mean).sum()) * (1 - _LEARNED) / _LEARNED
    return float(rest @ np.log(np.maximum(expected, 1e-12) / max(mean, 1e-12))) - change
