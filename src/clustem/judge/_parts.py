"""Which groups some rows are, where there are surely several."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from sklearn.base import clone

from clustem.core import Features, registry
from clustem.judge._borders import places_of
from clustem.judge._finding import Finding
from clustem.judge._gaps import FIRM
from clustem.judge._independence import independent
from clustem.judge._on_scan import on_scan
from clustem.judge._sample import drawn
from clustem.judge._smooth import Surface
from clustem.judge._structure import structure
from clustem.passes.rows import Rows

F64 = NDArray[np.float64]
Where = NDArray[np.intp]
FEWEST = 40
"""Rows below which a cluster is not asked for groups of its own."""
_SQUARES = 1000
"""Squares of the scan that are asked at most."""
_LEARNED = 0.7
"""Share of the counts that shapes are fitted to."""
_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0)
"""Shares of the difference between two shapes that are tried."""
_RARE = 0.01
"""Rate at which one shape is taken for two."""
_CLEAR = 2.0
"""Standard errors by which two shapes must explain held-out counts better than one."""
_LEAST = 1e-9
"""Least membership, and least share of a channel."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Groups of rows.

    Parameters
    ----------
    labels
        Group of each row that was asked (m,); all 0 where there is one.
    places
        Where it lies on the scan (m, axes); None without a scan.
    """

    labels: Where
    places: F64 | None

    def largest(self, places: F64 | None) -> float:
        """Return the share of the largest group, rows at all places being of the nearest one's."""
        labels = self.labels
        if self.places is not None and places is not None and labels.any():
            from scipy.spatial import cKDTree

            labels = labels[cKDTree(self.places).query(places)[1]]
        return float(np.bincount(labels).max() / len(labels))


def parts_by_gaps(features: Features, own: Where, count: int, random_state: int) -> Parts:
    """Find the groups between which gaps lie beyond doubt.

    Parameters
    ----------
    features
        Rows (n, D).
    own
        Numbers of those of one cluster (m,).
    count
        Rows to use at most.
    random_state
        Seed.
    """
    numbers = own[drawn(len(own), count, random_state)]
    points = Rows.of(features.rows).take(numbers).astype(np.float64)
    alone = independent(features, features.rows.shape[0]) * len(own) / len(numbers)
    labels = _by_gaps(features, numbers, points, min(alone, 1.0))
    return Parts(labels, places_of(features, numbers) if features.scans else None)


def _by_gaps(features: Features, numbers: Where, points: F64, share: float) -> Where:
    """Return the group of each row (m,)."""
    n = len(points)
    one = np.zeros(n, dtype=np.intp)
    if n < FEWEST or not (points != points[0]).any():
        return one
    groups = structure(points, 2, random_state=0, share=share)
    found = Finding(groups, (1, 2))
    if found.parted == 1 or found.weakest < FIRM:
        return one
    if on_scan(found, features, numbers, points).trend:
        return one
    return _each(
        groups.groups.labels,
        lambda own: _by_gaps(features, numbers[own], points[own], share),
    )


def _each(labels: Where, asked: Callable[[NDArray[np.bool_]], Where]) -> Where:
    """Ask each of two groups (m,) again, and number all groups."""
    out = np.empty_like(labels)
    first, second = labels == 0, labels != 0
    out[first] = asked(first)
    out[second] = out[first].max(initial=-1) + 1 + asked(second)
    return out


def parts_by_counts(
    features: Features, counts: Any, own: Where, estimator: Any, random_state: int
) -> Parts:
    """Find the groups that have shapes of their own.

    Parameters
    ----------
    features
        Rows (n, D).
    counts
        The same rows, sparse.
    own
        Numbers of those of one cluster (m,).
    estimator
        What made the cluster: a mixture of multinomials.
    random_state
        Seed.

    Notes
    -----
    Counts are summed over squares of the scan, so that there are 1000 at most. Two clusters are
    fitted to 70 % of them. Where they explain the others better than one does, each is asked again.
    """
    alike = ("prior", "max_iter", "tol", "random_state")
    plain = registry("cluster")["MultinomialMixture"].step(
        2,
        intensity="free",
        overdispersion=False,
        n_init=1,
        coupling=0.0,
        **{name: getattr(estimator, name) for name in alike},
    )
    grid, places, rows = np.arange(len(own))[:, None], None, counts[own]
    if features.scans:
        where = places_of(features, own)
        grid, which = _squares(where.astype(np.intp))
        pool = coo_array((np.ones(len(own)), (which, np.arange(len(own))))).tocsr()
        rows, places = (pool @ rows).tocsr(), pool @ where / pool.sum(axis=1)[:, None]
        if estimator.connectivity is not None:
            plain.set_params(coupling=estimator.coupling_)
    part = rows.copy()
    kept = np.random.default_rng([random_state, 70]).binomial(rows.data.astype(np.int64), _LEARNED)
    part.data = kept.astype(np.float64)
    return Parts(_by_counts(plain, part, (rows - part).tocsr(), grid), places)


