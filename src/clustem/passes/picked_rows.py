"""Some of the rows, as rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustem.passes.rows import Rows
from clustem.passes.summed_rows import SummedRows

T = TypeVar("T")
Where = NDArray[np.intp]


class PickedRows(Rows):
    """Some rows (m, D) of others (n, D), read when they are needed.

    Parameters
    ----------
    rows
        The others.
    numbers
        Which of them (m,), rising.

    Examples
    --------
    >>> rows = PickedRows(Rows(np.arange(8).reshape(4, 2)), np.array([1, 3]))
    >>> np.asarray(rows), rows.take([1])
    (array([[2, 3],
           [6, 7]]), array([[6, 7]]))
    """

    def __init__(self, rows: Rows, numbers: Where) -> None:
        self._rows, self._numbers = rows, np.asarray(numbers, dtype=np.intp)
        self.shape = (len(self._numbers), rows.shape[1])
        self.row_shape, self.dtype = rows.row_shape, rows.dtype

    @property
    def in_memory(self) -> bool:
        """Whether the values are an ndarray (mapped files included), not dask's."""
        return self._rows.in_memory

    def map(
        self,
        function: Callable[[NDArray[Any], Where], T],
        *,
        subset: Where | None = None,
        threads: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[tuple[Where, T]]:
        """Make one pass over blocks of the picked rows: see :meth:`Rows.map`."""
        wanted = self._numbers if subset is None else self._numbers[subset]
        work = partial(_translated, self._numbers, function)
        found = self._rows.map(work, subset=wanted, threads=threads, progress=progress)
        for where, result in found:
            yield np.searchsorted(self._numbers, where), result


def picked(rows: Any, numbers: Where) -> Any:
    """Return some of the rows (n, D), as what they are: Rows, sums of columns, a sparse matrix.

    Examples
    --------
    >>> np.asarray(picked(Rows(np.arange(6).reshape(3, 2)), np.array([0, 2]))).tolist()
    [[0, 1], [4, 5]]
    """
    if len(numbers) == rows.shape[0]:
        return rows
    if isinstance(rows, SummedRows):
        return SummedRows(PickedRows(rows.raw, numbers), rows.groups)
    return PickedRows(rows, numbers) if isinstance(rows, Rows) else rows[numbers]


def _translated(
    numbers: Where, function: Callable[[NDArray[Any], Where], T], block: NDArray[Any], where: Where
) -> T:
    return function(block, np.searchsorted(numbers, where))
