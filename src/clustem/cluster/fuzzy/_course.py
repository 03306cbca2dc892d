"""What the fuzzy estimators share: the alternation, its stop, and what is left after ``fit``."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from clustem.cluster._neighbours import checked_graph
from clustem.cluster.estimator import Estimator
from clustem.cluster.fuzzy._passes import (
    F64,
    Frame,
    Space,
    State,
    Sums,
    extremes,
    readable,
    threads,
)
from clustem.cluster.kmeans.k_means import KMeans
from clustem.core import collecting, tick, warn
from clustem.core.memory import check_memory
from clustem.passes.rows import Rows

_log = logging.getLogger(__name__)
_MANY = 2**17  # rows from which on starts are compared on some of them
_FEW = 2**15  # so many
_CLOSE = 0.005  # starts whose objectives differ by less than this share there are compared on all
_CANDIDATES = 3
_EQUAL = 1e-5  # share by which objectives of starts with the same end differ
_SAME = 1e-3  # clusters whose memberships differ by less in all rows are the same
ROUNDING = 1e-9  # share of its first value by which rounding can raise the objective


@dataclass(frozen=True)
class Course:
    """How the alternation went from S starts.

    Parameters
    ----------
    state
        The S states of least objective.
    history
        The objective after each update of the memberships, per start; it only falls.
    converged
        Whether the last step lowered it by no more than the tolerance, (S,).
    memberships
        Of a single start whose rows have neighbours, (n, k); None where they follow from the state.
    """

    state: State
    history: list[list[float]]
    converged: NDArray[np.bool_]
    memberships: F64 | None = None

    @property
    def best(self) -> int:
        """The start of least objective, the first of equals."""
        return int(np.argmin([values[-1] for values in self.history]))


def alternate(
    frame: Frame,
    state: State,
    step: Callable[[State, Sums], State],
    *,
    max_iter: int,
    tol: float,
    moments: bool = False,
    penalty: Callable[[State], F64] | None = None,
) -> Course:
    """Alternate between memberships and clusters, all starts side by side.

    Parameters
    ----------
    frame
        The rows.
    state
        Where S starts begin.
    step
        Best clusters for the sums of a pass.
    max_iter
        Largest number of passes.
    tol
        A start ends when a step lowers its objective by at most this share.
    moments
        Whether ``step`` needs second moments.
    penalty
        What the objective has beyond the kernel's sum, (S,).

    Returns
    -------
    :
        States, objectives and which starts converged.

    Notes
    -----
    Each half step is an exact minimization, so the objective can rise by rounding only, when
    nothing is left to gain; a start then ends with its best state.
    """
    state, kept = state.copy(), state.copy()
    history: list[list[float]] = [[] for _ in state.centers]
    converged = np.zeros(len(history), dtype=bool)
    active = np.arange(len(history))
    for _ in range(max_iter):
        tick()
        now = state[active]
        sums = frame.sums(now, moments=moments)
        value = sums.objective.sum(axis=1) + (0.0 if penalty is None else penalty(now))
        before = np.array([history[s][-1] if history[s] else np.inf for s in active])
        fell = value < before
        for s, objective in zip(active[fell], value[fell], strict=True):
            history[s].append(float(objective))
        kept.put(active[fell], now[fell])
        first = np.array([history[s][0] for s in active])
        if np.any(value - before > ROUNDING * first):
            _log.warning("an objective rose from %s to %s", before, value)
        done = ~fell | (np.isfinite(before) & (value >= before * (1 - tol)))
        converged[active[done]] = True
        active = active[~done]
        if not active.size:
            break
        state.put(active, step(now[~done], sums[~done]))
    return Course(kept, history, converged)


def some_rows(frame: Frame, params: dict[str, Any]) -> Frame:
    """Return a frame of some rows, on which starts are compared; the frame itself of few rows."""
    n = len(frame.X)
    if n <= _MANY or params["centers"] is not None:
        return frame
    chosen = np.random.default_rng([params["random_state"], n]).choice(n, _FEW, replace=False)
    return replace(frame, X=readable(Rows(frame.X).take(np.sort(chosen))))


def candidates(course: Course) -> State:
    """Return the best states, which may be the best on all rows, each once."""
    ends = np.array([values[-1] for values in course.history])
    chosen: list[int] = []
    for start in np.argsort(ends, kind="stable").tolist():
        apart = all(ends[start] > ends[other] * (1 + _EQUAL) for other in chosen)
        if not chosen or (apart and ends[start] <= ends[chosen[0]] * (1 + _CLOSE)):
            chosen.append(start)
    return course.state[chosen[:_CANDIDATES]]


def to_means(state: State, sums: Sums) -> State:
    """Move centers to their weighted means: the step of fuzzy and possibilistic c-means."""
    return State(state.centers + sums.shift, state.factors, state.eta)


def starts(frame: Frame, params: dict[str, Any]) -> F64:
    """Return centers (S, k, r) to start from: the given ones, or those of k-means and drawn ones.

    The optimum of k-means hardly depends on the order of the rows; single draws do.
    """
    if params["centers"] is not None:
        return frame.space.coordinates(params["centers"])[None]
    centers = frame.draw_centers(params["n_clusters"], params["n_init"], params["random_state"])
    centers[0] = frame.space.coordinates(by_kmeans(frame.X, params).cluster_centers_)
    return centers


def by_kmeans(rows: NDArray[Any], params: dict[str, Any]) -> KMeans:
    """Return hard clusters of rows (n, D) to start from."""
    model = KMeans(params["n_clusters"], random_state=params["random_state"])
    with collecting():  # that there are fewer different rows than clusters is nothing new
        return model.fit(rows)


def with_fixed_centers(
    step: Callable[[State, Sums], State], n_fixed: int
) -> Callable[[State, Sums], State]:
    """Return a step that leaves the first centers where they are."""

    def fixed(state: State, sums: Sums) -> State:
        new = step(state, sums)
        centers = new.centers.copy()
        centers[:, :n_fixed] = state.centers[:, :n_fixed]
        return State(centers, new.factors, new.eta)

    return fixed if n_fixed else step


class Fuzzy(Estimator):
    """Base of the estimators whose rows belong to clusters by degrees."""

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002  # scikit-learn's signature
        """Find the clusters.

        Parameters
        ----------
        X
            Rows (n, D) of finite numbers: float32, float64 or integers.
        y
            Ignored.

        Returns
        -------
        :
            The estimator itself, fitted.

        Raises
        ------
        InputError
            If there are NaN or infinite values, or the connectivity does not fit the rows.
        ParameterError
            If a parameter does not fit, or there are more clusters than rows.
        """
        rows = readable(self._validated(X, finite=False))
        ends = extremes(rows)
        if not np.isfinite(ends).all():
            self._validated(X)  # says where
        params = self._checked(n_rows=len(rows))
        check_memory(
            8.0 * len(rows) * (params["n_clusters"] + 1),
            type(self).__name__,
            cure="Use KMeans, or a smaller region.",
        )
        used = params.get("coupling", 0.0) > 0
        params["graph"] = checked_graph(params["connectivity"], len(rows)) if used else None
        params["centers"] = self._seeded(Rows(rows), params)
        with threads() as (pool, count):
            frame = Frame(rows, Space.plain(rows, ends), params["m"], pool, count)
            frame, course = self._search(frame, params)
            self._keep(frame, course, params)
        if not self.converged_:
            warn(
                f"The objective still fell after max_iter={params['max_iter']} passes. "
                "Raise max_iter or tol.",
                ConvergenceWarning,
            )
        return self

    @abstractmethod
    def _search(self, frame: Frame, params: dict[str, Any]) -> tuple[Frame, Course]:
        """Return the course of all starts, and the frame whose coordinates its states have."""

    def _keep(self, frame: Frame, course: Course, params: dict[str, Any]) -> None:  # noqa: ARG002
        """Set the fitted attributes from the best start."""
        best = course.best
        self._space, self._state, self._m = frame.space, course.state[[best]], frame.m
        if course.memberships is None:
            self.memberships_, self.labels_ = frame.memberships(self._state)
            if twins := self._twins(self.memberships_):
                for first, other in twins:
                    self._state.centers[0, other] = self._state.centers[0, first]
                    self._state.factors[0, other] = self._state.factors[0, first]
                self.memberships_, self.labels_ = frame.memberships(self._state)
                warn(
                    f"Clusters {twins} came to be the same: m={frame.m:g} is too fuzzy for "
                    f"{frame.space.rank} features. Use a smaller m, fewer features or a smaller k.",
                    UserWarning,
                )
        else:
            self.memberships_ = course.memberships
            self.labels_ = course.memberships.argmax(axis=1).astype(np.int32)
        self.cluster_centers_ = frame.space.points(self._state.centers[0])
        self.objective_history_ = np.array(course.history[best]) * frame.space.unit
        self.objective_ = float(self.objective_history_[-1])
        self.n_iter_ = len(self.objective_history_)
        self.converged_ = bool(course.converged[best])

    def _twins(self, memberships: F64) -> list[tuple[int, int]]:
        """Return clusters that no row tells apart, each with the first of its kind.

        Fuzzy clusters fall together where distances hardly differ, in many dimensions above all.
        Which of them a row belongs to most is rounding.
        """
        found: list[tuple[int, int]] = []
        for other in range(1, memberships.shape[1]):
            away = np.abs(memberships[:, :other] - memberships[:, [other]]).max(axis=0)
            if (same := np.flatnonzero(away < _SAME)).size:
                found.append((int(same[0]), other))
        return found

    def predict_proba(self, X: Any) -> F64:
        """Return the memberships of new rows, by scikit-learn's name.

        Parameters
        ----------
        X
            Rows (n, D).

        Returns
        -------
        :
            Memberships (n, k).
        """
        return self._assign(X)[0]

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Return the cluster to which each new row belongs most.

        Parameters
        ----------
        X
            Rows (n, D).

        Returns
        -------
        :
            Labels (n,), 0 ... k-1.
        """
        return self._assign(X)[1]

    def score(self, X: Any, y: object = None) -> float:  # noqa: ARG002  # scikit-learn's signature
        """Return the negative objective of rows at the clusters found: the higher, the better.

        Parameters
        ----------
        X
            Rows (n, D). None of them has neighbours.
        y
            Ignored.
        """
        check_is_fitted(self)
        rows = readable(self._validated(X, reset=False))
        space, state = deepcopy((self._space, self._state))
        with threads() as (pool, count):
            sums = Frame(rows, space, self._m, pool, count).sums(state)
        return -float(sums.objective.sum()) * space.unit

    def _assign(self, X: Any) -> tuple[F64, NDArray[np.int32]]:
        check_is_fitted(self)
        rows = readable(self._validated(X, reset=False))
        # A mapped pickle has read-only arrays: another type, for which kernels would compile anew.
        space, state = deepcopy((self._space, self._state))
        with threads() as (pool, count):
            return Frame(rows, space, self._m, pool, count).memberships(state)
