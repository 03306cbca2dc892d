"""Clusters of numbers on a line: the absolute minimum, or a bound on how far it can be."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.kmeans1d._kernels import (
    best_centers,
    best_intervals,
    convex_center,
    nearest_best,
)
from clustem.core.progress import tick

F64 = NDArray[np.float64]

CUT_MEMORY = 2**25
"""Cuts kept for p = 1 and 2; with k of them per value, the number of values is exact up to this."""
_CONCAVE, _CONVEX = 16384, 512  # different values up to which other p are exact
_BINS = 8192  # beyond, for p below 1
_AROUND = 8  # points that a step of the descent tries on each side of a center
_ROUNDS, _SLIGHT = 100, 1e-10  # of the descent: most steps, and relative gain that ends it


@dataclass(frozen=True)
class Optimum:
    """Centers of numbers, and how good they are.

    Parameters
    ----------
    centers
        Rising, (k,).
    cost
        ``Σ w |x - c|^p`` with the nearest center of each value.
    bound
        The least cost possible is at least this.
    exact
        Whether the centers are the optimum, up to rounding.
    """

    centers: F64
    cost: float
    bound: float
    exact: bool

    @property
    def gap(self) -> float:
        """Share of the least cost possible by which the cost may exceed it."""
        if self.exact or self.cost == self.bound:
            return 0.0
        return self.cost / self.bound - 1 if self.bound > 0 else float("inf")


def exact_limit(p: float, k: int) -> int:
    """Return the number of different values up to which k clusters are found exactly.

    Examples
    --------
    >>> exact_limit(0.5, 10), exact_limit(1, 10), exact_limit(3, 10)
    (16384, 3355443, 512)
    """
    if p in (1, 2):
        return CUT_MEMORY // k
    return _CONCAVE if p < 1 else _CONVEX


def optimum(values: F64, weights: F64, k: int, p: float) -> Optimum:
    """Find k centers of least cost ``Σ w |x - c|^p``.

    Parameters
    ----------
    values
        Different numbers (m,), rising.
    weights
        Their weights (m,), above 0.
    k
        Number of clusters, at most m.
    p
        Power, above 0.

    Returns
    -------
    :
        The optimum; above :func:`exact_limit` that of binned values, improved on all of them.

    Notes
    -----
    Bins join up to 2 m / B neighbours within 2 / B of the range (B of them). For p below 1 the
    bound is the optimum of serving each bin at the gap between it and the center's bin. Above, it
    is Minkowski's inequality: p-th roots of costs differ by no more than that of moving each value
    to its bin.

    Examples
    --------
    >>> optimum(np.array([0.0, 1.0, 5.0]), np.ones(3), 2, 0.5).centers.tolist()
    [0.0, 5.0]
    """
    origin, span = values[0], (values[-1] - values[0]) or 1.0
    x = (values - origin) / span
    exact = len(x) <= exact_limit(p, k)
    if exact:
        centers = _exact(x, weights, k, p)
        centers = centers if p < 1 else _descended(x, weights, centers, p)
        cost = bound = cost_of(x, weights, centers, p)
    else:
        bins = _Bins.of(x, weights, _BINS if p < 1 else exact_limit(p, k))
        rough = _exact(bins.middle, bins.weight, k, p)
        centers = _descended(x, weights, rough, p)
        cost = cost_of(x, weights, centers, p)
        bound = min(bins.bound(x, weights, rough, p, cost), cost)
    found = values[np.searchsorted(x, centers)] if p <= 1 else origin + centers * span
    return Optimum(found, cost * span**p, bound * span**p, exact)


def nearest_center(values: F64, centers: F64) -> NDArray[np.intp]:
    """Return the number of the nearest of rising centers (k,) for each value; ties: the lower.

    Examples
    --------
    >>> nearest_center(np.array([0.0, 1.9, 2.0, 9.0]), np.array([1.0, 3.0]))
    array([0, 0, 0, 1])
    """
    return np.searchsorted(centers[:-1] + np.diff(centers) / 2, values)


def cost_of(x: F64, weights: F64, centers: F64, p: float) -> float:
    """Cost of values (m,) with weights, each at its nearest center."""
    distance = np.abs(x - centers[nearest_center(x, centers)])
    return float(weights @ distance**p)


def _exact(x: F64, weights: F64, k: int, p: float) -> F64:
    if p < 1:
        medians = _descended(x, weights, _exact(x, weights, k, 1.0), p)
        bound = cost_of(x, weights, medians, p) * (1 + 1e-9)
        chosen: F64 = x[best_centers(x, x, weights, k, p, bound)[1]]
        return chosen
    starts = best_intervals(x, weights, k, p)
    return _centers_of(x, weights, np.append(starts, len(x)), p)


def _centers_of(x: F64, weights: F64, edges: NDArray[np.intp], p: float) -> F64:
    """Best center of each interval between edges (k + 1,), for p of at least 1."""
    found = np.empty(len(edges) - 1)
    for i, (first, end) in enumerate(pairwise(edges)):
        own, weight = x[first:end], weights[first:end]
        if p == 1:
            running = np.cumsum(weight)
            found[i] = own[np.searchsorted(running, running[-1] / 2)]
        else:
            mean = float(weight @ own / weight.sum())
            found[i] = mean if p == 2 else convex_center(own, weight, p, mean)
    return found


@dataclass(frozen=True)
class _Bins:
    """Neighbouring values joined: ends (B,), a value near the mean of each, weight, members."""

    low: F64
    high: F64
    middle: F64
    weight: F64
    size: NDArray[np.intp]

    @classmethod
    def of(cls, x: F64, weights: F64, most: int) -> _Bins:
        """Join values (m,) from 0 to 1 to no more than a number of bins."""
        m = len(x)
        place = (np.arange(m) / m + x) / 2  # half by number, half by distance; rises from 0 to 1
        number = np.minimum((place * most).astype(np.intp), most - 1)
        first = np.flatnonzero(np.diff(number, prepend=-1))
        size = np.diff(first, append=m)
        total = np.add.reduceat(weights, first)
        mean = np.add.reduceat(weights * x, first) / total
        after = np.clip(np.searchsorted(x, mean), first, first + size - 1)
        ahead = np.maximum(after - 1, first)
        middle = np.where(x[after] - mean < mean - x[ahead], x[after], x[ahead])
        return cls(x[first], x[first + size - 1], middle, total, size)

    def bound(self, x: F64, weights: F64, centers: F64, p: float, cost: float) -> float:
        """Return what k centers of all values cost at least; ``centers`` are those of the bins."""
        if p < 1:
            found, _ = best_centers(self.low, self.high, self.weight, len(centers), p, cost)
            return float(found)
        moved = float(weights @ np.abs(x - np.repeat(self.middle, self.size)) ** p)
        rough = cost_of(self.middle, self.weight, centers, p)
        return float(max(rough ** (1 / p) - moved ** (1 / p), 0.0) ** p)


def _descended(x: F64, weights: F64, centers: F64, p: float) -> F64:
    """Improve centers on all values until nothing changes."""
    cost = cost_of(x, weights, centers, p)
    for _ in range(_ROUNDS):
        tick()
        cuts = np.searchsorted(x, centers[:-1] + np.diff(centers) / 2, side="right")
        edges = np.concatenate([[0], cuts, [len(x)]])
        if (np.diff(edges) == 0).any():  # a center that serves nothing any more
            break
        if p < 1:
            at = np.searchsorted(x, centers)
            spans = zip(edges[:-1], edges[1:], at, strict=True)
            new = x[[nearest_best(x, weights, a, b, c, p, _AROUND) for a, b, c in spans]]
        else:
            new = _centers_of(x, weights, edges, p)
        new_cost = cost_of(x, weights, new, p)
        if not new_cost < (1 - _SLIGHT) * cost:
            break
        centers, cost = new, new_cost
    return centers
