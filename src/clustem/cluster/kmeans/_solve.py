"""k-means of a sketched scan: starts in the sketch, the best goes on in the full space."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.kmeans._batch import lloyd_batch
from clustem.cluster.kmeans._full_space import (
    FullSpaceLloyd,
    Outcome,
    cell_sums,
    lloyd_with_fixed_centers,
)
from clustem.cluster.kmeans._passes import Steps, together
from clustem.cluster.kmeans._sketch import Sketch
from clustem.cluster.kmeans.lloyd import Start, lloyd, plus_plus, swap
from clustem.passes.cluster_sums import RowSums
from clustem.passes.threads import one_blas_thread

F64 = NDArray[np.float64]
SEEDING_ROWS = 4096
"""k-means++ draws its centers from so many rows, each start from others."""
ROUGH_ROWS = 8192
"""Where there are more than twice as many rows, starts iterate on so many first."""
_CANDIDATES = 3
"""So many of the best starts are iterated to their end and compared in the full space."""
_RESTING = 200
"""A start rests when at most one row in so many changes its label."""
_SWAPS_PER_CLUSTER = 6
"""Swaps that are tried per cluster where they are cheap."""
_CHEAP = 10**7
"""All swaps together take at most so many times k multiplications."""
_CLOSE = 0.005
"""Starts whose inertias differ by less than this share are compared in the full space."""
_CELLS_PER_CLUSTER = 4
"""Largest number of cells, per cluster, that the labels of compared starts have in common."""
_MOST_CELLS = 96
"""Largest number of cells that labels of several fits have in common."""


@dataclass(frozen=True)
class Solution:
    """The best start's outcome, with its centers in the rows' space, and each start's inertia.

    Of rows that a pipeline has scaled, also the sums of the raw ones by the labels of the start,
    and distances (n, 2) to the nearest center and the next.
    """

    labels: NDArray[np.int32]
    centers: F64
    inertia: float
    n_iter: int
    certified: bool
    inertia_per_start: F64
    visited: int
    row_sums: RowSums | None = None
    near: F64 | None = None


def solve(
    sketch: Sketch,
    n_clusters: int,
    *,
    weights: F64 | None = None,
    n_init: int = 10,
    centers: F64 | None = None,
    n_fixed: int = 0,
    max_iter: int = 300,
    tol: float = 0.0,
    random_state: int = 0,
    progress: Callable[[float], None] | None = None,
) -> Solution:
    """Find k clusters of the rows of a sketch.

    Parameters
    ----------
    sketch
        Sketch of the rows (n, D).
    n_clusters
        Number of clusters k.
    weights
        Weight of each row (n,); all 1 if None.
    n_init
        Number of k-means++ starts.
    centers
        Where to start instead (k, D), in the transformed space.
    n_fixed
        How many of these, the first ones, do not move.
    max_iter
        Iterations at most.
    tol
        Stop when the centers' squared shift is at most this share of the mean square of the
        centered rows; 0 iterates until nothing changes.
    random_state
        Seed.
    progress
        Called with the share of rows whose label is certain.

    Examples
    --------
    >>> import numpy as np
    >>> solve(Sketch(np.array([[0.0], [1.0], [9.0]])), 2).inertia
    0.5
    """
    weights = np.ones(len(sketch)) if weights is None else weights
    if centers is None:
        return solve_each(
            sketch,
            [n_clusters],
            weights=weights,
            n_init=n_init,
            max_iter=max_iter,
            tol=tol,
            random_state=random_state,
            progress=progress,
        )[0]
    fit = _from_centers(
        sketch, weights, sketch.centering.centered(centers), n_fixed, max_iter, tol, progress
    )
    with one_blas_thread():  # its products are small; rows are shared out among our own threads
        return together(sketch.rows, [fit], threads=sketch.threads)[0]


def solve_each(
    sketch: Sketch,
    numbers: Sequence[int],
    *,
    weights: F64 | None = None,
    n_init: int = 10,
    max_iter: int = 300,
    tol: float = 0.0,
    random_state: int = 0,
    progress: Callable[[float], None] | None = None,
) -> list[Solution]:
    """Find clusters of the rows for each of several numbers of them, in passes that all share.

    Parameters
    ----------
    sketch
        Sketch of the rows (n, D), meant for the largest number.
    numbers
        Numbers of clusters.
    weights, n_init, max_iter, tol, random_state
        As for :func:`solve`.
    progress
        Called with the share of rows whose label is certain in all of them.

    Returns
    -------
    :
        One for each number.

    Examples
    --------
    >>> import numpy as np
    >>> rows = np.array([[0.0], [1.0], [9.0], [11.0]])
    >>> [found.inertia for found in solve_each(Sketch(rows), [2, 3])]
    [2.5, 0.5]
    """
    weights = np.ones(len(sketch)) if weights is None else weights
    shares = [0.0] * len(numbers)

    def one(i: int, share: float) -> None:
        shares[i] = share
        if progress is not None:
            progress(min(shares))

    with one_blas_thread():
        fits = []
        for k in numbers:
            own = sketch.fresh() if len(numbers) > 1 else sketch
            starts = _starts(own, weights, k, n_init, max_iter, random_state)
            _improve(own, weights, starts, max_iter, random_state)
            outside = float(weights @ own.residual**2) if own.basis is not None else 0.0
            inertias = np.array([start.inertia for start in starts]) + outside
            fits.append(_Fit(own, k, *_candidates(own, k, starts, inertias), inertias))
            del starts  # their labels
        groups = _in_groups(fits)
        each = [_sums_of(group, weights) for group in groups]
        sums = [
            one for group in together(sketch.rows, each, threads=sketch.threads) for one in group
        ]
        ends = [
            _from_sums(replace(fit, candidates=[]), weights, *found, max_iter, tol, partial(one, i))
            for i, (fit, found) in enumerate(zip(fits, sums, strict=True))
        ]
        del fits, groups, each, sums  # arrays of labels
        return together(sketch.rows, ends, threads=sketch.threads)


@dataclass(frozen=True)
class _Fit:
    """One number of clusters: the best few starts in the sketch, and the cells of their labels."""

    sketch: Sketch
    n_clusters: int
    candidates: list[Start]
    cells: NDArray[np.int32]
    inertias: F64


def _from_centers(
    sketch: Sketch,
    weights: F64,
    centers: F64,
    n_fixed: int,
    max_iter: int,
    tol: float,
    progress: Callable[[float], None] | None,
) -> Steps[Solution]:
    """Iterate from centers less origin, of which the first may not move."""
    if n_fixed:
        outcome = yield from lloyd_with_fixed_centers(
            sketch, centers, n_fixed, weights=weights, max_iter=max_iter, tol=tol
        )
        return _in_rows_space(sketch, outcome, outcome.n_iter, None)
    full = FullSpaceLloyd(sketch, weights, len(centers))
    full.start_from_centers(centers)
    outcome = yield from full.run(max_iter=max_iter + 1, tol=tol, progress=progress)
    return _in_rows_space(sketch, outcome, min(outcome.n_iter, max_iter), None)


def _from_sums(
    fit: _Fit,
    weights: F64,
    best: Start,
    sums: F64,
    row_sums: RowSums | None,
    max_iter: int,
    tol: float,
    progress: Callable[[float], None],
) -> Steps[Solution]:
    """Iterate from the labels of the best start and the sums of their rows."""
    full = FullSpaceLloyd(fit.sketch, weights, fit.n_clusters)
    full.start_from_sums(best.labels, sums)
    outcome = yield from full.run(max_iter=max_iter + 1 - best.n_iter, tol=tol, progress=progress)
    near = None
    if row_sums is not None:
        near = yield from full.nearest_two()
        near /= fit.sketch.centering.gain
    n_iter = min(best.n_iter + outcome.n_iter, max_iter)  # the last labels are for the last centers
    found = _in_rows_space(fit.sketch, outcome, n_iter, fit.inertias)
    return replace(found, row_sums=row_sums, near=near, visited=fit.sketch.visited)


def _in_rows_space(sketch: Sketch, outcome: Outcome, n_iter: int, inertias: F64 | None) -> Solution:
    """Bring an outcome back to the units and columns of the rows as they were given."""
    gain = sketch.centering.gain
    centers = (outcome.centers + sketch.centering.origin) / gain
    inertia = outcome.inertia / gain**2
    return Solution(
        outcome.labels,
        centers if sketch.compact else sketch.transform.expand(centers),
        inertia,
        n_iter,
        outcome.certified,
        np.array([inertia]) if inertias is None else inertias / gain**2,
        sketch.visited,
    )


def _starts(
    sketch: Sketch, weights: F64, n_clusters: int, n_init: int, max_iter: int, random_state: int
) -> list[Start]:
    """Run all starts in the sketch. What a start finds does not depend on the others."""
    trials = 2 + int(np.log(n_clusters))
    seeds = np.random.SeedSequence(random_state).spawn(n_init)
    enough = max(SEEDING_ROWS, 16 * n_clusters)
    positive = np.flatnonzero(weights > 0.0)

    def seed(sequence: np.random.SeedSequence) -> F64:
        random = np.random.default_rng(sequence)
        some = positive
        if len(positive) > enough:
            some = positive[random.integers(0, len(positive), enough)]
        return plus_plus(
            sketch.z[some], weights[some], n_clusters, random.random((n_clusters, trials))
        )

    with ThreadPoolExecutor(sketch.threads) as pool:
        centers = np.stack(list(pool.map(seed, seeds)))
        if sketch.z.dtype == np.float64:
            return list(pool.map(lambda c: lloyd(sketch.z, weights, c, max_iter=max_iter), centers))
        groups = np.array_split(np.arange(n_init), min(n_init, sketch.threads))
        rough = partial(_rough, sketch, weights, centers, max_iter, random_state)
        starts = [start for group in pool.map(rough, groups) for start in group]
        # The last few changes take most of the iterations: only the best go on to the end.
        few = sorted(range(n_init), key=lambda s: starts[s].inertia)[:_CANDIDATES]
        ends = pool.map(lambda s: _go_on(sketch, weights, starts[s], max_iter), few)
        for s, end in zip(few, ends, strict=True):
            starts[s] = end
    return starts


def _improve(
    sketch: Sketch, weights: F64, starts: list[Start], max_iter: int, random_state: int
) -> None:
    """Try swaps with the best start, as many as are cheap: none in a large scan."""
    best = int(np.argmin([start.inertia for start in starts]))
    k, width = starts[best].centers.shape
    trials = min(_SWAPS_PER_CLUSTER * k, _CHEAP // (len(sketch) * width * k))
    if k > 1 and trials > 1:
        draws = np.random.default_rng([random_state, 1]).random(trials)
        starts[best] = swap(sketch.z, weights, starts[best], draws, max_iter=max_iter)


def _rough(
    sketch: Sketch,
    weights: F64,
    centers: F64,
    max_iter: int,
    random_state: int,
    group: NDArray[np.intp],
) -> list[Start]:
    """Iterate some starts until little changes: on some rows first where there are many."""
    n, centers = len(sketch), centers[group]
    if n > 2 * ROUGH_ROWS:
        some = np.random.default_rng([random_state, 2]).choice(n, ROUGH_ROWS, replace=False)
        some.sort()
        rest = ROUGH_ROWS // _RESTING
        found = lloyd_batch(sketch.z[some], weights[some], centers, max_iter=max_iter, rest=rest)
        centers = np.stack([start.centers for start in found])
    rest = n // _RESTING
    return lloyd_batch(sketch.z, weights, centers, max_iter=max_iter, rest=rest)


def _go_on(sketch: Sketch, weights: F64, start: Start, max_iter: int) -> Start:
    """Iterate one start to its end. Little moves now: bounds spare most rows."""
    if start.converged or start.n_iter >= max_iter:
        return start
    left = max_iter - start.n_iter
    end = lloyd(sketch.z, weights, start.centers, max_iter=left)
    return replace(end, n_iter=start.n_iter + end.n_iter)


def _candidates(
    sketch: Sketch, n_clusters: int, starts: list[Start], inertias: F64
) -> tuple[list[Start], NDArray[np.int32]]:
    """Return the best few starts, and the cells (n,) that their labels have in common."""
    order = np.argsort(inertias, kind="stable")
    chosen = [starts[order[0]]]
    cells = chosen[0].labels
    if sketch.basis is not None:
        for number in order[1:]:
            if len(chosen) == _CANDIDATES or inertias[number] > inertias[order[0]] * (1 + _CLOSE):
                break
            joint, count = _joint(cells, starts[number].labels)
            if count <= _CELLS_PER_CLUSTER * n_clusters and count > np.count_nonzero(
                np.bincount(cells)
            ):
                chosen.append(starts[number])
                cells = joint
    # Labels of other starts lie in the same arrays, which would stay as long as these.
    return [replace(start, labels=start.labels.copy()) for start in chosen], cells


def _joint(one: NDArray[np.int32], other: NDArray[Any]) -> tuple[NDArray[np.int32], int]:
    """Return the number (n,) of each row's pair of labels, and how many pairs occur."""
    pairs = one.astype(np.int64) * (int(other.max()) + 1) + other
    there = np.bincount(pairs) > 0
    number = (np.cumsum(there) - 1).astype(np.int32)
    return number[pairs], int(there.sum())


