"""The sketch: every row in a few coordinates that hold what tells rows apart, from one pass."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.estimator import check_spread
from clustem.cluster.kmeans._kernels import add_sums, center_block, dots_block, sketch_block
from clustem.cluster.kmeans._passes import Pass, Steps, Where, Work
from clustem.cluster.kmeans._tiles import TILE_COLUMNS, TILE_ROWS
from clustem.core import InputError
from clustem.core.eigh import eigh
from clustem.passes.block_sums import BlockSums
from clustem.passes.rows import Rows
from clustem.passes.scaled_rows import ScaledRows
from clustem.passes.threads import cores, one_blas_thread
from clustem.passes.transform import RowTransform, plain

T = TypeVar("T")
Progress = Callable[[float], None]
SAMPLE = 768
"""Rows in the sample from which the basis is made, unless the clusters are many."""
SMALL_WIDTH = 64
"""Rows of up to so many kept columns are their own sketch."""
SMALL_SIZE = 2**21
"""A matrix of up to so many values is its own sketch, in float64."""
_FARTHEST = 1e18
"""Largest norm of a centered row, relative to the others', whose square float32 can hold."""
WIDTH = 32
"""Number of coordinates of a sketch, unless the clusters are many."""
_VARYING = {None: 0, "zscore": 2}
"""How many of scale and shift vary from row to row: the scale alone unless named here."""
EXTENSIONS = 2
"""It is extended at most so many times, by a coordinate for each cluster."""
_MARGIN = 8
"""Subspace iteration carries so many more vectors than are wanted."""
_POWER_STEPS = 4
"""Number of subspace iterations."""
_AT_A_TIME = 2**14
"""Rows that are moved at a time where columns are appended."""
_PANEL = 4096
"""Columns of a piece of the basis that a thread makes."""
_GRAM_TILE = 192
"""Rows and columns of a piece of the sample's Gram matrix that a thread makes."""


