"""Colors and names that clusters take over from those of another result."""

from __future__ import annotations

from collections.abc import Sequence

from clustem.core import Segmentation
from clustem.labelmaps.label_maps import as_labels, matched, on_shape, overlaps


def inherited(matching: dict[int, int], color_index: Sequence[int], q: int) -> tuple[int, ...]:
    """Hand colors on from clusters to those that they are matched with.

    Parameters
    ----------
    matching
        New cluster by old one.
    color_index
        Place in the palette of each old cluster's color.
    q
        Number of new clusters.

    Returns
    -------
    :
        Place in the palette of each new cluster's color, (q,): its match's; clusters without
        one take the first places that nobody has.

    Examples
    --------
    >>> inherited({0: 1, 1: 0}, (4, 0), 3)
    (0, 4, 1)
    """
    taken = {new: color_index[old] for old, new in matching.items()}
    free = (place for place in range(q + len(color_index)) if place not in set(taken.values()))
    return tuple(taken[new] if new in taken else next(free) for new in range(q))


def inherited_colors(new: Segmentation, old: Segmentation) -> tuple[int, ...]:
    """Return the colors that clusters take over from another result of the same scan.

    Raises
    ------
    InputError
        If the scans differ by more than binning by whole factors.
    """
    return inherited(_pairs(new, old), old.color_index, new.n_clusters)


def inherited_names(new: Segmentation, old: Segmentation) -> dict[str, str]:
    """Return the names that clusters take over, as ``edits.relabel`` takes them.

    Raises
    ------
    InputError
        If the scans differ by more than binning by whole factors.
    """
    return {str(j): old.names[i] for i, j in _pairs(new, old).items() if i in old.names}


def _pairs(new: Segmentation, old: Segmentation) -> dict[int, int]:
    """Cluster of the new result by that of the old one which it overlaps most."""
    cure = "Match results of the same scan, cropped alike."
    what = "Both results must be of the same scan"
    a, b = as_labels(old), as_labels(new)
    if a.size >= b.size:
        a, _ = on_shape(a, b.shape, what=what, cure=cure)
    else:
        b, _ = on_shape(b, a.shape, what=what, cure=cure)
    return matched(overlaps(a, b, (old.n_clusters, new.n_clusters))[:-1, :-1])
