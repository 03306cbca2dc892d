"""Where the clusters of several k, and the flows between them, lie in a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clustem.judge.lineage import Lineage

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class Flow:
    """Bars in a column per k, downwards from ``top``; unassigned positions are the last of each.

    Parameters
    ----------
    lineage
        What is drawn.
    order
        Clusters by k from top to bottom.
    sizes
        Positions of each cluster, and last of none, by k.
    tops
        Upper ends of the bars by k and number.
    scale
        Height of one position.
    height
        Of the highest column.
    """

    lineage: Lineage
    order: dict[int, list[int]]
    sizes: dict[int, NDArray[np.int64]]
    tops: dict[int, F64]
    scale: float
    height: float

    @classmethod
    def of(cls, lineage: Lineage, *, tall: float, air: float, top: float = 0.0) -> Flow:
        """Lay out a lineage.

        Parameters
        ----------
        lineage
            Clusters of two k or more.
        tall
            Height of all positions.
        air
            Space between two bars, at most; less where there are many.
        top
            Where the highest column begins.
        """
        order, sizes = _orders(lineage), _sizes(lineage)
        most = max(len(column) for column in order.values())
        air = min(air, 0.35 * tall / most)
        scale = tall / float(next(iter(sizes.values())).sum())
        tops = {}
        for k, column in order.items():
            tops[k] = np.zeros(len(sizes[k]))
            y = top + (most - len(column)) * air / 2
            for cluster in column:
                tops[k][cluster] = y
                y += float(sizes[k][cluster]) * scale + air
        return cls(lineage, order, sizes, tops, scale, tall + (most - 1) * air)

    def ends(self, before: int, k: int) -> tuple[F64, F64]:
        """Upper ends (p + 1, q + 1) of the flows between two columns, at the left and right."""
        flow = self.lineage.flows[k]
        out, into = np.zeros(flow.shape), np.zeros(flow.shape)
        leave, enter = self.tops[before].copy(), self.tops[k].copy()
        for i in self.order[before]:  # each leaves in the order in which the others stand
            for j in self.order[k]:
                out[i, j], into[i, j] = leave[i], enter[j]
                leave[i] += flow[i, j] * self.scale
                enter[j] += flow[i, j] * self.scale
        return out, into


def unassigned(lineage: Lineage) -> bool:
    """Whether some positions belong to no cluster at some k."""
    return any(flow[-1].any() or flow[:, -1].any() for flow in lineage.flows.values())


def _sizes(lineage: Lineage) -> dict[int, NDArray[np.int64]]:
    first, second = lineage.ks[:2]
    after = {k: flow.sum(axis=0) for k, flow in lineage.flows.items()}
    return {first: lineage.flows[second].sum(axis=1), **after}


def _orders(lineage: Lineage) -> dict[int, list[int]]:
    """Put clusters of each k where they come from, unassigned ones last."""
    placed = {lineage.ks[0]: list(range(len(lineage.sizes[lineage.ks[0]])))}
    for before, k in pairwise(lineage.ks):
        flow = lineage.flows[k][:-1, :-1].astype(float)
        height = np.empty(len(flow))
        height[placed[before]] = np.arange(len(flow))
        middle = (height @ flow) / np.maximum(flow.sum(axis=0), 1)
        home = np.where(lineage.parents[k] >= 0, height[lineage.parents[k]], len(flow))
        placed[k] = np.lexsort((-flow.sum(axis=0), middle, home)).tolist()
    if unassigned(lineage):
        return {k: [*column, len(column)] for k, column in placed.items()}
    return placed
