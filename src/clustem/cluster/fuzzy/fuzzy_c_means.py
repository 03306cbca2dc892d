"""Fuzzy c-means."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy.sparse import sparray, spmatrix

from clustem.cluster._neighbours import Coupling
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
from clustem.cluster.fuzzy._field import with_neighbours
from clustem.cluster.fuzzy._passes import Frame, State
from clustem.core import clusterer
from clustem.core.random_state import RandomState


@clusterer
class FuzzyCMeans(Fuzzy):
    """Round clusters to which every row belongs by degrees that sum to one.

    Parameters
    ----------
    n_clusters
        Number of clusters k.
    m
        Fuzziness: near 1 memberships are 0 or 1, large m makes them all alike.
    connectivity
        Weights between neighbouring rows, sparse (n, n), symmetric, as in scikit-learn's
        ``AgglomerativeClustering``; None for none. Recipes give the grid of the scan.
    coupling
        How much neighbours count. At 1, a neighbour of weight 1 that is wholly in another cluster
        makes a row as far from its own as rows are from their centers on average. 0 leaves
        neighbours out.
    n_init
        Number of starts, at most 1000; the one of least objective is kept.
    max_iter
        Largest number of passes per start.
    tol
        A start ends when a pass lowers its objective by at most this share.
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
        Memberships, float64 (n, k).
    cluster_centers_
        Centers, float64 (k, D).
    objective_
        J at the memberships and centers above.
    objective_history_
        J after each pass of the best start (n_iter,); it only falls.
    n_iter_
        Number of passes of the best start.
    converged_
        Whether the best start ended by ``tol``.
    n_features_in_
        Number of features D.

    Notes
    -----
    Minimizes ``J = Σ_i Σ_k u_ik^m d²_ik`` with ``u_ik = 1 / Σ_j (d²_ik/d²_jk)^(1/(m-1))`` and
    ``c_i = Σ u^m x / Σ u^m``, from k-means++ starts. A row that sits on a center belongs to it
    alone (on several: to them equally). A pass costs O(n k D); the result is the same to the bit
    for any number of threads. Beyond 131,072 rows starts run on 32,768 of them, and the best few go
    on with all rows.

    With a coupling, the best start goes on with ``β/2 Σ_i Σ_k u_ik^m Σ_j w_ij Σ_{l≠k} u_jl^m``
    added to J, where β is ``coupling`` times the mean squared distance ``Σ u^m d² / Σ u^m`` that it
    has reached without. So ``d²_ik`` becomes ``d²_ik + β Σ_j w_ij Σ_{l≠k} u_jl^m`` in the
    memberships. New rows have no neighbours.

    References
    ----------
    J. C. Bezdek, Pattern Recognition with Fuzzy Objective Function Algorithms, Plenum (1981).
    D. L. Pham, Spatial models for fuzzy clustering, Comput. Vis. Image Underst. 84 (2001) 285.

    Examples
    --------
    >>> import numpy as np
    >>> found = FuzzyCMeans(2).fit(np.array([[0.0], [1.0], [9.0], [10.0], [11.0]]))
    >>> sorted(found.cluster_centers_.ravel().round(1).tolist())
    [0.5, 10.0]
    """

    def __init__(
        self,
        n_clusters: Annotated[int, Ge(1)] = 4,
        *,
        m: Annotated[float, Gt(1)] = 2.0,
        connectivity: sparray | spmatrix | NDArray[np.float64] | None = None,
        coupling: Coupling = 0.0,
        n_init: Starts = 10,
        max_iter: Annotated[int, Ge(1)] = 300,
        tol: Annotated[float, Ge(0)] = 1e-8,
        markers: Markers = None,
        fix_centers: bool = False,
        random_state: RandomState = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.m = m
        self.connectivity = connectivity
        self.coupling = coupling
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.markers = markers
        self.fix_centers = fix_centers
        self.random_state = random_state

    def _search(self, frame: Frame, params: dict[str, Any]) -> tuple[Frame, Course]:
        move = with_fixed_centers(to_means, params["n_fixed"])
        stop = {"max_iter": params["max_iter"], "tol": params["tol"]}
        few = some_rows(frame, params)
        course = alternate(few, State.euclidean(starts(few, params)), move, **stop)
        if few is not frame:
            course = alternate(frame, candidates(course), move, **stop)
        return frame, with_neighbours(frame, course, move, params)
