"""Kernel of the photon transfer: what each value of pairs of neighbours says of the noise."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]


@numba.njit(nogil=True, cache=True)
def add_pairs(  # a kernel takes arrays one by one
    one: F64,
    two: F64,
    totals: F64,
    compared: Flags,
    used: Flags,
    group: NDArray[np.intp],
    share: F64,
    gain: float,
    edges: F64,
    bins: F64,
    of_pair: F64,
    of_channel: F64,
) -> None:
    """Add squares of differences, and what the line's parameters are multiplied by.

    Parameters
    ----------
    one, two
        Values of some pairs, (m, D), offset subtracted.
    totals
        Sums of both members, (2, m).
    compared
        Pairs whose totals are large enough for their ratio to be taken, (m,).
    used
        Pairs that are added to bins and channels, (m,).
    group
        First bin of each pair's group, (m,).
    share
        Share of each channel in the totals, (D,).
    gain
        Signal per count.
    edges
        Edges of the bins, rising geometrically, (B,).
    bins
        Number, squares and three terms, (5, groups * (B + 1)); added to.
    of_pair, of_channel
        Squares and three terms, (4, m) and (4, D); the first is written, the other added to.
    """
    n, channels = one.shape
    last = len(edges)
    low = np.log(edges[0]) if edges[0] > 0 else -np.inf
    step = np.log(edges[last - 1] / edges[0]) / (last - 1) if edges[0] > 0 else 1.0
    places = np.empty(channels)
    for j in range(channels):
        places[j] = (np.log(share[j]) - low) / step if share[j] > 0 and step > 0 else -1e9
    for i in range(n):
        a, b = (totals[0, i], totals[1, i]) if compared[i] else (1.0, 1.0)
        whole = a + b
        drawn = whole / max(whole - gain, whole / 2) if compared[i] else 1.0
        ratio = (a / b + b / a) / 2
        mean_total = max((totals[0, i] + totals[1, i]) / 2, 0.0)
        up = np.log(mean_total) / step if mean_total > 0 and step > 0 else -1e9
        for t in range(4):
            of_pair[t, i] = 0.0
        for j in range(channels):
            x, y = one[i, j], two[i, j]
            difference = a * y - b * x
            mean = (x + y) / 2
            p = 2 * mean / whole if compared[i] else 0.0
            counts = mean * (1 - p) * drawn
            terms = (
                difference * difference / (2 * a * b),
                counts,
                ratio * (1 - 2 * p + channels * p * p),
                counts * counts,
            )
            for t in range(4):
                of_pair[t, i] += terms[t]
            if not used[i]:
                continue
            expected = mean_total * share[j]
            at = int(min(max(up + places[j], 0.0), last))  # exact to one bin
            while at < last and edges[at] < expected:
                at += 1
            while at > 0 and edges[at - 1] >= expected:
                at -= 1
            at += group[i]
            bins[0, at] += 1.0
            for t in range(4):
                bins[t + 1, at] += terms[t]
                of_channel[t, j] += terms[t]
