"""Clusters of numbers on a line: the compiled loops.

Values are sorted and different, each with a weight; a cluster costs ``Σ w |x - c|^p``. Points of
optimal clusters follow each other on the line. With f any rising function of the distance:

* The cost of the points between two neighbouring centers i < j, each served by the nearer one,
  keeps ``C(i, j) + C(i', j') <= C(i, j') + C(i', j)`` for i <= i' <= j <= j'.
* So does the cost of an interval with its own best center, which lies inside it.

Hence, where the best cut of a longer stretch lies is never left of that of a shorter one, and
dynamic programming needs to try few cuts.
"""

# mypy: disallow-untyped-defs=False, disallow-untyped-calls=False

from __future__ import annotations

import math

import numba
import numpy as np

_kernel = numba.njit(nogil=True, cache=True, error_model="numpy")
_STEPS = 60
_CLOSE = 1e-11  # of the interval: how well a center is found


@_kernel
def power(distance, p):
    """Return ``distance ** p``, fast for the usual p."""
    if p == 0.5:
        return math.sqrt(distance)
    if p == 1.0:
        return distance
    if p == 2.0:
        return distance * distance
    return distance**p


@_kernel
def best_centers(low, high, weight, k, p, bound):
    """Choose k of m cells as centers, at the least cost of serving all of them.

    Parameters
    ----------
    low, high
        Ends of each cell (m,), rising and apart. A cell serves another one at the p-th power of the
        gap between them, itself at no cost. Points are cells without width.
    weight
        Weight of each cell (m,).
    k
        Number of centers, at most m.
    p
        Power, above 0.
    bound
        A cost that can be reached: what costs more is not followed. Infinite if unknown.

    Returns
    -------
    cost, centers
        Least cost, and the chosen cells (k,), rising.

    Notes
    -----
    For each cell j, the costs C(i, j) of all i from the right to the left come from two running
    sums, whose ends only move in one direction. Memory k m, at most k m² / 2 steps; some m² / k
    with a bound near the optimum.
    """
    m = len(low)
    best = np.full((k, m), np.inf)
    before = np.zeros((k, m), np.int32)
    between = np.empty(m)
    right, reach = np.zeros(m), np.arange(m)  # cost of what i serves to its right, and how far
    start = np.maximum(np.arange(k) - 1, 0)  # no better center i < j lies left of this
    limit = np.full(k, m)  # beyond this the bound is exceeded: costs rise with j
    for j in range(m):
        if j <= limit[0]:
            best[0, j] = _to_the_left(low, high, weight, j, p, bound)
            if best[0, j] > bound:
                limit[0] = j - 1
        first = m
        for t in range(1, min(k, j + 1)):
            if j <= limit[t]:
                first = min(first, start[t])
        left, at = 0.0, j
        for i in range(j - 1, first - 1, -1):
            while reach[i] + 1 < j and low[reach[i] + 1] - high[i] <= low[j] - high[reach[i] + 1]:
                reach[i] += 1
                right[i] += weight[reach[i]] * power(low[reach[i]] - high[i], p)
            while at - 1 > reach[i]:
                at -= 1
                left += weight[at] * power(low[j] - high[at], p)
            between[i] = right[i] + left
        for t in range(1, min(k, j + 1)):
            if j > limit[t]:
                continue
            least, place = np.inf, start[t]
            for i in range(start[t], min(j, limit[t - 1] + 1)):
                cost = best[t - 1, i] + between[i]
                if cost < least:
                    least, place = cost, i
            best[t, j], before[t, j], start[t] = least, place, place
            if least > bound:
                limit[t] = j - 1
    least, last = np.inf, k - 1
    for j in range(m - 1, k - 2, -1):
        tail = 0.0
        for i in range(m - 1, j, -1):
            tail += weight[i] * power(low[i] - high[j], p)
        if tail > bound:
            break
        if best[k - 1, j] + tail < least:
            least, last = best[k - 1, j] + tail, j
    centers = np.empty(k, np.int64)
    for t in range(k - 1, -1, -1):
        centers[t] = last
        last = before[t, last]
    return least, centers


@_kernel
def _to_the_left(low, high, weight, j, p, bound):
    """Cost of serving all cells left of j from j; some value above the bound if above it."""
    total = 0.0
    for i in range(j):
        total += weight[i] * power(low[j] - high[i], p)
        if total > bound:
            break
    return total


