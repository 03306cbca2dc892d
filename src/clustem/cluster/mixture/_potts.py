"""Gaussian mixtures of rows that have neighbours: EM with a Potts prior, and its strength."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from clustem.cluster._neighbours import blocks_of, in_threads, mean_field, softmax
from clustem.cluster.kmeans.k_means import KMeans
from clustem.cluster.mixture._course import Course
from clustem.cluster.mixture._densities import F64, Components
from clustem.cluster.mixture._levels import pair_neighbours
from clustem.cluster.mixture._steps import Expected, Steps
from clustem.cluster.mixture._workers import Workers
from clustem.core import collecting
from clustem.core.progress import tick

_LOG = logging.getLogger(__name__)
_COUPLINGS = (0.5, 0.65, 0.9, 1.3, 2.0)
"""Couplings above 0 that left-out rows choose from."""
_FOLDS = 4
"""Parts of the rows, of which one is left out while the others predict it."""
_ENOUGH = 20_000
"""Left-out rows that are enough to choose a coupling."""
_SURE = 2.0
"""Standard errors by which a coupling must predict better than none."""
_SEARCH = 0.5
"""Coupling while starts are compared: a strong one would freeze a start where it is."""
_STEPS = 8
"""Steps of EM while starts and couplings are compared."""
_RISE = 1e-4
"""Rise of the mean free energy below which a start or a coupling is compared as it is."""
ROUNDS = 20
"""Rounds of a mean field that starts from the rows alone, or is the last one."""
_POOLED = (4, 16, 64)
"""Rows that are averaged for a start: alone they may hold more noise than difference."""


@dataclass(frozen=True, eq=False)
class Potts:
    """A prior that draws rows to the components of their neighbours.

    Parameters
    ----------
    graph
        Weights between rows, sparse CSR (n, n).
    coupling
        What a neighbour of weight 1 adds to the logarithm of a membership; above 0.
    """

    graph: csr_array
    coupling: float

    def log_prior(self, memberships: F64) -> F64:
        """Log-probabilities (n, k) of the components, given the neighbours' memberships."""
        field: F64 = self.coupling * (self.graph @ memberships)
        field -= np.logaddexp.reduce(field, axis=1, keepdims=True)
        return field

    def free_energy(self, evidence: F64, memberships: F64) -> float:
        """Mean of a row's bound on the log-posterior, which EM raises."""
        g = self.graph

        def one(part: slice) -> float:
            return float(free_energy(
                evidence, g.indptr, g.indices, g.data, self.coupling, memberships,
                part.start, part.stop,
            ))  # fmt: skip

        return float(sum(in_threads(one, blocks_of(len(evidence))))) / len(evidence)


@dataclass(frozen=True, eq=False)
class _Found(Course):
    """How one start went, ``bound`` being the mean free energy of a row.

    Parameters
    ----------
    evidence
        Log-densities (n, k) of the rows under each component.
    """

    evidence: F64


def with_neighbours(
    steps: Steps, pool: Workers, start: F64, potts: Potts, *, max_iter: int, tol: float
) -> Course:
    """Return the mixture with neighbours that a start leads to.

    Parameters
    ----------
    steps
        Of the rows.
    pool
        Threads.
    start
        Memberships (n, k).
    potts
        What neighbours mean.
    max_iter, tol
        Most steps, and the change of the mean free energy at which they end.

    Returns
    -------
    :
        The course; its bound is the mean log-density of a row given its neighbours.
    """
    found = _run(steps, pool, start, potts, max_iter=max_iter, tol=tol)
    density = np.logaddexp.reduce(found.evidence + potts.log_prior(found.memberships), axis=1)
    bound = float(density.mean())
    return Course(found.parts, found.memberships, bound, found.n_iter, found.converged)


def best_start(
    steps: Steps, pool: Workers, starts: list[F64], graph: csr_array, most: float = _SEARCH
) -> F64:
    """Return the memberships (n, k) of largest free energy after a few steps from each start.

    Parameters
    ----------
    steps
        Of the rows.
    pool
        Threads.
    starts
        Memberships (n, k); a single one is returned as it is.
    graph
        Weights between rows.
    most
        Coupling that is not to be exceeded; a weak one is used anyway.
    """
    if len(starts) == 1:
        return starts[0]
    weak = Potts(graph, min(most, _SEARCH))
    best, highest = starts[0], -np.inf
    for start in starts:
        found = _run(steps, pool, start, weak, max_iter=_STEPS, tol=_RISE)
        if found.bound > highest:
            best, highest = found.memberships, found.bound
    return best