@dataclass(frozen=True)
class Centering:
    """What turns a row into its centered form: ``gain * transform(x) - origin``."""

    transform: RowTransform
    gain: float
    origin: NDArray[np.float32]

    def scales(
        self, block: NDArray[Any], where: NDArray[np.intp] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scale and shift of each row of a block that came from ``plain``."""
        scale, shift = self.transform.scales(block, where)
        return scale * self.gain, shift * self.gain

    def centered(self, centers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return centers (k, D) or (k, K) of transformed rows as (k, K), less origin."""
        if centers.shape[1] != self.transform.n_kept:
            centers = self.transform.compact(centers)
        return centers * self.gain - self.origin


def unwrapped(rows: Rows, transform: RowTransform | None) -> tuple[Rows, RowTransform, bool]:
    """Return the rows to read, what to do to them, and whether only kept columns are wanted.

    Rows that would be scaled while they are read are read raw instead: kernels scale as they go.
    """
    if transform is None and isinstance(rows, ScaledRows):
        return rows.raw, rows.transform, True
    return rows, transform or RowTransform(rows.shape[1]), False


@dataclass(frozen=True)
class RowReader:
    """What kernels need to read blocks: the centering and, if known, each row's scale and shift."""

    centering: Centering
    scale: NDArray[np.float64] | None = None
    shift: NDArray[np.float64] | None = None

    def read(
        self, block: NDArray[Any], where: NDArray[np.intp]
    ) -> tuple[NDArray[Any], NDArray[np.float64], NDArray[np.float64]]:
        """Return a block as kernels take it, with scale and shift of its rows."""
        block = plain(block)
        if self.scale is None or self.shift is None:
            return block, *self.centering.scales(block, where)
        return block, self.scale[where], self.shift[where]

    def dots(
        self,
        block: NDArray[Any],
        scale: NDArray[np.float64],
        shift: NDArray[np.float64],
        centers: NDArray[Any],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return products (m, k) of centered rows with centered centers, and squared norms (m,).

        In the precision of the centers.
        """
        dots, squares = np.zeros((len(block), len(centers))), np.zeros(len(block))
        narrow = block.dtype.kind == "u" and centers.dtype == np.float32
        layout, origin = self.centering.transform.layout, self.centering.origin
        dots_block(block, narrow, scale, shift, origin, layout, centers, dots, squares)
        return dots, squares


class Sketch:
    """Rows in few coordinates: what k-means of any k starts from.

    Parameters
    ----------
    X
        Rows (n, D): a ``Rows`` or what ``Rows`` takes.
    transform
        What is done to each row; nothing if None.
    n_clusters
        Largest number of clusters that it is meant for: the sketch gets more coordinates.
    random_state
        Seed of the sample from which the basis is made.
    threads
        Number of threads; one per usable core if None.
    progress
        Called with the share of rows done, 0 ... 1.

    Attributes
    ----------
    z
        Coordinates (n, r), float32, or float64 if the matrix is small.
    basis
        Orthonormal basis (K, r) float32 over the K kept columns; None if the rows have so few
        values that they are their own sketch.
    squares
        Squared norm of each centered row (n,) float64.
    residual
        Norm of what the sketch does not hold of each row (n,), an upper bound.
    error, error32
        Bound of the rounding error of a row's coordinates (n,), and the same in float32.
    scale, shift
        What its transform makes of each row (n,), gain included.

    Notes
    -----
    Rows count as ``gain * transform(x) - origin``: the origin is the sample's mean, the gain a
    power of two that brings distances near 1, so float32 is enough for a first answer whatever
    the unit and the offset. Cost: the sample, and one pass of 2 n D r operations.

    Examples
    --------
    >>> import numpy as np
    >>> Sketch(np.eye(4)).z.shape
    (4, 4)
    """

    z: NDArray[np.floating[Any]]
    squares: NDArray[np.float64]
    residual: NDArray[np.float64]
    error: NDArray[np.float64]
    error32: NDArray[np.float64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]

    def __init__(
        self,
        X: Any,
        *,
        transform: RowTransform | None = None,
        n_clusters: int = 8,
        random_state: int = 0,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.source = Rows.of(X)
        self.given = transform or RowTransform(self.source.shape[1])
        self.rows, self.transform, self.compact = unwrapped(self.source, transform)
        n = len(self.rows)
        self.threads = threads or cores()
        kept = self.transform.n_kept
        exact = n * kept <= SMALL_SIZE
        width = -(-max(WIDTH, 2 * n_clusters) // TILE_COLUMNS) * TILE_COLUMNS
        sample = self._sample(max(SAMPLE, 4 * width), random_state)
        self._visits = [len(sample)]
        self._shared = False
        self.centering, centered = _center(sample, self.transform)
        self.basis = None
        if not exact and kept > max(SMALL_WIDTH, 2 * width):
            self.basis = leading_directions(centered, width, self.threads)
        self._basis64 = None if self.basis is None else self.basis.astype(np.float64)
        del sample, centered  # the pass needs the room
        self._fill(np.float64 if exact else np.float32, n_clusters, progress)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the rows as they were given, (n, D)."""
        return self.source.shape

    @property
    def visited(self) -> int:
        """Number of rows read so far, by whoever shares this sketch."""
        return self._visits[0]

    def fresh(self) -> Sketch:
        """Return the same sketch with its own count of rows read from here on."""
        other = copy(self)
        other._visits = [self._made_with]
        other._shared = True
        return other

    def extended(
        self,
        directions: NDArray[np.float64],
        coordinates: NDArray[np.float32],
        blur: float,
    ) -> Sketch:
        """Return a sketch with more coordinates; this one has none any more, unless it is shared.

        Parameters
        ----------
        directions
            Orthonormal rows (m, K), orthogonal to the basis.
        coordinates
            Products (n, m) of the rows with them.
        blur
            How many times larger their rounding errors are.
        """
        other = copy(self)
        width = self.z.shape[1] + coordinates.shape[1]
        if self._shared or width > self._room.shape[1]:
            other.z = np.hstack([self.z, coordinates])
        else:
            other.z = _append_columns(self._room, self.z, coordinates)
            del self.z
        other._basis64 = np.hstack([*self._bases(), directions.T])
        held = np.einsum("ij,ij->i", coordinates, coordinates, dtype=np.float64)
        slack = 4.0 * np.sqrt(self.squares) * self.error32 * blur
        other.residual = np.sqrt(np.maximum(self.residual**2 - held, 0.0) + slack)
        return other

    def _bases(self) -> list[NDArray[np.float64]]:
        return [] if self._basis64 is None else [self._basis64]

    def coordinates(self, centers: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the products of centered full rows (m, K) with the basis, (m, r)."""
        return centers if self._basis64 is None else centers @ self._basis64

    def lift(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the centered full rows (m, K) that have these coordinates (m, r)."""
        return coordinates if self._basis64 is None else coordinates @ self._basis64.T

    def visit(
        self, work: Work, take: Callable[[Where, BlockSums], None], subset: Where | None = None
    ) -> Steps[None]:
        """Ask for a pass over rows, and count it: see ``Pass``."""
        self.count(len(self) if subset is None else len(subset))
        yield Pass(work, take, subset)

    def count(self, rows: int) -> None:
        """Count rows that are read, also by others who share a pass."""
        self._visits[0] += rows

    def full_rows(self, numbers: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return single rows (m, K), transformed, times gain, not centered."""
        self._visits[0] += len(numbers)
        rows = self.transform.apply(self.rows.take(numbers))
        return np.asarray(self.transform.compact(rows) * self.centering.gain)

    def _sample(self, count: int, random_state: int) -> NDArray[Any]:
        """Load some rows. They depend on the number of rows and the seed alone."""
        n = len(self.rows)
        numbers = np.arange(n)
        if n > count:
            numbers = np.sort(np.random.default_rng(random_state).choice(n, count, replace=False))
        return plain(self.rows.take(numbers))

    def _fill(
        self, dtype: type[np.floating[Any]], n_clusters: int, progress: Progress | None
    ) -> None:
        n, kept = len(self), self.transform.n_kept
        width = kept if self.basis is None else self.basis.shape[1]
        # Room for more columns takes none of the memory before it is written to.
        more = 0 if self.basis is None else EXTENSIONS * n_clusters
        self._room = np.empty((n, width + more), dtype=dtype)
        self.z = _beginning(self._room, width)
        self.squares = np.empty(n)
        varying = _VARYING.get(self.transform.normalize, 1)
        self.scale, self.shift = (
            np.empty(n) if i < varying else np.broadcast_to(same, n)
            for i, same in enumerate((self.centering.gain, 0.0))
        )
        into = [self.z, self.squares, self.scale, self.shift][: 2 + varying]
        work = partial(_sketch, self.centering, _panels(self.basis), np.dtype(dtype), varying)
        for where, parts in self.rows.map(work, threads=self.threads, progress=progress):
            for array, part in zip(into, parts, strict=True):
                array[where] = part
        self._visits[0] += n
        self._made_with = self.visited
        self.reader = RowReader(self.centering, self.scale, self.shift)
        # Rounding: of a sum of K float32 products, and of the centered values themselves.
        norm = np.sqrt(self.squares)
        if not norm.max() < (_FARTHEST if dtype == np.float32 else _FARTHEST**4):
            raise _too_far(f"row {int(np.argmax(norm))}")
        unit = (2.0 + 0.05 * np.sqrt(kept)) * (norm + self._raw_norms(norm))
        self.error32 = float(np.finfo(np.float32).eps) * unit
        self.error = self.error32 if dtype == np.float32 else float(np.finfo(dtype).eps) * unit
        held = np.einsum("ij,ij->i", self.z, self.z, dtype=np.float64)
        rest = self.squares - held if self.basis is not None else np.zeros(n)
        self.residual = np.sqrt(np.maximum(rest, 0.0) + 4.0 * norm * self.error)

    def _raw_norms(self, norm: NDArray[np.float64]) -> NDArray[np.float64] | float:
        """Bound the norms before centering, which narrow counts are rounded against."""
        if self.rows.dtype.itemsize > 2:
            return 0.0
        return norm + float(np.linalg.norm(self.centering.origin))


def _append_columns(room: NDArray[Any], array: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """Append columns (n, m) to an array (n, r) that lies at the beginning of a larger one."""
    n, width = array.shape
    out: NDArray[Any] = _beginning(room, width + columns.shape[1])
    flat = room.reshape(-1)
    for first in range((n - 1) // _AT_A_TIME * _AT_A_TIME, -1, -_AT_A_TIME):
        last = min(first + _AT_A_TIME, n)
        old = flat[first * width : last * width].copy()
        out[first:last, :width] = old.reshape(-1, width)
        out[first:last, width:] = columns[first:last]
    return out


def _beginning(room: NDArray[Any], width: int) -> NDArray[Any]:
    """Return as many rows of so many columns in the memory of an array of more columns."""
    return room.reshape(-1)[: len(room) * width].reshape(len(room), width)


def _center(sample: NDArray[Any], transform: RowTransform) -> tuple[Centering, NDArray[np.float32]]:
    """Find origin and gain; return them and the centered sample (m, K)."""
    scale, shift = transform.scales(sample)
    count, kept = len(sample), transform.n_kept
    mean = np.zeros((1, kept))
    order, cells = np.arange(count), np.zeros(count, dtype=np.int64)
    weights = np.full(count, 1.0 / count)
    add_sums(sample, scale, shift, transform.layout, order, cells, weights, mean)
    out = np.empty((count, kept), dtype=np.float32)
    squares = np.zeros(count)
    largest = float(np.abs(mean).max())
    check_spread(largest if largest > 1.0 else 1.0)
    gain = 1.0 if largest < _FARTHEST else 2.0 ** -round(np.log2(largest))
    for _ in range(2):  # first to find the gain, then with it
        centering = Centering(transform, gain, (mean[0] * gain).astype(np.float32))
        squares[:] = 0.0
        center_block(
            sample,
            scale * gain,
            shift * gain,
            centering.origin,
            transform.layout,
            out,
            squares,
        )
        level = float(np.sqrt(squares.mean())) or largest * gain
        check_spread(level / gain)
        gain *= 2.0 ** -round(np.log2(level)) if level > 0.0 else 1.0
    return centering, out


def _too_far(found: str) -> InputError:
    return InputError(
        "Rows must not be 10^18 times farther from the mean row than others",
        got=found,
        cure="Look for a broken value; exclude that row or column with a mask.",
    )


def _panels(basis: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """Lay the basis out as the kernel reads it: (panels, K, TILE_COLUMNS)."""
    if basis is None:
        return None
    parts = basis.reshape(len(basis), -1, TILE_COLUMNS)
    return np.ascontiguousarray(parts.transpose(1, 0, 2))


def _sketch(
    centering: Centering,
    panels: NDArray[np.float32] | None,
    dtype: np.dtype[Any],
    varying: int,
    block: NDArray[Any],
    where: NDArray[np.intp],
) -> tuple[NDArray[Any], ...]:
    """Sketch one block: coordinates, squared norms, and scales and shifts where these vary."""
    block = plain(block)
    scale, shift = centering.scales(block, where)
    squares = np.zeros(len(block))
    layout, origin = centering.transform.layout, centering.origin
    if panels is None:
        z = np.empty((len(block), centering.transform.n_kept), dtype)
        center_block(block, scale, shift, origin, layout, z, squares)
        return z, squares, *(scale, shift)[:varying]
    tall = -(-len(block) // TILE_ROWS) * TILE_ROWS
    z = np.zeros((tall, panels.shape[0] * TILE_COLUMNS), np.float32)
    narrow = block.dtype.kind == "u"
    sketch_block(block, narrow, scale, shift, origin, layout, panels, z, squares)
    return z[: len(block)], squares, *(scale, shift)[:varying]


def leading_directions(
    sample: NDArray[np.float32], width: int, threads: int
) -> NDArray[np.float32]:
    """Return an orthonormal basis (K, width) of the directions in which the sample varies most."""
    wide = sample.shape[1] > len(sample)
    matrix = _products(sample if wide else np.ascontiguousarray(sample.T), threads)
    vectors = _top_eigenvectors(matrix, width)
    basis = _in_panels(sample, vectors, threads) if wide else vectors
    return _orthonormal(basis).astype(np.float32)


def _products(x: NDArray[np.float32], threads: int) -> NDArray[np.float64]:
    """Return ``x @ x.T`` in tiles that do not depend on the number of threads."""
    spans = [slice(i, i + _GRAM_TILE) for i in range(0, len(x), _GRAM_TILE)]
    out = np.zeros((len(x), len(x)))

    def one(pair: tuple[slice, slice]) -> None:
        product = x[pair[0]] @ x[pair[1]].T
        out[pair[0], pair[1]] = product
        out[pair[1], pair[0]] = product.T

    _each(one, list(itertools.combinations_with_replacement(spans, 2)), threads)
    return out


def _top_eigenvectors(matrix: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the vectors of the largest eigenvalues, by subspace iteration."""
    with one_blas_thread():
        if 4 * count > len(matrix):
            return np.asarray(eigh(matrix)[1][:, ::-1][:, :count])
        guess = np.random.default_rng(0).standard_normal((len(matrix), count + _MARGIN))
        for _ in range(_POWER_STEPS):
            guess, _ = np.linalg.qr(matrix @ guess)
        _, turn = eigh(guess.T @ (matrix @ guess))
        return np.asarray((guess @ turn)[:, ::-1][:, :count])


def _in_panels(
    sample: NDArray[np.float32], vectors: NDArray[np.float64], threads: int
) -> NDArray[np.float64]:
    """Return ``sample.T @ vectors``."""
    out = np.empty((sample.shape[1], vectors.shape[1]))
    small = vectors.astype(np.float32)

    def one(start: int) -> None:
        out[start : start + _PANEL] = sample[:, start : start + _PANEL].T @ small

    _each(one, range(0, len(out), _PANEL), threads)
    return out


def _orthonormal(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Make the columns orthonormal; those that depend on earlier ones become zero."""
    with one_blas_thread():
        norms = np.linalg.norm(basis, axis=0)
        basis = basis / np.where(norms > 0.0, norms, 1.0)
        for _ in range(2):
            values, turn = eigh(basis.T @ basis)
            keep = values > 1e-6
            scaled = np.where(keep, turn / np.sqrt(np.where(keep, values, 1.0)), 0.0)
            basis = basis @ scaled
    return basis


def _each(function: Callable[[Any], None], items: Iterable[Any], threads: int) -> None:
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(function, items):
            pass
