"""The list of clusters: names, colors, shares, and what can be done to them."""

from __future__ import annotations

from typing import Any

import param

from clustem.app import edits, fields
from clustem.app.clouds import Selection
from clustem.app.fields import Field
from clustem.app.paint import UNASSIGNED, hex_colors, to_hex
from clustem.app.state import Explorer
from clustem.report._scan import percent, sizes
from clustem.report.colors import colors


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
            return []
        projection = outcome.result.projection
        shades = hex_colors(projection)
        reading = self._explorer.reading
        degrees = None if reading is None else reading.memberships
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
                    fields.text(percent(s.fraction), style="share", tag="span",
                                key=f"share/{s.number}", tip="Share of the positions"),
                ],
                style="cluster here" if _is_here(reading, s.number) else "cluster",
                key=f"cluster/{s.number}",
            )
            for s in sizes(projection)
        ]  # fmt: skip
        if projection.unassigned.any():
            rows.append(_unassigned(projection.unassigned_fraction))
        return [self._actions(), fields.row(rows, style="clusters", key="rows"), *self._palette()]

    def heard(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        what, _, which = key.partition("/")
        number = int(which) if which.isdecimal() else -1
        if what == "tick":
            rest = [i for i in self.ticked if i != number]
            self.ticked = sorted([*rest, number]) if value else rest
        elif what == "name":
            self._explorer.edit("rename", number, str(value))
        elif what == "merge" and len(self.ticked) > 1:
            self._explorer.edit("merge", list(self.ticked))
        elif what == "hue":
            self._explorer.edit("recolor", list(self.ticked), int(value))
        elif what == "undo":
            self._explorer.undo()
        elif what == "show" and self.ticked and self._explorer.outcome is not None:
            chosen = sum(edits.members(self._explorer.outcome, i) for i in self.ticked)
            self._selection.choose(chosen.astype(bool))
        elif what in edits.ONE and len(self.ticked) == 1:
            self._explorer.edit(what, self.ticked[0])

    def _actions(self) -> Field:
        ticked = len(self.ticked)
        buttons = [
            fields.button("merge", "Merge", disabled=ticked < 2, style="small",
                          tip="Join the ticked clusters"),
            *(
                fields.button(verb, verb.capitalize(), disabled=ticked != 1, style="small", tip=tip)
                for verb, tip in edits.ONE.items()
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
        palette = [to_hex(color) for color in colors(edits.PALETTE)]
        label = "Color of the ticked cluster"
        return [{"is": "swatches", "key": "hue", "label": label, "colors": palette}]

    def _renew(self, *_: Any) -> None:
        self.ticked = []


def _unassigned(share: float) -> Field:
    return fields.row(
        [
            fields.text("", tag="span", key="no tick"),
            {"is": "swatch", "key": "grey", "color": UNASSIGNED, "label": "grey"},
            fields.text("unassigned", tag="span", key="none", style="faint"),
            fields.text("", tag="span", key="no degree"),
            fields.text(percent(share), style="share", tag="span", key="unassigned"),
        ],
        style="cluster",
        key="cluster/unassigned",
    )


def _degree(degrees: Any, number: int) -> str:
    """Membership under the cursor."""
    return "" if degrees is None or number >= len(degrees) else f"{degrees[number]:.2f}"


def _is_here(reading: Any, number: int) -> bool:
    return reading is not None and reading.label == number
