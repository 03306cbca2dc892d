"""Spectra that clusters make positions expect, and how far positions are from them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from clustem.core import tick
from clustem.judge._scan_counts import ScanCounts

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]

_AROUND = 7
"""Side of the window around a position whose clusters it may hold [px]."""
_PRIOR = 10.0
"""Counts that the shares of the clusters in that window are worth."""
_STEPS = 30
"""Steps of EM for the shares of a position."""
_STILL = 2e-3
"""Change of a share at which EM stops."""
_INNER = 0.1
"""Share of a cluster's positions that must lie inside it for its shape to come from these."""
_WEAK = 1.0
"""Counts of the mean shape that are added to each cluster's."""
_ROUNDS = 10
"""Rounds in which shapes and shares are fitted in turn."""
_GRID = 32
"""Numbers of counts at which deviances are drawn."""
_DRAWS = 400
"""Spectra drawn of each cluster."""
_DRAWN = 2**19
"""Most values of all spectra drawn at a time."""


@dataclass(frozen=True, eq=False)
class Expected:
    """What clusters make positions expect.

    Attributes
    ----------
    shapes
        Shape of each cluster, float64 (k, channels), all above 0, rows sum to 1.
    around
        Shares of the clusters in a window around each position, float32 (n, k).
    """

    shapes: F64
    around: F32


def expected(counts: ScanCounts, labels: NDArray[np.integer[Any]], k: int) -> Expected:
    """Find the shapes of clusters from positions inside them, and which clusters are near.

    Parameters
    ----------
    counts
        The counts.
    labels
        Cluster of each position, on the grid; negative = none.
    k
        Number of clusters.
    """
    around, inside = _near(counts, labels, k)
    width = len(counts.kept)
    mean = counts.pooled(counts.values, np.arange(len(around))) + 1.0 / width
    weak = _WEAK * mean / mean.sum()
    normed = partial(_normed, weak)
    sums = np.array([counts.pooled(counts.values, counts.number[chosen]) for chosen in inside])
    model = Expected(normed(sums), around)
    several = np.flatnonzero(np.count_nonzero(around, axis=1) > 1)
    if not len(several):
        return model
    alone = np.flatnonzero(np.count_nonzero(around, axis=1) == 1)
    pure = [counts.pooled(counts.values, alone[around[alone, i] > 0]) for i in range(k)]
    for _ in range(_ROUNDS):
        tick()
        sums = np.array(pure)
        turned = np.ascontiguousarray(model.shapes.T)
        _refit(counts.rows(), turned, around, several, sums)
        model = Expected(normed(sums), around)
    return model


def expected_of(
    counts: ScanCounts, labels: NDArray[np.integer[Any]], shapes: F64, totals: F64
) -> Expected:
    """Take the shapes of clusters from elsewhere, and from a map only which of them are near.

    Parameters
    ----------
    counts, labels
        As for :func:`expected`.
    shapes
        Shapes of the clusters (k, channels).
    totals
        Counts that each was found from, (k,).
    """
    mean = counts.pooled(counts.values, np.arange(len(counts.starts) - 1)) + 1.0 / shapes.shape[1]
    sums = shapes * totals[:, None]
    return Expected(_normed(_WEAK * mean / mean.sum(), sums), _near(counts, labels, len(shapes))[0])


def _normed(weak: F64, sums: F64) -> F64:
    return np.asarray((sums + weak) / (sums.sum(axis=1, keepdims=True) + _WEAK))


def _near(
    counts: ScanCounts, labels: NDArray[np.integer[Any]], k: int
) -> tuple[F32, NDArray[np.bool_]]:
    """Shares of the clusters around each position (n, k), and the insides of clusters (k, grid)."""
    from scipy.ndimage import minimum_filter, uniform_filter

    there = counts.number >= 0
    around = np.empty((int(there.sum()), k), dtype=np.float32)
    inside = np.zeros((k, *labels.shape), dtype=bool)
    own = [(labels == i) & there for i in range(k)]
    for i in range(k):
        share = uniform_filter(own[i].astype(np.float32), _AROUND, mode="constant")
        around[:, i] = np.maximum(share[there], 0.0)
        inside[i] = own[i] & minimum_filter(own[i] | ~there, 3, mode="nearest")
        if inside[i].sum() < max(_INNER * own[i].sum(), 1):
            inside[i] = own[i]
    around[around < 0.5 / _AROUND**2] = 0.0
    around[~around.any(axis=1)] = 1.0
    around /= around.sum(axis=1, keepdims=True)
    return around, inside


@nb.njit(cache=True, nogil=True)
def _refit(rows, shapes, around, several, sums):  # type: ignore[no-untyped-def]
    """Fit the shares of some positions, and add up which counts each cluster explains."""
    starts, channels, values = rows
    k = around.shape[1]
    near, weights, _ = room = np.empty(k, np.int64), np.empty(k), np.empty(k)
    for i in several:
        count = _fitted(rows, i, shapes, around, room)
        for at in range(starts[i], starts[i + 1]):
            d = channels[at]
            mixed = 0.0
            for j in range(count):
                mixed += weights[j] * shapes[d, near[j]]
            for j in range(count):
                sums[near[j], d] += values[at] * weights[j] * shapes[d, near[j]] / mixed


