"""Arrays that are computed once and read often: in memory, or in a temporary file if large."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clustem.core import InputError, tick
from clustem.passes.rows import has_workers
from clustem.passes.storage import is_dask, loaded
from clustem.passes.threads import cores, one_blas_thread

_LOG = logging.getLogger(__name__)
_IN_MEMORY = 2**30
"""Size up to which an array is kept in memory [bytes]."""
_MOVES = {"original", "array", "getitem", "rechunk", "transpose", "reshape"}
"""First words of the names of dask's layers that compute nothing."""
_SPARE = 2**30
"""Room that is left on the disk [bytes]."""


def scratch(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Make an array, in a nameless temporary file if it is large.

    Parameters
    ----------
    shape, dtype
        Of the array. The file goes with it.

    Raises
    ------
    InputError
        If the disk has no room for the file.

    Examples
    --------
    >>> scratch((2, 3), np.int16).shape
    (2, 3)
    """
    if prod(shape) * np.dtype(dtype).itemsize <= _IN_MEMORY:
        return np.empty(shape, dtype=dtype)
    size = prod(shape) * np.dtype(dtype).itemsize
    room = shutil.disk_usage(tempfile.gettempdir()).free
    if size + _SPARE > room:  # a map of a full disk ends in a bus error
        raise InputError(
            f"A temporary file of {size / 1e9:.3g} GB must fit in {tempfile.gettempdir()}",
            got=f"{room / 1e9:.3g} GB of room",
            cure="Free some, or set TMPDIR to a larger disk.",
        )
    with tempfile.TemporaryFile() as file:  # the map keeps it when it is closed
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


def computed_once(data: Any, *, file: Path | None = None) -> Any:
    """Compute a lazy array now, where each pass over it would compute it again.

    Parameters
    ----------
    data
        A dask array, or any other, which is returned as it is.
    file
        Where to keep it, ``.npy``, if it is larger than 1 GiB; what is there already is taken.

    Returns
    -------
    :
        An ndarray of the same values, mapped to a temporary file beyond 1 GiB. The array itself if
        it only reads, if workers of a cluster compute it, or if the disk has no room for it.

    Examples
    --------
    >>> import dask.array as da
    >>> type(computed_once(da.arange(6) + 1)).__name__
    'ndarray'
    """
    if not is_dask(data) or not _computes(data) or has_workers(data):
        return data
    room = shutil.disk_usage(tempfile.gettempdir()).free
    if data.nbytes > _IN_MEMORY and data.nbytes + _SPARE > room:
        _LOG.info("each pass computes %.1f GB again: there is no room for them", data.nbytes / 1e9)
        return data
    named = file if data.nbytes > _IN_MEMORY else None
    if named is not None and named.exists():
        return np.load(named, mmap_mode="r")
    part = None if named is None else named.with_name(f"part-{os.getpid()}-{named.name}")
    if part is None:
        out = scratch(data.shape, data.dtype)
    else:
        part.parent.mkdir(parents=True, exist_ok=True)
        out = np.lib.format.open_memmap(part, mode="w+", dtype=data.dtype, shape=data.shape)
    ends = np.cumsum((0, *data.chunks[0])).tolist()

    def one(part: slice) -> None:
        out[part] = loaded(data[part])

    with one_blas_thread(), ThreadPoolExecutor(cores()) as pool:
        jobs = [pool.submit(one, slice(*span)) for span in pairwise(ends)]
        try:
            for end, job in zip(ends[1:], jobs, strict=True):
                job.result()
                tick(end / len(data))
        except BaseException:
            if part is not None:
                part.unlink()
            raise
        finally:
            for job in jobs:
                job.cancel()
    if named is not None and part is not None:
        part.replace(named)
    return out


def _computes(data: Any) -> bool:
    """Whether a layer does more than read (then ``original-NAME`` is beside it) or move values."""
    layers = data.dask.layers
    return any(
        name.partition("-")[0] not in _MOVES and f"original-{name}" not in layers for name in layers
    )
