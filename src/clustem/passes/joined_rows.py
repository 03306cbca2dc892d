"""The rows of several scans, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError
from clustem.passes.rows import Rows
from clustem.passes.scaled_rows import ScaledRows
from clustem.passes.sparse_rows import SparseRows
from clustem.passes.summed_rows import SummedRows

T = TypeVar("T")
Where = NDArray[np.intp]


class JoinedRows(Rows):
    """Rows (n, D) of several sources, numbered from the first to the last.

    Parameters
    ----------
    parts
        Rows of each source (n_i, D).

    Raises
    ------
    InputError
        If they are not equally wide.

    Examples
    --------
    >>> rows = JoinedRows([Rows(np.eye(2, dtype=np.uint8)), Rows(np.full((1, 2), 300))])
    >>> np.asarray(rows).tolist()
    [[1, 0], [0, 1], [300, 300]]
    """

    def __init__(self, parts: Sequence[Rows]) -> None:
        widths = sorted({part.shape[1] for part in parts})
        if len(widths) != 1:
            raise InputError(
                "Rows that are joined must be equally wide",
                got=f"{', '.join(map(str, widths))} values",
                cure="Bring the scans to the same channels or pixels.",
            )
        self._parts = tuple(parts)
        self._first = np.concatenate([[0], np.cumsum([len(part) for part in parts])])
        self.shape = (int(self._first[-1]), widths[0])
        self.row_shape = parts[0].row_shape
        self.dtype = np.result_type(*(part.dtype for part in parts))

    @property
    def in_memory(self) -> bool:
        """Whether all values are ndarrays (mapped files included), none dask's."""
        return all(part.in_memory for part in self._parts)

    def map(
        self,
        function: Callable[[NDArray[Any], Where], T],
        *,
        subset: Where | None = None,
        threads: int | None = None,
        progress: Callable[[float], None] | None = None,
    ) -> Iterator[tuple[Where, T]]:
        """Make one pass, part by part: see :meth:`Rows.map`."""
        for i, part in enumerate(self._parts):
            first, last = self._first[i : i + 2]
            some = None
            if subset is not None:
                some = (
                    subset[np.searchsorted(subset, first) : np.searchsorted(subset, last)] - first
                )
                if not len(some):
                    continue
            work = partial(_of_part, function, int(first), self.dtype)
            for where, result in part.map(work, subset=some, threads=threads):
                yield where + first, result
            if progress is not None:
                progress(float(last / len(self)))


def joined(parts: Sequence[Rows]) -> Rows:
    """Join rows; what is done to all of them alike is done to the joined ones.

    Parameters
    ----------
    parts
        Rows of each source (n_i, D).

    Examples
    --------
    >>> import numpy as np
    >>> one = SummedRows(Rows(np.eye(2)), np.array([0, 0]))
    >>> type(joined([one, one])).__name__
    'SummedRows'
    """
    from scipy.sparse import vstack

    first, *others = parts
    if not others:
        return first
    kinds = {type(part) for part in parts}
    if kinds == {SummedRows}:
        summed = [part for part in parts if isinstance(part, SummedRows)]
        groups = summed[0].groups
        if all(np.array_equal(part.groups, groups) for part in summed):
            return SummedRows(joined([part.raw for part in summed]), groups)
    if kinds == {SparseRows}:
        held = [part.values for part in parts if isinstance(part, SparseRows)]
        return SparseRows(vstack(held, format="csr"))
    if kinds == {ScaledRows}:
        scaled = [part for part in parts if isinstance(part, ScaledRows)]
        transform = scaled[0].transform
        if all(part.transform.same_as(transform) for part in scaled):
            return ScaledRows(joined([part.raw for part in scaled]), transform)
    return JoinedRows(parts)


def _of_part(
    function: Callable[[NDArray[Any], Where], T],
    first: int,
    dtype: np.dtype[Any],
    block: NDArray[Any],
    where: Where,
) -> T:
    return function(block.astype(dtype, copy=False), where + first)
