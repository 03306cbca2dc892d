"""Mixtures of multinomials on sparse counts: EM with neighbours."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from clustem.cluster._neighbours import blocks_of, in_threads, mean_field, softmax
from clustem.cluster.mixture._signals import F64, TINY, Counted, Detector, moments_of, row_terms
from clustem.core import tick


@dataclass(frozen=True, eq=False)
class Counts:
    """Sparse counts at one level of a hierarchy of cells.

    Parameters
    ----------
    rows
        Counts of each cell, sparse CSR (n, D).
    totals
        Their sums for each signal, (n, s).
    graph
        Weights between neighbouring cells, sparse CSR (n, n); None without neighbours.
    signals
        The signals that the columns belong to.
    parents
        Cell of the next coarser level that each cell lies in, (n,); None at the coarsest.
    """

    rows: Any
    totals: F64
    graph: Any
    signals: tuple[Detector, ...]
    parents: NDArray[np.integer[Any]] | None = None

    @functools.cached_property
    def blocks(self) -> list[tuple[slice, Any]]:
        """Blocks of the rows, for threads, and where they are; they share the rows' memory."""
        return [(where, _lines(self.rows, where)) for where in blocks_of(len(self.totals))]

    @functools.cached_property
    def moments(self) -> dict[int, F64]:
        """Mean product of the values of a position, by the first column of a signal."""
        return moments_of(self.rows, self.signals)

    def of_signal(self, number: int) -> Counts:
        """Return what one signal holds, without neighbours."""
        signal = self.signals[number]
        own = replace(signal, where=slice(0, signal.where.stop - signal.where.start))
        return counts_of(self.rows[:, signal.where], None, (own,))

    def of_rows(self, rows: Any, graph: Any = None) -> Counts:
        """Wrap other cells of the same signals."""
        return counts_of(rows, graph, self.signals)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted mixture.

    Parameters
    ----------
    shapes
        Shape of each cluster, (k, D): those of each signal sum to 1; of values the means.
    rates
        Mean total of each cluster's positions, (k, s).
    weights
        Share of each cluster, (k,).
    memberships
        Responsibilities (n, k).
    concentrations
        How narrowly shapes of positions scatter around that of their cluster, (k, s): those of a
        Dirichlet distribution. None if all positions of a cluster have its shape.
    precisions
        Inverse covariance of values within clusters, for each signal; None for counts.
    energy
        Free energy: the larger the better.
    n_iter, converged
        Number of steps, and whether memberships came to rest.
    """

    shapes: F64
    rates: F64
    weights: F64
    memberships: F64
    concentrations: F64 | None = None
    precisions: tuple[F64 | None, ...] = (None,)
    energy: float = -np.inf
    n_iter: int = 0
    converged: bool = False


def _lines(rows: Any, where: slice) -> Any:
    """Return consecutive sparse rows without a copy, which slicing would make."""
    first, last = rows.indptr[where.start], rows.indptr[where.stop]
    starts = rows.indptr[where.start : where.stop + 1] - first
    shape = (where.stop - where.start, rows.shape[1])
    return csr_array((rows.data[first:last], rows.indices[first:last], starts), shape=shape)


def counts_of(rows: Any, graph: Any, signals: tuple[Detector, ...]) -> Counts:
    """Wrap sparse counts (n, D) with their totals, and weights (n, n) between neighbours."""
    if len(signals) == 1 and isinstance(signals[0], Counted):
        totals = np.asarray(rows.sum(axis=1, dtype=np.float64)).reshape(-1, 1)
    else:
        tells = np.zeros((rows.shape[1], len(signals)))
        for i, signal in enumerate(signals):
            tells[signal.where, i] = signal.tells
        totals = np.asarray(rows @ tells)
    return Counts(rows, totals, graph, signals)


def log_likelihoods(fit: Fit, counts: Counts) -> F64:
    """Log-likelihood (n, k) of each row under each cluster, that of the mean shape left out."""
    known = zip(counts.signals, fit.precisions, strict=True)
    logs = np.concatenate([signal.logs(fit.shapes, p) for signal, p in known], axis=1).T
    found: F64 = np.concatenate(in_threads(lambda block: block[1] @ logs, counts.blocks))
    for i, signal in enumerate(counts.signals):
        if signal.shared_intensity:
            rates = np.maximum(fit.rates[:, i], TINY)
            found += signal.weight * (np.outer(counts.totals[:, i], np.log(rates)) - rates)
    return found


def sums_of(memberships: F64, counts: Counts) -> F64:
    """Sum the counts of each cluster's positions, (k, D)."""
    parts = in_threads(lambda block: block[1].T @ memberships[block[0]], counts.blocks)
    found: F64 = np.ascontiguousarray(functools.reduce(np.add, parts).T)
    return found


def shaped(sums: F64, counts: Counts) -> tuple[F64, tuple[F64 | None, ...]]:
    """Return the shapes (k, D) and precisions that the sums of each cluster make."""
    shapes = np.concatenate([signal.shapes(sums) for signal in counts.signals], axis=1)
    return shapes, tuple(signal.precision(shapes, sums, counts) for signal in counts.signals)


def maximize(memberships: F64, counts: Counts) -> Fit:
    """Return the shapes, rates and weights that fit memberships best."""
    shapes, precisions = shaped(sums_of(memberships, counts), counts)
    size = memberships.sum(axis=0)
    rates = (counts.totals.T @ memberships / np.maximum(size, TINY)).T
    return Fit(shapes, rates, size / len(memberships), memberships, precisions=precisions)


def expect(evidence: F64, start: F64, fit: Fit, counts: Counts, coupling: float) -> F64:
    """Return responsibilities (n, k): with neighbours, those of a mean field."""
    if counts.graph is None or not coupling:
        found: F64 = np.empty_like(evidence)
        softmax(evidence + np.log(np.maximum(fit.weights, TINY)), found)
        return found
    return mean_field(evidence, counts.graph, coupling, start)


def em(
    start: F64,
    counts: Counts,
    *,
    coupling: float,
    max_iter: int,
    tol: float = 1e-4,
) -> Fit:
    """Alternate expectation and maximization from some memberships."""
    memberships, converged, steps = start, False, 0
    fit = maximize(memberships, counts)
    while steps < max_iter and not converged:
        steps += 1
        tick()
        new = expect(log_likelihoods(fit, counts), memberships, fit, counts, coupling)
        change = float(np.abs(new - memberships).mean())
        memberships = new
        fit = maximize(memberships, counts)
        converged = change < tol
    energy = free_energy(fit, counts, coupling)
    return replace(fit, energy=energy, n_iter=steps, converged=converged)


def free_energy(fit: Fit, counts: Counts, coupling: float) -> float:
    """Return the bound on the log-posterior that EM raises."""
    r = fit.memberships
    evidence = log_likelihoods(fit, counts)
    if counts.graph is None or not coupling:
        evidence = evidence + np.log(np.maximum(fit.weights, TINY))
        agreement = 0.0
    else:
        agreement = 0.5 * coupling * float((r * (counts.graph @ r)).sum())
    known = zip(counts.signals, fit.precisions, strict=True)
    drawn = sum(signal.drawn(fit.shapes, precision) for signal, precision in known)
    entropy = -float((r * np.log(np.maximum(r, TINY))).sum())
    apart = float(np.sum(row_terms(counts.signals, fit, counts)))
    return float((r * evidence).sum()) + agreement + entropy + drawn + apart
