"""Which cluster splits into which as their number grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, checked
from clustem.labelmaps.inheritance import inherited
from clustem.labelmaps.label_maps import LabelMap, as_labels, matched, overlaps

_PURE = 0.9
"""Share of a cluster that comes from its parent, from which on it counts as a part of it."""


@dataclass(frozen=True, eq=False)
class Lineage:
    """How the clusters of several k lie in each other.

    Attributes
    ----------
    ks
        The numbers of clusters that were asked for, rising.
    sizes
        Positions of each cluster, by k.
    flows
        Positions by cluster of the k before (rows) and of this one (columns), by k, the first
        left out; the last row and column count unassigned positions.
    colors
        Place in the palette of each cluster's color, by k.
    """

    ks: tuple[int, ...]
    sizes: Mapping[int, NDArray[np.int64]]
    flows: Mapping[int, NDArray[np.int64]]
    colors: Mapping[int, tuple[int, ...]]

    @property
    def parents(self) -> dict[int, NDArray[np.intp]]:
        """Per k and cluster, the cluster of the k before that most of it was in; -1 if none."""
        found = {}
        for k, flow in self.flows.items():
            inner = flow[:-1, :-1]
            found[k] = np.where(inner.any(axis=0), inner.argmax(axis=0), -1)
        return found

    @property
    def purity(self) -> dict[int, NDArray[np.float64]]:
        """Per k and cluster, the share of its positions that were in its parent, 0 ... 1."""
        return {
            k: flow[:-1, :-1].max(axis=0) / np.maximum(flow[:, :-1].sum(axis=0), 1)
            for k, flow in self.flows.items()
        }

    @property
    def nesting(self) -> dict[int, float]:
        """Per k, the share of positions that are in a part of the cluster they were in.

        1: clusters only split; less: some were drawn together from several.
        """
        return {
            k: float(flow[:-1, :-1].max(axis=0).sum() / max(flow[:-1, :-1].sum(), 1))
            for k, flow in self.flows.items()
        }

    @property
    def splits(self) -> dict[int, dict[int, tuple[int, ...]]]:
        """Per k, the clusters that each cluster of the k before became, where they are several."""
        found = {}
        for k, parents in self.parents.items():
            parts = {int(p): tuple(np.flatnonzero(parents == p).tolist()) for p in set(parents)}
            found[k] = {p: c for p, c in sorted(parts.items()) if p >= 0 and len(c) > 1}
        return found

    @property
    def mixed(self) -> dict[int, tuple[int, ...]]:
        """Per k, the clusters of which less than 90 % come from one of the k before."""
        return {
            k: tuple(np.flatnonzero((purity < _PURE) & (self.sizes[k] > 0)).tolist())
            for k, purity in self.purity.items()
        }

    def __str__(self) -> str:
        """Return one line per step."""
        lines = []
        for before, k in pairwise(self.ks):
            changes = [f"{p} splits into {_listed(c)}" for p, c in self.splits[k].items()]
            changes += [f"{c} is drawn from several" for c in self.mixed[k]]
            nesting = f"{100 * self.nesting[k]:.1f} % stay within"
            lines.append(f"k = {before} to {k}: {'; '.join(changes) or 'none splits'} ({nesting})")
        return "\n".join(lines)


@checked
def lineage(
    results: Mapping[int, LabelMap], *, colors: Mapping[int, tuple[int, ...]] | None = None
) -> Lineage:
    """Follow clusters over their number: which splits into which, and what color it keeps.

    Parameters
    ----------
    results
        By number of clusters: label maps of one shape (integers, negative = unassigned),
        clusterings or segmentations. The first (smallest) one's colors are
        kept if it has any.
    colors
        One color for each cluster by k, where they are known; None lets clusters keep theirs.

    Returns
    -------
    :
        Flows between clusters of neighbouring k, parents, splits, and one color per cluster: from
        each k to the next the clusters are matched by the largest total overlap, matched ones
        keep their color and new ones get the first that is free.

    Raises
    ------
    InputError
        If there are none, or they are not of one shape.

    Notes
    -----
    Cost: one pass over the labels per k.

    Examples
    --------
    >>> two, three = np.array([[0, 0, 0, 1, 1]]), np.array([[1, 1, 1, 0, 2]])
    >>> found = lineage({2: two, 3: three})
    >>> print(found)
    k = 2 to 3: 1 splits into 0 and 2 (100.0 % stay within)
    >>> found.colors[3]
    (1, 0, 2)
    """
    ks = tuple(sorted(results))
    maps = {k: as_labels(results[k]) for k in ks}
    shapes = {labels.shape for labels in maps.values()}
    if len(shapes) != 1:
        raise InputError(
            "A lineage needs label maps of one shape",
            got=" and ".join(map(str, sorted(shapes))) or "none",
            cure="Give results of one scan, as clustem.sweep returns them.",
        )
    count = {k: _number_of(results[k], maps[k]) for k in ks}
    sizes = {
        k: np.bincount(labels[labels >= 0], minlength=count[k]).astype(np.int64)
        for k, labels in maps.items()
    }
    kept = {ks[0]: _colors_of(results[ks[0]], count[ks[0]])}
    flows = {}
    for before, k in pairwise(ks):
        flows[k] = overlaps(maps[before], maps[k], (count[before], count[k]))
        kept[k] = inherited(matched(flows[k][:-1, :-1]), kept[before], count[k])
    return Lineage(ks, sizes, flows, kept if colors is None else dict(colors))


def _number_of(result: LabelMap, labels: NDArray[np.int64]) -> int:
    found = getattr(result, "n_clusters", None)
    return int(labels.max(initial=-1)) + 1 if found is None else int(found)


def _colors_of(result: LabelMap, k: int) -> tuple[int, ...]:
    color_index: tuple[int, ...] = getattr(result, "color_index", tuple(range(k)))
    return color_index


def _listed(clusters: tuple[int, ...]) -> str:
    return f"{', '.join(map(str, clusters[:-1]))} and {clusters[-1]}"
