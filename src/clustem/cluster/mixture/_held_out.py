"""What explains counts that were held out: coupling, and scatter within clusters."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.sparse import csr_array
from scipy.special import logsumexp

from clustem.cluster._neighbours import marginals, softmax
from clustem.cluster.mixture._borders import (
    Borders,
    borders_of,
    evidence,
    scattered,
    unmixed,
    with_scatter,
)
from clustem.cluster.mixture._counts import Counts, Fit, em, expect
from clustem.cluster.mixture._levels import hierarchy
from clustem.cluster.mixture._signals import F64, Measured, row_terms

_COUPLINGS = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5)
"""Couplings that held-out counts choose from."""
_USUAL = 0.8
"""Coupling of the fit that these are held against."""
_FITTED = 0.7
"""Share of the counts that is fitted; the others are held out."""
_STEPS = 6
"""Steps of EM on that share."""
_FEW, _MANY = 24, 100
"""Draws of each position for a choice, and for a result."""
_ENOUGH = 20_000
"""Positions from which a coupling is chosen, at most."""
_ROUNDS = 3
"""Rounds in which shapes are fitted again, mixed positions split between both sides."""
_LEAST = 1e-6
"""Least membership that held-out counts are predicted with."""


@dataclass(frozen=True, eq=False)
class Choice:
    """What held-out counts say.

    Parameters
    ----------
    coupling
        The coupling that was given or chosen.
    scatter
        Whether positions scatter within clusters.
    gain
        Log-likelihood of the held-out counts of each position above that of the mean shape, (n,).
    """

    coupling: float
    scatter: bool
    gain: F64


def choose(
    start: Fit,
    part: Counts,
    counts: Counts,
    *,
    coupling: float | Literal["auto"],
    scatter: bool | Literal["auto"],
    seed: int,
) -> Choice:
    """Choose the coupling and whether positions scatter within clusters, where these are "auto".

    ``start`` knows nothing of the counts that are not in ``part``. The best coupling is taken, and
    scatter where it is better by more than a standard error.

    Shapes of few counts are noise in part, which draws the best coupling down: the noise of a share
    f of the counts costs those held out ``p (1 - f) / (2 f)`` on average, p being the number of
    parameters; shapes fitted to all counts, those held out included, gain ``p (1 - f) / 2``. So f
    times the one log-likelihood and the other are added, and the noise cancels.

    References
    ----------
    H. Akaike, in: 2nd Int. Symp. Information Theory (1973) 267.
    """
    usual: float = _USUAL if coupling == "auto" else coupling
    fit = em(start.memberships, part, coupling=usual, max_iter=_STEPS)
    fit, borders = demixed(fit, part, usual, seed=seed)
    logs = _both(fit, part, counts, borders)
    apart = _apart(fit, part, counts)

    def gain(coupling: float, logs: tuple[F64, F64], where: slice = slice(None)) -> F64:
        known, whole = logs
        start = replace(fit, memberships=fit.memberships[where])
        graph = None if part.graph is None else part.graph[where][:, where]
        found = drawn(known[where], start, graph, coupling, sweeps=_FEW, seed=seed)
        return held_out(found, known[where], whole[where]) + apart[where]

    if coupling == "auto":
        n = len(counts.totals)
        band = slice(max(0, (n - _ENOUGH) // 2), (n + _ENOUGH) // 2) if n > _ENOUGH else slice(None)
        every = unmixed(fit, counts, borders)
        every = replace(every, rates=_FITTED * every.rates)
        seen = _both(every, part, counts, borders)
        usual = _peak(
            lambda value: float((_FITTED * gain(value, logs, band) + gain(value, seen, band)).sum())
        )
    plain = gain(usual, logs)
    if scatter is False:
        return Choice(usual, scatter=False, gain=plain)
    fit = with_scatter(fit, part)
    scattered = gain(usual, _both(fit, part, counts, borders))
    scatter = better(scattered, plain) if scatter == "auto" else scatter
    return Choice(usual, scatter=scatter, gain=scattered if scatter else plain)


def _both(fit: Fit, part: Counts, counts: Counts, borders: Borders) -> tuple[F64, F64]:
    """Return the log-likelihood (n, k) of the fitted part and of all counts."""
    whole = replace(fit, rates=fit.rates / _FITTED)
    return evidence(fit, part, borders), evidence(whole, counts, borders)


def _apart(fit: Fit, part: Counts, counts: Counts) -> F64:
    """Return what values that are held out add to the log-likelihood of all clusters, (n,)."""
    found = np.zeros(len(counts.totals))
    if any(isinstance(signal, Measured) for signal in counts.signals):
        found += row_terms(counts.signals, fit, counts.of_rows((counts.rows - part.rows).tocsr()))
    return found


def _peak(score: Callable[[float], float]) -> float:
    """Climb from the usual coupling to the best one near it."""
    scores = functools.cache(lambda i: score(_COUPLINGS[i]))
    at = _COUPLINGS.index(_USUAL)
    for step in (1, -1):
        while 0 <= at + step < len(_COUPLINGS) and scores(at + step) > scores(at):
            at += step
    return _COUPLINGS[at]


def settled(fit: Fit, counts: Counts, coupling: float, *, scatter: bool, seed: int) -> Fit:
    """Replace the memberships of a mean field by drawn ones, which see mixed positions.

    Shapes are fitted once more, and memberships found anew for them.
    """
    if scatter:
        fit = with_scatter(fit, counts)
    fit, borders = demixed(fit, counts, coupling, seed=seed)
    known = evidence(fit, counts, borders)
    memberships = drawn(known, fit, counts.graph, coupling, sweeps=_FEW, seed=seed)
    found = replace(fit, memberships=memberships, weights=memberships.mean(axis=0))
    found = unmixed(found, counts, borders)
    return replace(found, memberships=assigned(found, counts, coupling, seed=seed))


def assigned(fit: Fit, counts: Counts, coupling: float, *, seed: int) -> F64:
    """Return the memberships (n, k) of positions in clusters that stay as they are.

    From coarse cells to positions, as in a fit; what they are depends on clusters and counts alone,
    not on how the clusters were found.
    """
    near = counts.graph if coupling else None
    memberships = np.empty((0, len(fit.weights)))
    levels = hierarchy(replace(counts, graph=near))
    while levels:
        level = levels.pop()  # the coarsest
        known = scattered(fit, level)
        if len(memberships):
            memberships = memberships[level.parents]
        else:
            memberships = expect(known, known, fit, level, 0.0)
        memberships = expect(known, memberships, fit, level, coupling)
    borders = borders_of(memberships, near)
    for left in range(_ROUNDS - 1 if borders else 0, -1, -1):
        known = evidence(fit, counts, borders)
        start = replace(fit, memberships=memberships)
        sweeps = _FEW if left else _MANY
        memberships = drawn(known, start, near, coupling, sweeps=sweeps, seed=seed)
        if left:
            borders = borders_of(memberships, near)
    return memberships


def demixed(fit: Fit, counts: Counts, coupling: float, *, seed: int) -> tuple[Fit, Borders]:
    """Fit shapes again, mixed positions split between both sides; return the borders, too."""
    borders = borders_of(fit.memberships, counts.graph if coupling else None)
    for _ in range(_ROUNDS if borders else 0):
        known = evidence(fit, counts, borders)
        memberships = drawn(known, fit, counts.graph, coupling, sweeps=_FEW, seed=seed)
        fit = unmixed(replace(fit, memberships=memberships), counts, borders)
        borders = borders_of(fit.memberships, counts.graph)
    return fit, borders


def drawn(
    evidence: F64, fit: Fit, graph: csr_array | None, coupling: float, *, sweeps: int, seed: int
) -> F64:
    """Return memberships (n, k): with neighbours, how often each cluster is drawn."""
    if graph is not None and coupling:
        start = fit.memberships.argmax(axis=1)
        return marginals(evidence, graph, coupling, start, sweeps=sweeps, seed=seed)
    found = np.empty_like(evidence)
    softmax(evidence + np.log(np.maximum(fit.weights, np.finfo(np.float64).tiny)), found)
    return found


def held_out(memberships: F64, known: F64, whole: F64) -> F64:
    """Return the log-likelihood (n,) of held-out counts.

    Parameters
    ----------
    memberships
        Of a fit to the other counts, (n, k).
    known, whole
        Log-likelihood of the other counts and of all of them, (n, k).
    """
    found: F64 = logsumexp(np.log(np.maximum(memberships, _LEAST)) + whole - known, axis=1)
    return found


def better(one: F64, other: F64) -> bool:
    """Return whether one log-likelihood (n,) is higher by more than a standard error."""
    gain = one - other
    return bool(gain.sum() > np.sqrt(len(gain)) * gain.std())


def fitted_part(counts: Counts, seed: int) -> Counts:
    """Draw a share of the counts; the others are independent of them.

    Of values a share is taken and noise added, so that the rest has independent noise.

    References
    ----------
    J. Leiner et al., J. Am. Stat. Assoc. (2023) (data fission).
    """
    rows, rng = counts.rows, np.random.default_rng(seed)
    normal = np.zeros(rows.shape[1], dtype=np.int8)  # 1: a value, 2: the number of positions
    for signal in counts.signals:
        if isinstance(signal, Measured):
            normal[signal.where] = 1
            normal[signal.where.stop - 1] = 2
    if not normal.any():
        part = rng.binomial(rows.data.astype(np.int64), _FITTED).astype(rows.dtype)
    else:
        kind = normal[rows.indices]
        kept = rng.binomial(np.where(kind == 0, rows.data, 0).astype(np.int64), _FITTED)
        noise = np.where(kind == 1, rng.normal(size=len(kind)), 0.0)
        spread = np.sqrt(_FITTED * (1 - _FITTED))
        part = np.where(kind == 0, kept, _FITTED * rows.data + spread * noise)
    shared = csr_array((part, rows.indices, rows.indptr), shape=rows.shape)  # the same columns
    return counts.of_rows(shared, counts.graph)
