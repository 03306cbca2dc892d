"""Passes of fuzzy clustering over all rows, for many starts at once, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.estimator import check_spread
from clustem.cluster.fuzzy import _kernels as kernels
from clustem.core.eigh import eigh
from clustem.passes.rows import Rows
from clustem.passes.storage import release
from clustem.passes.threads import cores, one_blas_thread

F64 = NDArray[np.float64]

_PANEL = 4096  # rows whose sums are added up before panels are combined in order
_SUMS_BYTES = 2**22  # per start; bounds the number of panels of wide data
_PART = 2**25  # bytes of rows that a thread passes over before it lets them go
_SMALL = 2**17  # coordinates to look at that are not worth a second thread
_EXACT_IN_FLOAT32 = 2**24
_COLLINEAR = 1e-12  # variance of a direction, relative to its features': none


def readable(X: NDArray[Any]) -> NDArray[Any]:
    """Return a matrix as the kernels read it: float32 or float64, no digit lost.

    Floats are returned as they are, read-only. Integers become float32 where that is exact,
    so that counts take at most four bytes.

    Examples
    --------
    >>> readable(np.array([[1, 300]], dtype=np.uint16)).dtype
    dtype('float32')
    """
    small = X.dtype.kind == "b" or X.dtype.itemsize <= 2
    if not small and X.dtype.kind in "iu":
        small = X.min() >= -_EXACT_IN_FLOAT32 and X.max() <= _EXACT_IN_FLOAT32
    kept = X.dtype in (np.float32, np.float64)
    out = X.view() if kept else X.astype(np.float32 if small else np.float64)
    out.flags.writeable = False  # as mapped files are: kernels then compile once for both
    return out


def extremes(X: NDArray[Any]) -> tuple[F64, F64]:
    """Return the least and the largest value of each feature, (D,) each: NaN where one is."""
    parts = [found for _, found in Rows(X).map(_extremes_of_block)]
    low, high = (np.stack(values) for values in zip(*parts, strict=True))
    return low.min(axis=0), high.max(axis=0)


def _extremes_of_block(block: NDArray[Any], where: NDArray[np.intp]) -> tuple[F64, F64]:  # noqa: ARG001  # as Rows.map calls it
    low, high = block.min(axis=0), block.max(axis=0)
    return low.astype(np.float64), high.astype(np.float64)


@contextmanager
def threads() -> Iterator[tuple[Executor, int]]:
    """Give a pool of threads and their number, one per usable core."""
    count = cores()
    # Products of small matrices inside the threads: more threads there only get in the way, and
    # their number would show in the last bits.
    with one_blas_thread(), ThreadPoolExecutor(count) as pool:
        yield pool, count


@dataclass(frozen=True)
class Space:
    """Coordinates in which clusters are sought, and how to get back.

    Parameters
    ----------
    origin
        Point (D,) of the data space that becomes 0.
    scale
        Factor, a power of two where there is no ``basis``: it costs no digit.
    basis
        Matrix (r, D), ``z = basis @ (x - origin)``; (0, D) for ``z = scale * (x - origin)``.
    back
        Matrix (D, r), ``x = origin + back @ z``; (D, 0) for the plain case.
    unit
        A squared distance of 1 here, in the data's own units (of a metric of unit volume).
    """

    origin: F64
    scale: float
    basis: F64
    back: F64
    unit: float

    @classmethod
    def plain(cls, X: NDArray[Any], ends: tuple[F64, F64] | None = None) -> Space:
        """Center and scale all features alike, so that squares neither overflow nor vanish.

        Parameters
        ----------
        X
            Rows (n, D).
        ends
            Their :func:`extremes`, if they are known.
        """
        low, high = extremes(X) if ends is None else ends
        half = float(np.max(high / 2 - low / 2))
        check_spread(half)
        scale = 2.0 ** -np.frexp(half)[1] if half > 0 else 1.0
        D = len(low)
        middle = low / 2 + high / 2
        return cls(middle, float(scale), np.empty((0, D)), np.empty((D, 0)), float(scale**-2))

    def whitened(self, mean: F64, covariance: F64, *, rounding: float) -> Space:
        """Turn and scale a plain space so that all directions in which rows vary vary by one.

        Parameters
        ----------
        mean, covariance
            Of all rows, in this space: (D,) and (D, D).
        rounding
            Relative precision of the data: smaller variation is none.

        Returns
        -------
        :
            Space of the directions (at least one) in which rows vary.
        """
        spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        varies = (spread > 10 * rounding * spread.max()) & (spread > 0)
        D = len(spread)
        if not varies.any():
            return Space(self.origin, 1.0, np.zeros((1, D)), np.zeros((D, 1)), 1.0)
        inner = covariance[np.ix_(varies, varies)] / np.outer(spread[varies], spread[varies])
        values, vectors = eigh(inner)
        kept = values > _COLLINEAR * len(values)
        root = np.sqrt(values[kept])
        basis, back = np.zeros((len(root), D)), np.zeros((D, len(root)))
        basis[:, varies] = vectors[:, kept].T / root[:, None] / spread[varies] * self.scale
        back[varies] = vectors[:, kept] * root * spread[varies, None] / self.scale
        volume = np.exp(np.linalg.slogdet(back.T @ back)[1] / len(root))
        return Space(self.points(mean), 1.0, basis, back, float(volume))

    @property
    def rank(self) -> int:
        """Number of coordinates r."""
        return self.basis.shape[0] or len(self.origin)

    def coordinates(self, x: F64) -> F64:
        """Return coordinates (..., r) of points (..., D) of the data space."""
        if self.basis.shape[0] == 0:
            return (x - self.origin) * self.scale
        turned: F64 = (x - self.origin) @ self.basis.T
        return turned

    def points(self, z: F64) -> F64:
        """Return points (..., D) of the data space for coordinates (..., r)."""
        if self.basis.shape[0] == 0:
            return self.origin + z / self.scale
        moved: F64 = self.origin + z @ self.back.T
        return moved


@dataclass(frozen=True)
class State:
    """Where S starts are: one set of k clusters each.

    Parameters
    ----------
    centers
        Coordinates (S, k, r).
    factors
        Upper triangular (S, k, r, r), ``d² = |factor @ (z - center)|²``; (S, k, 0, 0) for
        plain distances.
    eta
        Possibilistic widths (S, k), or (S, 0).
    """

    centers: F64
    factors: F64
    eta: F64

    @classmethod
    def euclidean(cls, centers: F64) -> State:
        """Clusters with plain distances and memberships that sum to one."""
        starts, k, _ = centers.shape
        return cls(centers, np.empty((starts, k, 0, 0)), np.empty((starts, 0)))

    def __getitem__(self, which: Any) -> State:
        return State(self.centers[which], self.factors[which], self.eta[which])

    def put(self, which: NDArray[np.intp], other: State) -> None:
        """Overwrite some starts with those of another state."""
        self.centers[which] = other.centers
        self.factors[which] = other.factors
        self.eta[which] = other.eta

    def copy(self) -> State:
        """Return a state of its own memory."""
        return State(self.centers.copy(), self.factors.copy(), self.eta.copy())


@dataclass(frozen=True)
class Sums:
    """What one pass gives, per start and cluster (S, k, ...)."""

    weight: F64
    objective: F64
    first: F64
    second: F64

    @classmethod
    def unpack(cls, packed: F64, r: int) -> Sums:
        """Read the kernel's packed sums (S, k, width)."""
        second = np.zeros((*packed.shape[:2], r, r))
        if packed.shape[2] > 2 + r:
            a, c = np.triu_indices(r)
            second[..., a, c] = second[..., c, a] = packed[..., 2 + r :]
        return cls(packed[..., 0], packed[..., 1], packed[..., 2 : 2 + r], second)

    def __getitem__(self, which: Any) -> Sums:
        return Sums(
            self.weight[which], self.objective[which], self.first[which], self.second[which]
        )

    @property
    def shift(self) -> F64:
        """Step (S, k, r) from each center to the weighted mean; none where nothing weighs."""
        step: F64 = self.first / np.where(self.weight > 0, self.weight, np.inf)[..., None]
        return step

    @property
    def covariance(self) -> F64:
        """Weighted covariance (S, k, r, r) about the weighted mean."""
        shift = self.shift
        weight = np.where(self.weight > 0, self.weight, np.inf)[..., None, None]
        out: F64 = self.second / weight - shift[..., :, None] * shift[..., None, :]
        return out