def best_coupling(
    steps: Steps, pool: Workers, alone: Course, start: F64, graph: csr_array, seed: int
) -> float:
    """Choose the coupling whose neighbours predict rows best that are left out themselves.

    Parameters
    ----------
    steps
        Of the rows.
    pool
        Threads.
    alone
        The mixture without neighbours.
    start
        Memberships (n, k) of :func:`best_start`.
    graph
        Weights between rows.
    seed
        Seed of the parts of the rows that are left out.

    Returns
    -------
    :
        A coupling; 0 unless one predicts better by more than its standard error allows.

    Notes
    -----
    A row's own values would come back to it through the memberships of its neighbours, and in pure
    noise any coupling would seem to predict. So a fourth of the rows has no values while the field
    comes to rest; the means and covariances are those of all rows, as for coupling 0.
    """
    k = len(alone.parts.weights)
    seen = steps.expect(pool, alone.parts, alone.memberships.argmax(axis=1))
    base = np.logaddexp.reduce(
        _log_densities(seen, alone.parts) + np.log(alone.parts.weights), axis=1
    )
    fold = np.random.default_rng(seed).permutation(len(base)) % _FOLDS
    used = fold < max(1, -(-_ENOUGH * _FOLDS // len(base)))
    best, coupling = 0.0, 0.0
    for candidate in _COUPLINGS:
        potts = Potts(graph, candidate)
        evidence = _run(steps, pool, start, potts, max_iter=_STEPS, tol=_RISE).evidence
        gain = np.zeros(len(base))
        for part in range(_FOLDS):
            left_out = fold == part
            if not used[left_out].any():
                continue
            prior = _prior_of_left_out(evidence, left_out, potts)
            gain[left_out] = np.logaddexp.reduce(evidence[left_out] + prior, axis=1)
        gain = (gain - base)[used]
        error = float(gain.std() * np.sqrt(len(gain)))
        _LOG.debug("coupling %g predicts better by %.4g, error %.2g", candidate, gain.sum(), error)
        if k > 1 and gain.sum() > max(best, _SURE * error):
            best, coupling = float(gain.sum()), candidate
    return coupling


def pooled_starts(x: NDArray[np.floating], graph: csr_array, k: int, seed: int) -> Iterator[F64]:
    """Yield memberships (n, k) from k-means of rows that are averaged with their neighbours."""
    parents, means, sizes = np.arange(len(x)), x, np.ones(len(x))
    for level in range(1, max(_POOLED).bit_length()):
        pairs, m = pair_neighbours(graph.indptr, graph.indices, graph.data)
        if m < 8 * k or m > 0.9 * len(pairs):
            return
        pool = coo_array((np.ones(len(pairs)), (pairs, np.arange(len(pairs))))).tocsr()
        total = pool @ sizes
        share = coo_array((sizes / total[pairs], (pairs, np.arange(len(pairs))))).tocsr()
        means, sizes, parents = share @ means, total, pairs[parents]
        graph = csr_array(pool @ graph @ pool.T)
        graph.setdiag(0)
        graph.eliminate_zeros()
        if 2**level in _POOLED:
            with collecting():  # a start need not be certain
                labels = KMeans(k, n_init=5, random_state=seed).fit(means).labels_
            yield np.eye(k)[labels[parents]]


def _run(
    steps: Steps, pool: Workers, memberships: F64, potts: Potts, *, max_iter: int, tol: float
) -> _Found:
    parts, guess = steps.maximize(pool, memberships), memberships.argmax(axis=1)
    seen, bound, converged, n_iter = None, -np.inf, False, 0
    while not converged and n_iter < max_iter:
        tick()
        n_iter += 1
        seen = steps.expect(pool, parts, guess, seen)
        evidence = _log_densities(seen, parts)
        memberships = mean_field(evidence, potts.graph, potts.coupling, memberships)
        before, bound = bound, potts.free_energy(evidence, memberships)
        parts = steps.maximize(pool, memberships, parts)
        guess = memberships.argmax(axis=1)
        converged = abs(bound - before) < tol
        _LOG.debug("step %d: mean free energy %.8g", n_iter, bound)
    evidence = _log_densities(steps.expect(pool, parts, guess, seen), parts)
    memberships = mean_field(evidence, potts.graph, potts.coupling, memberships, rounds=ROUNDS)
    bound = potts.free_energy(evidence, memberships)
    return _Found(parts, memberships, bound, n_iter, converged, evidence)


def _log_densities(seen: Expected, parts: Components) -> F64:
    """Log-densities (n, k) under the components; -inf where a membership is 0 without neighbours.

    The field of neighbours is far too weak to make up for that.
    """
    with np.errstate(divide="ignore"):
        found: F64 = np.log(seen.memberships)
    found += seen.density[:, None]
    found -= np.log(parts.weights)
    return found


def _prior_of_left_out(evidence: F64, left_out: NDArray[np.bool_], potts: Potts) -> F64:
    """Log-probabilities (m, k) of the left-out rows in a field that does not know their values."""
    known = np.where(left_out[:, None], 0.0, evidence)
    start = np.empty_like(known)
    softmax(known, start)
    memberships = mean_field(known, potts.graph, potts.coupling, start, rounds=ROUNDS)
    return potts.log_prior(memberships)[left_out]


@numba.njit(nogil=True, cache=True)
def free_energy(  # a kernel takes arrays one by one
    evidence: F64,
    indptr: NDArray[np.integer],
    indices: NDArray[np.integer],
    weights: F64,
    coupling: float,
    memberships: F64,
    first: int,
    last: int,
) -> float:
    """Sum of evidence, half the agreement with neighbours, and entropy of some rows."""
    total = 0.0
    for i in range(first, last):
        for j in range(evidence.shape[1]):
            share = memberships[i, j]
            if share <= 0.0:
                continue
            agreement = 0.0
            for at in range(indptr[i], indptr[i + 1]):
                agreement += weights[at] * memberships[indices[at], j]
            total += share * (evidence[i, j] + 0.5 * coupling * agreement - np.log(share))
    return total
