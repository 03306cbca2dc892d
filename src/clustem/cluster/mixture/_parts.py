"""Counts of a scan in parts that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from clustem.cluster._neighbours import checked_graph, is_mask
from clustem.cluster.mixture._grid import Grid
from clustem.cluster.mixture._levels import ENOUGH
from clustem.core.memory import check_memory
from clustem.passes.sparse import some_of

Where = NDArray[np.intp]
_HELD, _HELD_AT_A_LEVEL, _HELD_AT_MOST = 40, 20, 140
"""What a count that is not zero takes; more at each level of pooled neighbours [bytes]."""
_HELD_PER_ROW = {True: 1000, False: 300}
"""What each row takes with and without neighbours [bytes]."""
_HELD_PER_CLUSTER = 130
"""What each row takes for each cluster [bytes]."""
_USUAL = 8
"""Clusters that the size of a part allows for."""
_MOST = 2**32
"""What a part takes [bytes]."""
_FEWEST_PIECES, _MOST_PIECES = 8, 64
"""Pieces that clusters are fitted to."""
_LINES = 32
"""Lines of a piece, unless there are too few pieces."""
_REACH = 16
"""Lines so far away do not change a membership."""
_MARKED = 10_000
"""Rows of a region that are fitted, at most, beside those of the pieces."""


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows of counts and their neighbours; in parts where they do not fit in memory at once.

    Parameters
    ----------
    rows
        ``Rows`` or a sparse matrix (n, D).
    connectivity
        Weights between rows, or the mask of a scan; None for none.
    most
        Rows of a part.
    """

    rows: Any
    connectivity: Any
    most: int

    @classmethod
    def of(cls, rows: Any, connectivity: Any, n_clusters: Any) -> Parts:
        """Take rows in so many parts as their counts need.

        Raises
        ------
        InputError
            If a part, and the memberships of all rows, do not fit in memory.
        """
        n = rows.shape[0]
        on_grid = connectivity is None or is_mask(connectivity, n)
        some = some_of(rows)
        nonzero, total = (float(f(some.data)) / some.shape[0] for f in (np.count_nonzero, np.sum))
        levels = max(np.log2(ENOUGH / max(total, 1.0)), 0.0) if connectivity is not None else 0.0
        count = min(_HELD + _HELD_AT_A_LEVEL * levels, _HELD_AT_MOST)
        size = count * nonzero + _HELD_PER_ROW[connectivity is not None]
        most = max(int(_MOST / (size + _HELD_PER_CLUSTER * _USUAL)), 1) if on_grid else n
        # what is no number of clusters is refused later
        k = int(n_clusters) if isinstance(n_clusters, Integral) else 1
        part = min(n, most)
        check_memory(
            part * (size + _HELD_PER_CLUSTER * k) + (n - part) * 8 * k,
            "MultinomialMixture",
            cure="Use KMeans, which reads rows from disk; or bin the scan (prepare.rebin).",
        )
        return cls(rows, connectivity, most)

    @property
    def whole(self) -> bool:
        """Whether all rows are one part."""
        return int(self.rows.shape[0]) <= self.most

    def some(self, regions: Where | None = None) -> tuple[Where, csr_array | None]:
        """Return the numbers of the rows that clusters are fitted to, and their graph.

        Parameters
        ----------
        regions
            Region of each row (n,), -1 = none: rows of each are among them.
        """
        n = self.rows.shape[0]
        if self.whole:
            return np.arange(n), checked_graph(self.connectivity, n)
        scan = self.connectivity is not None
        grid = Grid(self.connectivity if scan else np.zeros(n, dtype=bool))
        lines = self.most * len(grid.mask) // n
        pieces = int(np.clip(lines // _LINES, _FEWEST_PIECES, _MOST_PIECES))
        numbers, graph = grid.some(self.most, pieces)
        if regions is None:
            return numbers, graph if scan else None
        marked = [np.flatnonzero(regions == i) for i in range(int(regions.max()) + 1)]
        marked = [own[:: len(own) // _MARKED + 1] for own in marked]
        numbers = np.unique(np.concatenate([numbers, *marked]))
        whole = checked_graph(self.connectivity, n)
        return numbers, None if whole is None else whole[numbers][:, numbers]

    def bands(self) -> Iterator[tuple[slice, slice, csr_array | None]]:
        """Yield rows with those around them, where the former lie among these, and their graph."""
        n = self.rows.shape[0]
        if self.whole:
            yield slice(0, n), slice(0, n), checked_graph(self.connectivity, n)
        elif self.connectivity is None:
            for first in range(0, n, self.most):
                here = slice(first, min(first + self.most, n))
                yield here, slice(0, here.stop - first), None
        else:
            yield from Grid(self.connectivity).bands(self.most, _REACH)
