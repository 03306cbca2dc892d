"""What can be done to a result: each edit is a new outcome, and its recipe can repeat it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.app.runs import Outcome
from clustem.compute.label_maps import packed
from clustem.model import InputError

PALETTE = 24
"""Colors to choose from."""

ONE = {
    "split": "Cut the ticked cluster in two",
    "drop": "Take the ticked cluster out of the map",
}
"""Edits of one cluster, and what they do."""


def merge(outcome: Outcome, clusters: Iterable[int]) -> Outcome:
    """Join clusters into the one of them with the lowest number."""
    return _edited(outcome, "merge", clusters=[int(cluster) for cluster in clusters])


def rename(outcome: Outcome, cluster: int, name: str) -> Outcome:
    """Give a cluster a name."""
    return _edited(outcome, "relabel", names={str(cluster): name.strip()})


def recolor(outcome: Outcome, clusters: Iterable[int], hue: int) -> Outcome:
    """Give a cluster another color of the palette; who had it gets its color in exchange.

    Raises
    ------
    InputError
        If not one cluster is chosen, or there is no such color.
    """
    chosen, hues = list(clusters), [int(h) for h in outcome.result.hues]
    if len(chosen) != 1 or not 0 <= hue < PALETTE:
        raise InputError(
            "A color is given to one cluster", got=len(chosen), cure="Tick one cluster."
        )
    before = hues[chosen[0]]
    hues = [before if h == hue else h for h in hues]
    hues[chosen[0]] = hue
    return _edited(outcome, "recolor", colors=hues)


def split(outcome: Outcome, cluster: int) -> Outcome:
    """Cut a cluster in two by what was clustered."""
    return _edited(outcome, "split", cluster=cluster, n=2)


def drop(outcome: Outcome, cluster: int) -> Outcome:
    """Take a cluster out of the map."""
    return exclude(outcome, members(outcome, cluster))


def exclude(outcome: Outcome, chosen: NDArray[np.bool_]) -> Outcome:
    """Take positions out of the map; boolean, one per entry of the label map in C order."""
    mask = chosen.reshape(outcome.result.mask.shape)
    return _edited(outcome, "exclude", mask=packed(mask))


def undone(outcome: Outcome) -> Outcome:
    """Take the last edit back.

    Raises
    ------
    InputError
        If there was none.
    """
    return replace(outcome, result=outcome.result.undo())


def members(outcome: Outcome, cluster: int) -> NDArray[np.bool_]:
    """Which entries of the label map belong to a cluster, boolean in C order."""
    return np.asarray(outcome.result.labels.data == cluster).ravel()


def _edited(outcome: Outcome, name: str, **params: Any) -> Outcome:
    return replace(outcome, result=outcome.result.edit(name, **params))
