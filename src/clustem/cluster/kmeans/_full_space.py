"""Lloyd's algorithm in the full space: from the sketch's answer to a fixed point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.kmeans._kernels import add_sums, assign_certain, own_distances
from clustem.cluster.kmeans._passes import Steps, Where, Work
from clustem.cluster.kmeans._sketch import EXTENSIONS, Centering, RowReader, Sketch
from clustem.cluster.kmeans.lloyd import lloyd
from clustem.core.eigh import eigh
from clustem.passes.block_sums import BlockSums
from clustem.passes.cluster_sums import RowAdder, RowSums

F64 = NDArray[np.float64]
_MANY = 0.3
"""If more than this share of the rows is in doubt, all rows are read."""
_FLAT = 1e-3
"""Directions with less than this share of the largest variance do not extend the sketch."""
_TIGHT = 0.02
"""Inertia below this share of the total scatter is summed term by term."""
_CLOSE = 1e-4
"""Squared distances below this share of their terms are summed term by term."""
_NEARLY = 0.02
"""Bound of the errors of distances that are not read again, as a share of these."""
_CHUNK = 2**16
_ROUNDING = 64 * float(np.finfo(np.float64).eps)
"""Two centers are equally near if scores differ by less than this share of their terms."""


@dataclass(frozen=True)
class Outcome:
    """Labels (n,), centers less origin (k, K), inertia, all in the sketch's unit (its gain)."""

    labels: NDArray[np.int32]
    centers: F64
    inertia: float
    n_iter: int
    certified: bool


