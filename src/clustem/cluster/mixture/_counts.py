"""Mixtures of multinomials on sparse counts: EM with neighbours."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.cluster._neighbours import blocks_of, in_threads, mean_field, softmax
from clustem.core import tick

F64 = NDArray[np.float64]
TINY = 1e-12
"""Least number that is divided by, or whose logarithm is taken."""


@dataclass(frozen=True, eq=False)
class Counts:
    """Sparse counts at one level of a hierarchy of cells.

    Parameters
    ----------
    rows
        Counts of each cell, sparse CSR (n, D).
    totals
        Their sums, (n,).
    graph
        Weights between neighbouring cells, sparse CSR (n, n); None without neighbours.
    parents
        Cell of the next coarser level that each cell lies in, (n,); None at the coarsest.
    """

    rows: Any
    totals: F64
    graph: Any
    parents: NDArray[np.int64] | None = None

    @functools.cached_property
    def blocks(self) -> list[tuple[slice, Any]]:
        """Blocks of the rows, for threads, and where they are."""
        return [(where, self.rows[where]) for where in blocks_of(len(self.totals))]


@dataclass(frozen=True, eq=False)
class Model:
    """What is common to all levels.

    Parameters
    ----------
    mean
        Mean shape of all counts, (D,), all above 0, sum 1.
    prior
        Number of counts of the mean shape that each cluster starts with.
    shared_intensity
        Whether the total of a cell counts, too.
    """

    mean: F64
    prior: float
    shared_intensity: bool


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted mixture.

    Parameters
    ----------
    shapes
        Shape of each cluster, (k, D), rows sum to 1.
    rates
        Mean total of each cluster's positions, (k,).
    weights
        Share of each cluster, (k,).
    memberships
        Responsibilities (n, k).
    concentrations
        How narrowly shapes of positions scatter around that of their cluster, (k,): those of a
        Dirichlet distribution. None if all positions of a cluster have its shape.
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
    energy: float = -np.inf
    n_iter: int = 0
    converged: bool = False


def counts_of(rows: Any, graph: Any) -> Counts:
    """Wrap sparse counts (n, D) with their totals, and weights (n, n) between neighbours."""
    return Counts(rows, np.asarray(rows.sum(axis=1)).ravel(), graph)


def log_likelihoods(model: Model, fit: Fit, counts: Counts) -> F64:
    """Log-likelihood (n, k) of each row under each cluster, that of the mean shape left out."""
    logs = np.log(fit.shapes / model.mean).T
    found: F64 = np.concatenate(in_threads(lambda block: block[1] @ logs, counts.blocks))
    if model.shared_intensity:
        rates = np.maximum(fit.rates, TINY)
        found += np.outer(counts.totals, np.log(rates)) - rates
    return found


def sums_of(memberships: F64, counts: Counts) -> F64:
    """Sum the counts of each cluster's positions, (k, D)."""
    parts = in_threads(lambda block: block[1].T @ memberships[block[0]], counts.blocks)
    found: F64 = np.ascontiguousarray(functools.reduce(np.add, parts).T)
    return found


def maximize(model: Model, memberships: F64, counts: Counts) -> Fit:
    """Return the shapes, rates and weights that fit memberships best."""
    sums = sums_of(memberships, counts) + model.prior * model.mean
    size = memberships.sum(axis=0)
    rates = (counts.totals @ memberships) / np.maximum(size, TINY)
    shapes = sums / sums.sum(axis=1, keepdims=True)
    return Fit(shapes, rates, size / len(memberships), memberships)


def expect(evidence: F64, start: F64, fit: Fit, counts: Counts, coupling: float) -> F64:
    """Return responsibilities (n, k): with neighbours, those of a mean field."""
    if counts.graph is None or not coupling:
        found: F64 = np.empty_like(evidence)
        softmax(evidence + np.log(np.maximum(fit.weights, TINY)), found)
        return found
    return mean_field(evidence, counts.graph, coupling, start)


def em(
    model: Model,
    start: F64,
    counts: Counts,
    *,
    coupling: float,
    max_iter: int,
    tol: float = 1e-4,
) -> Fit:
    """Alternate expectation and maximization from some memberships."""
    memberships, converged, steps = start, False, 0
    fit = maximize(model, memberships, counts)
    while steps < max_iter and not converged:
        steps += 1
        tick()
        new = expect(log_likelihoods(model, fit, counts), memberships, fit, counts, coupling)
        change = float(np.abs(new - memberships).mean())
        memberships = new
        fit = maximize(model, memberships, counts)
        converged = change < tol
    energy = free_energy(model, fit, counts, coupling)
    return replace(fit, energy=energy, n_iter=steps, converged=converged)


def free_energy(model: Model, fit: Fit, counts: Counts, coupling: float) -> float:
    """Return the bound on the log-posterior that EM raises."""
    r = fit.memberships
    evidence = log_likelihoods(model, fit, counts)
    if counts.graph is None or not coupling:
        evidence = evidence + np.log(np.maximum(fit.weights, TINY))
        agreement = 0.0
    else:
        agreement = 0.5 * coupling * float((r * (counts.graph @ r)).sum())
    drawn = model.prior * float((np.log(fit.shapes / model.mean) @ model.mean).sum())
    entropy = -float((r * np.log(np.maximum(r, TINY))).sum())
    return float((r * evidence).sum()) + agreement + entropy + drawn
