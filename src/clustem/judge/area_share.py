"""Which share of a map each cluster takes, and how well that is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation, checked

F64 = NDArray[np.float64]
_SIDE = 5
"""Blocks along each side of a map."""


@checked
def area_share(segmentation: Segmentation) -> tuple[F64, F64, F64]:
    """Say which share of the positions that take part each cluster has.

    Parameters
    ----------
    segmentation
        Any result on a scan.

    Returns
    -------
    :
        Shares, and the lower and upper ends of their 95 % intervals, (k,) each.

    Notes
    -----
    Shares of 5 x 5 blocks of the map scatter; the interval is their mean, weighted by the
    positions, with the t distribution of as many blocks as there are, cut off at 0 and 1. So it is
    the interval of the share in a specimen of which the map is a random part, where grains are
    smaller than a block: larger ones make it wider than blocks can tell.

    References
    ----------
    W. G. Cochran, Sampling Techniques, 3rd ed. (Wiley, 1977), section 6.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> share, low, high = area_share(segment(samples.eds(shape=(40, 50)).signal, "eds"))
    >>> bool((low < share).all() and (share < high).all()), round(float(share.sum()), 6)
    (True, 1.0)
    """
    from scipy.stats import t

    labels, k = np.atleast_2d(segmentation.labels.data), segmentation.n_clusters
    there = ~np.atleast_2d(segmentation.mask)
    own = np.zeros((_SIDE * _SIDE, k))
    total = np.zeros(_SIDE * _SIDE)
    places = [np.arange(size) * min(_SIDE, size) // size for size in labels.shape]
    block = (places[0][:, None] * _SIDE + places[1])[there]
    np.add.at(total, block, 1)
    drawn = labels[there]
    np.add.at(own, (block[drawn >= 0], drawn[drawn >= 0]), 1)
    share = own.sum(axis=0) / max(total.sum(), 1)
    used = total > 0
    n = int(used.sum())
    if n < 2:
        return share, np.zeros(k), np.ones(k)
    rest = own[used] - share * total[used, None]  # of a ratio of totals
    error = np.sqrt((rest**2).sum(axis=0) * n / (n - 1)) / total.sum()
    reach = float(t.ppf(0.975, n - 1)) * error
    return share, np.maximum(share - reach, 0.0), np.minimum(share + reach, 1.0)
