"""Rows of which columns are left out and each brought to one scale, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustem.passes.rows import Rows
from clustem.passes.transform import RowTransform, plain

T = TypeVar("T")
Where = NDArray[np.intp]


class ScaledRows(Rows):
    """Rows (n, K) made from raw ones (n, D) while they are read.

    Parameters
    ----------
    raw
        Rows as they were recorded.
    transform
        Which K of the D columns are left in, and what each row is divided by.

    Attributes
    ----------
    raw, transform
        As given. Whoever can fuse the transform into its own pass (k-means) reads ``raw``.

    Notes
    -----
    Without normalisation the values keep their dtype, else they are float32. Nothing is stored:
    each pass scales again, which costs about as much as reading.

    Examples
    --------
    >>> import numpy as np
    >>> raw = Rows(np.array([[3, 99, 4], [0, 7, 0]], np.uint8))
    >>> mask = np.array([False, True, False])
    >>> np.asarray(ScaledRows(raw, RowTransform(3, normalize="l2", mask=mask)))
    array([[0.6, 0.8],
           [0. , 0. ]], dtype=float32)
    """

    def __init__(self, raw: Rows, transform: RowTransform) -> None:
        self.raw, self.transform = raw, transform
        self.shape = (len(raw), transform.n_kept)
        self.row_shape = raw.row_shape if transform.mask is None else (transform.n_kept,)
        self.dtype = raw.dtype if transform.normalize is None else np.dtype(np.float32)

    @property
    def in_memory(self) -> bool:
        """Whether the raw values are an ndarray (mapped files included), not dask's."""
        return self.raw.in_memory

    def map(
        self,
        function: Callable[[NDArray[Any], Where], T],
        *,
        subset: Where | None = None,
        threads: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[tuple[Where, T]]:
        """Make one pass over scaled blocks (rows, K): see :meth:`Rows.map`."""
        work = partial(_scaled, self.transform, function)
        return self.raw.map(work, subset=subset, threads=threads, progress=progress)


def _scaled(
    transform: RowTransform,
    function: Callable[[NDArray[Any], Where], T],
    block: NDArray[Any],
    where: Where,
) -> T:
    kept = transform.compact(block)
    if transform.normalize is None:
        return function(kept, where)
    scale, shift = transform.scales(plain(block), where)
    # Narrow counts have no digits to lose in float32.
    narrow = block.dtype.kind in "bu" and block.dtype.itemsize <= 2
    out = np.multiply(kept, scale[:, None], dtype=np.float32 if narrow else np.float64)
    if shift.any():
        out += shift[:, None].astype(out.dtype)
        out[scale == 0.0] = 0.0
    return function(out.astype(np.float32, copy=False), where)
