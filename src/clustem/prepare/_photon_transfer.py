"""Gain, read noise and offset of a detector from the noise between neighbouring positions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from clustem.passes.rows import Rows
from clustem.prepare._pair_sums import add_pairs

F64 = NDArray[np.float64]
Where = NDArray[np.intp]

_PAIRS = 20_000
"""Most pairs of neighbours that are looked at."""

_VALUES = 2**21
"""Most values of one member of all pairs together."""

_FEWEST = 16
"""Fewest pairs of neighbours that a gain is estimated from."""

_RUN = 16
"""Pairs are taken in runs of so many, so that few blocks of a file hold them all."""

_GROUPS = 20
"""Parts of the sample, for the error by the jackknife."""

_BINS = 48
"""Bins of the expected mean."""

_FEW_COUNTS = 20.0
"""Below so many counts in a pair its two totals are taken as equal [counts]."""

_RATIO = 3.0
"""Neighbours whose totals differ by more than this factor are no neighbours."""

_STRUCTURE = 0.05
"""Largest relative variance between neighbours that may be structure of the specimen."""

_GAIN = (True, False, False)
"""Only the gain is fitted."""

_ROUNDS = 5
"""The fit is repeated so often: pairs are chosen by its outcome."""

_SIGNIFICANT = 4.0
"""A term is fitted if it is so many times its standard error."""

_RESTLESS = 2.0
"""Variance, relative to the line and to most channels, from which on a peak wanders there."""

_WANDERING = 1 / 3
"""Largest share of the channels that may lie on the flanks of such a peak."""

_BLOCK = 2**20  # values worked on at a time


@dataclass(frozen=True)
class Noise:
    """Variance of a detector as a function of the mean.

    Attributes
    ----------
    gain
        Signal per count [units of the data].
    error
        Standard error of the gain.
    read_noise
        Standard deviation where there are no counts [units of the data].
    offset
        Mean where there are no counts [units of the data].
    step
        Distance of the values from each other if they lie on a lattice; 0 if they do not.
    misfit
        Typical relative deviation of the variance in parts of the channels from the line.
    counted
        Share of the variance that comes from counts, not from read noise.
    """

    gain: float
    error: float
    read_noise: float
    offset: float
    step: float
    misfit: float
    counted: float


@dataclass(frozen=True)
class Sample:
    """Pairs of neighbouring positions.

    Attributes
    ----------
    one, two
        Values of the two members, (pairs, channels), in the dtype of the data; channels that never
        change are left out.
    """

    one: NDArray[Any]
    two: NDArray[Any]

    @property
    def values(self) -> NDArray[Any]:
        """Different values, rising, of at most 64 k pairs of them."""
        stride = max(self.one.size // 2**16, 1)
        return np.unique([self.one.ravel()[::stride], self.two.ravel()[::stride]])

    @property
    def mean(self) -> F64:
        """Mean of each channel (channels,)."""
        one, two = (x.mean(axis=0, dtype=np.float64) for x in (self.one, self.two))
        return np.asarray((one + two) / 2)

    @property
    def totals(self) -> F64:
        """Sum over the channels at all positions, (2 pairs,)."""
        return np.concatenate([x.sum(axis=1, dtype=np.float64) for x in (self.one, self.two)])

    @property
    def maxima(self) -> NDArray[Any]:
        """Largest value at all positions, (2 pairs,)."""
        return np.concatenate([x.max(axis=1) for x in (self.one, self.two)])


def sample_pairs(rows: Rows, left_out: NDArray[np.bool_], channels: Where) -> Sample | None:
    """Load neighbours along the last axis of the scan that is longer than 1.

    Parameters
    ----------
    rows
        The positions that are left in.
    left_out
        Boolean, shape of the scan, True = excluded.
    channels
        Channels that are looked at.

    Returns
    -------
    :
        The pairs; None if there are hardly any.
    """
    number: Where = np.full(left_out.shape, -1, dtype=np.intp)
    number[~left_out] = np.arange(len(rows))
    number = np.reshape(number, (-1, next((n for n in left_out.shape[::-1] if n > 1), 1)))
    half = number.shape[1] // 2
    pairs = np.stack([number[:, 0 : 2 * half : 2], number[:, 1 : 2 * half : 2]], axis=-1)
    pairs = pairs.reshape(-1, 2)
    pairs = pairs[(pairs >= 0).all(axis=1)]
    if len(pairs) < _FEWEST:
        return None
    most = int(np.clip(_VALUES // len(channels), 2 * _RUN, _PAIRS))
    if len(pairs) > most:
        first = np.linspace(0, len(pairs) - _RUN, most // _RUN).astype(np.intp)
        pairs = pairs[np.unique(first[:, None] + np.arange(_RUN))]
    values = rows.take(pairs.ravel())
    if len(channels) < rows.shape[1]:
        values = values[:, channels]
    changes = values.min(axis=0) != values.max(axis=0)  # NaN: True
    if not changes.all():
        values = values[:, changes]
    return Sample(values[0::2], values[1::2])


@dataclass(frozen=True)
class _Line:
    """``variance = gain (mean - offset) + read + spread (mean - offset)²``."""

    gain: float
    read: float = 0.0
    spread: float = 0.0
    offset: float = 0.0

    def of(self, terms: F64) -> F64:
        """Variance at terms (3, ...)."""
        return np.asarray(np.tensordot([self.gain, self.read, self.spread], terms, axes=1))


def noise_of(sample: Sample, *, gain: float | None = None, offset: float | None = None) -> Noise:
    """Fit the noise of a detector to pairs of neighbours.

    Parameters
    ----------
    sample
        Pairs, all finite, with at least one channel that changes.
    gain, offset
        Values that are known.

    Notes
    -----
    Of a pair with values a, b and totals A, B the difference ``A b - B a`` is free of what all
    channels have in common: thickness and drift. Its square over 2 A B has the mean
    ``g m (1 - p) S / (S - g) + s² c (1 - 2 p + D p²)``: m mean of a and b, p their share in the
    totals, S = A + B, c = (A/B + B/A)/2, D channels. It is averaged in bins of the mean that
    the pair's total and the channel's share in the whole sample predict, so that a value's own
    noise does not choose its bin. A line, with a term m² where structure is left, is fitted by
    weighted least squares; pairs that scatter more than others are left out; the error is the
    jackknife's.
    """
    step = lattice(sample.values)
    start = _dark(sample) if _below_zero(sample) else 0.0
    line = _Line(gain or step, offset=start if offset is None else offset)
    keep = np.ones(len(sample.one), dtype=bool)
    error = 0.0
    for i in range(_ROUNDS):
        sums = _sums(sample, line, keep)
        if i == 0:  # only the gain is known before boundaries are left out
            line = _first(sums.bins, line, gain)
        else:
            line, error = _fit(sums.bins, sample, line, known=(gain, offset))
        if line.gain <= 0:
            break
        keep = _usual(sums, line)
    sums = _sums(sample, line, keep)
    variance = line.of(sums.of_channel[1:])
    noise = max(line.read, 0.0) * sums.of_channel[2].sum()
    counted = 1.0 - float(noise / max(variance.sum(), 1e-300))
    return Noise(
        gain=line.gain,
        error=error,
        read_noise=float(np.sqrt(max(line.read, 0.0))),
        offset=line.offset,
        step=step,
        misfit=_misfit(sums.of_channel[0], variance),
        counted=counted,
    )


def without_wandering(sample: Sample) -> Sample:
    """Leave out channels that scatter more than most by far: the flanks of a peak that wanders.

    Returns
    -------
    :
        The same pairs with fewer channels; all of them if more than a third would go.
    """
    wander = np.zeros(sample.one.shape[1], dtype=bool)
    for _ in range(_ROUNDS):
        some = Sample(sample.one[:, ~wander], sample.two[:, ~wander])
        found = noise_of(some)
        if found.gain <= 0:
            break
        line = _Line(found.gain, found.read_noise**2, offset=found.offset)
        sums = _sums(some, line, np.ones(len(some.one), dtype=bool))
        variance = line.of(sums.of_channel[1:])
        ratio = sums.of_channel[0] / np.maximum(variance, 1e-9 * variance.max())
        more = np.flatnonzero(~wander)[ratio > _RESTLESS * np.median(ratio)]
        if not len(more):
            break
        wander[more] = True
    return some if wander.mean() <= _WANDERING else sample


@dataclass(frozen=True)
class _Sums:
    """Sums of squares and of the terms of the line.

    Attributes
    ----------
    bins
        Number, squares and three terms, (5, groups, bins).
    of_pair, of_channel
        Squares and three terms, (4, pairs) and (4, channels).
    """

    bins: F64
    of_pair: F64
    of_channel: F64


def _sums(sample: Sample, line: _Line, keep: NDArray[np.bool_]) -> _Sums:
    n, channels = sample.one.shape
    share = _shares(sample, line.offset, keep)
    totals = sample.totals.reshape(2, n) - channels * line.offset
    edges = _edges(share, totals.mean(axis=0)[keep])
    bins = np.zeros((5, _GROUPS * (_BINS + 1)))
    of_pair, of_channel = np.zeros((4, n)), np.zeros((4, channels))
    compared, alike = _compared(totals, line.gain), _alike(totals, line.gain)
    first = np.arange(n) * _GROUPS // n * (_BINS + 1)
    for start in range(0, n, max(_BLOCK // channels, 1)):
        part = slice(start, start + max(_BLOCK // channels, 1))
        one, two = (x[part].astype(np.float64) - line.offset for x in (sample.one, sample.two))
        add_pairs(
            one,
            two,
            totals[:, part],
            compared[part],
            keep[part] & alike[part],
            first[part],
            share,
            float(line.gain),
            edges,
            bins,
            of_pair[:, part],
            of_channel,
        )
    of_pair[:, ~alike] = np.nan
    return _Sums(bins.reshape(5, _GROUPS, -1), of_pair, of_channel)


def _shares(sample: Sample, offset: float, keep: NDArray[np.bool_]) -> F64:
    one, two = (
        x.mean(axis=0, dtype=np.float64, where=keep[:, None]) for x in (sample.one, sample.two)
    )
    mean = np.maximum((one + two) / 2 - offset, 0.0)
    return np.asarray(mean / max(mean.sum(), 1e-300))


def _edges(share: F64, totals: F64) -> F64:
    """Edges of bins, evenly spaced on the logarithm, of the expected mean."""
    bright = share[share > 0]
    if not len(bright):
        return np.linspace(0.0, 1.0, _BINS)
    total = np.percentile(totals[totals > 0], [5, 95]) if (totals > 0).any() else np.ones(2)
    low, high = np.percentile(bright, 1) * total[0], bright.max() * total[1]
    return np.geomspace(max(low, high * 1e-8), max(high, 1e-300), _BINS)


def _compared(totals: F64, gain: float) -> NDArray[np.bool_]:
    """Where the totals of a pair are large enough for their ratio to be taken."""
    return np.asarray((totals.min(axis=0) > 0) & (totals.sum(axis=0) >= _FEW_COUNTS * gain))


def _alike(totals: F64, gain: float) -> NDArray[np.bool_]:
    """Pairs whose totals do not differ by far."""
    return np.asarray(
        ~_compared(totals, gain) | (totals.max(axis=0) <= _RATIO * totals.min(axis=0))
    )


def _first(bins: F64, line: _Line, gain: float | None) -> _Line:
    """Fit the gain, and the read noise where the offset is known to differ from 0."""
    if line.offset == 0:
        return replace(line, gain=float(_solve(bins, _GAIN, line, gain)[0][0]))
    whole = bins.sum(axis=1)
    level = whole[1] / np.maximum(whole[0], 1.0)
    found, _ = _solve(bins, (True, True, False), line, gain, level=level + 0.01 * level.mean())
    return replace(line, gain=float(found[0]), read=max(float(found[1]), 0.0))


def _fit(
    bins: F64, sample: Sample, line: _Line, *, known: tuple[float | None, float | None]
) -> tuple[_Line, float]:
    """Fit the simplest line that the bins allow."""
    gain, offset = known
    best, error = _solve(bins, _GAIN, line, gain)
    wide, wide_error = _solve(bins, (True, True, False), line, gain)
    if _needed(wide, wide_error, line) and _possible(wide, sample, line, offset):
        best, error = wide, wide_error
    curved, curved_error = _solve(bins, (True, bool(best[1]), True), line, gain)
    if _SIGNIFICANT * curved_error[2] < curved[2] < _STRUCTURE:
        best, error = curved, curved_error
        if best[1] and not _needed(best, error, line):
            best, error = _solve(bins, (True, False, True), line, gain)
    if not best[1] and offset is None and not _below_zero(sample):
        line = replace(line, offset=0.0)
    return _with_offset(best, sample, line, offset), float(error[0])


def _needed(found: F64, error: F64, line: _Line) -> bool:
    """Whether the line does not go through the origin."""
    at_zero = found[1] - found[0] * line.offset
    return bool(abs(at_zero) > _SIGNIFICANT * np.hypot(error[1], error[0] * line.offset))


def _possible(found: F64, sample: Sample, line: _Line, offset: float | None) -> bool:
    """Whether the values allow a variance of read noise, or a mean without counts."""
    values = sample.values
    lowest = float(values[0]) - line.offset
    if found[1] >= 0:
        counting = values.dtype.kind in "bui" and lowest >= 0 and line.offset == 0
        return not (counting and _zeros(sample) > 0.5)  # most values are zero
    return (offset is None and lowest > 0) or line.offset != 0


def _zeros(sample: Sample) -> float:
    return 1 - np.count_nonzero(sample.one) / sample.one.size


def _with_offset(found: F64, sample: Sample, line: _Line, offset: float | None) -> _Line:
    """Tell read noise and offset apart, as far as they can be.

    The line says where the variance of counts alone would vanish. With a read noise the offset lies
    higher, and the lowest values lie below it.
    """
    gain, read, spread = (float(value) for value in found)
    if offset is not None or gain <= 0:
        return _Line(gain, max(read, 0.0), spread, line.offset)
    if line.offset == 0 and (read == 0 or (read > 0 and not _below_zero(sample))):
        return _Line(gain, read, spread, 0.0)
    without = line.offset - read / gain
    highest = max(_dark(sample), without)
    noise = min(_read_noise(sample, without, gain), float(np.sqrt(gain * (highest - without))))
    return _Line(gain, noise**2, spread, without + noise**2 / gain)


def _read_noise(sample: Sample, without: float, gain: float) -> float:
    """Read noise for which the lowest value of the sample is what chance makes of it.

    Of n values without counts the lowest is z standard deviations s below the offset, and that is
    s²/g above the zero of the variance.
    """
    n = 2 * len(sample.one) * np.exp(-np.maximum(sample.mean - without, 0.0) / gain).sum()
    z = float(-ndtri(1 / max(n, 4.0)))
    lowest = float(min(sample.one.min(), sample.two.min())) - without
    if lowest >= -0.5 * gain:
        return 0.0
    return gain / 2 * (z - float(np.sqrt(max(z**2 + 4 * lowest / gain, 0.0))))


def _below_zero(sample: Sample) -> bool:
    """Whether the darkest channels are negative by more than their noise."""
    mean = sample.mean
    darkest = sample.one[:, np.argsort(mean, kind="stable")[: max(len(mean) // 50, 1)]]
    return _dark(sample) < -0.5 * float(darkest.std(dtype=np.float64))


def _dark(sample: Sample) -> float:
    """Mean of the darkest channels."""
    mean = np.sort(sample.mean)
    return float(mean[: max(len(mean) // 50, 1)].mean())


def _solve(
    bins: F64,
    free: tuple[bool, bool, bool],
    scale: _Line,
    gain: float | None,
    *,
    level: F64 | None = None,
) -> tuple[F64, F64]:
    """Weighted least squares over the bins, and the error by the jackknife over groups."""
    whole = bins.sum(axis=1)
    n = np.maximum(whole[0], 1.0)
    if level is None:
        scale = scale if scale.gain > 0 else _Line(1.0, offset=scale.offset)
        level = np.maximum(scale.of(whole[2:] / n), 0.0)
    floor = max(1e-6 * level.max(), 1e-300)
    weight = np.where(whole[0] > 0, n / np.maximum(level, floor) ** 2, 0.0)
    chosen = [i for i in range(3) if free[i] and not (i == 0 and gain is not None)]

    def one(sums: F64) -> F64:
        found = np.zeros(3)
        count = np.maximum(sums[0], 1.0)
        y, terms = sums[1] / count, sums[2:] / count
        if gain is not None:
            found[0], y = gain, y - gain * terms[0]
        if not chosen:
            return found
        root = np.sqrt(weight * sums[0] / n)
        x = (terms[chosen] * root).T
        size = np.maximum(np.abs(x).max(axis=0), 1e-300)
        found[chosen] = np.linalg.lstsq(x / size, y * root, rcond=None)[0] / size
        return found

    found = one(whole)
    others = np.array([one(whole - bins[:, i]) for i in range(_GROUPS) if bins[0, i].any()])
    k = len(others)
    error = np.sqrt((k - 1) / k * ((others - others.mean(axis=0)) ** 2).sum(axis=0))
    return found, error


def _usual(sums: _Sums, line: _Line) -> NDArray[np.bool_]:
    """Pairs that do not scatter more, or less, than most."""
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = sums.of_pair[0] / line.of(sums.of_pair[1:])
    known = np.isfinite(ratio)
    if not known.any():
        return np.ones(len(ratio), dtype=bool)
    middle = np.median(ratio[known])
    spread = 1.4826 * np.median(np.abs(ratio[known] - middle))
    usual: NDArray[np.bool_] = known
    if spread > 0:
        usual = known & (np.abs(ratio - middle) <= 5 * spread)
    return usual if np.count_nonzero(usual) > len(usual) // 2 else known


def _misfit(square: F64, variance: F64) -> float:
    """Typical deviation of the variance in 16 parts of the channels from the line, relative."""
    if not variance.sum() > 0:
        return float("inf")
    parts = [
        (square[where].sum(), variance[where].sum())
        for where in np.array_split(np.arange(len(square)), min(16, len(square)))
    ]
    found = np.array([[a, b] for a, b in parts if b > 1e-4 * variance.sum()])
    return float(np.exp(np.abs(np.log(np.maximum(found[:, 0], 1e-300) / found[:, 1])).mean()) - 1)


def lattice(values: NDArray[Any]) -> float:
    """Return the distance of values that are all multiples of it; 0 if there is none.

    Parameters
    ----------
    values
        Different values, rising.

    Examples
    --------
    >>> lattice(np.array([0, 80, 120]))
    40.0
    """
    if len(values) < 2:  # two values have a distance
        return 0.0
    if values.dtype.kind in "bui":
        wide = values.astype(np.int64)
        return float(np.gcd.reduce(wide - wide[0]))
    apart = np.diff(values.astype(np.float64))
    precision = 8 * float(np.finfo(values.dtype).eps) * float(np.abs(values).max())
    apart = apart[apart > precision]
    if not len(apart) or (step := float(apart.min())) < 20 * precision:
        return 0.0
    from_first = values.astype(np.float64) - float(values[0])
    for most in (50, 5000, np.inf):  # the longer the distance, the better is the step known
        near = from_first[from_first <= most * step]
        number = np.round(near / step)
        if (np.abs(near / step - number) > 0.1).any():  # of a step
            return 0.0
        if number.any():
            step = float(number @ near / (number @ number))
    return step
