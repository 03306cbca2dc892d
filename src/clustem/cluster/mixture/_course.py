"""Courses of a Gaussian mixture: where they start, how they go, and which is the best."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.kmeans.k_means import KMeans
from clustem.cluster.mixture._densities import F64, Components
from clustem.cluster.mixture._steps import Steps
from clustem.cluster.mixture._workers import Workers
from clustem.core import ParameterError, collecting
from clustem.core.progress import tick
from clustem.passes.rows import Rows

_LOG = logging.getLogger(__name__)
_MANY = 2**20
"""Rows from which on starts and couplings are compared on some of them."""
FEW, PIECES = 2**19, 16
"""So many rows, and pieces of consecutive ones where rows have neighbours."""


@dataclass(frozen=True)
class Course:
    """How one start went."""

    parts: Components
    memberships: F64
    bound: float
    n_iter: int
    converged: bool


def some_rows(n: int, params: dict[str, Any], graph: Any) -> NDArray[np.intp] | None:
    """Choose rows on which starts and couplings are compared; None where all of them are.

    Parameters
    ----------
    n
        Number of rows.
    params
        Of the estimator.
    graph
        Weights between rows, None without neighbours.

    Returns
    -------
    :
        Numbers of rows, rising: with neighbours pieces of consecutive rows, which on a scan are
        bands of lines, else rows at random.
    """
    if n <= _MANY or is_given(params):
        return None
    random = np.random.default_rng([params["random_state"], n])
    if graph is None:
        return np.sort(random.choice(n, FEW, replace=False))
    size = FEW // PIECES
    starts = np.linspace(0, n - size, PIECES).astype(np.intp)
    return (starts[:, None] + np.arange(size)).ravel()


def is_given(params: dict[str, Any]) -> bool:
    """Whether memberships or regions to start from are given."""
    return not isinstance(params["init"], str) or params["markers"] is not None


def starts_of(rows: Rows, params: dict[str, Any]) -> Iterator[F64]:
    """Yield memberships (n, k) to start from, each once."""
    k, seen = params["n_clusters"], set()
    if not isinstance(params["init"], str):
        if params["markers"] is not None:
            raise ParameterError(
                "Components start from init or from markers", got="both", cure="Leave one out."
            )
        yield _given(params["init"], (len(rows), k))
        return
    if params["markers"] is not None:
        yield np.eye(k)[_near_markers(rows, params)]
        return
    seeds = np.random.SeedSequence(params["random_state"]).generate_state(params["n_init"])
    for i, seed in enumerate(seeds):
        labels = np.zeros(len(rows), dtype=np.int32)
        if k > 1:
            with collecting():  # a start need not be certain
                start = KMeans(k, n_init=1 if i else 10, random_state=int(seed))
                labels = start.fit(rows).labels_
        if labels.tobytes() not in seen:
            seen.add(labels.tobytes())
            yield np.eye(k)[labels]


def _near_markers(rows: Rows, params: dict[str, Any]) -> NDArray[np.int32]:
    """Labels (n,) of the nearest region's mean; components without a region form around these."""
    start = KMeans(
        params["n_clusters"],
        markers=params["markers"],
        fix_centers=True,
        random_state=params["random_state"],
    )
    with collecting():  # a start need not be certain
        return np.asarray(start.fit(rows).labels_)


def _given(memberships: Any, shape: tuple[int, int]) -> F64:
    found = np.asarray(memberships, dtype=np.float64)
    total = found.sum(axis=1, keepdims=True) if found.shape == shape else np.zeros(1)
    if not (np.isfinite(total).all() and (found >= 0).all() and (total > 0).all()):
        raise ParameterError(
            f"init must be 'k-means' or memberships of shape {shape}, not negative, of which each "
            "row has some",
            got=f"shape {found.shape}",
            cure="Give one row per row of the data and one column per component.",
        )
    return np.asarray(found / total)


def best_course(steps: Steps, pool: Workers, starts: list[F64], params: dict[str, Any]) -> Course:
    """Return the course of largest likelihood; one course at a time holds its components."""
    best = _run(steps, pool, starts[0], params)
    for start in starts[1:]:
        best = replace(best, parts=replace(best.parts, factors=[]))
        found = _run(steps, pool, start, params)
        best = max(best, found, key=lambda course: course.bound)  # the first of equal ones
        del found
    if params["covariance_type"] in ("full", "tied") and not best.parts.factors:
        parts = steps.maximize(pool, best.parts.made_of, best.parts)
        best = replace(best, parts=parts)
    return best


def _run(steps: Steps, pool: Workers, memberships: F64, params: dict[str, Any]) -> Course:
    parts, guess = steps.maximize(pool, memberships), memberships.argmax(axis=1)
    seen, bound, converged, n_iter = None, -np.inf, False, 0
    while not converged and n_iter < params["max_iter"]:
        tick()
        n_iter += 1
        seen = steps.expect(pool, parts, guess, seen)
        before, bound = bound, float(seen.density.mean())
        parts = steps.maximize(pool, seen.memberships, parts)
        guess = seen.memberships.argmax(axis=1)
        converged = abs(bound - before) < params["tol"]
        _LOG.debug("step %d: mean log-likelihood %.8g", n_iter, bound)
    seen = steps.expect(pool, parts, guess, seen)
    bound = float(seen.density.mean())
    return Course(parts, seen.memberships, bound, n_iter, converged)
