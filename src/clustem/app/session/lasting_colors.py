"""Colors that clusters keep from one result to the next."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from clustem.app.session.outcome import Outcome
from clustem.app.session.probe import Places
from clustem.labelmaps.inheritance import inherited
from clustem.labelmaps.label_maps import matched, overlaps

Colors = tuple[int, ...]
"""Place in the palette of each cluster's color."""


def colors_of_both(main: Outcome | None, left: Outcome, right: Outcome) -> tuple[Colors, Colors]:
    """Places in the palette of the clusters of two results, taken over from a third.

    Parameters
    ----------
    main
        The result whose colors are taken over, None where there is none.
    left, right
        The two results.

    Notes
    -----
    The right one takes them over from the left one where that has at least as many clusters as the
    main one, and so carries all of its colors: what both have and the main one has not then has
    one color, too.
    """
    if main is None:
        own = tuple(left.result.color_index)
        return own, lasting_colors(right, left, own)
    color_index = tuple(main.result.color_index)
    first = lasting_colors(left, main, color_index)
    if left.result.n_clusters >= main.result.n_clusters:
        return first, lasting_colors(right, left, first)
    return first, lasting_colors(right, main, color_index)


def lasting_colors(new: Outcome, old: Outcome, color_index: Colors) -> Colors:
    """Places in the palette of a result's clusters, taken over from those that they overlap most.

    Parameters
    ----------
    new, old
        Results of one scan, which may be cropped, binned or cut into patches differently: they
        are compared where they lie.
    color_index
        Places in the palette of the old clusters.
    """
    entries = Places(old).entries(Places(new).points)
    before = np.asarray(old.result.labels.data).ravel()[entries]
    before = np.where(entries < 0, -1, before)
    shape = old.result.n_clusters, new.result.n_clusters
    counts = overlaps(before, np.asarray(new.result.labels.data).ravel(), shape)
    return inherited(matched(counts[:-1, :-1]), color_index, new.result.n_clusters)


def in_colors_of(outcomes: Mapping[int, Outcome], present: Outcome | None) -> dict[int, Outcome]:
    """Give outcomes by number of clusters, which agree in their colors, those of the present one.

    Parameters
    ----------
    outcomes
        Results of one scan, each cluster in one color over all of them.
    present
        The result whose colors are taken over; None changes nothing.
    """
    if present is None:
        return dict(outcomes)
    nearest = min(outcomes, key=lambda k: abs(k - present.result.n_clusters))
    own = outcomes[nearest].result.color_index
    wanted = lasting_colors(outcomes[nearest], present, tuple(present.result.color_index))
    place = dict(zip(own, wanted, strict=True))
    free = (color for color in itertools.count() if color not in set(wanted))
    for outcome in outcomes.values():
        for color in outcome.result.color_index:
            if color not in place:
                place[color] = next(free)
    return {
        k: replace(
            outcome,
            result=replace(
                outcome.result,
                color_index=tuple(place[color] for color in outcome.result.color_index),
            ),
        )
        for k, outcome in outcomes.items()
    }