@_kernel
def best_intervals(x, weight, k, p):
    """Cut points into k intervals, each with its best center, at the least cost; p of at least 1.

    Parameters
    ----------
    x, weight
        Points (m,), rising, and their weights.
    k
        Number of intervals, at most m.
    p
        Power, at least 1.

    Returns
    -------
    :
        First point of each interval (k,).

    Notes
    -----
    One interval more at a time. For the middle one of a range of ends all cuts are tried; ends to
    its left need no cut right of the one found, and so on: m log m costs of intervals for each k,
    of a few steps each for p = 1 and 2, of all points in the interval for other p.
    """
    m = len(x)
    sums = np.zeros((3, m + 1))
    for i in range(m):
        sums[0, i + 1] = sums[0, i] + weight[i]
        sums[1, i + 1] = sums[1, i] + weight[i] * x[i]
        sums[2, i + 1] = sums[2, i] + weight[i] * x[i] * x[i]
    cut = np.zeros((k, m), np.int32)
    last = np.empty(m)
    for b in range(m):
        last[b] = _cheapest_cut(x, weight, sums, last, 0, 0, b, p)[0]
    stack = np.empty((256, 4), np.int64)
    for t in range(1, k):
        new = np.full(m, np.inf)
        depth = 1
        lowest = t if t < k - 1 else m - 1  # of the last row only the last end counts
        stack[0] = (lowest, m - 1, t, m - 1)
        while depth:
            depth -= 1
            first, end, left, right = stack[depth]
            b = (first + end) // 2
            new[b], place = _cheapest_cut(x, weight, sums, last, left, min(b, right), b, p)
            cut[t, b] = place
            if first < b:
                stack[depth] = (first, b - 1, left, place)
                depth += 1
            if b < end:
                stack[depth] = (b + 1, end, place, right)
                depth += 1
        last = new
    starts = np.empty(k, np.int64)
    end = m - 1
    for t in range(k - 1, -1, -1):
        starts[t] = cut[t, end]
        end = starts[t] - 1
    return starts


@_kernel
def _cheapest_cut(x, weight, sums, last, first, end, b, p):
    """Cost up to b if the last interval starts at one of first ... end, and that start.

    ``last[a - 1]`` is the cost of what comes before the start a; nothing comes before 0.
    """
    least, place = np.inf, first
    middle = first
    center = x[first]
    for a in range(first, end + 1):
        if p == 1.0:
            half = (sums[0, a] + sums[0, b + 1]) / 2
            middle = _median(sums[0], a, b, half, middle)
            inner = sums[0, middle] - sums[0, a]
            outer = sums[0, b + 1] - sums[0, middle]
            cost = inner * x[middle] - (sums[1, middle] - sums[1, a])
            cost += sums[1, b + 1] - sums[1, middle] - outer * x[middle]
        elif p == 2.0:
            total = sums[1, b + 1] - sums[1, a]
            cost = sums[2, b + 1] - sums[2, a] - total * total / (sums[0, b + 1] - sums[0, a])
        else:
            center = convex_center(x[a : b + 1], weight[a : b + 1], p, center)
            cost = 0.0
            for i in range(a, b + 1):
                cost += weight[i] * abs(x[i] - center) ** p
        cost = max(cost, 0.0)
        if a:
            cost += last[a - 1]
        if cost < least:
            least, place = cost, a
    return least, place


@_kernel
def _median(running, a, b, half, guess):
    """First point of a ... b at which the running weight reaches ``half``; not left of a guess."""
    i = max(guess, a)
    step = 1
    while i + step <= b and running[i + step] < half:  # leap, then halve
        i += step
        step *= 2
    while step:
        if i + step <= b and running[i + step] < half:
            i += step
        step //= 2
    return i


@_kernel
def convex_center(x, weight, p, guess):
    """Return the center of least cost of points (m,), for p above 1.

    There the slope of the cost, which rises, is zero: a secant through the ends of a bracket, the
    slope at an end that stays being halved (Illinois), and its middle where it shrinks too little.
    Newton's method would stall beside a point, where for p below 2 the slope is vertical.
    """
    low, high = x[0], x[-1]
    if high <= low:
        return low
    below, above = _slope(x, weight, p, low), _slope(x, weight, p, high)
    close = _CLOSE * (high - low)
    width, side, new = high - low, 0, min(max(guess, low), high)
    for step in range(_STEPS):
        if step % 3 == 2:
            if high - low > width / 2:
                new = (low + high) / 2
            width = high - low
        slope = _slope(x, weight, p, new)
        if slope == 0.0 or high - low <= close:
            break
        if slope < 0.0:
            low, below = new, slope
            above /= 2.0 if side == -1 else 1.0
            side = -1
        else:
            high, above = new, slope
            below /= 2.0 if side == 1 else 1.0
            side = 1
        new = low + (high - low) * below / (below - above)
        if not low < new < high:
            new = (low + high) / 2
    return new


@_kernel
def _slope(x, weight, p, center):
    total = 0.0
    for i in range(len(x)):
        away = center - x[i]
        total += weight[i] * math.copysign(abs(away) ** (p - 1.0), away)
    return total


@_kernel
def nearest_best(x, weight, first, end, center, p, around):
    """Try points near a center as the center of the points first ... end - 1; for p up to 1.

    Returns
    -------
    :
        The best of the points ``center - around ... center + around`` inside the interval.
    """
    least, place = np.inf, center
    for c in range(max(first, center - around), min(end, center + around + 1)):
        cost = 0.0
        for i in range(first, end):
            cost += weight[i] * power(abs(x[i] - x[c]), p)
            if cost >= least:
                break
        if cost < least:
            least, place = cost, c
    return place
