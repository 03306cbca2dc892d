"""From the sketch's answer to a fixed point of Lloyd's algorithm in the full space."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from clustem.compute.kmeans_batch import settle
from clustem.compute.kmeans_blocks import (
    change_of_sums,
    lead,
    look,
    own_distance,
    sums_of_cells,
)
from clustem.compute.kmeans_kernels import judge_rows
from clustem.compute.kmeans_sketch import Sketch

F64 = NDArray[np.float64]
_DEEPER, _MANY, _FLAT = 2, 0.3, 1e-3
_TIGHT = 0.02
"""Share of the total scatter below which inertia is summed term by term."""


@dataclass(frozen=True)
class Outcome:
    """Labels (n,), centers less origin (k, K), inertia, all in the sketch's unit (its gain)."""

    labels: NDArray[np.int32]
    centers: F64
    inertia: float
    n_iter: int
    certified: bool


class Polish:
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
        self._norms = np.sqrt(sketch.squares) * (1.0 + 1e-5)
        self._slack, self._since = np.full(n, -1.0), np.zeros(n)
        self._since_flat = np.zeros(n)
        self._travel = np.zeros(2)

    def take_sums(self, labels: NDArray[np.int32], sums: F64) -> None:
        """Start from labels and the sums (not centered) of their rows."""
        self.labels = labels.astype(np.int32)
        self.sums = sums.copy()
        self._place(self._means())

    def take_centers(self, centers: F64) -> None:
        """Start from centers less origin (k, K): their rows are found by looking."""
        self._place(centers)

    def run(
        self, *, max_iter: int, tol: float, progress: Callable[[float], None] | None = None
    ) -> Outcome:
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
        certified, n_iter, deeper, sure = False, 0, _DEEPER, 0.0
        while True:
            n_iter += 1
            known = bool((self.labels >= 0).all())
            read, changed = self._assign()
            sure = max(sure, 1.0 - read / len(self.labels))
            if progress is not None:
                progress(sure)
            empty = self._counts() <= 0.0
            if n_iter == max_iter:
                certified = not changed and not empty.any()
                break
            if not self._reseed(empty) and not changed:
                certified = True
                break
            means = self._means()
            if tol > 0.0 and np.sum((means - self.centers) ** 2) <= tol * scatter:
                break  # labels fit the centers as they are
            if read == len(self.labels) and self.sketch.basis is not None and deeper and known:
                deeper -= 1
                n_iter += self._deepen(max_iter - n_iter)
                means = self._means()
            self._place(means)
        return Outcome(self.labels, self.centers, self._inertia(), n_iter, certified)

    def _deepen(self, max_iter: int) -> int:
        """Add what the sketch does not hold of the centers to it, and settle there.

        All rows were just read, so their products with that part are known: these are coordinates.
        """
        values, turn = np.linalg.eigh(self._rest @ self._rest.T)
        keep = values > _FLAT * values[-1]
        turn = turn[:, keep] / np.sqrt(values[keep])
        coordinates = self._known @ turn.astype(np.float32)
        blur = np.sqrt(self._squares.max() / values[keep][0])
        self.sketch = self.sketch.extended(turn.T @ self._rest, coordinates, blur)
        self._known[:], self._epoch[:] = 0.0, 0
        self._rest, self._moved = np.zeros_like(self._rest), [np.zeros_like(self._moved[0])]
        self._place(self.centers)
        start = settle(self.sketch.z, self.weights, self._near[None], max_iter=max(1, max_iter))[0]
        self._move_to(start.labels)
        return start.n_iter

    def _move_to(self, labels: NDArray[np.int32]) -> None:
        """Change labels, and the sums with them."""
        moved = np.flatnonzero(labels != self.labels)
        old, self.labels = self.labels, labels.copy()
        self._slack[moved] = -1.0
        if len(moved):
            work = partial(change_of_sums, self.sketch.reader, self.weights, old, labels)
            for _, (touched, change) in self.sketch.visit(work, subset=moved):
                _add(self.sums, touched, change)

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

    def _place(self, centers: F64) -> None:
        """Move the centers, and account for how far."""
        steps = _gaps(centers - self.centers)
        squares = np.einsum("ij,ij->i", centers, centers)
        constant = np.ptp(squares - np.einsum("ij,ij->i", self.centers, self.centers))
        self._travel += [2.0 * steps.max(), constant]
        self._near = self.sketch.coordinates(centers)
        rest = centers - self.sketch.lift(self._near)
        self._moved.append(self._moved[-1] + _gaps(rest - self._rest))
        self.centers, self._rest, self._squares = centers, rest, squares

    def _assign(self) -> tuple[int, bool]:
        """Give every row its nearest center; return how many were read, and if any changed."""
        old = self.labels.copy()
        doubtful = np.flatnonzero(self._judge())
        if len(doubtful) > _MANY * len(old):
            doubtful = np.arange(len(old))  # then what is learned can deepen the sketch
        if not len(doubtful):
            return 0, False
        sketch = self.sketch
        parts = (self.centers, self._squares, sketch.error32, self.weights, old)
        work = partial(look, sketch.reader, *parts)
        changed = False
        for where, (labels, dots, touched, change) in sketch.visit(work, subset=doubtful):
            self._remember(where, labels, dots)
            if len(touched):
                changed = True
                _add(self.sums, touched, change)
        return len(doubtful), changed

    def _judge(self) -> NDArray[np.uint8]:
        sketch = self.sketch
        radius = self._moved[-1] - np.array(self._moved)
        near = self._near.astype(sketch.z.dtype)
        state = (self.labels, self._slack, self._since, self._since_flat)

        def one(first: int) -> NDArray[np.uint8]:
            verdict: NDArray[np.uint8] = judge_rows(
                first,
                min(first + step, len(sketch)),
                sketch.z,
                near,
                self._squares,
                sketch.residual,
                self._norms,
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
        self._slack[where] = lead(self._squares - 2.0 * dots) - rounding
        self._since[where], self._since_flat[where] = self._travel

    def _reseed(self, empty: NDArray[np.bool_]) -> bool:
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

    def _inertia(self) -> float:
        sketch, counts = self.sketch, self._counts()
        scatter = float(self.weights @ sketch.squares)
        centered = self.sums - counts[:, None] * sketch.centering.origin
        gained = 2.0 * np.einsum("ij,ij->i", centered, self.centers) - counts * self._squares
        inertia = scatter - float(gained.sum())
        if inertia > _TIGHT * scatter:
            return inertia
        # Too little is left of a difference of large numbers: add up the distances themselves.
        work = partial(own_distance, sketch.reader, self.centers, self.labels)
        return float(sum(self.weights[where] @ own for where, own in sketch.visit(work)))


def _add(sums: F64, touched: NDArray[np.intp], part: F64) -> None:
    """Add to some rows in place; an indexed sum would copy them twice."""
    for row, more in zip(touched, part, strict=True):
        sums[row] += more


def _gaps(vectors: F64) -> F64:
    """Return the distances between all rows, rounded up."""
    gram = vectors @ vectors.T
    squares = np.diagonal(gram)
    gaps = squares[:, None] + squares - 2.0 * gram
    return np.sqrt(np.maximum(gaps, 0.0) + 1e-14 * (squares[:, None] + squares))


def cell_sums(sketch: Sketch, cells: NDArray[np.int32], weights: F64, n_cells: int) -> F64:
    """Return the weighted sums (n_cells, K), not centered, of the rows of each cell."""
    sums = np.zeros((n_cells, sketch.transform.n_kept))
    for _, (touched, part) in sketch.visit(partial(sums_of_cells, sketch.reader, cells, weights)):
        _add(sums, touched, part)
    return sums