def _by_counts(estimator: Any, part: Any, rest: Any, grid: Where) -> Where:
    """Return the group of each row (m,).

    For counts of one shape the mean of ``exp(gain)`` is 1 for each share of the difference, so that
    a gain of ``log(shares / rate)`` is as rare as the rate.
    """
    n = part.shape[0]
    one = np.zeros(n, dtype=np.intp)
    if n < FEWEST or not part.nnz:
        return one
    if estimator.coupling:
        there = np.zeros(tuple(grid.max(axis=0) + 1), dtype=bool)
        there[tuple(grid.T)] = True
        estimator = clone(estimator).set_params(connectivity=~there)
    fitted = clone(estimator).fit(part)
    gain = _gain(fitted, part, rest)
    error = float(np.sqrt(n) * gain.std())
    if gain.sum() < max(_CLEAR * error, np.log(len(_SHARES) / _RARE)):
        return one
    labels = fitted.labels_.astype(np.intp)
    if grid.shape[1] == 2:
        surface = Surface.of(part, rest, grid.astype(np.float64))
        if surface.gain > gain.sum() and not surface.leaves(labels):
            return one
    inner = _without_border(labels, grid)
    return _each(
        labels,
        lambda own: _spread(
            _by_counts(estimator, part[own & inner], rest[own & inner], grid[own & inner]),
            grid[own & inner],
            grid[own],
        ),
    )


def _without_border(labels: Where, grid: Where) -> NDArray[np.bool_]:
    """Whether no cell (m,) next to one on the grid is of another group: it may hold both."""
    if grid.shape[1] == 1:
        return np.ones(len(labels), dtype=bool)
    from scipy.spatial import cKDTree

    pairs = cKDTree(grid).query_pairs(1.5, output_type="ndarray")
    mixed = pairs[labels[pairs[:, 0]] != labels[pairs[:, 1]]]
    found = np.ones(len(labels), dtype=bool)
    found[mixed.ravel()] = False
    return found


def _spread(labels: Where, known: Where, grid: Where) -> Where:
    """Give each cell of a grid the group of the nearest one that is known."""
    from scipy.spatial import cKDTree

    if not len(labels):
        return np.zeros(len(grid), dtype=np.intp)
    return np.asarray(labels[cKDTree(known).query(grid)[1]], dtype=np.intp)


def _gain(fitted: Any, part: Any, rest: Any) -> F64:
    """Return the log-likelihood (n,) of other counts of the same rows above that of one shape.

    The difference between two shapes is mostly noise where there are few counts: that share of it
    is taken which explains the other counts best.
    """
    from scipy.special import logsumexp

    total = np.asarray(part.sum(axis=0), dtype=np.float64).ravel()
    seen = np.flatnonzero(total)  # the others say nothing of a difference
    mean, found, rest = total[seen] / total.sum(), fitted.shapes_[:, seen], rest[:, seen]
    prior = np.log(np.maximum(fitted.memberships_, _LEAST))

    def gain(share: float) -> F64:
        ratio = np.log1p(np.maximum(share * (found / mean - 1), _LEAST - 1))
        return np.asarray(logsumexp(prior + rest @ ratio.T, axis=1))

    gains: Iterable[F64] = (gain(share) for share in _SHARES)
    return max(gains, key=np.sum)


def _squares(places: Where) -> tuple[Where, Where]:
    """Cover places (n, axes) by few squares; return where these lie, and the one of each place."""
    side = max(1, int((len(places) / _SQUARES) ** (1 / places.shape[1])))
    while True:
        cell = places // side
        shape = tuple(cell.max(axis=0) + 1)
        number, which = np.unique(np.ravel_multi_index(tuple(cell.T), shape), return_inverse=True)
        if len(number) <= _SQUARES:
            return np.stack(np.unravel_index(number, shape), axis=1), which
        side += 1
