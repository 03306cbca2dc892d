"""Neighbouring rows in a fit: a Potts prior, whose posterior is taken as a mean field."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, TypeVar

import numba
import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from scipy.sparse import csr_array

from clustem.core import InputError, tick
from clustem.labelmaps.grid_graph import grid_graph
from clustem.passes.threads import cores

S = TypeVar("S")
T = TypeVar("T")
F64 = NDArray[np.float64]
Coupling = Annotated[float, Ge(0), Le(1000)]
"""What a neighbour of weight 1 counts; beyond 1000, values of a row would be lost in rounding."""
_BLOCK = 4096
"""Rows that a thread works on at a time, at least."""
_MOST_BLOCKS = 64
"""Blocks of rows, at most."""
_CERTAIN = 30.0
"""Logarithm of odds from which on nothing else is drawn."""
_AT_REST = 1e-3
"""Largest change of a membership at which a mean field has come to rest."""


def is_mask(connectivity: Any, n: int) -> bool:
    """Whether neighbours are those of n positions that a boolean mask leaves in."""
    found = getattr(connectivity, "dtype", None) == np.bool_ and hasattr(connectivity, "ndim")
    return bool(found and connectivity.size - np.count_nonzero(connectivity) == n)


def checked_graph(connectivity: Any, n: int) -> csr_array | None:
    """Return weights between n rows as a sparse graph; None for none.

    Raises
    ------
    InputError
        If it has another shape, is not symmetric, or has weights below 0 or not finite.
    """
    if connectivity is None:
        return None
    if is_mask(connectivity, n):
        return grid_graph(connectivity)
    graph = csr_array(connectivity, dtype=np.float64)
    got = ""
    if graph.shape != (n, n):
        got = f"shape {graph.shape}"
    elif not np.isfinite(graph.data).all() or (graph.data < 0).any():
        got = "weights below 0, NaN or infinite ones"
    elif _asymmetry(*_sorted(graph)) > 1e-9 * graph.data.sum():
        got = "another weight from j to i than from i to j"
    if got:
        raise InputError(
            f"connectivity must be a symmetric matrix of weights of at least 0 for {n} rows",
            got=got,
            cure="Make it of the same mask: labelmaps.grid_graph(mask).",
        )
    return graph


def _sorted(graph: csr_array) -> tuple[NDArray[Any], NDArray[Any], F64]:
    """Return pointers, neighbours in rising order and weights, of a copy where that is needed."""
    kept = graph if graph.has_canonical_format else graph.copy()
    kept.sum_duplicates()
    return kept.indptr, kept.indices, kept.data


@numba.njit(nogil=True, cache=True)
def _asymmetry(indptr: NDArray[Any], indices: NDArray[Any], weights: F64) -> float:
    """Sum the differences of each weight and the one of the other direction."""
    total = 0.0
    for i in range(len(indptr) - 1):
        for at in range(indptr[i], indptr[i + 1]):
            first, last = indptr[indices[at]], indptr[indices[at] + 1]
            back = first + np.searchsorted(indices[first:last], i)
            other = weights[back] if back < last and indices[back] == i else 0.0
            total += abs(weights[at] - other)
    return total


def mean_field(
    evidence: F64, graph: csr_array, coupling: float, start: F64, *, rounds: int = 4
) -> F64:
    """Return memberships (n, k) given those of the neighbours, after some rounds.

    Parameters
    ----------
    evidence
        Log-likelihood of each row under each cluster, (n, k).
    graph
        Weights between rows, (n, n).
    coupling
        What a neighbour of weight 1 adds to the logarithm of the membership in its cluster.
    start
        Memberships to start from, (n, k); they are left as they are.
    rounds
        Most rounds; in each, all rows change at once.
    """
    field, other = start, np.empty_like(start)
    for _ in range(rounds):
        old, new = field, other

        def one(part: slice, old: F64 = old, new: F64 = new) -> float:
            edges = (graph.indptr, graph.indices, graph.data)
            return step(evidence, *edges, coupling, old, new, part.start, part.stop)

        change = max(in_threads(one, blocks_of(len(start))))
        field, other = new, (np.empty_like(start) if old is start else old)
        if change < _AT_REST:
            break
    return field


def blocks_of(n: int) -> list[slice]:
    """Return blocks of n rows for threads to work on: the same with any number of them."""
    size = max(_BLOCK, -(-n // _MOST_BLOCKS))
    return [slice(at, min(at + size, n)) for at in range(0, n, size)]


def in_threads(work: Callable[[S], T], tasks: Sequence[S]) -> list[T]:
    """Return what work gives for each task, in their order."""
    if len(tasks) == 1 or cores() == 1:
        return [work(task) for task in tasks]
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(work, tasks))


@numba.njit(nogil=True, cache=True)
def softmax(values: F64, out: F64) -> None:
    """Write the exponentials of each row, divided by their sum, to ``out``."""
    n, k = values.shape
    for i in range(n):
        highest = values[i, 0]
        for j in range(1, k):
            highest = max(highest, values[i, j])
        total = 0.0
        for j in range(k):
            out[i, j] = np.exp(values[i, j] - highest)
            total += out[i, j]
        for j in range(k):
            out[i, j] /= total


@numba.njit(nogil=True, cache=True)
def step(  # a kernel takes arrays one by one
    evidence: F64,
    indptr: NDArray[Any],
    indices: NDArray[Any],
    weights: F64,
    coupling: float,
    field: F64,
    out: F64,
    first: int,
    last: int,
) -> float:
    """Write the memberships of some rows given the field's to ``out``; return the change."""
    k = evidence.shape[1]
    row, change = np.empty(k), 0.0
    for i in range(first, last):
        for j in range(k):
            row[j] = evidence[i, j]
        for at in range(indptr[i], indptr[i + 1]):
            neighbour, weight = indices[at], coupling * weights[at]
            for j in range(k):
                row[j] += weight * field[neighbour, j]
        highest = row[0]
        for j in range(1, k):
            highest = max(highest, row[j])
        total = 0.0
        for j in range(k):
            row[j] = np.exp(row[j] - highest)
            total += row[j]
        for j in range(k):
            out[i, j] = row[j] / total
            change = max(change, abs(out[i, j] - field[i, j]))
    return change


