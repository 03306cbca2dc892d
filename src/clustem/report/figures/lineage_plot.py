"""How clusters split as their number grows, as a flow."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, checked
from clustem.judge.lineage import Lineage
from clustem.report.layout.flow import Flow, unassigned
from clustem.report.layout.maps import STRIPE, UNASSIGNED
from clustem.report.layout.palette import shades
from clustem.report.layout.sheet import DOUBLE, INK, MUTED, Sheet, styled

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
def lineage_plot(lineage: Lineage) -> Figure:
    """Draw which cluster splits into which: a column per k, flows as wide as what they hold.

    Parameters
    ----------
    lineage
        From ``judge.lineage`` of two or more k.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide. Clusters have the numbers of
        their maps, and the colors where the maps are those of a sweep, or matched to each other;
        flows those of the cluster that they lead to. Hatched: unassigned.

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
    note = "height: scan positions" + ("; hatched: unassigned" if unassigned(lineage) else "")
    sheet.text(_EDGE, page.height - _NOTE, note, color=MUTED)
    return sheet.figure


@dataclass(frozen=True)
class _Page:
    """Where everything lies [mm]; ``step``: from one column to the next."""

    flow: Flow
    step: float

    @classmethod
    def of(cls, lineage: Lineage) -> _Page:
        step = min((DOUBLE - 2 * _EDGE - _NODE) / (len(lineage.ks) - 1), _WIDEST)
        return cls(Flow.of(lineage, tall=_TALL, air=_AIR, top=_HEAD), step)

    @property
    def lineage(self) -> Lineage:
        return self.flow.lineage

    @property
    def height(self) -> float:
        return _HEAD + self.flow.height + 2 * _NOTE

    def left(self, k: int) -> float:
        """Left end of the column of a k."""
        return _EDGE + self.lineage.ks.index(k) * self.step


def _draw_flows(ax: Axes, page: _Page, before: int, k: int) -> None:
    flow, shades = page.lineage.flows[k], _shades(page.lineage, k)
    out, into = page.flow.ends(before, k)
    t = np.linspace(0, 1, 40)
    x = page.left(before) + _NODE + t * (page.step - _NODE)
    bend = t**2 * (3 - 2 * t)  # level at both ends
    for i, j in np.argwhere(flow > _THIN * flow.sum()):
        y = out[i, j] + (into[i, j] - out[i, j]) * bend
        low = y + flow[i, j] * page.flow.scale
        ax.fill_between(x, y, low, color=shades[j], alpha=0.5, linewidth=0)


def _draw_clusters(sheet: Sheet, ax: Axes, page: _Page, k: int) -> None:
    """Draw the bars of one column with their numbers."""
    from matplotlib.patches import Rectangle

    left, sizes, shades = page.left(k), page.flow.sizes[k], _shades(page.lineage, k)
    for cluster in np.flatnonzero(sizes).tolist():
        outside = cluster == len(sizes) - 1
        top, high = page.flow.tops[k][cluster], sizes[cluster] * page.flow.scale
        box = Rectangle((left, top), _NODE, high, facecolor=shades[cluster], linewidth=0.4)
        box.set(hatch="/////" if outside else None, edgecolor=STRIPE if outside else "none")
        ax.add_patch(box)
        if high >= _READABLE and not outside:
            light = float(np.dot(shades[cluster][:3], (0.3, 0.59, 0.11)))
            color = INK if light > 0.45 else "white"
            place = left + _NODE / 2, top + high / 2
            sheet.text(*place, str(cluster), ha="center", color=color)


def _shades(lineage: Lineage, k: int) -> F64:
    """Colors (k + 1, 4) of the clusters; the last is that of unassigned positions."""
    from matplotlib.colors import to_rgba

    return np.vstack([shades(lineage.colors[k]), to_rgba(UNASSIGNED)])
