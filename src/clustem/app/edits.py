"""What can be done to a result: each edit returns a new outcome."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from clustem.app.runs import Outcome
from clustem.model import InputError, Projection
from clustem.segmentation import Segmentation

PALETTE = 24
"""Colors to choose from."""

_OFFERED = {
    "split": "Cut the ticked cluster in two",
    "exclude": "Take the ticked cluster out of the map",
}
ONE = {verb: tip for verb, tip in _OFFERED.items() if hasattr(Segmentation, verb)}
"""Edits of one cluster that a segmentation knows, and what they do."""


def merge(outcome: Outcome, clusters: Iterable[int]) -> Outcome:
    """Join clusters; the largest of them lends the color."""
    return replace(outcome, result=outcome.result.merge(clusters))


def rename(outcome: Outcome, cluster: int, name: str) -> Outcome:
    """Give a cluster a name."""
    return replace(outcome, result=outcome.result.relabel({cluster: name.strip()}))


def recolor(outcome: Outcome, clusters: Iterable[int], hue: int) -> Outcome:
    """Give clusters another color of the palette; who had it gets theirs in exchange.

    Raises
    ------
    InputError
        If no cluster is chosen, or there is no such color.
    """
    projection: Projection = outcome.result.projection
    chosen, hues = list(clusters), list(projection.hues)
    if len(chosen) != 1 or not 0 <= hue < PALETTE:
        raise InputError(
            "A color is given to one cluster", got=len(chosen), cure="Tick one cluster."
        )
    before = hues[chosen[0]]
    hues = [before if h == hue else h for h in hues]
    hues[chosen[0]] = hue
    changed = replace(projection, colors=tuple(int(h) for h in hues))
    return replace(outcome, result=_with_projection(outcome.result, changed))


def split(outcome: Outcome, cluster: int) -> Outcome:
    """Cut a cluster in two."""
    return replace(outcome, result=outcome.result.split(cluster))


def exclude(outcome: Outcome, cluster: int) -> Outcome:
    """Take a cluster out of the map."""
    return replace(outcome, result=outcome.result.exclude([cluster]))


def members(outcome: Outcome, cluster: int) -> np.ndarray:
    """Which entries of the label map belong to a cluster, boolean in C order."""
    return np.asarray(outcome.result.labels.data == cluster).ravel()


def _with_projection(result: Segmentation, projection: Projection) -> Segmentation:
    return replace(result, projection=projection)
