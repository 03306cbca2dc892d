"""Mixtures of multinomials on sparse counts: EM with neighbours, starts from coarse to fine."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score

from clustem.cluster._neighbours import blocks_of, in_threads, mean_field, softmax
from clustem.cluster.kmeans.lloyd import lloyd, plus_plus
from clustem.core import tick

F64 = NDArray[np.float64]
_FEWEST, _MOST = 40, 900
"""Mean counts of a cell between which starts are looked for."""
_FEWEST_CELLS = 4
"""Cells of a level, for each cluster."""
_SEARCH = 0.5
"""Coupling while starts are compared: a strong one would freeze a start where it is."""
_KEPT = 5
"""Starts of each level that are refined."""
_BEAM = (3, 6, 10)
"""Best fits of a level, from the finest to coarse ones, that are handed down to the next."""
LARGE = 20_000
"""Positions above which only the best fit is handed down."""
_SAME = 0.97
"""Adjusted Rand index from which on two fits are the same one."""
_STEPS = 6
"""Steps of EM at each level."""
_TINY = 1e-12


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
        return [(where, self.rows[where]) for where in blocks_of(self.rows.shape[0])]


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


def hierarchy(counts: Counts) -> list[Counts]:
    """Pool neighbouring positions until a cell holds enough counts to be told from others.

    Parameters
    ----------
    counts
        Of the positions; without neighbours there is one level.

    Returns
    -------
    :
        The levels, the positions themselves first; each has about half the cells of the last.
    """
    from scipy.sparse import coo_array

    levels, graph = [counts], counts.graph
    while graph is not None and levels[-1].totals.mean() < _MOST:
        last = levels[-1]
        parents, m = pair_neighbours(graph.indptr, graph.indices, graph.data)
        if m < _FEWEST_CELLS or m > 0.9 * len(parents):
            break
        pool = coo_array((np.ones(len(parents)), (parents, np.arange(len(parents))))).tocsr()
        pooled = (pool @ last.rows).tocsr()
        graph = (pool @ graph @ pool.T).tocsr()
        graph.setdiag(0)
        graph.eliminate_zeros()
        levels[-1] = replace(last, parents=parents)
        levels.append(counts_of(pooled, _lighter(graph)))
    return levels


def _lighter(graph: Any) -> Any:
    """Scale the weights so that a cell has as much of them as a position of a grid."""
    graph.data *= 4 * (1 + np.sqrt(0.5)) * graph.shape[0] / max(graph.data.sum(), _TINY)
    return graph


@nb.njit(cache=True)
def pair_neighbours(indptr, indices, weights):  # type: ignore[no-untyped-def]
    """Join each cell with its closest free neighbour; return the pair of each, and their number."""
    n = len(indptr) - 1
    parents = np.full(n, -1)
    m = 0
    for i in range(n):
        if parents[i] >= 0:
            continue
        best, heaviest = -1, 0.0
        for at in range(indptr[i], indptr[i + 1]):
            j = indices[at]
            if parents[j] < 0 and j != i and weights[at] > heaviest:
                best, heaviest = j, weights[at]
        parents[i] = m
        if best >= 0:
            parents[best] = m
        m += 1
    return parents, m


def log_likelihoods(model: Model, fit: Fit, counts: Counts) -> F64:
    """Log-likelihood (n, k) of each row under each cluster, that of the mean shape left out."""
    logs = np.log(fit.shapes / model.mean).T
    found: F64 = np.concatenate(in_threads(lambda block: block[1] @ logs, counts.blocks))
    if model.shared_intensity:
        rates = np.maximum(fit.rates, _TINY)
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
    rates = (counts.totals @ memberships) / np.maximum(size, _TINY)
    shapes = sums / sums.sum(axis=1, keepdims=True)
    return Fit(shapes, rates, size / len(memberships), memberships)


def expect(evidence: F64, start: F64, fit: Fit, counts: Counts, coupling: float) -> F64:
    """Return responsibilities (n, k): with neighbours, those of a mean field."""
    if counts.graph is None or not coupling:
        found: F64 = np.empty_like(evidence)
        softmax(evidence + np.log(np.maximum(fit.weights, _TINY)), found)
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
        evidence = evidence + np.log(np.maximum(fit.weights, _TINY))
        agreement = 0.0
    else:
        agreement = 0.5 * coupling * float((r * (counts.graph @ r)).sum())
    drawn = model.prior * float((np.log(fit.shapes / model.mean) @ model.mean).sum())
    entropy = -float((r * np.log(np.maximum(r, _TINY))).sum())
    return float((r * evidence).sum()) + agreement + entropy + drawn


def search(model: Model, levels: list[Counts], k: int, *, n_init: int, seed: int) -> Fit:
    """Find the best fit of the positions, from starts at several levels.

    Parameters
    ----------
    model
        What is common to all levels.
    levels
        Of :func:`hierarchy`.
    k
        Number of clusters.
    n_init
        Number of k-means starts of each level.
    seed
        Seed of the starts.

    Returns
    -------
    :
        The fit of the highest free energy, with a weak coupling.
    """
    enough = [level for level in levels if len(level.totals) >= _FEWEST_CELLS * k]
    levels = enough or levels[:1]
    coarse = range(1, len(levels))
    wanted = [i for i in coarse if _FEWEST <= levels[i].totals.mean() <= _MOST]
    wanted = wanted or [len(levels) - 1]
    beam: list[Fit] = []
    for i in range(wanted[-1], -1, -1):
        handed_down = [fit.memberships[levels[i].parents] for fit in beam]
        starts = _starts(model, levels[i], k, n_init=n_init, seed=seed) if i in wanted else []
        beam = [
            em(model, memberships, levels[i], coupling=_SEARCH, max_iter=_STEPS)
            for memberships in (*handed_down, *(fit.memberships for fit in starts))
        ]
        large = i > 0 and len(levels[i - 1].totals) > LARGE
        beam = _others(beam)[: 1 if large else _BEAM[min(i, len(_BEAM)) - 1]]
    return beam[0]


def from_regions(model: Model, found: Fit, counts: Counts, regions: NDArray[np.intp]) -> Fit:
    """Let the first clusters start from regions (n,), -1 = none; the others as they were found."""
    from scipy.optimize import linear_sum_assignment

    k, inside = len(found.weights), regions >= 0
    count = int(regions.max()) + 1
    memberships = np.zeros((len(regions), count))
    memberships[inside, regions[inside]] = 1.0
    given = maximize(model, memberships, counts)
    roots = np.sqrt(given.shapes) @ np.sqrt(found.shapes).T  # Bhattacharyya coefficients
    _, replaced = linear_sum_assignment(-roots)
    rest = np.setdiff1d(np.arange(k), replaced)
    start = replace(
        found,
        shapes=np.concatenate([given.shapes, found.shapes[rest]]),
        rates=np.concatenate([given.rates, found.rates[rest]]),
        weights=np.full(k, 1 / k),
    )
    memberships = np.empty((len(regions), k))
    softmax(log_likelihoods(model, start, counts), memberships)
    return replace(start, memberships=memberships)


def _others(fits: list[Fit]) -> list[Fit]:
    """Sort fits, the best first, and drop those that are much the same as a better one."""
    kept: list[tuple[Fit, NDArray[np.intp]]] = []
    for fit in sorted(fits, key=lambda fit: -fit.energy):
        labels = fit.memberships.argmax(axis=1)
        if all(adjusted_rand_score(other, labels) < _SAME for _, other in kept):
            kept.append((fit, labels))
    return [fit for fit, _ in kept]


def _starts(model: Model, counts: Counts, k: int, *, n_init: int, seed: int) -> list[Fit]:
    """Cluster cells by k-means in the chi-square metric, then a few steps of EM; the best few."""
    z = _chi_square_scores(model, counts, k)
    rng = np.random.default_rng(seed)
    alone = replace(counts, graph=None)
    found = {}
    for _ in range(n_init):
        tick()
        centers = plus_plus(z, np.ones(len(z)), k, rng.random((k, 3)))
        run = lloyd(z, np.ones(len(z)), centers, max_iter=30)
        found[round(run.inertia, 6)] = run.labels  # equal ones once
    fits = []
    for labels in found.values():
        memberships = np.full((len(z), k), 0.02 / k)
        memberships[np.arange(len(z)), labels] += 0.98
        fits.append(em(model, memberships, alone, coupling=0.0, max_iter=8))
    return sorted(fits, key=lambda fit: -fit.energy)[:_KEPT]


def _chi_square_scores(model: Model, counts: Counts, k: int) -> F64:
    """Scores (n, k) on the components of ``(x - N b) / √(N b)``."""
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import LinearOperator, svds

    size = np.sqrt(np.maximum(counts.totals, _TINY))
    root = np.sqrt(model.mean)
    scaled = (diags_array(1 / size) @ counts.rows @ diags_array(1 / root)).tocsr()
    turned = scaled.T.tocsr()
    n, width = scaled.shape
    wanted = min(k, n - 1, width - 1)
    if wanted < 1:
        return np.zeros((n, 1))
    operator = LinearOperator(
        (n, width),
        matvec=lambda v: scaled @ v.ravel() - size * (root @ v.ravel()),
        rmatvec=lambda u: turned @ u.ravel() - root * (size @ u.ravel()),
        dtype=np.float64,
    )
    left, values, _ = svds(operator, k=wanted, v0=np.ones(min(n, width)))
    scores: F64 = left * values
    return scores