def shares(counts: ScanCounts, values: NDArray[np.int32], model: Expected) -> tuple[F32, F64]:
    """Fit the share of each nearby cluster in each position.

    Returns
    -------
    :
        Shares, float32 (n, k), and deviances ``2 Σ x ln(x / (N p))``, float64 (n,).
    """
    found = model.around.copy()
    deviance = np.zeros(len(found))
    _shares(counts.rows(values), np.ascontiguousarray(model.shapes.T), found, deviance)
    return found, deviance


@nb.njit(cache=True, nogil=True)
def _shares(rows, shapes, around, deviance):  # type: ignore[no-untyped-def]
    starts, channels, values = rows
    k = around.shape[1]
    near, weights, _ = room = np.empty(k, np.int64), np.empty(k), np.empty(k)
    for i in range(len(deviance)):
        count = _fitted(rows, i, shapes, around, room)
        for j in range(count):
            around[i, near[j]] = weights[j]
        total = 0.0
        for at in range(starts[i], starts[i + 1]):
            total += values[at]
        for at in range(starts[i], starts[i + 1]):
            mixed = 0.0
            for j in range(count):
                mixed += weights[j] * shapes[channels[at], near[j]]
            if values[at] > 0:
                deviance[i] += 2 * values[at] * np.log(values[at] / (total * mixed))


@nb.njit(cache=True, nogil=True)
def _fitted(rows, i, shapes, around, room):  # type: ignore[no-untyped-def]
    """Find nearby clusters of a position and, by EM, their shares; return their number."""
    (starts, channels, values), (near, weights, new) = rows, room
    count = 0
    for j in range(around.shape[1]):
        if around[i, j] > 0:
            near[count], weights[count] = j, around[i, j]
            count += 1
    if count == 1 or starts[i] == starts[i + 1]:
        return count
    for _ in range(_STEPS):
        total, change = 0.0, 0.0
        for j in range(count):
            new[j] = _PRIOR * around[i, near[j]]
        for at in range(starts[i], starts[i + 1]):
            d = channels[at]
            mixed = 0.0
            for j in range(count):
                mixed += weights[j] * shapes[d, near[j]]
            for j in range(count):
                new[j] += values[at] * weights[j] * shapes[d, near[j]] / mixed
        for j in range(count):
            total += new[j]
        for j in range(count):
            change = max(change, abs(new[j] / total - weights[j]))
            weights[j] = new[j] / total
        if change < _STILL:
            break
    return count


def standardized(
    deviance: F64, totals: NDArray[np.int64], found: F32, shapes: F64, random: np.random.Generator
) -> F64:
    """Subtract from deviances what is expected of as many counts, in units of the scatter.

    Parameters
    ----------
    deviance, totals
        Of each position, (n,).
    found
        Shares of the clusters, (n, k).
    shapes
        Shapes of the clusters, (k, channels).
    random
        Random number generator.

    Returns
    -------
    :
        Standardised deviances (n,), 0 where there are no counts.

    Notes
    -----
    Parametric bootstrap: spectra are drawn from each cluster, count by count, and their deviances
    noted at numbers of counts that are evenly spaced on a logarithmic scale.
    """
    if not totals.any():
        return np.zeros(len(totals))
    there = totals > 0
    grid = np.geomspace(totals[there].min(), totals.max(), _GRID)
    grid = np.unique(np.rint(grid).astype(np.int64))
    mean, square = np.zeros((2, len(totals)))
    place = np.log(np.maximum(totals, 1))
    for share, shape in zip(found.T, shapes, strict=True):
        if share.any():
            middle, spread = _drawn(shape, grid, random)
            at = np.interp(place, np.log(grid), middle)
            mean += share * at
            square += share * np.interp(place, np.log(grid), spread) ** 2
    return np.where(there, (deviance - mean) / np.sqrt(np.maximum(square, 1e-12)), 0.0)


def _drawn(shape: F64, grid: NDArray[np.int64], random: np.random.Generator) -> tuple[F64, F64]:
    """Mean and standard deviation of the deviance at each number of counts."""
    width = len(shape)
    draws = int(np.clip(_DRAWN // width, 32, _DRAWS))
    spectra = np.zeros((draws, width), dtype=np.int32)
    rising = np.cumsum(shape)
    rising /= rising[-1]
    mean, spread = np.empty((2, len(grid)))
    base = np.arange(draws) * width
    last = 0
    for i, total in enumerate(grid.tolist()):
        more, last = total - last, total
        if more > width:
            spectra += random.multinomial(more, shape / shape.sum(), size=draws)
        else:
            place = np.searchsorted(rising, random.random((draws, more))) + base[:, None]
            spectra += np.bincount(place.ravel(), minlength=spectra.size).reshape(spectra.shape)
        deviances = _deviances(spectra, shape, float(total))
        mean[i], spread[i] = deviances.mean(), deviances.std()
    return mean, spread


@nb.njit(cache=True, nogil=True)
def _deviances(spectra, shape, total):  # type: ignore[no-untyped-def]
    found = np.zeros(len(spectra))
    for i in range(len(spectra)):
        for d in range(len(shape)):
            x = spectra[i, d]
            if x > 0:
                found[i] += 2 * x * np.log(x / (total * shape[d]))
    return found
