"""Rows of which neighbouring columns are summed, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustem.passes.rows import Rows

T = TypeVar("T")
Where = NDArray[np.intp]


class SummedRows(Rows):
    """Rows (n, G) made from others (n, D) while they are read.

    Parameters
    ----------
    raw
        Rows of counts.
    groups
        Which of the G columns each of the D columns is added to, (D,): each of 0 ... G - 1 at
        least once.

    Examples
    --------
    >>> raw = Rows(np.array([[3, 9, 4], [200, 100, 0]], np.uint8))
    >>> np.asarray(SummedRows(raw, np.array([0, 0, 1])))
    array([[ 12,   4],
           [300,   0]], dtype=uint64)
    """

    def __init__(self, raw: Rows, groups: NDArray[np.intp]) -> None:
        self.raw, self.groups = raw, groups
        order = np.argsort(groups, kind="stable")
        self._order = None if (np.diff(order) == 1).all() else order
        self._starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
        self.shape = (len(raw), len(self._starts))
        self.row_shape = (len(self._starts),)
        self.dtype = np.add.reduceat(np.zeros(1, dtype=raw.dtype), [0]).dtype

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
        """Make one pass over summed blocks (rows, G): see :meth:`Rows.map`."""
        work = partial(_summed, function, self._order, self._starts)
        return self.raw.map(work, subset=subset, threads=threads, progress=progress)


def _summed(
    function: Callable[[NDArray[Any], Where], T],
    order: NDArray[np.intp] | None,
    starts: NDArray[np.intp],
    block: NDArray[Any],
    where: Where,
) -> T:
    sorted_columns = block if order is None else block[:, order]
    return function(np.add.reduceat(sorted_columns, starts, axis=1), where)
