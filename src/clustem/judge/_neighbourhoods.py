"""Regions of rows that fewer rows lie between, whatever their shape: a second test of structure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_FEWEST, _MOST = 8, 20
"""Least and largest number of neighbours from which a density is estimated."""
SEPARATE = 4.0
"""Depth of a valley from which on two regions are separate [standard deviations]: clouds of one
piece, round, sheared, box-shaped, skewed, heavy-tailed or long, of 200 to 4000 rows, reach 3."""
DOUBTED = 2.5
"""Depth of a valley below which nothing speaks for two regions."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Valleys of density between regions of rows.

    Parameters
    ----------
    depths
        Depth of each valley [standard deviations], falling; infinite where no neighbours at all
        lie on both sides.
    dimension
        Number of dimensions that the rows fill, as their neighbours' distances say.
    """

    depths: tuple[float, ...]
    dimension: float

    @property
    def size(self) -> int:
        """Number of regions that are surely separate."""
        return 1 + sum(depth >= SEPARATE for depth in self.depths)

    @property
    def deepest(self) -> float:
        """Depth of the deepest valley; 0 if there is none."""
        return max(self.depths, default=0.0)

    @property
    def most(self) -> int:
        """Number of regions for which something speaks."""
        return 1 + sum(depth >= DOUBTED for depth in self.depths)


def neighbourhoods(points: F64, share: float = 1.0) -> Regions:
    """Find regions of dense rows with sparse rows between them.

    Parameters
    ----------
    points
        Rows (n, d) in coordinates of comparable spread.
    share
        Share of the rows that would tell as much if they were independent: depths are in units of
        so much larger deviations.

    Notes
    -----
    Two rows reach each other at a distance at which both have K neighbours, ``K = 2 log n``.
    Along the tree of the shortest such distances, regions grow from their densest rows and meet in
    valleys. The density goes with the K-th distance as ``r ** -d``, its logarithm has a standard
    deviation of ``1 / sqrt(K)``; so the depth of a valley is ``sqrt(K) d log(r_valley / r_peak)``,
    r_peak of the less dense region, when it had K rows (K / share, as
    rows that depend on each other lie in heaps). Neither the number nor the shape of the
    regions is assumed, but valleys must be wider than the distance to the K-th neighbour.

    References
    ----------
    K. Chaudhuri and S. Dasgupta, NIPS 23 (2010) 343 (tree of density levels).
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree
    from scipy.spatial import cKDTree

    n = len(points)
    if share * n <= 2 * _FEWEST:
        return Regions((), float(points.shape[1]))
    k = int(np.clip(round(2 * np.log(n)), _FEWEST, min(_MOST, n // 2)))
    distance, near = cKDTree(points).query(points, min(2 * k + 1, n))
    distance, near = distance[:, 1:], near[:, 1:]
    core = np.maximum(distance[:, k - 1], 1e-300)
    growth = float(np.median(np.log(np.maximum(distance[:, -1], 1e-300) / core)))
    dimension = min(points.shape[1], np.log(2) / max(growth, 1e-9))
    reach = np.maximum(distance, np.maximum(core[:, None], core[near]))
    first = np.repeat(np.arange(n, dtype=np.int32), near.shape[1])
    second = near.ravel().astype(np.int32)  # SciPy 1.14 spans no tree over longer numbers
    graph = coo_array((reach.ravel(), (first, second)), shape=(n, n)).tocsr()
    tree = minimum_spanning_tree(graph).tocoo()
    order = np.argsort(tree.data, kind="stable")
    edges = zip(tree.row[order], tree.col[order], tree.data[order], strict=True)
    ratios, pieces = _valleys(n, round(k / share), edges)
    depths = np.sqrt(share * k) * dimension * np.log(np.sort(ratios)[::-1])
    return Regions((*[np.inf] * (pieces - 1), *depths.tolist()), float(dimension))


def _valleys(n: int, least: int, edges: zip[tuple[int, int, float]]) -> tuple[list[float], int]:
    """Let regions grow along edges; return valleys over peaks, and how many regions never meet."""
    from scipy.cluster.hierarchy import DisjointSet

    regions = DisjointSet(range(n))
    born = np.full(n, np.inf)  # distance at which a region, by its root, had enough rows
    ratios = []
    for i, j, reach in edges:
        pair = regions[int(i)], regions[int(j)]
        first = born[list(pair)]
        if min(map(regions.subset_size, pair)) >= least:
            ratios.append(float(reach / first.max()))
        regions.merge(*pair)
        root = regions[pair[0]]
        born[root] = first.min()
        if regions.subset_size(root) >= least and not np.isfinite(born[root]):
            born[root] = reach
    pieces = sum(len(one) >= least for one in regions.subsets())
    return ratios, max(pieces, 1)