def _in_groups(fits: list[_Fit]) -> list[tuple[NDArray[np.int32], list[_Fit]]]:
    """Put fits together whose cells have not too many cells in common: sums of these are enough."""
    groups: list[tuple[NDArray[np.int32], list[_Fit]]] = []
    for fit in fits:
        if groups:
            cells, members = groups[-1]
            joint, count = _joint(cells, fit.cells)
            if count <= _MOST_CELLS:
                groups[-1] = joint, [*members, fit]
                continue
        groups.append((fit.cells, [fit]))
    return groups


def _sums_of(
    group: tuple[NDArray[np.int32], list[_Fit]], weights: F64
) -> Steps[list[tuple[Start, F64, RowSums | None]]]:
    """Return of each fit the start that is best in the full space, and the sums of its rows.

    The sums are made in one pass: of the cells that all labels have in common.
    """
    cells, fits = group
    count, sketch = int(cells.max()) + 1, fits[0].sketch
    for fit in fits[1:]:
        fit.sketch.count(len(sketch))
    raw = sketch.compact and sketch.basis is not None
    parts, rows = yield from cell_sums(sketch, cells, weights, count, raw=raw)
    found = []
    for fit in fits:
        k, best, most = fit.n_clusters, fit.candidates[0], -np.inf
        for start in fit.candidates:
            member = np.zeros(count, dtype=np.intp)
            member[cells] = start.labels
            sums = np.zeros((k, parts.shape[1]))
            np.add.at(sums, member, parts)
            counts = np.bincount(start.labels, weights=weights, minlength=k)[:, None]
            centered = sums - counts * sketch.centering.origin
            gained = np.sum(centered**2 / np.where(counts > 0.0, counts, 1.0))
            if gained > most:
                best, most, kept = start, gained, sums
        found.append((best, kept, None if rows is None else rows.joined(best.labels, k)))
    return found