def marginals(
    evidence: F64,
    graph: csr_array,
    coupling: float,
    start: NDArray[np.integer[Any]],
    *,
    sweeps: int,
    seed: int,
) -> F64:
    """Return memberships (n, k) given the neighbours: how often each cluster is drawn.

    Parameters
    ----------
    evidence, graph, coupling
        As for :func:`mean_field`.
    start
        Clusters to start from, (n,).
    sweeps
        Number of times that each row is drawn again; the first fifth is not counted.
    seed
        Seed of the draws. They are the same with any number of threads.

    Notes
    -----
    Gibbs sampling. A mean field takes what is likely for certain, where neighbours decide; samples
    do not. Rows that are no neighbours are drawn at once. Instead of the cluster drawn its
    probability is summed, which varies less. Rows that no neighbours could turn are not drawn.

    References
    ----------
    S. Geman, D. Geman, IEEE Trans. Pattern Anal. 6 (1984) 721.
    """
    colors = coloring(graph.indptr, graph.indices)
    best, certain = evidence.argmax(axis=1), _certain(evidence, graph, coupling)
    colors[certain] = colors.max(initial=0) + 1
    order = np.argsort(colors, kind="stable")[: len(colors) - np.count_nonzero(certain)]
    bounds = [0, *np.cumsum(np.bincount(colors[order])).tolist()]
    labels = np.where(certain, best, start).astype(np.int64)
    out = np.zeros_like(evidence)
    skipped = sweeps // 5
    edges = (graph.indptr, graph.indices, coupling * graph.data)
    with ThreadPoolExecutor(cores()) as pool:
        for sweep in range(sweeps):
            tick()
            if sweep == skipped:
                out[...] = 0.0
            for first, last in itertools.pairwise(bounds):
                blocks = [order[at : min(at + _BLOCK, last)] for at in range(first, last, _BLOCK)]
                key = np.uint64(seed * 1_000_003 + sweep)
                work = functools.partial(draw, evidence, *edges, labels, out, key)
                for _ in map(work, blocks) if len(blocks) == 1 else pool.map(work, blocks):
                    pass
    out[certain, best[certain]] = sweeps - skipped
    return out / (sweeps - skipped)


def _certain(evidence: F64, graph: csr_array, coupling: float) -> NDArray[np.bool_]:
    """Rows (n,) that stay in the cluster that they tell, whatever their neighbours are."""
    if evidence.shape[1] == 1:
        return np.ones(len(evidence), dtype=bool)
    second, first = np.partition(evidence, -2, axis=1)[:, -2:].T
    most = coupling * np.asarray(graph.sum(axis=1), dtype=np.float64).ravel()
    found: NDArray[np.bool_] = first - second > most + 1.001 * _CERTAIN
    return found


@numba.njit(nogil=True, cache=True)
def coloring(indptr: NDArray[Any], indices: NDArray[Any]) -> NDArray[np.int64]:
    """Return a color (n,) of each row, other than those of its neighbours."""
    n = len(indptr) - 1
    colors = np.full(n, -1)
    for i in range(n):
        taken = np.zeros(indptr[i + 1] - indptr[i] + 1, dtype=np.bool_)
        for at in range(indptr[i], indptr[i + 1]):
            other = colors[indices[at]]
            if 0 <= other < len(taken):
                taken[other] = True
        color = 0
        while taken[color]:
            color += 1
        colors[i] = color
    return colors


@numba.njit(nogil=True, cache=True)
def draw(
    evidence: F64,
    indptr: NDArray[Any],
    indices: NDArray[Any],
    weights: F64,
    labels: NDArray[np.int64],
    out: F64,
    key: np.uint64,
    rows: NDArray[np.intp],
) -> None:
    """Draw the labels of some rows given their neighbours', and add the probabilities to ``out``.

    The random number of a row is a hash of its number and the key (splitmix64).
    """
    k = evidence.shape[1]
    shares = np.empty(k)
    for i in rows:
        for j in range(k):
            shares[j] = evidence[i, j]
        for at in range(indptr[i], indptr[i + 1]):
            shares[labels[indices[at]]] += weights[at]
        best = 0
        for j in range(1, k):
            if shares[j] > shares[best]:
                best = j
        highest, total = shares[best], 0.0
        for j in range(k):
            shares[j] = np.exp(shares[j] - highest) if shares[j] > highest - _CERTAIN else 0.0
            total += shares[j]
        if total == 1.0:
            out[i, best] += 1.0
            labels[i] = best
            continue
        bits = (key * np.uint64(0x9E3779B97F4A7C15)) ^ (
            np.uint64(i) * np.uint64(0xD1B54A32D192ED03)
        )
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ (bits >> np.uint64(31))
        left = np.float64(bits >> np.uint64(11)) / 9007199254740992.0 * total
        drawn = k - 1
        for j in range(k):
            out[i, j] += shares[j] / total
            left -= shares[j]
            if left < 0.0 and drawn == k - 1:
                drawn = j
        labels[i] = drawn
