"""Arrays on disk: opened without reading, and let go of when a block is done."""

from __future__ import annotations

import contextlib
import logging
import mmap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from clustem.core import ClustemError, InputError

_LOG = logging.getLogger(__name__)
BLOCK_BYTES = 16 * 2**20
_AROUND = 2 * 2**20
_AT_A_TIME = 16


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


class Stored:
    """An array in HDF5 or zarr that is read by slices: no graph of tasks stands between.

    Parameters
    ----------
    source
        The stored array.

    Attributes
    ----------
    unit
        Shape of what is stored together, and read and decompressed at once.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self.shape, self.dtype, self.ndim = source.shape, source.dtype, source.ndim
        self.unit = tuple(source.chunks or (1,) * (source.ndim - 1) + source.shape[-1:])

    def __getitem__(self, index: tuple[slice, ...]) -> Piece:
        """Return a piece that is not read yet."""
        return Piece(partial(self._source.__getitem__, index))

    def lazily(self, *, inner: int) -> Any:
        """Return a dask array over what is stored together, its last axes whole."""
        import dask.array as da

        return da.from_array(self._source, chunks=(*self.unit[:-inner], *self.shape[-inner:]))


class Piece(NamedTuple):
    """A part of a stored array that is not read yet."""

    read: Callable[[], NDArray[Any]]


def stored(data: Any) -> Stored | None:
    """Return what a dask array reads from a file, if it does nothing else; else None."""
    layers = getattr(getattr(data, "dask", None), "layers", {})
    if not is_dask(data) or set(layers) != {data.name, f"original-{data.name}"}:
        return None
    source: Any = dict(layers[f"original-{data.name}"]).get(f"original-{data.name}")
    kind = type(source).__module__.partition(".")[0]
    alike = getattr(source, "shape", None) == data.shape and source.dtype == data.dtype
    return Stored(source) if kind in ("h5py", "zarr") and alike else None


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

    Of a mapped file, a few at a time: each may bring some MiB of its surroundings with it.
    """
    if not _is_memmap_view(data):
        return np.asarray(data[numbers])
    out = np.empty((len(numbers), *data.shape[1:]), dtype=data.dtype)
    for first in range(0, len(numbers), _AT_A_TIME):
        part = slice(first, first + _AT_A_TIME)
        out[part] = data[numbers[part]]
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
