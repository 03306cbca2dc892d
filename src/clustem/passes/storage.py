"""Arrays on disk: opened without reading, and let go of when a block is done."""

from __future__ import annotations

import contextlib
import logging
import mmap
from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from clustem.core import ClustemError, InputError
from clustem.passes.chunks import OnDisk
from clustem.passes.direct import larger_than_memory, read_directly

_LOG = logging.getLogger(__name__)
BLOCK_BYTES = 16 * 2**20
_AROUND = 2 * 2**20
_AT_A_TIME = 16
_NEAR = 2**17
"""To read what lies between two rows costs less than to ask twice, up to so many bytes."""


def as_array(data: Any) -> Any:
    """Return an ndarray or a dask array for anything that rows can come from."""
    if isinstance(data, np.ndarray) or is_dask(data):
        array = data
    elif hasattr(data, "chunks") and hasattr(data, "shape"):  # HDF5, zarr
        import dask.array as da

        array = da.from_array(data)
    else:
        array = np.asarray(data)
    return array


def is_dask(data: Any) -> bool:
    """Whether an array is dask's."""
    return hasattr(data, "dask") and hasattr(data, "compute")


class InFile:
    """An array in an HDF5 file that can be sent to other processes: each opens the file itself.

    Parameters
    ----------
    dataset
        The array in a file that is open.
    """

    def __init__(self, dataset: Any) -> None:
        self._here, path = dataset, Path(dataset.file.filename).absolute()
        self._where = str(path), path.stat().st_mtime_ns, dataset.name
        self.shape, self.dtype, self.ndim = dataset.shape, dataset.dtype, dataset.ndim
        self.chunks = dataset.chunks

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Read a piece."""
        dataset = _opened(*self._where) if self._here is None else self._here
        return np.asarray(dataset[index])

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is open here."""
        return {**self.__dict__, "_here": None}


@lru_cache(maxsize=8)
def _opened(path: str, _changed: int, name: str) -> Any:
    """Open an array of an HDF5 file once in each process, and again when the file has changed."""
    import h5py

    return h5py.File(path, "r")[name]


class Stored:
    """An array that is read by slices: no graph of tasks stands between.

    Parameters
    ----------
    source
        The array, for example in HDF5 or zarr.
    unit
        Shape of what is stored together, and read and decompressed at once.

    Attributes
    ----------
    portable
        Whether it can be sent to other processes, and opened there.
    mapped
        Whether its pieces are views of a mapped file.
    """

    def __init__(self, source: Any, unit: tuple[int, ...]) -> None:
        self._source = source
        self.shape, self.dtype, self.ndim, self.unit = source.shape, source.dtype, source.ndim, unit
        self.mapped = isinstance(source, OnDisk)
        self.portable = self.mapped or isinstance(source, InFile) or _package(source) == "zarr"

    def __getitem__(self, index: tuple[slice, ...]) -> Piece:
        """Return a piece that is not read yet."""
        return Piece(partial(self._source.__getitem__, index))

    def lazily(self, *, inner: int) -> Any:
        """Return a dask array over what is stored together, its last axes whole."""
        import dask.array as da

        return da.from_array(self._source, chunks=(*self.unit[:-inner], *self.shape[-inner:]))


class Piece(NamedTuple):
    """A part of an array that is not read yet."""

    read: Callable[[], NDArray[Any]]


def stored(data: Any) -> Stored | None:
    """Return what a dask array reads, from a file for example, if it does nothing else."""
    layers = getattr(getattr(data, "dask", None), "layers", {})
    if not is_dask(data) or set(layers) != {data.name, f"original-{data.name}"}:
        return None
    source: Any = dict(layers[f"original-{data.name}"]).get(f"original-{data.name}")
    alike = getattr(source, "shape", None) == data.shape and source.dtype == data.dtype
    if not alike or isinstance(source, np.ndarray) or is_dask(source):
        return None
    if _package(source) == "h5py" and Path(source.file.filename).is_file():
        source = InFile(source)
    return Stored(source, tuple(getattr(source, "chunks", None) or data.chunksize))


