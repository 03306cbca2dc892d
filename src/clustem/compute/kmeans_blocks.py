"""What the passes of the polish do with one block of full rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.compute.kmeans_kernels import add_sums, own_distances
from clustem.compute.kmeans_sketch import RowReader

F64 = NDArray[np.float64]
_ROUNDING = 64 * float(np.finfo(np.float64).eps)


def nearest(
    squares: F64, dots: F64, norms: F64, before: NDArray[np.int32] | None = None
) -> NDArray[np.int32]:
    """Return each row's nearest center: of equal ones its old one, else the first.

    Parameters
    ----------
    squares
        Squared norms of the centers (k,).
    dots
        Products of rows and centers (m, k).
    norms
        Squared norms of the rows (m,).
    before
        Labels so far (m,), -1 = none.
    """
    score = squares - 2.0 * dots
    labels: NDArray[np.int32] = np.argmin(score, axis=1).astype(np.int32)
    if before is None:
        return labels
    row = np.arange(len(labels))
    largest = squares.max()
    equal = _ROUNDING * (np.sqrt(norms * largest) + largest)
    same = (before >= 0) & (score[row, before] - score[row, labels] <= equal)
    return np.where(same, before, labels).astype(np.int32)


def look(
    reader: RowReader,
    centers: F64,
    squares: F64,
    error: F64,
    weights: F64,
    old: NDArray[np.int32],
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> tuple[NDArray[np.int32], F64, NDArray[np.intp], F64]:
    """Read some rows: labels, products with the centers, and what changing sides moves."""
    block, scale, shift = reader.read(block, where)
    dots, norms = reader.dots(block, scale, shift, centers.astype(np.float32))
    gaps = lead(squares - 2.0 * dots)
    close = gaps <= 16.0 * error[where] * np.sqrt(squares.max())
    if close.any():  # too close for float32
        exact = reader.dots(block[close], scale[close], shift[close], centers)
        dots[close], norms[close] = exact
    before = old[where]
    labels = nearest(squares, dots, norms, before)
    part = (block, scale, shift)
    return labels, dots, *_moves(reader, part, weights[where], before, labels)


def change_of_sums(
    reader: RowReader,
    weights: F64,
    old: NDArray[np.int32],
    new: NDArray[np.int32],
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> tuple[NDArray[np.intp], F64]:
    """Return what some rows change in the sums when they change sides."""
    return _moves(reader, reader.read(block, where), weights[where], old[where], new[where])


def _moves(
    reader: RowReader,
    part: tuple[NDArray[Any], F64, F64],
    weights: F64,
    old: NDArray[np.int32],
    new: NDArray[np.int32],
) -> tuple[NDArray[np.intp], F64]:
    moved = np.flatnonzero(old != new)
    cells = np.concatenate([old[moved], new[moved]])
    signed = np.concatenate([-weights[moved], weights[moved]])
    twice = np.tile(moved, 2)
    block, scale, shift = part
    return _sums(reader, block[twice], scale[twice], shift[twice], cells, signed)


def sums_of_cells(
    reader: RowReader,
    cells: NDArray[np.int32],
    weights: F64,
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> tuple[NDArray[np.intp], F64]:
    """Sum some rows by cell."""
    block, scale, shift = reader.read(block, where)
    return _sums(reader, block, scale, shift, cells[where], weights[where])


def _sums(
    reader: RowReader,
    block: NDArray[Any],
    scale: F64,
    shift: F64,
    cells: NDArray[np.int32],
    weights: F64,
) -> tuple[NDArray[np.intp], F64]:
    """Return which cells (not -1) occur, and their weighted sums."""
    touched = np.unique(cells[cells >= 0]).astype(np.intp)
    sums = np.zeros((len(touched), reader.centering.transform.n_kept))
    place = np.searchsorted(touched, cells)
    order = np.argsort(cells, kind="stable")[np.count_nonzero(cells < 0) :]
    layout = reader.centering.transform.layout
    add_sums(block, scale, shift, layout, order, place, weights, sums)
    return touched, sums


def own_distance(
    reader: RowReader,
    centers: F64,
    labels: NDArray[np.int32],
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> F64:
    """Return squared distances of some rows to their own centers."""
    block, scale, shift = reader.read(block, where)
    centering, out = reader.centering, np.zeros(len(block))
    layout = centering.transform.layout
    own_distances(block, scale, shift, centering.origin, layout, labels[where], centers, out)
    return out


def lead(score: F64) -> F64:
    """Return by how much the second lowest of each row's scores exceeds the lowest."""
    if score.shape[1] == 1:
        return np.full(len(score), np.inf)
    lowest = np.partition(score, 1, axis=1)
    return np.asarray(lowest[:, 1] - lowest[:, 0])
