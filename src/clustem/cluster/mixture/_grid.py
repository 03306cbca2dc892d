"""Neighbours on a scan, some lines at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_array

from clustem.labelmaps.grid_graph import grid_graph


@dataclass(frozen=True)
class Grid:
    """Neighbours on a scan, some lines at a time.

    Parameters
    ----------
    mask
        Boolean, shape of the scan, True = excluded.
    """

    mask: NDArray[np.bool_]

    @property
    def _first(self) -> NDArray[np.intp]:
        """Number of the first row of each line, and the number of rows."""
        left = (~self.mask).reshape(len(self.mask), -1).sum(axis=1)
        return np.concatenate([[0], np.cumsum(left)]).astype(np.intp)

    def bands(self, most: int, reach: int) -> Iterator[tuple[slice, slice, csr_array]]:
        """Yield the rows of some lines and of those around, where the former lie, and the graph.

        Parameters
        ----------
        most
            About how many rows the former are.
        reach
            Lines around.
        """
        first, lines = self._first, len(self.mask)
        step = max(most * lines // max(int(first[-1]), 1), 2 * reach, 1)
        for begin in range(0, lines, step):
            end = min(begin + step, lines)
            low, high = max(begin - reach, 0), min(end + reach, lines)
            if first[begin] < first[end]:
                inside = slice(first[begin] - first[low], first[end] - first[low])
                yield slice(first[low], first[high]), inside, grid_graph(self.mask[low:high])

    def some(self, n: int, pieces: int) -> tuple[NDArray[np.intp], csr_array]:
        """Return the numbers of about n rows in pieces of consecutive lines, and their graph."""
        first, lines = self._first, len(self.mask)
        many = max(n * lines // (pieces * max(int(first[-1]), 1)), 1)
        if pieces * many >= lines:
            return np.arange(first[-1]), grid_graph(self.mask)
        starts = np.linspace(0, lines - many, pieces).astype(np.intp)
        numbers = [np.arange(first[a], first[a + many]) for a in starts]
        graphs = [grid_graph(self.mask[a : a + many]) for a in starts]
        return np.concatenate(numbers), csr_array(block_diag(graphs, format="csr"))
