"""Where blocks of rows come from: memory, a mapped file, HDF5, zarr or dask."""

from __future__ import annotations

import itertools
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import deepcopy
from dataclasses import dataclass
from math import prod
from threading import Semaphore
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from clustem.core import ClustemError, InputError
from clustem.core.memory import free_memory
from clustem.core.progress import tick
from clustem.passes.block_sums import Joinable
from clustem.passes.direct import larger_than_memory, read_directly
from clustem.passes.storage import (
    BLOCK_BYTES,
    Piece,
    as_array,
    is_dask,
    loaded,
    pick,
    release,
    stored,
)
from clustem.passes.threads import cores, one_blas_thread

T = TypeVar("T")
Where = NDArray[np.intp]
_CHUNK_BLOCKS = 8
_SPANS = 32
"""A pass joins sums to about so many."""
_SPAN_BYTES = 2**25, 2**30
"""But each of at least and at most so many bytes."""
_FEW = 0.25
"""Share of the rows below which chunks of a file are read one by one."""
_READERS = 2
"""So many threads more where blocks are read past the cache: they wait while others compute."""


@dataclass(frozen=True)
class _Block:
    """Some rows: their numbers, and what to load to get them."""

    where: Where
    data: Any  # array of shape (..., *row shape), lazy for dask
    keep: NDArray[np.bool_ | np.intp] | None  # which of these rows, None = all
    direct: bool = False  # whether to read past the system's cache

    def apply(
        self,
        function: Callable[[NDArray[Any], Where], T],
        gate: AbstractContextManager[object] | None = None,
    ) -> tuple[Where, T]:
        """Load the rows, call the function once the gate lets it, give the memory back."""
        data = np.asarray(loaded(self.data))
        if self.direct:
            data = read_directly(data)
        with gate or nullcontext():
            result = function(_as_rows(data, self.where, self.keep), self.where)
        release(data)
        return self.where, result


