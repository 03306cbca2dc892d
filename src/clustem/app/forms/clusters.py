"""The list of clusters: names, colors, shares, and what can be done to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import param
from numpy.typing import NDArray

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.plots.paint import NOVEL, UNASSIGNED, hex_colors, to_hex
from clustem.app.session.clouds import Selection
from clustem.app.session.probe import Reading
from clustem.app.session.state import Explorer
from clustem.core import InputError, Segmentation
from clustem.report.layout.colors import colors
from clustem.report.layout.extent import percent, sizes

_RENUMBERED = "The clusters that are left are numbered anew; colors and names stay."
PALETTE = 24
"""Number of colors to choose from."""


class _Edit(NamedTuple):
    """An edit of one cluster."""

    tip: str
    change: Callable[[Segmentation, int], Segmentation]
    note: str
    """What is said of the numbers."""


_ONE = {
    "split": _Edit(
        "Cut the ticked cluster in two",
        lambda result, i: result.split(i),
        "Clusters are numbered anew; the larger part keeps its color.",
    ),
    "drop": _Edit(
        "Take the ticked cluster out of the map",
        lambda result, i: result.exclude(result.labels.data == i),
        "The other clusters keep their numbers.",
    ),
}
"""Edits of one cluster by the key of their button."""


class Clusters(param.Parameterized):
    """Form of the clusters.

    Parameters
    ----------
    explorer
        The session.
    selection
        What is chosen on the map.
    """

    ticked = param.List(default=[], doc="Numbers of the clusters that are ticked")

    def __init__(self, explorer: Explorer, selection: Selection) -> None:
        super().__init__()
        self._explorer, self._selection = explorer, selection
        explorer.param.watch(self._renew, "outcome")

    def fields(self) -> list[Field]:
        """Describe the form."""
        outcome = self._explorer.outcome
        if outcome is None:
            return [fields.text("Clusters appear here.", style="faint")]
        segmentation = outcome.result
        shades = hex_colors(segmentation)
        reading = self._explorer.reading
        degrees = None if reading is None else reading.memberships
        same = {i: f"{factor:.2g}× cluster {j}" for i, j, factor in outcome.verdict.alike[::-1]}
        rows = [
            fields.row(
                [
                    fields.check(f"tick/{s.number}", s.name, s.number in self.ticked, quiet=True),
                    {"is": "swatch", "key": f"color/{s.number}", "color": shades[s.number],
                     "label": f"color of {s.name}"},
                    fields.entry(f"name/{s.number}", f"Name of cluster {s.number}", s.name,
                                 quiet=True, maxlength=60),
                    fields.text(_degree(degrees, s.number), style="degree", tag="span",
                                key=f"degree/{s.number}", tip="Membership under the cursor"),
                    fields.text(same.get(s.number, ""), style="same faint", tag="span",
                                key=f"same/{s.number}"),
                    fields.text(percent(s.fraction), style="share", tag="span",
                                key=f"share/{s.number}", tip="Share of the positions"),
                ],
                style="cluster here" if _is_here(reading, s.number) else "cluster",
                key=f"cluster/{s.number}",
            )
            for s in sizes(segmentation)
            if s.count or self._explorer.study is not None  # one that was dropped is gone
        ]  # fmt: skip
        if segmentation.unassigned.any():
            rows.append(_other("unassigned", UNASSIGNED, percent(segmentation.unassigned_fraction)))
        if segmentation.novel is not None and segmentation.novel.any():
            share = percent(float(segmentation.novel[~segmentation.mask].mean()))
            rows.append(_other("unexplained", NOVEL, f"({share})"))
        if segmentation.mask.any():
            share = percent(float(segmentation.mask.mean()))
            rows.append(_other("excluded", "transparent", f"({share})"))
        return [self._actions(), fields.row(rows, style="clusters", key="rows"), *self._palette()]

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        what, _, which = key.partition("/")
        number = int(which) if which.isdecimal() else -1
        if what == "tick":
            rest = [i for i in self.ticked if i != number]
            self.ticked = sorted([*rest, number]) if value else rest
        elif what == "name":
            self._explorer.edit(
                lambda result: result.relabel({number: str(value).strip()}), shared=True
            )
        elif what == "merge" and len(self.ticked) > 1:
            ticked = list(self.ticked)
            self._explorer.edit(lambda result: result.merge(ticked), shared=True, note=_RENUMBERED)
        elif what == "color":
            self._explorer.edit(
                lambda result: recolored(result, self.ticked, int(value)), shared=True
            )
        elif what == "undo":
            self._explorer.undo()
        elif what == "show" and self.ticked and self._explorer.outcome is not None:
            labels = np.ravel(self._explorer.outcome.result.labels.data)
            self._selection.choose(np.isin(labels, self.ticked))
        elif what in _ONE and len(self.ticked) == 1:
            ticked = self.ticked[0]
            outcome = self._explorer.outcome
            several = self._explorer.study is not None or (outcome is not None and outcome.is_joint)
            if what == "split" and several:
                raise InputError(
                    "Clusters of a study are the same in all maps, those of several signals in all "
                    "of them",
                    got="a split of one",
                    cure="Run all together with a larger k.",
                )
            edit = _ONE[what]
            self._explorer.edit(
                lambda result: edit.change(result, ticked), shared=True, note=edit.note
            )

    def _actions(self) -> Field:
        ticked = len(self.ticked)
        buttons = [
            fields.button("merge", "Merge", disabled=ticked < 2, style="small",
                          tip="Join the ticked clusters"),
            *(
                fields.button(
                    name, name.capitalize(), disabled=ticked != 1, style="small", tip=edit.tip
                )
                for name, edit in _ONE.items()
            ),
            fields.button("show", "Show", disabled=not ticked, style="small",
                          tip="Mark the ticked clusters on the map and in the data space"),
            fields.button("undo", "Undo", disabled=not self._explorer.can_undo, style="small",
                          tip="Take the last edit back"),
        ]  # fmt: skip
        return fields.row(buttons, style="actions", key="actions")

    def _palette(self) -> list[Field]:
        if len(self.ticked) != 1:
            return []
        palette = [to_hex(color) for color in colors(PALETTE)]
        label = "Color of the ticked cluster"
        return [{"is": "swatches", "key": "color", "label": label, "colors": palette}]

    def _renew(self, *_: Any) -> None:
        self.ticked = []


def recolored(result: Segmentation, clusters: Sequence[int], color: int) -> Segmentation:
    """Give a cluster another color of the palette; the one that had it takes the old color.

    Parameters
    ----------
    result
        A result.
    clusters
        The number of one cluster.
    color
        Place in the palette, 0 ... 23.

    Raises
    ------
    InputError
        If not one cluster is given, or there is no such color.
    """
    if len(clusters) != 1 or not 0 <= color < PALETTE:
        raise InputError(
            "A color is given to one cluster", got=len(clusters), cure="Tick one cluster."
        )
    places = list(result.color_index)
    before = places[clusters[0]]
    places = [before if place == color else place for place in places]
    places[clusters[0]] = color
    return result.edit("recolor", color_index=places)


def _other(name: str, color: str, share: str) -> Field:
    """Return a row of what is no cluster; in brackets a share of the whole scan."""
    return fields.row(
        [
            fields.text("", tag="span", key="no tick"),
            {"is": "swatch", "key": "swatch", "color": color, "label": name, "style": name},
            fields.text(name, tag="span", key="none", style="faint"),
            fields.text("", tag="span", key="no degree"),
            fields.text("", tag="span", key="no same"),
            fields.text(share, style="share", tag="span", key=name),
        ],
        style="cluster",
        key=f"cluster/{name}",
    )


def _degree(degrees: NDArray[np.float32] | None, number: int) -> str:
    """Membership under the cursor."""
    return "" if degrees is None or number >= len(degrees) else f"{degrees[number]:.2f}"


def _is_here(reading: Reading | None, number: int) -> bool:
    return reading is not None and reading.label == number
