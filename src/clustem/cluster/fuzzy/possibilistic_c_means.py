"""Possibilistic c-means."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt

from clustem.cluster.estimator import Markers, Starts
from clustem.cluster.fuzzy._course import (
    Course,
    Fuzzy,
    alternate,
    candidates,
    some_rows,
    starts,
    to_means,
    with_fixed_centers,
)
from clustem.cluster.fuzzy._passes import F64, Frame, State
from clustem.core import clusterer, warn
from clustem.core.random_state import RandomState

_SAME = 0.2  # distance of centers, in widths, below which they are one
_NARROWEST = 1e-12  # least eta, relative to the mean one: a cluster of equal rows has no width


@clusterer
class PossibilisticCMeans(Fuzzy):
    """Round clusters to which rows are typical or not, each cluster on its own.

    Memberships do not sum to one: a row far from everything belongs to nothing, so outliers do
    not pull centers.

    Parameters
    ----------
    n_clusters
        Number of clusters k.
    m
        Fuzziness: near 1 the edge of a cluster is sharp, large m makes it soft.
    eta_scale
        Factor on the widths found by fuzzy c-means: smaller looks closer around each center.
    n_init
        Number of starts of the fuzzy c-means that comes first.
    max_iter
        Largest number of passes, of each of the two stages.
    tol
        A stage ends when a pass lowers its objective by at most this share.
    markers
        Region of each row (n,), 1 or more, others none: the first clusters start from the means of
        the regions, in their order, others from far rows. In a recipe a label image or masks.
    fix_centers
        Whether clusters with a region stay at its mean.
    random_state
        Seed; every start draws its own centers from it. With an integer, a rerun gives the same
        result; None and numpy's generators give each fit another seed.

    Attributes
    ----------
    labels_
        Cluster of largest membership, int32 (n,).
    memberships_
        Memberships, float64 (n, k); a row's sum is anything from 0 to k.
    cluster_centers_
        Centers, float64 (k, D).
    eta_
        Squared width of each cluster: the squared distance of membership 1/2, (k,).
    coincident_
        Pairs of clusters whose centers came to lie together.
    objective_
        The objective, penalty included, at the memberships and centers above.
    objective_history_
        The objective after each pass (n_iter,); it only falls.
    n_iter_
        Number of possibilistic passes.
    converged_
        Whether both stages ended by ``tol``.
    n_features_in_
        Number of features D.

    Warns
    -----
    UserWarning
        If centers coincide. Possibilistic clusters do not repel each other, so several may find
        the same dense place; this is a property of the method and not of the start.

    Notes
    -----
    Minimizes ``Σ_i Σ_k u_ik^m d²_ik + Σ_i η_i Σ_k (1 - u_ik)^m`` with
    ``u = 1 / (1 + (d²/η_i)^(1/(m-1)))`` and ``c_i = Σ u^m x / Σ u^m``, starting from the centers of
    the best fuzzy c-means; ``η_i = eta_scale · Σ u^m d² / Σ u^m`` of its memberships.

    References
    ----------
    R. Krishnapuram, J. M. Keller, A possibilistic approach to clustering, IEEE Trans. Fuzzy Syst.
    1 (1993) 98.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0], [2.0], [50.0], [51.0], [52.0], [500.0]])
    >>> found = PossibilisticCMeans(2, eta_scale=0.1).fit(X[:6])
    >>> bool(found.predict_proba(X[6:]).max() < 0.01)
    True
    """

    def __init__(
        self,
        n_clusters: Annotated[int, Ge(1)] = 4,
        *,
        m: Annotated[float, Gt(1)] = 2.0,
        eta_scale: Annotated[float, Gt(0)] = 1.0,
        n_init: Starts = 10,
        max_iter: Annotated[int, Ge(1)] = 300,
        tol: Annotated[float, Ge(0)] = 1e-8,
        markers: Markers = None,
        fix_centers: bool = False,
        random_state: RandomState = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.m = m
        self.eta_scale = eta_scale
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.markers = markers
        self.fix_centers = fix_centers
        self.random_state = random_state

    def _search(self, frame: Frame, params: dict[str, Any]) -> tuple[Frame, Course]:
        stop = {"max_iter": params["max_iter"], "tol": params["tol"]}
        step = with_fixed_centers(to_means, params["n_fixed"])
        few = some_rows(frame, params)
        first = alternate(few, State.euclidean(starts(few, params)), step, **stop)
        if few is not frame:
            first = alternate(frame, candidates(first), step, **stop)
        best = first.state[[first.best]]
        sums = frame.sums(best)
        spread = sums.objective / np.where(sums.weight > 0, sums.weight, np.inf)
        eta = params["eta_scale"] * np.maximum(spread, _NARROWEST * max(spread.mean(), _NARROWEST))
        second = alternate(frame, State(best.centers, best.factors, eta), step, **stop)
        second.converged[:] &= first.converged[first.best]
        return frame, second

    def _twins(self, memberships: F64) -> list[tuple[int, int]]:  # noqa: ARG002
        """Return nothing: possibilistic clusters are told to be the same in ``coincident_``."""
        return []

    def _keep(self, frame: Frame, course: Course, params: dict[str, Any]) -> None:
        super()._keep(frame, course, params)
        self.eta_ = course.state.eta[0] * frame.space.unit
        self.coincident_ = _pairs_within(course.state.centers[0], course.state.eta[0])
        if self.coincident_:
            warn(
                f"Clusters {self.coincident_} have the same center: possibilistic clusters do not "
                "repel each other. Use fewer clusters, a smaller eta_scale, or FuzzyCMeans.",
                UserWarning,
            )


def _pairs_within(centers: F64, eta: F64) -> list[tuple[int, int]]:
    d2 = ((centers[:, None] - centers[None]) ** 2).sum(axis=-1)
    near = d2 <= _SAME**2 * np.minimum(eta[:, None], eta[None])
    return [(int(i), int(j)) for i, j in np.argwhere(np.triu(near, 1))]