class Rows:
    """n rows of D numbers, read one block at a time in their own dtype.

    Parameters
    ----------
    data
        Array whose leading axes are rows and whose trailing axes are one row's values: ndarray,
        ``numpy.memmap``, dask array, or anything that dask can slice (HDF5 and zarr arrays).
    row_ndim
        Number of trailing axes that make one row: 1 for spectra, 2 for patterns.
    mask
        Boolean, shape of the leading axes, True = excluded: these rows are passed over.
    block_bytes
        Size of one block once converted to float32 [bytes].

    Raises
    ------
    InputError
        If there is no row or no value in a row, the values are not real numbers,
        or the mask does not fit.

    Notes
    -----
    Rows are numbered in C order over the leading axes, excluded ones left out. Nothing is converted
    or copied until a block is asked for; a block of a mapped file is a view, and its pages leave
    the process when the function is done with it, so memory stays bounded however long the scan.

    Examples
    --------
    >>> import numpy as np
    >>> rows = Rows(np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
    >>> rows.shape, rows.dtype
    ((4, 3), dtype('uint8'))
    >>> [int(total) for _, total in rows.map(lambda block, where: block.sum())]
    [66]
    """

    def __init__(
        self,
        data: Any,
        *,
        row_ndim: int = 1,
        mask: NDArray[np.bool_] | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        self._data = as_array(data)
        if self._data.ndim <= row_ndim:
            raise InputError(
                f"Rows need at least {row_ndim + 1} axes",
                got=f"shape {self._data.shape}",
                cure="A single spectrum or pattern cannot be clustered: give a scan.",
            )
        first = self._data.ndim - row_ndim
        self._lead = tuple(int(size) for size in self._data.shape[:first])
        self.row_shape = tuple(int(size) for size in self._data.shape[first:])
        self.dtype = np.dtype(self._data.dtype)
        if self.dtype.kind not in "buif":
            raise InputError(
                "Rows must hold real numbers",
                got=f"dtype {self.dtype}",
                cure="Take the real part or the magnitude first.",
            )
        self._mask = self._checked_mask(mask)
        self._block_bytes = block_bytes
        total = prod(self._lead)
        n = total if self._mask is None else total - int(np.count_nonzero(self._mask))
        self.shape: tuple[int, int] = (n, prod(self.row_shape))
        if 0 in self.shape:
            raise InputError(
                "At least one row with at least one value is needed",
                got=f"{self.shape[0]} rows of {self.shape[1]} values",
                cure="Loosen the mask or the region of interest.",
            )
        self._number = _numbers(self._lead, self._mask)
        source = stored(self._data)
        self._direct = larger_than_memory(self._data) or (
            source is not None and source.mapped and self.nbytes > free_memory()
        )
        if not is_dask(self._data):
            self._data = _flat(self._data, len(self._lead))
            if self._mask is not None and self._data.ndim == 1 + row_ndim:
                self._mask = self._mask.ravel()

    @classmethod
    def of(cls, data: Any) -> Rows:
        """Return ``data`` itself if it is Rows already, else Rows over its last axis."""
        return data if isinstance(data, cls) else cls(data)

    def same_as(self, other: Rows) -> bool:
        """Whether the blocks of other rows would be the same part of a memory or file."""
        if type(self) is not Rows or type(other) is not Rows or self.shape != other.shape:
            return False
        if not np.array_equal(self._number.ravel(), other._number.ravel()):
            return False
        one, two = self._data, other._data
        if is_dask(one) or is_dask(two):
            return bool(is_dask(one) and is_dask(two) and one.name == two.name)
        return bool(one.__array_interface__ == two.__array_interface__)

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.shape[0])

    @property
    def ndim(self) -> int:
        """Rows are a matrix: 2."""
        return 2

    @property
    def nbytes(self) -> int:
        """Size of all rows in their own dtype [bytes]."""
        return int(prod(self.shape) * self.dtype.itemsize)

    @property
    def in_memory(self) -> bool:
        """Whether the values are an ndarray (mapped files included), not dask's."""
        return not is_dask(self._data)

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> NDArray[Any]:
        """Load all rows, (n, D), in their own dtype unless asked otherwise."""
        out = np.empty(self.shape, dtype=dtype or self.dtype)
        for where, block in self.map(lambda block, _: block):
            out[where] = block
        return out

    def take(self, numbers: Where) -> NDArray[Any]:
        """Load single rows.

        Parameters
        ----------
        numbers
            Row numbers (m,), in any order, repeats allowed.

        Returns
        -------
        :
            Array (m, D) in the rows' dtype.
        """
        numbers = np.asarray(numbers, dtype=np.intp)
        wanted, back = np.unique(numbers, return_inverse=True)
        out = np.empty((len(wanted), self.shape[1]), dtype=self.dtype)
        for where, block in self.map(lambda block, _: block, subset=wanted):
            out[np.searchsorted(wanted, where)] = block
        return out[back]

    def pilot_mean(self, count: int = 64) -> NDArray[np.float64]:
        """Return the mean (D,) of a few evenly spaced rows.

        Subtract it before squares are summed, and no digits are lost to a large offset.
        """
        numbers = np.unique(np.linspace(0, len(self) - 1, count).astype(np.intp))
        return np.asarray(self.take(numbers).mean(axis=0, dtype=np.float64))

    def map(
        self,
        function: Callable[[NDArray[Any], Where], T],
        *,
        subset: Where | None = None,
        threads: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[tuple[Where, T]]:
        """Make one pass: apply a function to every block.

        Parameters
        ----------
        function
            Called as ``function(block, where)`` with a block (rows, D) in native dtype and the row
            numbers (rows,). Runs in threads, or on the workers when a dask.distributed client
            is active and the data is dask's; what it returns should be small, and no view
            of the block.
        subset
            Sorted row numbers to visit; all rows if None.
        threads
            Number of threads; one per usable core if None. BLAS gets one thread in each.
        progress
            Called with the share of rows done, 0 ... 1.

        Yields
        ------
        :
            Row numbers and the function's result, block by block, always in the same order;
            what is :class:`~clustem.passes.block_sums.Joinable`, of many blocks at once, and the
            sums of all rows with the last of them.
        """
        if subset is not None and len(subset) == len(self):
            subset = None
        blocks = self._blocks(subset)
        total = len(self) if subset is None else len(subset)
        span = self._rows_in_span(total)
        if has_workers(self._data):
            found = self._map_on_workers(function, blocks, threads or cores(), span)
        else:
            found = self._map_in_threads(function, blocks, threads or cores())
        for where, result, done in _sums_last(_joined(found, span)):
            yield where, result
            tick(done / total)
            if progress is not None:
                progress(done / total)

    def _rows_in_span(self, total: int) -> int:
        """Return of how many rows sums are joined: what they are of depends on nothing else."""
        row = max(1, self.nbytes // len(self))
        size = min(max(total * row // _SPANS, _SPAN_BYTES[0]), _SPAN_BYTES[1])
        return int(max(1, size // row))

    def _map_in_threads(
        self, function: Callable[[NDArray[Any], Where], T], blocks: Iterator[_Block], threads: int
    ) -> Iterator[tuple[Where, T]]:
        gate = Semaphore(threads)

        def one(block: _Block) -> tuple[Where, T]:
            return block.apply(function, gate)

        with one_blas_thread():
            if threads == 1:
                yield from map(one, blocks)
                return
            workers = threads + (_READERS if self._direct else 0)
            with ThreadPoolExecutor(workers) as pool:
                ahead = deque(pool.submit(one, b) for b in itertools.islice(blocks, workers + 1))
                try:
                    while ahead:
                        result = ahead.popleft().result()
                        ahead.extend(pool.submit(one, b) for b in itertools.islice(blocks, 1))
                        yield result
                finally:
                    for future in ahead:
                        future.cancel()

    def _map_on_workers(
        self,
        function: Callable[[NDArray[Any], Where], T],
        blocks: Iterator[_Block],
        threads: int,
        span: int,
    ) -> Iterator[tuple[Where, T]]:
        import dask
        from distributed import default_client

        client = default_client()
        with _workers_stay():  # sent once, not with each block
            if client.scheduler is None:
                raise TimeoutError("a client whose scheduler is gone")
            sent = client.scatter(function, broadcast=True, hash=False)

        one = dask.delayed(_on_worker, pure=False)  # type: ignore[attr-defined]
        window = max(2 * threads, 2 * sum(client.nthreads().values()))
        ahead: deque[Any] = deque()
        sums: Any = None
        for some in _in_spans(blocks, span):
            if isinstance(some[0].data, Piece):  # no graph: the worker reads it itself
                found = client.submit(_on_worker, sent, some, pure=False)
                sums = client.submit(_sums_so_far, sums, found, pure=False)
                ahead.append((some, client.submit(_of_rows, found, pure=False)))
                del found
            else:
                futures = client.compute([one(sent, [block]) for block in some])
                ahead += [([block], future) for block, future in zip(some, futures, strict=True)]
            while len(ahead) > window:
                yield from self._done(*ahead.popleft())
        last: tuple[Where, Any] | None = None
        while ahead:
            for each in self._done(*ahead.popleft()):
                if last is not None:
                    yield last
                last = each
        with _workers_stay():
            total = None if sums is None else sums.result()
        if last is not None and total is not None:
            total.join(last[1])
            last = last[0], total
        if last is not None:
            yield last

    @staticmethod
    def _done(blocks: list[_Block], future: Any) -> Iterator[tuple[Where, Any]]:
        with _workers_stay():
            found = future.result()
        parts = [block.where for block in blocks]
        if len(found) < len(parts):
            parts = [np.concatenate(parts)]
        yield from zip(parts, found, strict=True)

    def _blocks(self, subset: Where | None) -> Iterator[_Block]:
        if subset is not None and self._flat_lead:
            yield from self._gathered(subset)
            return
        wanted = None
        if subset is not None:
            wanted = np.zeros(len(self), dtype=bool)
            wanted[subset] = True
        few = subset is not None and len(subset) < _FEW * len(self)
        for number, data in self._pieces(apart=few):
            keep = number >= 0
            if wanted is not None:
                keep &= wanted[number]
            if keep.all():
                yield _Block(number, data, None, self._direct)
            elif keep.any():
                yield _Block(number[keep], data, keep)

    @property
    def _flat_lead(self) -> bool:
        """Whether the data is an ndarray with one leading axis, whose rows can be picked."""
        return not is_dask(self._data) and self._data.ndim == 1 + len(self.row_shape)

    @property
    def _per_block(self) -> int:
        return max(1, self._block_bytes // (4 * self.shape[1]))

    def _gathered(self, subset: Where) -> Iterator[_Block]:
        """Pick single rows of an ndarray."""
        place = subset if self._mask is None else np.flatnonzero(~self._mask)[subset]
        for first in range(0, len(subset), self._per_block):
            part = slice(first, first + self._per_block)
            yield _Block(subset[part], self._data, place[part])

    def _pieces(self, *, apart: bool) -> Iterator[tuple[Where, Any]]:
        """Cut the data along its leading axes: row numbers, and the data (lazy for dask).

        With ``apart`` chunks of a file are not read together, as few of them are needed.
        """
        data, per_block = self._data, self._per_block
        number = self._number.reshape(data.shape[: data.ndim - len(self.row_shape)])
        if is_dask(data):
            per_block *= _CHUNK_BLOCKS  # to cut a chunk is to load it several times
        source = stored(data)
        if source is not None and (source.portable or not has_workers(data)):
            most = 1 if apart else per_block
            cuts, data = _whole_units(source.unit[: number.ndim], number.shape, most), source
        elif is_dask(data):
            cuts = [np.cumsum((0, *sizes)).tolist() for sizes in data.chunks[: number.ndim]]
        else:
            cuts = [[0, size] for size in number.shape]
        for spans in itertools.product(*(itertools.pairwise(cut) for cut in cuts)):
            (start, stop), *others = spans
            rest = tuple(slice(*span) for span in others)
            step = max(1, per_block // prod(last - first for first, last in others))
            for first in range(start, stop, step):
                index = (slice(first, min(first + step, stop)), *rest)
                yield number[index].ravel(), data[index]

    def _checked_mask(self, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        if mask is None:
            return None
        found = np.asarray(mask)
        if found.dtype != np.bool_ or found.shape != self._lead:
            raise InputError(
                f"The mask must be boolean of shape {self._lead} (True = excluded)",
                got=f"{found.dtype} of shape {found.shape}",
                cure="Masks are in array order: rows first, then columns.",
            )
        return found


def _whole_units(unit: tuple[int, ...], shape: tuple[int, ...], per_block: int) -> list[list[int]]:
    """Cut axes between what is stored together, into blocks of as many rows as wanted or fewer."""
    steps = [min(size, total) for size, total in zip(unit, shape, strict=True)]
    for axis in range(len(steps) - 1, -1, -1):  # last axes first: lines stay whole
        many = min(-(-shape[axis] // steps[axis]), per_block // prod(steps))
        steps[axis] *= max(1, many)
    return [[*range(0, total, step), total] for total, step in zip(shape, steps, strict=True)]


def _numbers(lead: tuple[int, ...], mask: NDArray[np.bool_] | None) -> NDArray[np.intp]:
    """Row number of each position, -1 where excluded."""
    if mask is None:
        return np.arange(prod(lead), dtype=np.intp).reshape(lead)
    number = np.full(lead, -1, dtype=np.intp)
    number[~mask] = np.arange(np.count_nonzero(~mask))
    return number


def _flat(data: NDArray[Any], lead: int) -> NDArray[Any]:
    """Join the leading axes if that needs no copy."""
    try:
        return np.reshape(data, (-1, *data.shape[lead:]), copy=False)
    except ValueError:
        return data


def _as_rows(data: NDArray[Any], where: Where, keep: Any) -> NDArray[Any]:
    if keep is None:
        return data.reshape(len(where), -1)
    picked: NDArray[Any]
    if keep.dtype == np.bool_:
        picked = data.reshape(len(keep), -1)[keep]
    else:
        picked = pick(data, keep).reshape(len(keep), -1)
    return picked


def _on_worker(call: Callable[[NDArray[Any], Where], T], blocks: list[_Block]) -> list[T]:
    """Return what comes of each block, or of all where it can be joined."""
    with one_blas_thread():
        found = (block.apply(call) for block in blocks)
        return [result for _, result, _ in _joined(found, sum(len(b.where) for b in blocks))]


def _sums_so_far(before: Joinable | None, found: list[Any]) -> Joinable | None:
    """Add the sums of a span to those of the spans before it; they stay on the workers."""
    if not isinstance(found[0], Joinable):
        return None
    sums, _ = found[0].split()
    if before is None:
        return sums
    total = deepcopy(before)  # a task must leave what it is given as it is
    total.join(sums)
    return total


def _of_rows(found: list[Any]) -> list[Any]:
    """Return what a span found of each of its rows: that travels to the client."""
    return [each.split()[1] if isinstance(each, Joinable) else each for each in found]


def _in_spans(blocks: Iterator[_Block], span: int) -> Iterator[list[_Block]]:
    """Put blocks together whose sums are joined."""
    done, some = 0, list[_Block]()
    for block in blocks:
        if some and done // span != (done - len(some[-1].where)) // span:
            yield some
            some = []
        some.append(block)
        done += len(block.where)
    if some:
        yield some


def _joined(found: Iterator[tuple[Where, T]], span: int) -> Iterator[tuple[Where, T, int]]:
    """Join the sums of neighbouring blocks; yield with each how many rows are done."""
    done = 0
    held: tuple[list[Where], T, int] | None = None  # rows, their sums, and which span
    for where, result in found:
        number, done = done // span, done + len(where)
        if not isinstance(result, Joinable):
            yield where, result, done
        elif held is not None and held[2] == number:
            held[0].append(where)
            cast("Joinable", held[1]).join(result)
        else:
            if held is not None:
                yield np.concatenate(held[0]), held[1], done - len(where)
            held = [where], result, number
    if held is not None:
        yield np.concatenate(held[0]), held[1], done


def _sums_last(found: Iterator[tuple[Where, T, int]]) -> Iterator[tuple[Where, T, int]]:
    """Add up all sums in order, and hand them over with what is found of the last rows."""
    total: Joinable | None = None
    last: tuple[Where, T, int] | None = None
    for where, result, done in found:
        if not isinstance(result, Joinable):
            yield where, result, done
            continue
        if last is not None:
            yield last
        sums, rows = result.split()
        if total is None:
            total = sums
        else:
            total.join(sums)
        last = where, cast("T", rows), done
    if last is not None and total is not None:
        total.join(cast("Joinable", last[1]))
        yield last[0], cast("T", total), last[2]


@contextmanager
def _workers_stay() -> Iterator[None]:
    """Say in one line if the workers or their scheduler are gone."""
    from concurrent.futures import CancelledError

    from distributed import KilledWorker
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (KilledWorker, CommClosedError, CancelledError, TimeoutError) as error:
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
        raise ClustemError(
            f"The workers must stay until the run is done; got {reason}. Give them more memory, "
            "or start the scheduler again, and run it once more."
        ) from None


def has_workers(data: Any) -> bool:
    """Whether the workers of a cluster read a dask array."""
    if not is_dask(data) or "distributed" not in sys.modules:
        return False
    from distributed import default_client

    try:
        default_client()
    except ValueError:
        return False
    return True
