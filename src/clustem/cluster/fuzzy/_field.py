"""Fuzzy clusters of rows that have neighbours: these draw a row to the clusters they are in."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from clustem.cluster._neighbours import blocks_of, coloring, in_threads
from clustem.cluster.fuzzy import _kernels as kernels
from clustem.cluster.fuzzy._course import ROUNDING, Course
from clustem.cluster.fuzzy._passes import F64, Frame, State, Sums
from clustem.core import tick

_log = logging.getLogger(__name__)


def with_neighbours(
    frame: Frame,
    course: Course,
    step: Callable[[State, Sums], State],
    params: dict[str, Any],
    *,
    moments: bool = False,
    penalty: Callable[[State], F64] | None = None,
) -> Course:
    """Go on from the best start with neighbours; without a coupling return the course as it is.

    Parameters
    ----------
    frame
        The rows.
    course
        How it went without neighbours.
    step, moments, penalty
        As in ``alternate``.
    params
        Of the estimator: ``graph``, ``coupling``, ``max_iter`` and ``tol`` are used.

    Returns
    -------
    :
        The course of one start.

    Notes
    -----
    Rows that are no neighbours of each other, a color of the graph, change at once, color after
    color: each change is an exact minimization, so the objective only falls, and threads change
    nothing.
    """
    graph: csr_array | None = params["graph"]
    if graph is None:
        return course
    state = course.state[[course.best]]
    edges = graph.indptr, graph.indices, graph.data
    found = coloring(*edges[:2])
    colors = [np.flatnonzero(found == color) for color in range(found.max() + 1)]
    memberships = frame.memberships(state)[0]
    weights, distances = memberships**frame.m, frame.distances(state)
    unit = float((weights * distances).sum() / weights.sum())
    coupling = params["coupling"] * unit

    def update(rows: NDArray[np.int64]) -> None:
        def one(part: slice) -> None:
            kernels.update_in_field(
                rows[part], distances, *edges, coupling, frame.m, memberships, weights
            )

        in_threads(one, blocks_of(len(rows)))

    def apart(part: slice) -> float:
        return float(kernels.disagreement(*edges, weights, part.start, part.stop))

    history: list[float] = []
    kept, best, converged = state, memberships, False
    while not converged and len(history) < params["max_iter"]:
        tick()
        for rows in colors:
            update(rows)
        value = float((weights * distances).sum()) + 0.5 * coupling * sum(
            in_threads(apart, blocks_of(len(weights)))
        )
        value += 0.0 if penalty is None else float(penalty(state)[0])
        if history and value >= history[-1]:  # by rounding only: nothing is left to gain
            if value - history[-1] > ROUNDING * history[0]:
                _log.warning("an objective rose from %s to %s", history[-1], value)
            converged = True
            break
        converged = bool(history) and value >= history[-1] * (1 - params["tol"])
        history.append(value)
        kept, best = state, memberships.copy()
        state = step(state, frame.sums_with(state, weights, distances, moments=moments))
        distances = frame.distances(state)
    return Course(kept, [history], np.array([converged]), best)
