"""How clusters split as their number grows, as a flow."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.judge.lineage import Lineage
from clustem.model import InputError, checked
from clustem.report._maps import STRIPE, UNASSIGNED
from clustem.report._palette import shades
from clustem.report._sheet import DOUBLE, INK, MUTED, SIZE, Sheet, styled

F64 = NDArray[np.float64]
_EDGE, _HEAD, _NODE, _NOTE = 5.0, 6.0, 4.5, 5.0

_TALL, _AIR = 78.0, 1.6
"""Height of all positions, and space between two clusters [mm]."""
_WIDEST = 34.0
"""Largest distance of two columns [mm]."""

_READABLE = 2.9
"""Least height of a cluster with its number in it [mm]."""
_THIN = 0.002
"""Share of all positions below which a flow is not drawn."""


@checked
@styled
def lineage_plot(lineage: Lineage) -> Any:
    """Draw which cluster splits into which: a column per k, flows as wide as what they hold.

    Parameters
    ----------
    lineage
        From ``judge.lineage`` of two or more k.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide. Clusters have the colors and numbers of
        their maps; flows those of the cluster that they lead to. Hatched: unassigned.

    Raises
    ------
    InputError
        If there are fewer than two k, or more than a page has room for.

    Notes
    -----
    Within a column clusters are ordered by where they come from, so that few flows cross. Flows of
    less than 0.2 % of the positions are left out.

    Examples
    --------
    >>> from clustem.judge import lineage
    >>> found = lineage({2: np.array([0, 0, 0, 1]), 3: np.array([0, 0, 2, 1])})
    >>> [text.get_text() for text in lineage_plot(found).texts][:2]
    ['k = 2', 'k = 3']
    """
    if not 2 <= len(lineage.ks) <= 24:
        raise InputError(
            "A lineage is drawn over 2 to 24 numbers of clusters",
            got=len(lineage.ks),
            cure="Give a sweep such as k = 2 ... 8.",
        )
    page = _Page.of(lineage)
    sheet = Sheet(page.left(lineage.ks[-1]) + _NODE + _EDGE, page.height)
    ax = sheet.axes(0, 0, sheet.width, sheet.height)
    ax.set(xlim=(0, sheet.width), ylim=(sheet.height, 0))
    ax.axis("off")
    for k in lineage.ks:
        sheet.text(page.left(k) + _NODE / 2, 2.6, f"k = {k}", ha="center", color=MUTED)
    for before, k in pairwise(lineage.ks):
        _draw_flows(ax, page, before, k)
    for k in lineage.ks:
        _draw_clusters(sheet, ax, page, k)
    note = "height: scan positions" + ("; hatched: unassigned" if page.unassigned else "")
    sheet.text(_EDGE, page.height - _NOTE, note, color=MUTED, size=SIZE - 1)
    return sheet.figure


@dataclass(frozen=True)
class _Page:
    """Where everything lies [mm].

    ``order``: clusters by k from top to bottom; ``tops``: upper ends of their bars, by number;
    ``scale``: height of one position; ``step``: from one column to the next. Unassigned positions
    are the last of each k.
    """

    lineage: Lineage
    order: dict[int, list[int]]
    tops: dict[int, F64]
    scale: float
    step: float
    height: float

    @classmethod
    def of(cls, lineage: Lineage) -> _Page:
        order, sizes = _orders(lineage), _sizes(lineage)
        most = max(len(column) for column in order.values())
        air = min(_AIR, 0.35 * _TALL / most)
        scale = _TALL / float(next(iter(sizes.values())).sum())
        tops = {}
        for k, column in order.items():
            tops[k] = np.zeros(len(sizes[k]))
            y = _HEAD + (most - len(column)) * air / 2
            for cluster in column:
                tops[k][cluster] = y
                y += float(sizes[k][cluster]) * scale + air
        step = min((DOUBLE - 2 * _EDGE - _NODE) / (len(lineage.ks) - 1), _WIDEST)
        return cls(lineage, order, tops, scale, step, _HEAD + _TALL + (most - 1) * air + 2 * _NOTE)

    @property
    def unassigned(self) -> bool:
        """Whether some positions belong to no cluster at some k."""
        flows = self.lineage.flows.values()
        return any(flow[-1].any() or flow[:, -1].any() for flow in flows)

    def left(self, k: int) -> float:
        """Left end of the column of a k."""
        return _EDGE + self.lineage.ks.index(k) * self.step

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


def _sizes(lineage: Lineage) -> dict[int, NDArray[np.int64]]:
    """Positions of each cluster, and last of none, by k."""
    first, second = lineage.ks[:2]
    after = {k: flow.sum(axis=0) for k, flow in lineage.flows.items()}
    return {first: lineage.flows[second].sum(axis=1), **after}


def _orders(lineage: Lineage) -> dict[int, list[int]]:
    """Clusters of each k from top to bottom, where they come from, unassigned ones last."""
    placed = {lineage.ks[0]: list(range(len(lineage.sizes[lineage.ks[0]])))}
    for before, k in pairwise(lineage.ks):
        flow = lineage.flows[k][:-1, :-1].astype(float)
        height = np.empty(len(flow))
        height[placed[before]] = np.arange(len(flow))
        middle = (height @ flow) / np.maximum(flow.sum(axis=0), 1)
        home = np.where(lineage.parents[k] >= 0, height[lineage.parents[k]], len(flow))
        placed[k] = np.lexsort((-flow.sum(axis=0), middle, home)).tolist()
    if any(flow[-1].any() or flow[:, -1].any() for flow in lineage.flows.values()):
        return {k: [*column, len(column)] for k, column in placed.items()}
    return placed


def _draw_flows(ax: Any, page: _Page, before: int, k: int) -> None:
    flow, shades = page.lineage.flows[k], _shades(page.lineage, k)
    out, into = page.ends(before, k)
    t = np.linspace(0, 1, 40)
    x = page.left(before) + _NODE + t * (page.step - _NODE)
    bend = t**2 * (3 - 2 * t)  # level at both ends
    for i, j in np.argwhere(flow > _THIN * flow.sum()):
        y = out[i, j] + (into[i, j] - out[i, j]) * bend
        low = y + flow[i, j] * page.scale
        ax.fill_between(x, y, low, color=shades[j], alpha=0.5, linewidth=0)


def _draw_clusters(sheet: Sheet, ax: Any, page: _Page, k: int) -> None:
    """Draw the bars of one column with their numbers."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415  # 0.3 s

    left, sizes, shades = page.left(k), _sizes(page.lineage)[k], _shades(page.lineage, k)
    for cluster in np.flatnonzero(sizes).tolist():
        unassigned = cluster == len(sizes) - 1
        top, high = page.tops[k][cluster], sizes[cluster] * page.scale
        look = {"hatch": "/////", "edgecolor": STRIPE} if unassigned else {"edgecolor": "none"}
        box = Rectangle((left, top), _NODE, high, facecolor=shades[cluster], linewidth=0.4, **look)
        ax.add_patch(box)
        if high >= _READABLE and not unassigned:
            light = float(np.dot(shades[cluster][:3], (0.3, 0.59, 0.11)))
            color = INK if light > 0.45 else "white"
            place = left + _NODE / 2, top + high / 2
            sheet.text(*place, str(cluster), ha="center", size=SIZE - 1, color=color)


def _shades(lineage: Lineage, k: int) -> F64:
    """Colors (k + 1, 4) of the clusters; the last is that of unassigned positions."""
    from matplotlib.colors import to_rgba  # noqa: PLC0415  # 0.3 s

    return np.vstack([shades(lineage.colors[k]), to_rgba(UNASSIGNED)])
