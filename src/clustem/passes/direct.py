"""Reading pieces of a mapped file past the system's cache: of what is larger than memory."""

from __future__ import annotations

import mmap
import os
import sys
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core.memory import free_memory

_MOST = 2**28
"""Pieces of more bytes stay mapped: a buffer for them would take the memory that is saved."""
_UNIT = 4096
"""What addresses on disk and in memory must be multiples of [bytes]."""
_LOCAL = threading.local()


def read_directly(piece: NDArray[Any]) -> NDArray[Any]:
    """Read a piece of a mapped file into memory, past the system's cache.

    Parameters
    ----------
    piece
        View of a file that is mapped for reading alone.

    Returns
    -------
    :
        The same values; or the view itself where the system, the file or the view do not allow it.

    Notes
    -----
    What is larger than memory leaves the cache before it is read again. To pass by it saves the
    system's work of mapping and evicting pages, a fifth of all computing time of k-means. The
    buffer is that of the piece before, unless somebody still has a part of that.

    Examples
    --------
    >>> read_directly(np.arange(3))
    array([0, 1, 2])
    """
    root = _mapped(piece)
    if root is None or not piece.flags.c_contiguous or not 0 < piece.nbytes <= _MOST:
        return piece
    offset = root.offset + _address(piece) - _address(root)
    first = offset // _UNIT * _UNIT
    size = -(-(offset + piece.nbytes - first) // _UNIT) * _UNIT
    try:
        buffer = _buffer(size)
        got = _read(str(root.filename), first, buffer[:size])
    except (AttributeError, OSError):  # no such flag here, or not on this disk
        return piece
    if got < offset + piece.nbytes - first:
        return piece
    held = buffer[offset - first : offset - first + piece.nbytes]
    return held.view(piece.dtype).reshape(piece.shape)


def larger_than_memory(data: Any) -> bool:
    """Whether an array is a view of a file, mapped for reading alone, that memory cannot hold."""
    root = _mapped(data)
    return root is not None and root.nbytes > free_memory()


def _mapped(data: Any) -> np.memmap[Any, Any] | None:
    """Return all that is mapped of the file that an array is a view of, if it is a named one."""
    root: Any = data
    while isinstance(root, np.ndarray) and not isinstance(root.base, mmap.mmap):
        root = root.base
    named = isinstance(root, np.memmap) and root.mode == "r" and root.filename is not None
    return root if named else None


def _read(path: str, first: int, buffer: NDArray[np.uint8]) -> int:
    """Fill a buffer from a place in a file; return how many bytes there were."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    try:
        got = 0
        while got < len(buffer):
            more = os.preadv(file, [buffer[got:].data], first + got)
            got += more
            if not more or more % _UNIT:  # the end of the file
                break
        return got
    finally:
        os.close(file)


def _buffer(size: int) -> NDArray[np.uint8]:
    """Return whole pages: this thread's, if they are enough and nobody has a part of them."""
    known = getattr(_LOCAL, "buffer", None)
    fits = known is not None and len(known) >= size
    del known
    if not fits or sys.getrefcount(_LOCAL.buffer) > _LOCAL.alone:
        _LOCAL.buffer = np.frombuffer(mmap.mmap(-1, size + _UNIT), dtype=np.uint8)
        _LOCAL.alone = sys.getrefcount(_LOCAL.buffer)
    buffer: NDArray[np.uint8] = _LOCAL.buffer
    return buffer


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
