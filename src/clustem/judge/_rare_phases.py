"""Regions that no mixture of clusters explains, found and tested on independent counts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from clustem.core import tick
from clustem.judge._expected import Expected, shares
from clustem.judge._scan_counts import ScanCounts

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
Flags = NDArray[np.bool_]

_WINDOWS = (1, 2, 4, 8)
"""Half widths of the windows in which counts are pooled [px]."""
_BANDS = 96
"""Bands that channels are pooled in."""
_CHUNK = 8
"""Bands that are worked on at a time."""
_AT_ONCE = 2**16
"""Counts that are split at a time."""
_CHANCE = 3.0
"""Log-likelihood ratio of a band up to which it may be chance."""
_SEEDS = 32
"""Most regions that are looked at."""
_TOGETHER = 0.7
"""Log-odds by which a neighbour pulls a position into a region."""
_ROUNDS = 3
"""Region and shape are fitted in turn so often."""
_SWEEPS = 20
"""Most sweeps over a growing region."""
_WIDTHS = (1, 3, 7, 15, 31)
"""Widths over which ratios of counts are smoothed [channels]."""
_SHRINK = (0.5, 2.0)
"""Counts that an expected ratio of 1 is worth."""
_ORDERS = 4
"""Random orders in which the counts of a window are predicted."""
_HOPE = 0.3
"""Share of the needed log-likelihood ratio from which on a window is tested."""
_TRIED = 2
"""Windows near a conspicuous one that are tested."""
_PACE = 0.1
"""Share by which counts grow before the prediction is made anew."""
_LEAST = 2.0
"""Least log-likelihood ratio with which a region is worth a test."""


@dataclass(frozen=True, eq=False)
class Found:
    """A region and its shape.

    Attributes
    ----------
    region
        Boolean, on the grid.
    evidence
        Log-likelihood ratio in the counts that it was found in, each count left out in turn.
    ratio
        Its shape over that of the clusters, (channels,).
    base
        Mixture of clusters that it is compared with, (k,).
    """

    region: Flags
    evidence: float
    ratio: F64
    base: F64


@dataclass(frozen=True, eq=False)
class RarePhase:
    """A region that departs from all mixtures of clusters.

    Attributes
    ----------
    region
        Boolean, on the grid.
    log_ratio
        Log-likelihood ratio in the half of the counts that it was not found in.
    p_value
        Probability of one like it, or a more significant one, anywhere in a map.
    ratio, base
        As in :class:`Found`, from all counts.
    """

    region: Flags
    log_ratio: float
    p_value: float
    ratio: F64
    base: F64


def rare_phases(
    counts: ScanCounts,
    model: Expected,
    *,
    min_size: int,
    rate: float,
    random: np.random.Generator,
) -> list[RarePhase]:
    """Find regions that no mixture of clusters explains.

    Parameters
    ----------
    counts, model
        Counts, and what is expected.
    min_size
        Fewest positions of a region.
    rate
        Chance that a map without any has one.
    random
        Random number generator.

    Notes
    -----
    Counts are split into independent halves. Regions and their shapes q come from one half. In the
    other, ``Π (q / p)^x`` over the pooled counts x of a region has a mean of at most 1 for
    the mixture p that the region is made of, whatever the positions' totals and mixtures (the mean
    over positions is at most that of the mean mixture, by the inequality of arithmetic and
    geometric means), and so for the p that fits x best. By Markov's inequality it exceeds 1/α with
    a probability of at most α. The j-th of a half's regions gets α = rate/4 · 6/(πj)², windows that
    are tested with all counts share rate/2 evenly. Shapes of clusters are taken as known: they come
    from the same counts, in both halves, which makes chance regions less conspicuous, not more.
    """
    half = np.empty_like(counts.values)
    for start in range(0, len(half), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        half[part] = random.binomial(counts.values[part], 0.5)
    rest = counts.values - half
    found: list[RarePhase] = []
    for first, second in ((half, rest), (rest, half)):
        regions = _search(_half(counts, first, model), min_size=min_size)
        for j, one in enumerate(sorted(regions, key=lambda one: -one.evidence), start=1):
            log_ratio = _log_ratio(counts, second, model, one)
            p = min(1.0, float(4 * np.pi**2 / 6 * j**2 * np.exp(-max(log_ratio, 0.0))))
            if p <= rate:
                found.append(RarePhase(one.region, log_ratio, p, one.ratio, one.base))
    kept: list[RarePhase] = []
    for new in sorted(found, key=lambda one: -one.log_ratio):
        if not any((new.region & other.region).any() for other in kept):
            kept.append(new)
    whole = _half(counts, counts.values, model)
    kept = _outlined(whole, kept, min_size)
    kept += _in_windows(whole, kept, min_size=min_size, rate=rate, random=random)
    return sorted(kept, key=lambda one: -one.log_ratio)


def _outlined(whole: _Half, tested: list[RarePhase], min_size: int) -> list[RarePhase]:
    """Draw regions anew by all counts, where they stay what they were."""
    taken = np.zeros(whole.counts.number.shape, dtype=bool)
    for one in tested:
        taken |= one.region
    found = []
    for one in tested:
        taken &= ~one.region
        new = _grown(whole, one.region, taken, min_size)
        same = new is not None and 2 * (new.region & one.region).sum() > one.region.sum()
        if new is not None and same:
            found.append(replace(one, region=new.region, ratio=new.ratio, base=new.base))
        else:
            found.append(one)
        taken |= found[-1].region
    return found


def _half(counts: ScanCounts, values: NDArray[np.int32], model: Expected) -> _Half:
    found, _ = shares(counts, values, model)
    return _Half(counts, values, counts.totals_of(values).astype(np.float64), found, model)


def _in_windows(
    whole: _Half,
    known: list[RarePhase],
    *,
    min_size: int,
    rate: float,
    random: np.random.Generator,
) -> list[RarePhase]:
    """Test windows with all counts, each predicted from those before it."""
    counts, model = whole.counts, whole.model
    windows = len(whole.totals) * len(_WINDOWS)
    known_there = np.zeros(counts.number.shape, dtype=bool)
    for other in known:
        known_there |= other.region
    needed = float(np.log(2 * windows / rate))
    found: list[RarePhase] = []
    for box, one in _seeds(whole, min_size=min_size, taken=known_there):
        if known_there[box].any() or one.evidence < _HOPE * needed:
            continue
        log_ratio = max(_predicted(counts, model, near, random) for near in _nearby(whole, box))
        p = min(1.0, float(2 * windows * np.exp(-max(log_ratio, 0.0))))
        if p <= rate:
            found.append(RarePhase(one.region, log_ratio, p, one.ratio, one.base))
            known_there |= one.region
    return found


def _nearby(half: _Half, box: tuple[slice, slice]) -> list[Flags]:
    """Choose the windows around another that predict counts left out best."""
    number = half.counts.number
    row, column = ((part.start + part.stop) // 2 for part in box)
    found = []
    for reach, r, c in itertools.product(_WINDOWS[:3], range(-1, 2), range(-1, 2)):
        region = np.zeros(number.shape, dtype=bool)
        region[
            max(row + r - reach, 0) : max(row + r + reach + 1, 0),
            max(column + c - reach, 0) : max(column + c + reach + 1, 0),
        ] = True
        region &= number >= 0
        if region.any():
            found.append(_described(half, region))
    found.sort(key=lambda one: -one.evidence)
    return [one.region for one in found[:_TRIED]]


def _predicted(
    counts: ScanCounts, model: Expected, region: Flags, random: np.random.Generator
) -> float:
    """Log-likelihood of counts predicted one after another, less that of the best mixture."""
    chosen = counts.number[region]
    seen = counts.pooled(counts.values, chosen)
    base = counts.totals[chosen].astype(np.float64) @ model.around[chosen].astype(np.float64)
    base = base / max(float(base.sum()), 1e-12)
    mean = base @ model.shapes
    there = np.flatnonzero(seen)
    order = np.repeat(there, seen[there].astype(np.int64))
    found = [
        _in_turn(random.permutation(order), mean, width // 2, shrink)
        for _ in range(_ORDERS)
        for width in _WIDTHS
        for shrink in _SHRINK
    ]
    own = float(np.logaddexp.reduce(found) - np.log(len(found)))
    own += float(seen[there] @ np.log(mean[there]))
    return own - best_mixture(seen[there], model.shapes[:, there], base)[0]


@nb.njit(cache=True, nogil=True)
def _in_turn(order, mean, reach, shrink):  # type: ignore[no-untyped-def]
    width = len(mean)
    expects = np.zeros(width)
    for d in range(width):
        for e in range(max(d - reach, 0), min(d + reach + 1, width)):
            expects[d] += mean[e]
    near, ratio = np.zeros(width), np.ones(width)
    found, norm, anew = 0.0, 0.0, 1.0
    for t in range(len(order)):
        if t >= anew:
            anew = t + max(1.0, _PACE * t)
            total = 0.0
            for d in range(width):
                ratio[d] = (near[d] + shrink) / (t * expects[d] + shrink)
                total += mean[d] * ratio[d]
            norm = np.log(total)
        d = order[t]
        found += np.log(ratio[d]) - norm
        for e in range(max(d - reach, 0), min(d + reach + 1, width)):
            near[e] += 1
    return found


def _search(half: _Half, *, min_size: int) -> list[Found]:
    return [one for _, one in _seeds(half, min_size=min_size) if one.evidence > _LEAST]


def _seeds(
    half: _Half, *, min_size: int, taken: Flags | None = None
) -> Iterator[tuple[Any, Found]]:
    """Yield windows that hold more in some bands than expected, and the regions around them."""
    number = half.counts.number
    strength = _strength(half)
    best, scale = strength.max(axis=0), strength.argmax(axis=0)
    taken = np.zeros(best.shape, dtype=bool) if taken is None else taken.copy()
    best[(number < 0) | taken] = 0.0
    for _ in range(_SEEDS):
        tick()
        row, column = np.unravel_index(int(best.argmax()), best.shape)
        if best[row, column] <= 0:
            break
        reach = _WINDOWS[scale[row, column]]
        box = tuple(slice(max(i - reach, 0), i + reach + 1) for i in (row, column))
        one = _grown(half, box, taken, min_size)
        best[box] = 0.0
        if one is not None:
            best[one.region] = 0.0
            taken |= one.region
            yield box, one


@dataclass(frozen=True, eq=False)
class _Half:
    """One half of the counts, and the shares of the clusters in it."""

    counts: ScanCounts
    values: NDArray[np.int32]
    totals: F64
    shares: F32
    model: Expected


def _strength(half: _Half) -> F32:
    """Sum over bands of the excess in windows around each position, (windows, rows, columns)."""
    counts = half.counts
    number = counts.number
    strength = np.zeros((len(_WINDOWS), *number.shape), dtype=np.float32)
    for band in _partitions(counts):
        size = int(band.max()) + 1
        of_band = np.array([np.bincount(band, shape, size) for shape in half.model.shapes])
        for first in range(0, size, _CHUNK):
            tick()
            part = of_band[:, first : first + _CHUNK]
            seen = np.zeros((part.shape[1], len(half.totals)), dtype=np.float32)
            _in_bands(counts.rows(half.values), band - first, seen)
            for x, p in zip(seen, part.T, strict=True):
                expects = half.totals * (half.shares @ p)
                _add_excess(x, expects, number, np.array(_WINDOWS), strength)
    return strength


def _partitions(counts: ScanCounts) -> list[NDArray[np.int64]]:
    """Bands of all channels, twice, the second shifted by half a band; (channels,) each."""
    axes = len(counts.inner)
    places = np.unravel_index(counts.kept, counts.inner)
    per_axis = max(round(_BANDS ** (1 / axes)), 1)
    found = []
    for shift in (0.0, 0.5):
        band = np.zeros(len(counts.kept), dtype=np.int64)
        for place, size in zip(places, counts.inner, strict=True):
            width = max(size / per_axis, 1.0)
            band = band * (per_axis + 2) + (place / width + shift).astype(np.int64)
        found.append(np.unique(band, return_inverse=True)[1].astype(np.int64))
    return found


@nb.njit(cache=True, nogil=True)
def _in_bands(rows, band, seen):  # type: ignore[no-untyped-def]
    starts, channels, values = rows
    for i in range(len(starts) - 1):
        for at in range(starts[i], starts[i + 1]):
            b = band[channels[at]]
            if 0 <= b < len(seen):
                seen[b, i] += values[at]


@nb.njit(cache=True, nogil=True)
def _add_excess(x, expects, number, windows, strength):  # type: ignore[no-untyped-def]
    rows, columns = number.shape
    seen = np.zeros((rows + 1, columns + 1))
    mean = np.zeros((rows + 1, columns + 1))
    for r in range(rows):
        in_row, mean_in_row = 0.0, 0.0
        for c in range(columns):
            if number[r, c] >= 0:
                in_row += x[number[r, c]]
                mean_in_row += expects[number[r, c]]
            seen[r + 1, c + 1] = seen[r, c + 1] + in_row
            mean[r + 1, c + 1] = mean[r, c + 1] + mean_in_row
    for s in range(len(windows)):
        reach = windows[s]
        for r in range(rows):
            top, bottom = max(r - reach, 0), min(r + reach + 1, rows)
            for c in range(columns):
                left, right = max(c - reach, 0), min(c + reach + 1, columns)
                n = seen[bottom, right] - seen[top, right] - seen[bottom, left] + seen[top, left]
                if n < 1.5:
                    continue
                m = mean[bottom, right] - mean[top, right] - mean[bottom, left] + mean[top, left]
                m = max(m, 1e-9)
                if n > m:
                    gain = n * np.log(n / m) - n + m
                    if gain > _CHANCE:
                        strength[s, r, c] += gain - _CHANCE


def _grown(half: _Half, box: Any, taken: Flags, min_size: int) -> Found | None:
    """Fit region and shape in turn; None if there is no such region."""
    from scipy.ndimage import label

    number = half.counts.number
    region = np.zeros(number.shape, dtype=bool)
    region[box] = True
    region &= (number >= 0) & ~taken
    if np.count_nonzero(region) < min_size:
        return None
    best = _described(half, region)
    for _ in range(_ROUNDS):
        if best.evidence == -np.inf:
            return None
        inside = best.region.copy()
        per_cluster = half.model.shapes @ best.ratio
        expects = half.totals * np.log(half.shares @ per_cluster)
        rows = half.counts.rows(half.values)
        _grow(rows, np.log(best.ratio), expects, np.where(taken, -1, number), inside)
        parts, _n = label(inside, np.ones((3, 3)))
        size = np.bincount(parts.ravel(), (best.region & inside).ravel())
        size[0] = 0
        if not size.any():
            break
        region = parts == int(size.argmax())
        if np.count_nonzero(region) < min_size or (region == best.region).all():
            break
        new = _described(half, region)
        if new.evidence <= best.evidence:
            break
        best = new
    return best


@nb.njit(cache=True, nogil=True)
def _grow(rows, log_ratio, expects, number, inside):  # type: ignore[no-untyped-def]
    """Let each position go where its counts and its neighbours pull it, until all rest."""
    height, width = number.shape
    score = np.full(number.shape, np.nan)
    for _ in range(_SWEEPS):
        top, bottom, left, right = _frame(inside)
        changed = 0
        for r in range(max(top - 1, 0), min(bottom + 2, height)):
            for c in range(max(left - 1, 0), min(right + 2, width)):
                i = number[r, c]
                if i < 0:
                    continue
                near, pull = _pull(inside, number, r, c)
                if near and np.isnan(score[r, c]):
                    score[r, c] = _score(rows, log_ratio, i) - expects[i]
                now = near > 0 and score[r, c] + _TOGETHER * pull > 0
                if now != inside[r, c]:
                    inside[r, c] = now
                    changed += 1
        if changed == 0:
            break


@nb.njit(cache=True, nogil=True)
def _frame(inside):  # type: ignore[no-untyped-def]
    """First and last row and column of a region."""
    height, width = inside.shape
    top, bottom, left, right = height, -1, width, -1
    for r in range(height):
        for c in range(width):
            if inside[r, c]:
                top, bottom = min(top, r), max(bottom, r)
                left, right = min(left, c), max(right, c)
    return top, bottom, left, right


@nb.njit(cache=True, nogil=True)
def _pull(inside, number, r, c):  # type: ignore[no-untyped-def]
    """Count the neighbours inside, and those less the others."""
    height, width = number.shape
    near, pull = 0, 0
    for a in range(max(r - 1, 0), min(r + 2, height)):
        for b in range(max(c - 1, 0), min(c + 2, width)):
            if (a != r or b != c) and number[a, b] >= 0:
                near += inside[a, b]
                pull += 1 if inside[a, b] else -1
    return near, pull


@nb.njit(cache=True, nogil=True)
def _score(rows, log_ratio, i):  # type: ignore[no-untyped-def]
    starts, channels, values = rows
    found = 0.0
    for at in range(starts[i], starts[i + 1]):
        found += values[at] * log_ratio[channels[at]]
    return found


def _described(half: _Half, region: Flags) -> Found:
    """Smooth the ratio of seen to expected counts as far as it predicts counts left out."""
    counts = half.counts
    chosen = counts.number[region]
    seen = counts.pooled(half.values, chosen)
    base = half.totals[chosen] @ half.shares[chosen].astype(np.float64)
    total = float(base.sum())
    if total == 0:
        return Found(region, -np.inf, np.ones(len(seen)), base)
    base = base / total
    mean = base @ half.model.shapes
    best: tuple[float, F64] = (-np.inf, np.ones(len(mean)))
    for width in _WIDTHS:
        near, expects = (boxed(counts, values, width) for values in (seen, total * mean))
        for shrink in _SHRINK:
            without = np.maximum(near - 1, 0) + shrink
            ratio = (near + shrink) / (expects + shrink)
            norm = np.log(float(mean @ ratio))
            evidence = float(seen @ np.log(without / (expects + shrink))) - total * norm
            if evidence > best[0]:
                best = (evidence, ratio)
    return Found(region, best[0], best[1], base)


def boxed(counts: ScanCounts, values: F64, width: int) -> F64:
    """Sum values over a box of channels around each; pixels of patterns in both directions."""
    from scipy.ndimage import uniform_filter1d

    whole = np.zeros(counts.inner)
    whole.flat[counts.kept] = values
    if whole.ndim > 1:
        width = max(width // 4, 1) * 2 - 1
    for axis in range(whole.ndim):
        whole = uniform_filter1d(whole, width, axis=axis, mode="constant") * width
    return np.maximum(whole.ravel()[counts.kept], 0.0)


def _log_ratio(counts: ScanCounts, values: NDArray[np.int32], model: Expected, one: Found) -> float:
    """Log-likelihood of pooled counts under a region's shape, less that of the best mixture."""
    seen = counts.pooled(values, counts.number[one.region])
    there = seen > 0
    shape = (one.base @ model.shapes) * one.ratio
    shape /= shape.sum()
    own = float(seen[there] @ np.log(shape[there]))
    return own - best_mixture(seen[there], model.shapes[:, there], one.base)[0]


def best_mixture(seen: F64, shapes: F64, start: F64) -> tuple[float, F64]:
    """Return the largest log-likelihood of counts under a mixture of shapes, and its shares.

    Parameters
    ----------
    seen
        Counts (channels,), all above 0.
    shapes
        Shapes (k, channels).
    start
        Shares to start from, (k,).

    Notes
    -----
    EM. What it may still lack, at most ``N (max_k Σ x p_k / (N p) - 1)``, is added.
    """
    total = float(seen.sum())
    if total == 0:
        return 0.0, start
    weights = 0.9 * start + 0.1 / len(start)
    rest = np.inf
    for _ in range(1000):
        mixed = weights @ shapes
        slope = shapes @ (seen / mixed) / total
        rest = total * (float(slope.max()) - 1)
        if rest < 0.05:
            break
        weights = weights * slope
    mixed = weights @ shapes
    return float(seen @ np.log(mixed)) + max(rest, 0.0), weights
