"""How well the counts of a position fit clusters, also where it lies between two of them."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from clustem.cluster.mixture._counts import Counts, Fit, log_likelihoods, shaped, sums_of
from clustem.cluster.mixture._signals import F64, Counted, Measured

Borders = dict[tuple[int, int], NDArray[np.intp]]
"""Positions around which each two clusters are present."""
_SHARES = (np.arange(8) + 0.5) / 8
"""Shares of the first cluster in a mixed position; four of them are less than a half."""
_MIXED = 0.3
"""Probability that a position on a border is a mixture of both sides."""
_REACH = 3
"""Steps from neighbour to neighbour up to which a cluster is looked for around a position."""
_PRESENT = 0.02
"""Share of them from which on a second cluster is present."""
_SURE = 0.9
"""Membership from which on a position tells how widely its cluster scatters."""
_ENOUGH = 4000
"""Positions of a cluster that tell how widely it scatters."""
_FEW = 12
"""Counts of a channel up to which a sum is shorter than a gamma function."""
_WIDTHS = np.geomspace(0.3, 300, 13)
"""Concentrations that are tried, in units of the counts of a position."""


def borders_of(memberships: F64, graph: Any) -> Borders:
    """Find the positions around which two clusters are present; memberships are (n, k)."""
    k = memberships.shape[1]
    if k == 1 or graph is None:
        return {}
    around = memberships
    for _ in range(_REACH):
        around = graph @ around
        around /= np.maximum(around.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    around += 0.1 * memberships
    two = np.argpartition(-around, 1, axis=1)[:, :2]
    on_border = np.take_along_axis(around, two, axis=1).min(axis=1) > _PRESENT
    low, high = two.min(axis=1), two.max(axis=1)
    pairs = {
        pair: np.flatnonzero(on_border & (low == pair[0]) & (high == pair[1]))
        for pair in itertools.combinations(range(k), 2)
    }
    return {pair: rows for pair, rows in pairs.items() if len(rows)}


def evidence(fit: Fit, counts: Counts, borders: Borders) -> F64:
    """Return the log-likelihood (n, k) of each row where a cluster holds more of it than others.

    A position on a border is pure or, with probability 0.3, a mixture of both sides in which all
    shares above a half are as likely. The log-likelihood of the mean shape is left out.
    """
    found = scattered(fit, counts)
    for (one, other), rows in borders.items():
        for cluster, states in zip(
            (one, other), _states(fit, counts, (one, other), rows), strict=True
        ):
            found[rows, cluster] = logsumexp(states, axis=1)
    return found


def _states(
    fit: Fit, counts: Counts, pair: tuple[int, int], rows: NDArray[np.intp]
) -> tuple[F64, F64]:
    """Log-probabilities (m, 5) of a pure position and of four shares of more than a half.

    For either side of a border, the largest share last.
    """
    one, other = pair
    half = len(_SHARES) // 2
    share = np.concatenate([_SHARES, [1.0, 0.0]])[:, None]
    states = replace(
        fit,
        shapes=share * fit.shapes[one] + (1 - share) * fit.shapes[other],
        rates=share * fit.rates[one] + (1 - share) * fit.rates[other],
    )
    if fit.concentrations is not None:
        own = fit.concentrations[[one, other]]
        states = replace(
            states,
            concentrations=np.concatenate([np.tile(own.min(axis=0), (len(_SHARES), 1)), own]),
        )
    found = scattered(states, counts.of_rows(counts.rows[rows]))
    found[:, : 2 * half] += np.log(_MIXED / half)
    found[:, 2 * half :] += np.log(1 - _MIXED)
    return (
        np.column_stack([found[:, -2], found[:, half : 2 * half]]),
        np.column_stack([found[:, -1], found[:, half - 1 :: -1]]),
    )


def unmixed(fit: Fit, counts: Counts, borders: Borders) -> Fit:
    """Fit shapes and rates to memberships, the counts of mixed positions split between both sides.

    A count of a channel belongs to a side in proportion to the side's share of the position and
    to its shape there, as in EM; the share is the expected one. Values are not split: a mixed
    position counts as far as it may be a pure one.
    """
    memberships = fit.memberships.copy()
    for pair, rows in borders.items():
        memberships[np.ix_(rows, np.array(pair))] = 0.0
    sums = sums_of(memberships, counts)
    held = memberships.sum(axis=0)
    counted = np.zeros(sums.shape[1], dtype=bool)
    for signal in counts.signals:
        counted[signal.where] = isinstance(signal, Counted)
    for pair, rows in borders.items():
        sides = fit.memberships[np.ix_(rows, np.array(pair))]
        weight = sides.sum(axis=1)
        share, pure = np.zeros(len(rows)), np.zeros((2, len(rows)))
        ahead = np.concatenate([[1.0], _SHARES[len(_SHARES) // 2 :]])
        for side, states in enumerate(_states(fit, counts, pair, rows)):
            likely = np.exp(states - logsumexp(states, axis=1, keepdims=True))
            known = likely @ ahead
            share += sides[:, side] * (known if side == 0 else 1 - known)
            pure[side] = sides[:, side] * likely[:, 0]
        share = (share / np.maximum(weight, np.finfo(np.float64).tiny)).clip(1e-6, 1 - 1e-6)
        some = counts.rows[rows]
        of = np.repeat(np.arange(len(rows)), np.diff(some.indptr))
        first, second = (fit.shapes[j][some.indices] for j in pair)
        with np.errstate(divide="ignore", invalid="ignore"):  # of values, which are not split
            part = share[of] * first / (share[of] * first + (1 - share[of]) * second)
        of_count = counted[some.indices]
        for side, j, each, size in ((0, pair[0], part, share), (1, pair[1], 1 - part, 1 - share)):
            split = np.where(of_count, weight[of] * each, pure[side][of])
            sums[j] += np.bincount(some.indices, some.data * split, sums.shape[1])
            held[j] += float((weight * size).sum())
    held = np.maximum(held, np.finfo(np.float64).tiny)[:, None]
    tells = [sums[:, signal.where] @ signal.tells for signal in counts.signals]
    shapes, precisions = shaped(sums, counts)
    return replace(fit, shapes=shapes, rates=np.column_stack(tells) / held, precisions=precisions)


def scattered(fit: Fit, counts: Counts) -> F64:
    """Return the log-likelihood (n, k) of rows whose shapes scatter around those of the clusters.

    That of the mean shape is left out.
    """
    found = log_likelihoods(fit, counts)
    if fit.concentrations is None:
        return found
    for i, signal in enumerate(counts.signals):
        if isinstance(signal, Measured):
            continue
        rows = counts.rows if len(counts.signals) == 1 else counts.rows[:, signal.where]
        wide = np.ascontiguousarray(fit.concentrations[:, i])
        alphas = np.ascontiguousarray((fit.shapes[:, signal.where] * wide[:, None]).T)
        more = found if signal.weight == 1 else np.zeros_like(found)
        values = rows.data.astype(np.float32, copy=False)  # one type, compiled once
        more_than_once(rows.indptr, rows.indices, values, alphas, wide, more)
        if more is not found:
            found += signal.weight * more
    return found


def with_scatter(fit: Fit, counts: Counts) -> Fit:
    """Fit how widely the shapes of each cluster's positions scatter around its own.

    References
    ----------
    T. Minka, Estimating a Dirichlet distribution (2000).
    """
    labels = fit.memberships.argmax(axis=1)
    sure = fit.memberships.max(axis=1) > _SURE
    found = _WIDTHS[-1] * np.maximum(counts.totals.mean(axis=0), 1.0)
    found = np.tile(found, (len(fit.weights), 1))
    for j in range(len(found)):
        rows = np.flatnonzero(sure & (labels == j))
        rows = rows[:: len(rows) // _ENOUGH + 1]
        if not len(rows):
            continue
        some = counts.of_rows(counts.rows[rows])
        tried = _WIDTHS[:, None] * np.maximum(some.totals.mean(axis=0), 1.0)
        for i in range(len(counts.signals)):
            wide = np.tile(found[j], (len(tried), 1))
            wide[:, i] = tried[:, i]
            same = np.full(len(tried), j)
            one = replace(fit, shapes=fit.shapes[same], rates=fit.rates[same], concentrations=wide)
            found[j, i] = tried[scattered(one, some).sum(axis=0).argmax(), i]
    return replace(fit, concentrations=found)


@numba.njit(nogil=True, cache=True)
def more_than_once(
    indptr: NDArray[Any],
    indices: NDArray[Any],
    values: NDArray[np.float32],
    alphas: F64,
    concentrations: F64,
    out: F64,
) -> None:
    """Add what scatter changes in the log-likelihoods (n, k) of counts; ``alphas`` are (D, k).

    ``ln Γ(α + x) − ln Γ(α)`` is a sum over the counts one by one, of which ``x ln α`` is there.
    """
    k = alphas.shape[1]
    known = np.zeros((1, 1, 1))
    if len(values) > _FEW * len(alphas):  # sums that many rows have in common
        known = np.zeros((len(alphas), _FEW + 1, k))
        for d in range(len(alphas)):
            for m in range(1, _FEW):
                for j in range(k):
                    known[d, m + 1, j] = known[d, m, j] + np.log1p(m / alphas[d, j])
    for i in range(len(indptr) - 1):
        total = 0.0
        for at in range(indptr[i], indptr[i + 1]):
            x, d = values[at], indices[at]
            total += x
            if x <= _FEW and len(known) > 1:
                for j in range(k):
                    out[i, j] += known[d, int(x), j]
                continue
            for j in range(k):
                alpha = alphas[d, j]
                if x <= _FEW:
                    for m in range(1, int(x)):
                        out[i, j] += np.log1p(m / alpha)
                else:
                    out[i, j] += math.lgamma(alpha + x) - math.lgamma(alpha) - x * np.log(alpha)
        for j in range(k):
            wide = concentrations[j]
            out[i, j] -= math.lgamma(wide + total) - math.lgamma(wide) - total * np.log(wide)
