"""How to cut scans that stay on disk."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

CHUNK_BYTES = 32 * 2**20


def scan_chunks(shape: tuple[int, ...], dtype: np.dtype[Any], inner: int = 2) -> tuple[int, ...]:
    """Cut along the leading axes only, into pieces that lie together in a file.

    Parameters
    ----------
    shape
        Shape of the whole array, in C order.
    dtype
        Of its values.
    inner
        Number of trailing axes that are never cut: those of a pattern.

    Returns
    -------
    :
        Shape of a piece, at most 32 MiB unless a single pattern is larger.

    Examples
    --------
    >>> scan_chunks((181, 172, 144, 144), np.dtype("u1"))
    (9, 172, 144, 144)
    """
    lead = len(shape) - inner
    left = max(1, CHUNK_BYTES // (prod(shape[lead:]) * dtype.itemsize))
    sizes: list[int] = []
    for size in shape[:lead][::-1]:
        sizes.append(min(size, left))
        left = max(1, left // size)
    return (*sizes[::-1], *shape[lead:])
