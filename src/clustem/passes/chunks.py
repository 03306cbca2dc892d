"""How to cut scans that stay on disk."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

CHUNK_BYTES = 32 * 2**20


def scan_chunks(
    shape: tuple[int, ...], dtype: np.dtype[Any], inner: int = 2, *, most: int = CHUNK_BYTES
) -> tuple[int, ...]:
    """Cut along the leading axes only, into pieces that lie together in a file.

    Parameters
    ----------
    shape
        Shape of the whole array, in C order.
    dtype
        Of its values.
    inner
        Number of trailing axes that are never cut: those of a pattern.
    most
        Size of a piece, unless a single pattern is larger [bytes].

    Returns
    -------
    :
        Shape of a piece.

    Examples
    --------
    >>> scan_chunks((181, 172, 144, 144), np.dtype("u1"))
    (9, 172, 144, 144)
    """
    lead = len(shape) - inner
    left = max(1, most // (prod(shape[lead:]) * dtype.itemsize))
    sizes: list[int] = []
    for size in shape[:lead][::-1]:
        sizes.append(min(size, left))
        left = max(1, left // size)
    return (*sizes[::-1], *shape[lead:])


class OnDisk:
    """An array that is opened anew for each piece: small to send, and no piece stays mapped.

    Parameters
    ----------
    open_array
        Returns the whole array, mapped, whenever it is called.

    Examples
    --------
    >>> lazy = OnDisk(lambda: np.arange(6).reshape(2, 3)).lazily("example", inner=1)
    >>> lazy.chunks, int(lazy.sum().compute())
    (((2,), (3,)), 15)
    """

    def __init__(self, open_array: Callable[[], NDArray[Any]]) -> None:
        self._open = open_array
        found = open_array()
        self.shape, self.dtype, self.ndim = found.shape, found.dtype, found.ndim

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Open the array and take a piece of it."""
        return np.asarray(self._open()[index])

    def lazily(self, name: str, *, inner: int = 2) -> Any:
        """Return it as a dask array.

        Parameters
        ----------
        name
            Unique to its content: dask takes arrays of the same name to be equal.
        inner
            Number of trailing axes that are never cut.
        """
        import dask.array as da

        chunks = scan_chunks(self.shape, self.dtype, inner)
        return da.from_array(self, chunks=chunks, name=name, asarray=False)


def lazily(mapped: NDArray[Any], *, inner: int = 2) -> Any:
    """Return a mapped file as a dask array; as it is, dask would copy it and hash its content."""
    return OnDisk(lambda: mapped).lazily(f"mapped-{uuid4()}", inner=inner)
