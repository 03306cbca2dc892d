"""Which cluster splits into which as k grows: a column per k, to click."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.events import Tap
from bokeh.models import ColumnDataSource, Range1d
from bokeh.models.annotations import LabelSet

from clustem.app.plots.paint import UNASSIGNED, to_hex
from clustem.app.plots.plots import FONT, Theme
from clustem.app.session.state import Explorer
from clustem.judge.lineage import Lineage
from clustem.report.layout.flow import Flow
from clustem.report.layout.palette import shades

_BAR = 0.16
"""Width of a cluster's bar [columns]."""
_AIR = 0.02
"""Space between two clusters [all positions]."""
_THIN = 0.002
"""Share of all positions below which a flow is not drawn."""
_BEND = np.linspace(0, 1, 24)


class LineagePlot:
    """Figure of the lineage.

    Parameters
    ----------
    explorer
        The session.
    theme
        Makes the figure.
    """

    def __init__(self, explorer: Explorer, theme: Theme) -> None:
        self._explorer = explorer
        made = self.figure = theme.figure(
            x_range=Range1d(start=0, end=1),
            y_range=Range1d(start=1, end=0),
            name="lineage",
            tools=False,
        )
        made.yaxis.visible = False
        made.xaxis.axis_label = "Number of clusters k (heights: share of the positions)"
        self._flows = ColumnDataSource({"xs": [], "ys": [], "color": []})
        made.patches(
            "xs", "ys", source=self._flows, fill_color="color", fill_alpha=0.45, line_color=None
        )
        self._bars = ColumnDataSource(
            {name: [] for name in ("left", "right", "top", "bottom", "color", "number", "x", "y")}
        )
        made.quad("left", "right", "top", "bottom", source=self._bars, color="color")
        numbers = LabelSet(
            x="x", y="y", text="number", source=self._bars, text_font=value(FONT),
            text_font_size="10px", text_baseline="middle", x_offset=5,
        )  # fmt: skip
        theme.ink(numbers, "text_color", "ink")
        made.add_layout(numbers)
        made.on_event(Tap, self._tapped)
        explorer.param.watch(lambda *_: self.draw(), "lineage")

    def draw(self) -> None:
        """Draw columns and flows."""
        found: Lineage | None = self._explorer.lineage
        if found is None:
            self._flows.data = {name: [] for name in self._flows.data}
            self._bars.data = {name: [] for name in self._bars.data}
            return
        place = Flow.of(found, tall=1.0, air=_AIR)
        self._flows.data = _flows(place)
        self._bars.data = _bars(place)
        self.figure.xaxis.ticker = list(found.ks)
        self.figure.x_range.update(start=found.ks[0] - 0.4, end=found.ks[-1] + 0.6)
        self.figure.y_range.update(start=place.height + 0.02, end=-0.02)

    def _tapped(self, event: Tap) -> None:
        if event.x is not None and self._explorer.swept:
            self._explorer.show_k(min(self._explorer.swept, key=lambda k: abs(k - event.x)))


def _colors(lineage: Lineage, k: int) -> list[str]:
    return [*(to_hex(color) for color in shades(lineage.colors[k])), UNASSIGNED]


def _bars(place: Flow) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {
        name: [] for name in ("left", "right", "top", "bottom", "color", "number", "x", "y")
    }
    for k in place.lineage.ks:
        painted = _colors(place.lineage, k)
        for cluster in np.flatnonzero(place.sizes[k]).tolist():
            top, high = float(place.tops[k][cluster]), place.scale * float(place.sizes[k][cluster])
            number = str(cluster) if cluster < len(painted) - 1 and high > 0.05 else ""
            row = (
                k - _BAR / 2,
                k + _BAR / 2,
                top,
                top + high,
                painted[cluster],
                number,
                k + _BAR / 2,
            )
            for name, given in zip(out, (*row, top + high / 2), strict=True):
                out[name].append(given)
    return out


def _flows(place: Flow) -> dict[str, list[Any]]:
    out: dict[str, list[Any]] = {"xs": [], "ys": [], "color": []}
    smooth = _BEND**2 * (3 - 2 * _BEND)  # level at both ends
    for before, k in pairwise(place.lineage.ks):
        flow, painted = place.lineage.flows[k] * place.scale, _colors(place.lineage, k)
        leave, enter = place.ends(before, k)
        x = before + _BAR / 2 + _BEND * (k - before - _BAR)
        for i, j in np.argwhere(flow > _THIN):
            y = leave[i, j] + (enter[i, j] - leave[i, j]) * smooth
            out["xs"].append(np.concatenate([x, x[::-1]]))
            out["ys"].append(np.concatenate([y, y[::-1] + flow[i, j]]))
            out["color"].append(painted[j])
    return out
