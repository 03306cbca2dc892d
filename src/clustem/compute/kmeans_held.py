"""k-means some of whose centers stay where they are."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.compute.kmeans_blocks import nearest
from clustem.compute.kmeans_polish import Outcome, cell_sums
from clustem.compute.kmeans_sketch import RowReader, Sketch
from clustem.compute.kmeans_solve import Solution, in_rows_space

F64 = NDArray[np.float64]


def solve_held(
    sketch: Sketch,
    centers: F64,
    held: int,
    *,
    weights: F64,
    max_iter: int = 300,
    tol: float = 0.0,
) -> Solution:
    """Run Lloyd's algorithm with the first centers held.

    Parameters
    ----------
    sketch
        Sketch of the rows (n, D).
    centers
        Where to start (k, D), in the transformed space.
    held
        How many of them, the first ones, do not move.
    weights
        Weight of each row (n,).
    max_iter, tol
        As in ``kmeans_solve.solve``.

    Returns
    -------
    :
        Certified if no label changed in the last pass, or all centers are held.

    Notes
    -----
    Plain passes over all rows, two per iteration: most cases hold all or most centers and end
    soon. A free center without rows stays where it is.

    Examples
    --------
    >>> sketch = Sketch(np.array([[0.0], [1.0], [5.0], [9.0]]))
    >>> found = solve_held(sketch, np.array([[0.0], [9.0]]), 1, weights=np.ones(4))
    >>> found.labels.tolist(), found.centers.ravel().tolist()
    ([0, 0, 1, 1], [0.0, 7.0])
    """
    place = sketch.centering.centered(centers)
    labels, own = np.full(len(sketch), -1, dtype=np.int32), np.empty(len(sketch))
    free = np.arange(len(place)) >= held
    enough = tol * float(sketch.squares.mean())
    certified = last = False
    for n_iter in range(1, max_iter + 1):
        found = np.empty_like(labels)
        for where, (near, distance) in sketch.visit(partial(_assign, sketch.reader, place, labels)):
            found[where], own[where] = near, distance
        certified = bool((found == labels).all()) or not free.any()
        labels = found
        if certified or last or n_iter == max_iter:
            break
        counts = np.bincount(labels, weights=weights, minlength=len(place))
        move = free & (counts > 0)
        sums = cell_sums(sketch, labels, weights, len(place))
        means = sums[move] / counts[move, None] - sketch.centering.origin
        last = float(((means - place[move]) ** 2).sum()) <= enough and tol > 0
        place[move] = means
    outcome = Outcome(labels, place, float(weights @ own), n_iter, certified)
    return in_rows_space(sketch, outcome, 0, None)


def _assign(
    reader: RowReader,
    centers: F64,
    before: NDArray[np.int32],
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> tuple[NDArray[np.int32], F64]:
    """Return each row's nearest center and its squared distance."""
    block, scale, shift = reader.read(block, where)
    dots, norms = reader.dots(block, scale, shift, centers)
    squares = np.einsum("ij,ij->i", centers, centers)
    labels = nearest(squares, dots, norms, before[where])
    rows = np.arange(len(labels))
    return labels, np.maximum(norms + squares[labels] - 2.0 * dots[rows, labels], 0.0)
