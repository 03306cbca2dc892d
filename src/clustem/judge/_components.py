"""How many normal distributions describe some rows: mixtures grown one component at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import tick
from clustem.core.eigh import eigh
from clustem.judge._kmeans import rough_labels

F64 = NDArray[np.float64]
FEW = 8
"""A component of fewer rows is not split."""
_RIDGE = 1e-6
"""What is added to variances [mean variance of the rows]."""
_ROUGH, _STEPS = 6, 60
"""Largest number of steps to compare starts, and to iterate the best one."""
_RISE = 0.1
"""Rise of the log-likelihood of all rows below which iterations end."""
_PATIENCE = 4
"""Number of components by which a mixture may grow without being better."""
_SHARES = (0.03, 0.12, 0.5, 0.88, 0.97)
"""Shares of the rows at which a component is cut to start."""


@dataclass(frozen=True)
class Mixture:
    """K normal distributions.

    Parameters
    ----------
    kind
        ``"tied"``: one covariance (d, d) for all; ``"full"``: (K, d, d).
    memberships
        Posterior probabilities (n, K).
    weights, means, covariance
        Of the components: (K,), (K, d), by kind.
    likelihood
        Logarithm of it, of all rows.
    bic
        Bayesian information criterion; the smaller the better.
    """

    kind: Literal["tied", "full"]
    memberships: F64
    weights: F64
    means: F64
    covariance: F64
    likelihood: float
    bic: float

    @property
    def size(self) -> int:
        """Number of components K."""
        return len(self.weights)

    @property
    def labels(self) -> NDArray[np.intp]:
        """Component of largest membership (n,)."""
        return np.asarray(self.memberships.argmax(axis=1))

    @property
    def within(self) -> F64:
        """Covariance within components (d, d), on average."""
        if self.kind == "tied":
            return self.covariance
        return np.asarray(np.einsum("k,kij->ij", self.weights, self.covariance))

    def scatter_of(self, component: int) -> F64:
        """Covariance of one component (d, d)."""
        return self.covariance if self.kind == "tied" else self.covariance[component]


class Steps:
    """Expectation and maximization on fixed rows.

    Beside ``cluster.GaussianMixture``, which is for rows of any size: a mixture is grown by some
    hundred short runs on the same few rows, for which this takes 1/6 ... 3/4 of the time.

    Parameters
    ----------
    rows
        Float64 (n, d), centered.
    kind
        As in :class:`Mixture`. Full covariances are drawn towards their mean as if d + 2 rows
        had it.
    share
        Share of the rows that would tell as much if they were independent.
    """

    def __init__(self, rows: F64, kind: Literal["tied", "full"], share: float = 1.0) -> None:
        self.rows, self.kind, self.share = rows, kind, share
        n, d = rows.shape
        self._total = rows.T @ rows / n
        self._ridge = _RIDGE * float(np.trace(self._total)) / d * np.eye(d)
        if kind == "tied":
            self._inverse = np.linalg.inv(self._total + self._ridge)
            self._inverse_total = self._inverse @ self._total
            self._log_volume = float(np.linalg.slogdet(self._total + self._ridge)[1])

    def run(self, memberships: F64, steps: int) -> Mixture:
        """Iterate from memberships (n, K) until the likelihood hardly rises."""
        n, d = self.rows.shape
        before = -np.inf
        for _ in range(steps):
            tick()
            size = memberships.sum(axis=0) + 1e-10
            weights, means = size / size.sum(), memberships.T @ self.rows / size[:, None]
            within = self._total - (means.T * weights) @ means + self._ridge
            if self.kind == "tied":
                covariance, joint = within, self._tied(means, weights)
            else:
                covariance = self._own(memberships, means, size, within)
                joint = self._full(means, covariance)
            joint += np.log(weights)
            top = joint.max(axis=1)
            np.exp(joint - top[:, None], out=joint)
            total = joint.sum(axis=1)
            memberships = joint / total[:, None]
            likelihood = float((np.log(total) + top).sum()) - 0.5 * n * d * np.log(2 * np.pi)
            if likelihood - before < _RISE:
                break
            before = likelihood
        free = self._free(len(weights))
        bic = free * np.log(max(self.share * n, 2)) - 2 * self.share * likelihood
        return Mixture(self.kind, memberships, weights, means, covariance, likelihood, float(bic))

    def _tied(self, means: F64, weights: F64) -> F64:
        """Log densities (n, K) of components with one covariance, by Woodbury's identity.

        The covariance within components is that of all rows less the K means' own, so a step needs
        the inverse of a matrix (K, K), not of one (d, d).
        """
        raised = means @ self._inverse
        inner = np.eye(len(means)) - (raised @ means.T) * weights
        toward = np.linalg.solve(inner, raised)
        trace = np.trace(self._inverse_total) + np.sum(
            (toward * weights[:, None]) * (means @ self._inverse_total)
        )
        common = trace + self._log_volume + np.linalg.slogdet(inner)[1]
        # The rows' own distances add up to what is common; they change no membership.
        out: F64 = self.rows @ toward.T - 0.5 * ((toward * means).sum(axis=1) + common)
        return out

    def _own(self, memberships: F64, means: F64, size: F64, within: F64) -> F64:
        d = means.shape[1]
        out = np.empty((len(size), d, d))
        for k, (mean, share) in enumerate(zip(means, memberships.T, strict=True)):
            offset = self.rows - mean
            own = (offset * share[:, None]).T @ offset
            out[k] = (own + (d + 2) * within) / (size[k] + d + 2) + self._ridge
        return out

    def _full(self, means: F64, covariance: F64) -> F64:
        out = np.empty((len(self.rows), len(means)))
        for k, (mean, own) in enumerate(zip(means, covariance, strict=True)):
            factor = np.linalg.cholesky(own)
            apart = (self.rows - mean) @ np.linalg.inv(factor).T
            out[:, k] = -0.5 * np.einsum("ij,ij->i", apart, apart) - np.log(factor.diagonal()).sum()
        return out

    def _free(self, k: int) -> float:
        d = self.rows.shape[1]
        return float(k * d + k - 1 + d * (d + 1) / 2 * (1 if self.kind == "tied" else k))


def grow(
    steps: Steps,
    most: int,
    *,
    units: F64,
    random_state: int,
    known: Sequence[Mixture] = (),
    report: Callable[[float], None] | None = None,
) -> list[Mixture]:
    """Grow a mixture from 1 component on, until more have not been better for a while.

    Parameters
    ----------
    steps
        Of the rows (n, d).
    most
        Most components.
    units
        Turns the rows' coordinates into their own units, (d, d): ``rows @ units``.
    random_state
        Seed.
    known
        Other mixtures of the same rows, to start from, too.
    report
        Called with the share of components tried.

    Returns
    -------
    :
        One for each number of components, from 1 on.

    Notes
    -----
    Each next mixture is the best of several starts: the last one with a component split, and
    k-means in the rows' own units and in those of the scatter within the last one's components.
    """
    random = np.random.default_rng(random_state)
    found = [steps.run(np.ones((len(steps.rows), 1)), 1)]
    while len(found) < most:
        last, size = found[-1], len(found) + 1
        spaces = steps.rows @ units, _sphered(steps.rows, last.within)
        starts = [
            *_split(steps, last, units, random),
            *(np.eye(size)[rough_labels(space, size, random)] for space in spaces),
            *(other.memberships for other in known if other.size == size),
        ]
        rough = max((steps.run(start, _ROUGH) for start in starts), key=_likelihood)
        found.append(steps.run(rough.memberships, _STEPS))
        if report is not None:
            report(len(found) / most)
        best = min(range(len(found)), key=lambda i: found[i].bic)
        if len(found) - 1 - best >= _PATIENCE:
            break
    return found


def _likelihood(mixture: Mixture) -> float:
    return mixture.likelihood


def _sphered(rows: F64, covariance: F64) -> F64:
    return np.asarray(rows @ np.linalg.inv(np.linalg.cholesky(covariance)).T)


def _split(
    steps: Steps, mixture: Mixture, units: F64, random: np.random.Generator
) -> Iterable[F64]:
    """Yield memberships (n, K + 1) with one component split, the two that promise most."""
    rows, independent = steps.rows, steps.share
    found = []
    for k in range(mixture.size):
        share = mixture.memberships[:, k]
        near = share > 0.01
        if share[near].sum() < FEW / independent:
            continue
        gain, part = _halves(rows[near], share[near], mixture.scatter_of(k), units, random)
        found.append((gain, k, near, part))
    for _, k, near, part in sorted(found, key=lambda item: -item[0])[:2]:
        new = np.zeros(len(rows))
        new[near] = part * mixture.memberships[near, k]
        out = np.column_stack([mixture.memberships, new])
        out[:, k] -= new
        yield out


def _halves(
    rows: F64, weights: F64, scatter: F64, units: F64, random: np.random.Generator
) -> tuple[float, F64]:
    """Split rows (m, d) in two with one covariance; return the gain in likelihood and the shares.

    Many starts iterate side by side, in coordinates in which the rows' own scatter is the unit
    matrix: splitting takes a rank of one from it, so a step needs no inverse.
    """
    total, d = weights.sum(), rows.shape[1]
    rows = rows - weights @ rows / total
    own = ((rows * weights[:, None]).T @ rows + (d + 2) * scatter) / (total + d + 2)
    factor = np.linalg.cholesky(own)
    rows = rows @ np.linalg.inv(factor).T
    second = _first_guesses(rows, weights, factor.T @ units, random)
    for step in range(11):
        size = second @ weights
        rest = np.maximum(total - size, 1e-9)
        size = np.maximum(size, 1e-9)
        sums = (second * weights) @ rows
        one, two = sums / size[:, None], -sums / rest[:, None]
        offset = one - two
        between = np.minimum(size * rest / total**2 * (offset**2).sum(axis=1), 1 - 1e-9)
        gain = -0.5 * total * np.log1p(-between) - total * _entropy(size / total)
        gain[(size < 3) | (rest < 3)] = -np.inf
        if step == 4:  # a few promising ones go on
            second = second[np.argsort(-gain, kind="stable")[:6]]
        elif step < 10:
            odds = rows @ offset.T - 0.5 * ((one**2).sum(axis=1) - (two**2).sum(axis=1))
            odds = odds / (1 - between) + np.log(size / rest)
            second = 1 / (1 + np.exp(-np.clip(odds.T, -500, 500)))
    gain += _entropy(second) @ weights
    best = int(np.argmax(gain))
    return float(gain[best]), second[best]


def _entropy(share: F64) -> F64:
    from scipy.special import entr

    return np.asarray(entr(share) + entr(1 - share))


def _first_guesses(rows: F64, weights: F64, units: F64, random: np.random.Generator) -> F64:
    """Guess which rows are in the second half, 0 or 1, (starts, m)."""
    projected = rows @ _directions(rows, weights, units, random)
    order = np.argsort(projected, axis=0)
    cumulated = np.cumsum(weights[order], axis=0) / weights.sum()
    guesses = []
    for share in _SHARES:
        place = np.minimum((cumulated < share).sum(axis=0), len(rows) - 1)
        cut = projected[order[place, np.arange(len(place))], np.arange(len(place))]
        guesses.append((projected > cut).T)
    for space in (rows, rows @ units):
        for _ in range(3):
            one, two = space[random.choice(len(rows), 2, p=weights / weights.sum())]
            nearer = space @ (one - two) > 0.5 * (one @ one - two @ two)
            guesses.append(nearer[None])
    return np.concatenate(guesses).astype(np.float64)


def _directions(rows: F64, weights: F64, units: F64, random: np.random.Generator) -> F64:
    """Directions (d, s) along which two parts may show: of large scatter, and not normal."""
    d = rows.shape[1]
    scatter = (rows * weights[:, None]).T @ rows / weights.sum()
    here = eigh(scatter)[1][:, ::-1][:, :3]
    theirs = units @ eigh(units.T @ scatter @ units)[1][:, ::-1][:, :3]
    pursuit = random.normal(size=(d, 6))
    pursuit /= np.linalg.norm(pursuit, axis=0)
    for _ in range(12):  # fixed points of the contrast log cosh
        bent = np.tanh(rows @ pursuit)
        slope = weights @ (1 - bent**2) / weights.sum()
        pursuit = (rows * weights[:, None]).T @ bent / weights.sum() - pursuit * slope
        pursuit /= np.linalg.norm(pursuit, axis=0) + 1e-12
    return np.concatenate([here, theirs, pursuit], axis=1)
