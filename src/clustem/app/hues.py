"""One color for what is the same cluster in several results of one scan."""

from __future__ import annotations

import numpy as np

from clustem.app.probe import Places
from clustem.app.runs import Outcome
from clustem.compute.label_maps import inherited, matched, overlaps

Hues = tuple[int, ...]


def hues_of_both(main: Outcome | None, left: Outcome, right: Outcome) -> tuple[Hues, Hues]:
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
        own = tuple(left.result.projection.hues)
        return own, lasting_hues(right, left, own)
    hues = tuple(main.result.projection.hues)
    first = lasting_hues(left, main, hues)
    if left.result.n_clusters >= main.result.n_clusters:
        return first, lasting_hues(right, left, first)
    return first, lasting_hues(right, main, hues)


def lasting_hues(new: Outcome, old: Outcome, hues: Hues) -> Hues:
    """Places in the palette of a result's clusters, taken over from those that they overlap most.

    Parameters
    ----------
    new, old
        Results of one scan, which may be cropped, binned or cut into patches differently: they
        are compared where they lie.
    hues
        Places in the palette of the old clusters.
    """
    entries = Places(old).entries(Places(new).points)
    before = np.asarray(old.result.labels.data).ravel()[entries]
    before = np.where(entries < 0, -1, before)
    shape = old.result.n_clusters, new.result.n_clusters
    counts = overlaps(before, np.asarray(new.result.labels.data).ravel(), shape)
    return inherited(matched(counts[:-1, :-1]), hues, new.result.n_clusters)