class FullSpaceLloyd:
    """Lloyd's algorithm in the full space that reads only the rows in doubt.

    Parameters
    ----------
    sketch
        Sketch of the rows.
    weights
        Weight of each row (n,).
    n_clusters
        Number of clusters k.

    Notes
    -----
    Every iteration gives the rows whose nearest center is certain from the sketch their label,
    reads the others, and moves the centers by the rows that changed sides. What was read
    of a row is remembered: its bounds then widen only by how far the centers have moved
    outside the sketch (triangle inequality, as in Elkan's and Hamerly's algorithms).

    References
    ----------
    Elkan, Proc. 20th Int. Conf. Machine Learning (2003) 147. Hamerly, Proc. SIAM Int. Conf. Data
    Mining (2010) 130.
    """

    def __init__(self, sketch: Sketch, weights: F64, n_clusters: int) -> None:
        self.sketch, self.weights = sketch, weights
        n, kept = len(sketch), sketch.transform.n_kept
        self.labels = np.full(n, -1, dtype=np.int32)
        self.sums = np.zeros((n_clusters, kept))  # not centered
        self.centers = np.zeros((n_clusters, kept))  # less origin
        self._rest = np.zeros((n_clusters, kept))  # what the sketch does not hold of them
        self._known = np.zeros((n, n_clusters), dtype=np.float32)
        self._epoch = np.zeros(n, dtype=np.int32)
        self._moved = [np.zeros((n_clusters, n_clusters))]
        self._walked = [np.zeros(n_clusters)]  # how far each center moved outside the sketch
        self._slack, self._since = np.full(n, -1.0), np.zeros(n)
        self._since_flat = np.zeros(n)
        self._travel = np.zeros(2)

    def start_from_sums(self, labels: NDArray[np.int32], sums: F64) -> None:
        """Start from labels and the sums (not centered) of their rows."""
        self.labels = labels.astype(np.int32)
        self.sums = sums.copy()
        self._update_centers(self._means())

    def start_from_centers(self, centers: F64) -> None:
        """Start from centers less origin (k, K): their rows are found by looking."""
        self._update_centers(centers)

    def run(
        self, *, max_iter: int, tol: float, progress: Callable[[float], None] | None = None
    ) -> Steps[Outcome]:
        """Iterate until nothing changes.

        Parameters
        ----------
        max_iter
            Iterations at most.
        tol
            Stop when the centers' squared shift is at most this share of the mean square of the
            centered rows.
        progress
            Called with the largest share of rows so far that were certain, after each iteration.
        """
        scatter = float(self.weights @ self.sketch.squares / self.weights.sum())
        certified, n_iter, left, sure = False, 0, EXTENSIONS, 0.0
        while True:
            n_iter += 1
            known = bool((self.labels >= 0).all())
            read, changed = yield from self._assign()
            sure = max(sure, 1.0 - read / len(self.labels))
            if progress is not None:
                progress(sure)
            empty = self._counts() <= 0.0
            if n_iter == max_iter:
                certified = not changed and not empty.any()
                break
            if not self._relocate_empty_clusters(empty) and not changed:
                certified = True
                break
            means = self._means()
            if tol > 0.0 and np.sum((means - self.centers) ** 2) <= tol * scatter:
                break  # labels fit the centers as they are
            deepen = read == len(self.labels) and self.sketch.basis is not None and known
            if deepen and left and n_iter + 1 < max_iter:
                left -= 1
                n_iter += yield from self._extend_sketch(max_iter - n_iter - 1)
                means = self._means()
            self._update_centers(means)
        inertia = yield from self._inertia()
        return Outcome(self.labels, self.centers, inertia, n_iter, certified)

    def nearest_two(self) -> Steps[F64]:
        """Return the distances (n, 2) of each row to its nearest center and to the next.

        They come from the sketch and from what was read; rows whose distances could be wrong by
        more than 2 % are read again. Errors are far below the bound: 0.001 % in the median.
        Afterwards there are no more iterations.
        """
        del self._slack, self._since, self._since_flat
        sketch, n = self.sketch, len(self.labels)
        near = np.empty((n, min(2, len(self.centers))))
        doubtful = np.zeros(n, dtype=bool)
        walked = self._walked[-1] - np.array(self._walked)
        largest = np.sqrt(self._squares.max())
        for first in range(0, n, _CHUNK):
            part = slice(first, first + _CHUNK)
            dots = sketch.z[part].astype(np.float64) @ self._near.T + self._known[part]
            squares = sketch.squares[part, None] + self._squares - 2.0 * dots
            error = sketch.residual[part, None] * walked[self._epoch[part]]
            error += 4.0 * (sketch.error32[part] * largest)[:, None]
            two = np.argsort(squares, axis=1)[:, : near.shape[1]]
            found = np.take_along_axis(squares, two, axis=1)
            bound = 2.0 * np.take_along_axis(error, two, axis=1)
            doubtful[part] = (bound > 2.0 * _NEARLY * found).any(axis=1)
            near[part] = np.sqrt(np.maximum(found, 0.0))

        def take(where: Where, found: BlockSums) -> None:
            [squares] = found.rows
            near[where] = np.sqrt(np.sort(squares, axis=1)[:, : near.shape[1]])

        if doubtful.any():
            work = partial(_of_rows, squared_distances, sketch.reader, self.centers)
            yield from sketch.visit(work, take, np.flatnonzero(doubtful))
        return near

    def _extend_sketch(self, max_iter: int) -> Steps[int]:
        """Add what the sketch does not hold of the centers to it, and iterate there.

        All rows were just read, so their products with that part are known: these are coordinates.
        """
        values, turn = eigh(self._rest @ self._rest.T)
        keep = values > _FLAT * values[-1]
        turn = turn[:, keep] / np.sqrt(values[keep])
        coordinates = self._known[:, : turn.shape[1]]
        for first in range(0, len(coordinates), _CHUNK):  # in place
            part = slice(first, first + _CHUNK)
            coordinates[part] = self._known[part] @ turn.astype(np.float32)
        blur = np.sqrt(self._squares.max() / values[keep][0])
        self.sketch = self.sketch.extended(turn.T @ self._rest, coordinates, blur)
        self._known[:], self._epoch[:] = 0.0, 0
        self._rest, self._moved = np.zeros_like(self._rest), [np.zeros_like(self._moved[0])]
        self._walked = [np.zeros_like(self._walked[0])]
        self._update_centers(self.centers)
        start = lloyd(self.sketch.z, self.weights, self._near, max_iter=max_iter)
        yield from self._relabel(start.labels)
        return start.n_iter

    def _relabel(self, labels: NDArray[np.int32]) -> Steps[None]:
        """Change labels, and the sums with them."""
        moved = np.flatnonzero(labels != self.labels)
        old, self.labels = self.labels, labels.copy()
        self._slack[moved] = -1.0
        if len(moved):
            work = partial(change_of_sums, self.sketch.reader, self.weights, old, labels)
            yield from self.sketch.visit(work, partial(_add, self.sums), moved)

    def _counts(self) -> F64:
        placed = np.maximum(self.labels, 0)
        counts = np.bincount(placed, weights=self.weights, minlength=len(self.centers))
        return counts.astype(np.float64, copy=False)

    def _means(self) -> F64:
        counts = self._counts()[:, None]
        origin = self.sketch.centering.origin
        return np.where(
            counts > 0.0, self.sums / np.where(counts > 0.0, counts, 1.0) - origin, self.centers
        )

    def _update_centers(self, centers: F64) -> None:
        """Move the centers, and account for how far."""
        steps = _gaps(centers - self.centers)
        squares = np.einsum("ij,ij->i", centers, centers)
        constant = np.ptp(squares - np.einsum("ij,ij->i", self.centers, self.centers))
        self._travel += [2.0 * steps.max(), constant]
        self._near = self.sketch.coordinates(centers)
        rest = centers - self.sketch.lift(self._near)
        self._moved.append(self._moved[-1] + _gaps(rest - self._rest))
        self._walked.append(self._walked[-1] + np.linalg.norm(rest - self._rest, axis=1))
        self.centers, self._rest, self._squares = centers, rest, squares

    def _assign(self) -> Steps[tuple[int, bool]]:
        """Give every row its nearest center; return how many were read, and if any changed."""
        old = self.labels.copy()
        doubtful = np.flatnonzero(self._assign_certain())
        if len(doubtful) > _MANY * len(old):
            doubtful = np.arange(len(old))  # then what is learned can deepen the sketch
        if not len(doubtful):
            return 0, False
        sketch = self.sketch
        parts = (self.centers, self._squares, sketch.error32, self.weights, old)
        work = partial(assign_block, sketch.reader, sketch.z.dtype, *parts)
        changed = False

        def take(where: Where, found: BlockSums) -> None:
            nonlocal changed
            labels, dots = found.rows
            changed |= bool((labels != old[where]).any())
            self._remember(where, labels, dots)
            found.add_to(self.sums)

        yield from sketch.visit(work, take, doubtful)
        return len(doubtful), changed

    def _assign_certain(self) -> NDArray[np.uint8]:
        sketch = self.sketch
        radius = self._moved[-1] - np.array(self._moved)
        near = self._near.astype(sketch.z.dtype)
        state = (self.labels, self._slack, self._since, self._since_flat)

        def one(first: int) -> NDArray[np.uint8]:
            verdict: NDArray[np.uint8] = assign_certain(
                first,
                min(first + step, len(sketch)),
                sketch.z,
                near,
                self._squares,
                sketch.residual,
                sketch.squares,
                sketch.error,
                self._known,
                self._epoch,
                radius,
                state,
                self._travel,
            )
            return verdict

        step = -(-len(sketch) // sketch.threads)
        with ThreadPoolExecutor(sketch.threads) as pool:
            return np.concatenate(list(pool.map(one, range(0, len(sketch), step))))

    def _remember(self, where: NDArray[np.intp], labels: NDArray[np.int32], dots: F64) -> None:
        """Keep what was read of some rows: their products with the rest of the centers."""
        held = self.sketch.z[where].astype(np.float64) @ self._near.T
        self._known[where] = dots - held
        self._epoch[where] = len(self._moved) - 1
        self.labels[where] = labels
        rounding = 8.0 * self.sketch.error32[where] * np.sqrt(self._squares.max())
        self._slack[where] = gap_to_second(self._squares - 2.0 * dots) - rounding
        self._since[where], self._since_flat[where] = self._travel

    def _relocate_empty_clusters(self, empty: NDArray[np.bool_]) -> bool:
        """Give each empty cluster the row farthest from its center, if there is one."""
        sketch, done = self.sketch, False
        for cluster in np.flatnonzero(empty):
            own = sketch.z - self._near.astype(sketch.z.dtype)[self.labels]
            distance = np.einsum("ij,ij->i", own, own, dtype=np.float64) + sketch.residual**2
            shared = self._counts()[self.labels] > self.weights
            far = int(np.argmax(np.where((self.weights > 0.0) & shared, distance, -1.0)))
            if not shared[far] or self.weights[far] <= 0.0:
                break
            row = sketch.full_rows(np.array([far]))[0]
            own_center = self.centers[self.labels[far]] + sketch.centering.origin
            if np.sum((row - own_center) ** 2) <= (1e-12**2) * np.sum(row**2):
                break  # fewer distinct rows than clusters
            row *= self.weights[far]
            self.sums[self.labels[far]] -= row
            self.sums[cluster] = row
            self.labels[far], self._slack[far] = cluster, -1.0
            done = True
        return done

    def _inertia(self) -> Steps[float]:
        sketch, counts = self.sketch, self._counts()
        scatter = float(self.weights @ sketch.squares)
        centered = self.sums - counts[:, None] * sketch.centering.origin
        gained = 2.0 * np.einsum("ij,ij->i", centered, self.centers) - counts * self._squares
        inertia = scatter - float(gained.sum())
        if inertia > _TIGHT * scatter:
            return inertia
        # Too little is left of a difference of large numbers: add up the distances themselves.
        work = partial(_of_rows, own_distance, sketch.reader, self.centers, self.labels)
        own = np.empty(len(sketch))

        def take(where: Where, found: BlockSums) -> None:
            [own[where]] = found.rows

        yield from sketch.visit(work, take)
        return float(self.weights @ own)


def _of_rows(find: Callable[..., Any], *given: Any) -> BlockSums:
    """Wrap what is found of each row, without sums."""
    return BlockSums(np.empty(0, dtype=np.intp), rows=[find(*given)])


def _add(sums: F64, _: Where, found: BlockSums) -> None:
    found.add_to(sums)


def _gaps(vectors: F64) -> F64:
    """Return the distances between all rows, rounded up."""
    gram = vectors @ vectors.T
    squares = np.diagonal(gram)
    gaps = squares[:, None] + squares - 2.0 * gram
    return np.sqrt(np.maximum(gaps, 0.0) + 1e-14 * (squares[:, None] + squares))


def cell_sums(
    sketch: Sketch,
    cells: NDArray[np.int32],
    weights: F64,
    n_cells: int,
    *,
    raw: bool = False,
) -> Steps[tuple[F64, RowSums | None]]:
    """Return the weighted sums (n_cells, K), not centered, of the rows of each cell.

    If asked, those of the raw rows, too, with what the transform leaves out of each row summed up.
    """
    sums = np.zeros((n_cells, sketch.transform.n_kept))
    work = partial(sums_of_cells, sketch.reader, cells, weights)
    if not raw:
        yield from sketch.visit(work, partial(_add, sums))
        return sums, None
    adder = RowAdder(sketch.rows, cells, n_cells, sketch.transform.left_out)

    def take(where: Where, found: BlockSums) -> None:
        found.add_to(sums, adder.sums.total, adder.sums.square)
        for hidden in found.rows:
            adder.sums.hidden[where] = hidden

    yield from sketch.visit(partial(_both, work, adder.work), take)
    return sums, adder.sums


def _both(one: Work, other: Work, block: NDArray[Any], where: Where) -> BlockSums:
    sums: BlockSums = one(block, where)
    return sums.beside(other(block, where))


def lloyd_with_fixed_centers(
    sketch: Sketch,
    centers: F64,
    n_fixed: int,
    *,
    weights: F64,
    max_iter: int = 300,
    tol: float = 0.0,
) -> Steps[Outcome]:
    """Run Lloyd's algorithm with the first centers fixed.

    Parameters
    ----------
    sketch
        Sketch of the rows (n, D).
    centers
        Where to start (k, K), less origin.
    n_fixed
        How many of them, the first ones, do not move.
    weights
        Weight of each row (n,).
    max_iter, tol
        As in ``solve``.

    Returns
    -------
    :
        Certified if no label changed in the last pass, or all centers are fixed.

    Notes
    -----
    Plain passes over all rows, two per iteration: in most cases all or most centers are
    fixed, and it ends soon. A free center without rows stays where it is.

    Examples
    --------
    >>> from clustem.cluster.kmeans._passes import together
    >>> sketch = Sketch(np.array([[0.0], [1.0], [5.0], [9.0]]))
    >>> start = sketch.centering.centered(np.array([[0.0], [9.0]]))
    >>> [found] = together(
    ...     sketch.rows, [lloyd_with_fixed_centers(sketch, start, 1, weights=np.ones(4))]
    ... )
    >>> found.labels.tolist()
    [0, 0, 1, 1]
    """
    place = centers.copy()
    labels, own = np.full(len(sketch), -1, dtype=np.int32), np.empty(len(sketch))
    free = np.arange(len(place)) >= n_fixed
    enough = tol * float(sketch.squares.mean())
    certified = last = False
    for n_iter in range(1, max_iter + 1):
        found = np.empty_like(labels)

        def take(where: Where, parts: BlockSums, found: Any = found) -> None:
            found[where], own[where] = parts.rows

        yield from sketch.visit(partial(_assign_all, sketch.reader, place, labels), take)
        certified = bool((found == labels).all()) or not free.any()
        labels = found
        if certified or last or n_iter == max_iter:
            break
        counts = np.bincount(labels, weights=weights, minlength=len(place))
        move = free & (counts > 0)
        sums, _ = yield from cell_sums(sketch, labels, weights, len(place))
        means = sums[move] / counts[move, None] - sketch.centering.origin
        last = float(((means - place[move]) ** 2).sum()) <= enough and tol > 0
        place[move] = means
    return Outcome(labels, place, float(weights @ own), n_iter, certified)


def _assign_all(
    reader: RowReader,
    centers: F64,
    before: NDArray[np.int32],
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> BlockSums:
    """Return each row's nearest center and its squared distance."""
    block, scale, shift = reader.read(block, where)
    dots, norms = reader.dots(block, scale, shift, centers)
    squares = np.einsum("ij,ij->i", centers, centers)
    labels = nearest(squares, dots, norms, before[where])
    rows = np.arange(len(labels))
    own = np.maximum(norms + squares[labels] - 2.0 * dots[rows, labels], 0.0)
    return BlockSums(np.empty(0, dtype=np.intp), rows=[labels, own])


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


def assign_block(
    reader: RowReader,
    dtype: np.dtype[Any],
    centers: F64,
    squares: F64,
    error: F64,
    weights: F64,
    old: NDArray[np.int32],
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> BlockSums:
    """Read some rows: labels, products with the centers, and what changing sides moves.

    Products come in the type of the sketch, whose bounds of rounding are far wider.
    """
    block, scale, shift = reader.read(block, where)
    dots, norms = reader.dots(block, scale, shift, centers.astype(np.float32))
    gaps = gap_to_second(squares - 2.0 * dots)
    close = gaps <= 16.0 * error[where] * np.sqrt(squares.max())
    if close.any():  # too close for float32
        exact = reader.dots(block[close], scale[close], shift[close], centers)
        dots[close], norms[close] = exact
    before = old[where]
    labels = nearest(squares, dots, norms, before)
    part = (block, scale, shift)
    return _moves(reader, part, weights[where], before, labels, rows=[labels, dots.astype(dtype)])


def change_of_sums(
    reader: RowReader,
    weights: F64,
    old: NDArray[np.int32],
    new: NDArray[np.int32],
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> BlockSums:
    """Return what some rows change in the sums when they change sides."""
    return _moves(reader, reader.read(block, where), weights[where], old[where], new[where])


def _moves(
    reader: RowReader,
    part: tuple[NDArray[Any], F64, F64],
    weights: F64,
    old: NDArray[np.int32],
    new: NDArray[np.int32],
    rows: Sequence[NDArray[Any]] = (),
) -> BlockSums:
    moved = np.flatnonzero(old != new)
    cells = np.concatenate([old[moved], new[moved]])
    signed = np.concatenate([-weights[moved], weights[moved]])
    twice = np.tile(moved, 2)
    block, scale, shift = part
    return _sums(reader, block[twice], scale[twice], shift[twice], cells, signed, rows)


def sums_of_cells(
    reader: RowReader,
    cells: NDArray[np.int32],
    weights: F64,
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> BlockSums:
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
    rows: Sequence[NDArray[Any]] = (),
) -> BlockSums:
    """Return weighted sums of the cells (not -1) that occur, and what was found of each row."""
    touched = np.unique(cells[cells >= 0]).astype(np.intp)
    sums = np.zeros((len(touched), reader.centering.transform.n_kept))
    place = np.searchsorted(touched, cells)
    order = np.argsort(cells, kind="stable")[np.count_nonzero(cells < 0) :]
    layout = reader.centering.transform.layout
    add_sums(block, scale, shift, layout, order, place, weights, sums)
    return BlockSums(touched, sums, rows=rows)


def squared_distances(
    reader: RowReader, centers: F64, block: NDArray[Any], where: NDArray[np.intp]
) -> F64:
    """Return squared distances (m, k) of some rows to all centers.

    Where little is left of a difference of large numbers they are summed term by term.
    """
    block, scale, shift = reader.read(block, where)
    dots, norms = reader.dots(block, scale, shift, centers)
    squares = np.einsum("ij,ij->i", centers, centers)
    distances: F64 = norms[:, None] + squares - 2.0 * dots
    for j, close in enumerate((distances < _CLOSE * (norms[:, None] + squares)).T):
        rows = np.flatnonzero(close)
        if len(rows):
            labels = np.full(len(rows), j, dtype=np.int32)
            part = (block[rows], scale[rows], shift[rows])
            distances[rows, j] = _own_distances(reader.centering, part, centers, labels)
    return distances


def own_distance(
    reader: RowReader,
    centers: F64,
    labels: NDArray[np.int32],
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> F64:
    """Return squared distances of some rows to their own centers."""
    block, scale, shift = reader.read(block, where)
    return _own_distances(reader.centering, (block, scale, shift), centers, labels[where])


def _own_distances(
    centering: Centering,
    rows: tuple[NDArray[Any], F64, F64],
    centers: F64,
    labels: NDArray[np.int32],
) -> F64:
    block, scale, shift = rows
    out = np.zeros(len(block))
    layout = centering.transform.layout
    own_distances(block, scale, shift, centering.origin, layout, labels, centers, out)
    return out


def gap_to_second(score: F64) -> F64:
    """Return by how much the second lowest of each row's scores exceeds the lowest."""
    if score.shape[1] == 1:
        return np.full(len(score), np.inf)
    lowest = np.partition(score, 1, axis=1)
    return np.asarray(lowest[:, 1] - lowest[:, 0])