@dataclass(frozen=True)
class Frame:
    """Rows, the space they are seen in, and the threads that pass over them.

    Rows are cut into panels whose number depends on the data alone; the sums of panels are added
    in order, so the number of threads does not change a bit of the result.
    """

    X: NDArray[Any]
    space: Space
    m: float
    pool: Executor | None = None
    threads: int = 1

    def sums(self, state: State, *, moments: bool = False) -> Sums:
        """Pass over all rows for all starts of a state."""
        n, r = len(self.X), self.space.rank
        starts, k, _ = state.centers.shape
        panel, one = self._panels(k, kernels.width_of_sums(r, moments=moments))
        panels = len(one)
        out = np.zeros((starts, *one.shape))

        def work(first: int, last: int) -> None:
            kernels.fuzzy_sums(
                *self._where, state.centers, state.factors, state.eta, self.m,
                panel, self._block(k), first, last, out,
            )  # fmt: skip

        self._share(work, starts * panels, n * k * starts * r, rows=-(-panel // starts))
        return Sums.unpack(out.sum(axis=1), r)

    def memberships(self, state: State) -> tuple[F64, NDArray[np.int32]]:
        """Return memberships (n, k) and labels (n,) for a state of one start."""
        n, k = len(self.X), state.centers.shape[1]
        out, labels = np.empty((n, k)), np.empty(n, dtype=np.int32)
        (centers,), (factors,), (eta,) = state.centers, state.factors, state.eta
        tasks = -(-n // _PANEL)

        def work(first: int, last: int) -> None:
            kernels.fuzzy_memberships(
                *self._where, centers, factors, eta, self.m, self._block(k),
                first * _PANEL, min(last * _PANEL, n), out, labels,
            )  # fmt: skip

        self._share(work, tasks, n * k * self.space.rank, rows=_PANEL)
        return out, labels

    def distances(self, state: State) -> F64:
        """Return squared distances (n, k) of all rows to the clusters of a state of one start."""
        n, k = len(self.X), state.centers.shape[1]
        out = np.empty((n, k))
        (centers,), (factors,) = state.centers, state.factors

        def work(first: int, last: int) -> None:
            kernels.fuzzy_distances(
                *self._where, centers, factors, self._block(k),
                first * _PANEL, min(last * _PANEL, n), out,
            )  # fmt: skip

        self._share(work, -(-n // _PANEL), n * k * self.space.rank, rows=_PANEL)
        return out

    def sums_with(
        self, state: State, weights: F64, distances: F64, *, moments: bool = False
    ) -> Sums:
        """Pass over all rows with given weights ``u^m`` (n, k), for a state of one start."""
        n, r = len(self.X), self.space.rank
        k = state.centers.shape[1]
        panel, out = self._panels(k, kernels.width_of_sums(r, moments=moments))

        def work(first: int, last: int) -> None:
            kernels.weighted_sums(
                *self._where, state.centers[0], distances, weights, self.m,
                panel, self._block(k), first, last, out,
            )  # fmt: skip

        self._share(work, len(out), n * k * r, rows=panel)
        return Sums.unpack(out.sum(axis=0)[None], r)

    def _panels(self, k: int, width: int) -> tuple[int, F64]:
        """Rows of a panel, and zeros (panels, k, width) for their sums."""
        most = min(64, max(4, _SUMS_BYTES // (8 * k * width)))
        panel = max(_PANEL, -(-len(self.X) // most))
        return panel, np.zeros((-(-len(self.X) // panel), k, width))

    def draw_centers(self, k: int, n_init: int, seed: int) -> F64:
        """Draw centers (n_init, k, r) from the rows, far ones more likely (k-means++)."""

        def draw(start: int) -> F64:
            generator = np.random.default_rng([seed, start])
            least = np.full(len(self.X), np.inf)
            chosen = [int(generator.integers(len(self.X)))]
            while len(chosen) < k:
                center = self._coordinates(chosen[-1])
                kernels.lower_distances(*self._where, center, self._block(1), least)
                running = np.cumsum(least)
                at = generator.random() * running[-1]
                # All rows sit on chosen ones: any row will do.
                nothing_left = running[-1] == 0
                chosen.append(
                    int(generator.integers(len(self.X)))
                    if nothing_left
                    else min(int(np.searchsorted(running, at, side="right")), len(self.X) - 1)
                )
            return np.stack([self._coordinates(row) for row in chosen])

        run = map if self.pool is None else self.pool.map
        return np.stack(list(run(draw, range(n_init))))

    def _coordinates(self, row: int) -> F64:
        z = np.empty((self.space.rank, 1))
        kernels.load_block(self.X, row, 1, *self._where[1:], z)
        return z[:, 0]

    @property
    def _where(self) -> tuple[NDArray[Any], F64, float, F64]:
        return self.X, self.space.origin, self.space.scale, self.space.basis

    def _block(self, k: int) -> int:
        """Rows per block: what is touched together should stay in the nearest cache."""
        return int(np.clip(2048 // (self.space.rank + k), 32, 256))

    def _share(
        self, work: Callable[[int, int], None], tasks: int, numbers: int, *, rows: int
    ) -> None:
        """Share tasks out among the threads; a task covers so many rows, let go when it is done."""
        step = max(_PART // max(rows * self.X[:1].nbytes, 1), 1)

        def some(first: int, last: int) -> None:
            for begin in range(first, last, step):
                end = min(begin + step, last)
                work(begin, end)
                release(self.X[begin * rows : end * rows])

        if self.pool is None or numbers < _SMALL:
            some(0, tasks)
            return
        cuts = np.linspace(0, tasks, min(self.threads, tasks) + 1).astype(int)
        for done in [self.pool.submit(some, int(a), int(b)) for a, b in pairwise(cuts)]:
            done.result()