def _package(source: Any) -> str:
    return type(source).__module__.partition(".")[0]


def loaded(data: Any) -> Any:
    """Load what is left on disk; refuse a file that was cut or taken away meanwhile.

    Parameters
    ----------
    data
        A dask array, a :class:`Piece` or an ndarray; a mapped file stays mapped.

    Raises
    ------
    InputError
        If the values cannot be read any more.
    """
    reason = _changed(data)
    if not reason and not is_dask(data) and not isinstance(data, Piece):
        return data
    try:
        if not reason:
            return data.read() if isinstance(data, Piece) else data.compute(scheduler="synchronous")
    except (ClustemError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001  # readers raise anything on a broken file
        _LOG.debug("reading a block failed", exc_info=True)
        reason = str(error).partition("\n")[0][:120] or type(error).__name__
    raise InputError(
        "The values of the file must all be readable, and stay as they are during a run",
        got=reason.rstrip("."),
        cure="Copy it again, to a disk of your own, and run it once more.",
    )


def _changed(data: Any) -> str:
    """Say whether a mapped file is shorter than what is mapped: to read on would be fatal."""
    base = data
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and isinstance(base.base, mmap.mmap) and base.filename:
            with contextlib.suppress(OSError):  # removed, but still there for who has it open
                if Path(base.filename).stat().st_size < base.offset + base.nbytes:
                    return f"{Path(base.filename).name}, which was cut"
            return ""
        base = base.base
    return ""


def pick(data: NDArray[Any], numbers: NDArray[np.intp]) -> NDArray[Any]:
    """Copy single rows (along the first axis).

    Of a mapped file, a few at a time: each may bring some MiB of its surroundings with it. Of one
    larger than memory, rows that lie near each other are read at once, past the system's cache.
    """
    if not _is_memmap_view(data):
        return np.asarray(data[numbers])
    if larger_than_memory(data):
        return _picked_directly(data, numbers)
    out = np.empty((len(numbers), *data.shape[1:]), dtype=data.dtype)
    for first in range(0, len(numbers), _AT_A_TIME):
        part = slice(first, first + _AT_A_TIME)
        out[part] = data[numbers[part]]
        release(data)
    return out


def _picked_directly(data: NDArray[Any], numbers: NDArray[np.intp]) -> NDArray[Any]:
    out = np.empty((len(numbers), *data.shape[1:]), dtype=data.dtype)
    row = max(1, data[:1].nbytes)
    apart = np.diff(numbers) > max(1, _NEAR // row)
    apart |= np.diff(numbers // max(1, _AROUND // row)) != 0  # no more than that at once
    for part in np.split(np.arange(len(numbers)), np.flatnonzero(apart) + 1):
        if len(part):
            low, high = numbers[part[0]], numbers[part[-1]] + 1
            out[part] = read_directly(data[low:high])[numbers[part] - low]
            release(data)
    return out


def release(data: NDArray[Any]) -> None:
    """Let the pages of a mapped file go: they stay in the system's cache, not in the process.

    Parameters
    ----------
    data
        Any array; nothing happens unless it is a view of a shared or read-only mapped file.
    """
    base: Any = data
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap) and base.mode == "c":
            return  # private pages may hold changes
        base = base.base
    if not isinstance(base, mmap.mmap) or not hasattr(base, "madvise"):
        return
    if not isinstance(data, np.memmap) and not _is_memmap_view(data):
        return
    start = np.frombuffer(base, dtype=np.uint8).__array_interface__["data"][0]
    low, high = byte_bounds(data)
    # Reading on from a neighbouring block may have brought pages back that lie before this one.
    first = max(0, low - start - _AROUND) // mmap.PAGESIZE * mmap.PAGESIZE
    with contextlib.suppress(OSError, ValueError):
        base.madvise(mmap.MADV_DONTNEED, first, high - start - first)


def _is_memmap_view(data: Any) -> bool:
    while isinstance(data, np.ndarray):
        if isinstance(data, np.memmap):
            return True
        data = data.base
    return False
