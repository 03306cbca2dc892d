"""Rows of which only the values that are not zero are held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustem.passes.rows import Rows
from clustem.passes.storage import BLOCK_BYTES

if TYPE_CHECKING:
    from scipy.sparse import csr_array

T = TypeVar("T")
Where = NDArray[np.intp]


class SparseRows(Rows):
    """Rows (n, D) over a sparse matrix, filled up block by block.

    Parameters
    ----------
    values
        The rows, sparse CSR (n, D).

    Examples
    --------
    >>> from scipy.sparse import csr_array
    >>> np.asarray(SparseRows(csr_array(np.array([[0, 3], [2, 0]])))).tolist()
    [[0, 3], [2, 0]]
    """

    def __init__(self, values: csr_array) -> None:
        self.values = values
        self.shape = (int(values.shape[0]), int(values.shape[1]))
        self.row_shape, self.dtype = (self.shape[1],), np.dtype(values.dtype)

    @property
    def in_memory(self) -> bool:
        """Whether the values are an ndarray: they are as good as that."""
        return True

    def map(
        self,
        function: Callable[[NDArray[Any], Where], T],
        *,
        subset: Where | None = None,
        threads: int | None = None,  # noqa: ARG002  # one fills up as fast as memory takes it
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[tuple[Where, T]]:
        """Make one pass over blocks of rows: see :meth:`Rows.map`."""
        numbers = np.arange(len(self)) if subset is None else subset
        step = max(1, BLOCK_BYTES // (4 * self.shape[1]))
        for first in range(0, len(numbers), step):
            where = numbers[first : first + step]
            yield where, function(self.values[where].toarray(), where)
            if progress is not None:
                progress(min(first + step, len(numbers)) / len(numbers))
