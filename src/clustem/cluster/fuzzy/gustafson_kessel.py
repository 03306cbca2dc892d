"""Gustafson-Kessel clustering: fuzzy c-means with ellipsoids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray
from scipy.sparse import sparray, spmatrix

from clustem.cluster._neighbours import Coupling
from clustem.cluster.estimator import Markers, Starts
from clustem.cluster.fuzzy._course import (
    Course,
    Fuzzy,
    alternate,
    by_kmeans,
    candidates,
    some_rows,
    starts,
    to_means,
    with_fixed_centers,
)
from clustem.cluster.fuzzy._field import with_neighbours
from clustem.cluster.fuzzy._passes import F64, Frame, State, Sums
from clustem.core import ParameterError, clusterer, warn
from clustem.core.eigh import eigh
from clustem.core.random_state import RandomState

_NOTHING = 1e-24  # variance that is rounding, where the data's is 1


@clusterer
class GustafsonKessel(Fuzzy):
    """Ellipsoidal clusters, each of its own shape, with memberships that sum to one.

    Every cluster measures distances in its own metric, so elongated and tilted clouds are found
    that fuzzy c-means would cut up.

    Parameters
    ----------
    n_clusters
        Number of clusters k.
    m
        Fuzziness: near 1 memberships are 0 or 1, large m makes them all alike.
    volumes
        Relative volumes ρ of the metrics, k positive numbers; all 1 if None.
    shrinkage
        Share of the covariance of all rows in a cluster's own, for a cluster of n/k rows (larger
        clusters take less of it). Needed where clusters hold few rows for their features.
    max_condition
        Largest ratio of variances along the axes of an ellipsoid, relative to all rows.
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
    covariances_
        Covariance F of each cluster, regularized as its metric is, float64 (k, D, D).
    flat_
        Clusters whose shape was limited by ``max_condition``.
    objective_
        J, with the penalty of ``shrinkage``, at the memberships, centers and covariances above.
    objective_history_
        J after each pass of the best start (n_iter,); it only falls.
    n_iter_
        Number of passes of the best start.
    converged_
        Whether the best start ended by ``tol``.
    n_features_in_
        Number of features D.

    Warns
    -----
    UserWarning
        If clusters are flat: they hold too few different rows to have a shape.

    Notes
    -----
    Minimizes ``J = Σ_i Σ_k u_ik^m (x_k - c_i)ᵀ A_i (x_k - c_i)`` where ``det A_i = ρ_i``:
    memberships and centers as in fuzzy c-means, ``A_i = (ρ_i det F_i)^(1/D) F_i⁻¹`` with
    ``F_i = Σ u^m (x-c)(x-c)ᵀ / Σ u^m``.

    Both remedies for singular F are those of Babuška et al., put such that J still only falls.
    Shrinking adds ``λ Σ_i tr(A_i F_0)`` to J, F_0 the covariance of all rows and
    ``λ = n/k · shrinkage / (1 - shrinkage)``, whose best shape is
    ``(N_i F_i + λ F_0) / (N_i + λ)`` with ``N_i = Σ u^m``. The limit on the ratio of variances is
    met by raising the small and cutting the large ones where that costs J least.

    All this happens in coordinates in which F_0 is the unit matrix. Directions in which no row
    differs from another are left out, also of distances to new rows; J and F then are those of
    the other directions. A third of the starts begin with fuzzy c-means in the given units, a third
    with it in those coordinates, a third with k-means++ centers. A pass costs O(n k D²); the
    result is the same to the bit for any number of threads. Beyond 131,072 rows starts run on
    32,768 of them, and the best few go on with all rows.

    With a coupling, the best start goes on with ``β/2 Σ_i Σ_k u_ik^m Σ_j w_ij Σ_{l≠k} u_jl^m``
    added to J, where β is ``coupling`` times the mean squared distance ``Σ u^m d² / Σ u^m`` that it
    has reached without. So ``d²_ik`` becomes ``d²_ik + β Σ_j w_ij Σ_{l≠k} u_jl^m`` in the
    memberships. New rows have no neighbours.

    References
    ----------
    D. E. Gustafson, W. C. Kessel, Fuzzy clustering with a fuzzy covariance matrix, Proc. IEEE CDC
    (1979) 761.
    R. Babuška, P. J. van der Veen, U. Kaymak, Improved covariance estimation for Gustafson-Kessel
    clustering, Proc. FUZZ-IEEE (2002) 1081.
    J.-H. Won et al., Condition-number-regularized covariance estimation, J. R. Stat. Soc. B 75
    (2013) 427.
    D. L. Pham, Spatial models for fuzzy clustering, Comput. Vis. Image Underst. 84 (2001) 285.

    Examples
    --------
    Two parallel needles, which fuzzy c-means would cut across:

    >>> import numpy as np
    >>> along, across = np.meshgrid(np.arange(40.0), [-0.1, 0.1])
    >>> needle = np.column_stack([along.ravel(), across.ravel()])
    >>> X = np.concatenate([needle, needle[:60] + [0, 4]])
    >>> sorted(np.bincount(GustafsonKessel(2).fit(X).labels_).tolist())
    [60, 80]
    """

    def __init__(
        self,
        n_clusters: Annotated[int, Ge(1)] = 4,
        *,
        m: Annotated[float, Gt(1)] = 2.0,
        volumes: Sequence[float] | None = None,
        shrinkage: Annotated[float, Ge(0), Lt(1)] = 0.0,
        max_condition: Annotated[float, Ge(1)] = 1e6,
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
        self.volumes = volumes
        self.shrinkage = shrinkage
        self.max_condition = max_condition
        self.connectivity = connectivity
        self.coupling = coupling
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.markers = markers
        self.fix_centers = fix_centers
        self.random_state = random_state

    def _search(self, frame: Frame, params: dict[str, Any]) -> tuple[Frame, Course]:
        volumes = _checked_volumes(params["volumes"], params["n_clusters"])
        white = _whitened(frame)
        few = some_rows(frame, params)
        few_white = replace(white, X=few.X)
        search = _Alternation(few_white, params, volumes)
        start = State.euclidean(_starting_centers(few, few_white, params))
        begin = search.move(start, few_white.sums(start, moments=True))
        if params["centers"] is None:
            _put_partitions(begin, few, few_white, search.move, params)
        course = search.run(begin)
        if few is not frame:
            search = _Alternation(white, params, volumes)
            course = search.run(candidates(course))
        course = with_neighbours(
            white, course, search.move, params, moments=True, penalty=search.penalty
        )
        return white, course

    def _keep(self, frame: Frame, course: Course, params: dict[str, Any]) -> None:
        super()._keep(frame, course, params)
        factors = self._state.factors[0]
        if course.memberships is None:
            sums = frame.sums(self._state)
        else:
            distances = frame.distances(self._state)
            sums = frame.sums_with(self._state, course.memberships**frame.m, distances)
        self.covariances_ = _covariances(frame, factors, sums)
        size = np.linalg.svd(factors, compute_uv=False) ** 2
        limited = size[:, 0] >= size[:, -1] * params["max_condition"] * (1 - 1e-6)
        self.flat_ = [int(i) for i in np.flatnonzero(limited & (params["max_condition"] > 1))]
        if self.flat_:
            warn(
                f"Clusters {self.flat_} are as flat as max_condition={params['max_condition']:g} "
                "lets them be: too few different rows for their features. Use more shrinkage than "
                f"{params['shrinkage']:g}, fewer features, or a smaller k.",
                UserWarning,
            )


class _Alternation:
    """What is alternated on the rows of a frame."""

    def __init__(self, frame: Frame, params: dict[str, Any], volumes: F64) -> None:
        self._frame, self._params, self._volumes = frame, params, volumes
        n, shrinkage = len(frame.X), params["shrinkage"]
        self._prior = n / params["n_clusters"] * shrinkage / (1 - shrinkage)
        self.move = with_fixed_centers(self._step, params["n_fixed"])

    def _step(self, state: State, sums: Sums) -> State:
        n_fixed = self._params["n_fixed"]
        toward = self._prior * np.eye(self._frame.space.rank)
        scatter = sums.weight[..., None, None] * sums.covariance + toward
        scatter[:, :n_fixed] = sums.second[:, :n_fixed] + toward  # about the center that stays
        nothing = _NOTHING * len(self._frame.X)
        factors = _metric(scatter, self._volumes, self._params["max_condition"], nothing=nothing)
        return State(state.centers + sums.shift, factors, state.eta)

    def penalty(self, state: State) -> F64:
        """Return what shrinking adds to the objective, (S,)."""
        added: F64 = self._prior * (state.factors**2).sum(axis=(1, 2, 3))
        return added

    def run(self, begin: State) -> Course:
        """Alternate from S starts."""
        stop = {"max_iter": self._params["max_iter"], "tol": self._params["tol"]}
        return alternate(self._frame, begin, self.move, moments=True, penalty=self.penalty, **stop)


def _checked_volumes(given: Sequence[float] | None, k: int) -> F64:
    volumes = np.ones(k) if given is None else np.asarray(given, dtype=np.float64)
    if volumes.shape != (k,) or not np.all((volumes > 0) & np.isfinite(volumes)):
        raise ParameterError(
            f"volumes must be {k} positive numbers, one per cluster",
            got=given,
            cure="Leave them out for equal volumes.",
        )
    return volumes


def _whitened(frame: Frame) -> Frame:
    one = State.euclidean(np.zeros((1, 1, frame.space.rank)))
    sums = frame.sums(one, moments=True)  # of a single cluster: those of all rows
    rounding = float(np.finfo(frame.X.dtype).eps)
    space = frame.space.whitened(sums.shift[0, 0], sums.covariance[0, 0], rounding=rounding)
    return replace(frame, space=space)


def _starting_centers(plain: Frame, white: Frame, params: dict[str, Any]) -> F64:
    """Return centers (S, k, r) of three kinds: one alone would send most starts the same way."""
    if params["centers"] is not None:
        return starts(white, params)
    k, n_init, seed = params["n_clusters"], params["n_init"], params["random_state"]
    centers = white.draw_centers(k, n_init, seed)
    if n_init > 1:
        centers[1::3] = _round(white, centers[1::3])
    given = _round(plain, plain.draw_centers(k, len(centers[::3]), seed))
    centers[::3] = white.space.coordinates(plain.space.points(given))
    return centers


def _put_partitions(
    begin: State, plain: Frame, white: Frame, move: Callable[[State, Sums], State], params: Any
) -> None:
    """Start the first one or two with the ellipsoids of hard clusters, found by k-means.

    In many dimensions memberships around round clusters are nearly all alike, and so are the
    ellipsoids that come of them.
    """
    spaces = [plain.X, white.space.coordinates(plain.X)]
    for s, rows in enumerate(spaces[: len(begin.centers)]):
        labels = by_kmeans(rows, params).labels_
        hard = np.eye(params["n_clusters"])[labels]
        centers = State.euclidean(begin.centers[[s]])
        sums = white.sums_with(centers, hard, white.distances(centers), moments=True)
        begin.put(np.array([s]), move(centers, sums))


def _round(frame: Frame, centers: F64) -> F64:
    """Return centers after some fuzzy c-means; more would change little once ellipsoids form."""
    begin = State.euclidean(centers)
    return alternate(frame, begin, to_means, max_iter=20, tol=1e-3).state.centers


def _metric(scatter: F64, volumes: F64, max_condition: float, *, nothing: float) -> F64:
    """Return upper triangular factors (S, k, r, r) of the best metrics of given volumes.

    Parameters
    ----------
    scatter
        Symmetric, (S, k, r, r).
    volumes
        Determinants of the metrics, (k,).
    max_condition
        Largest ratio of their eigenvalues.
    nothing
        Scatter that is rounding: such a cluster is taken as round.
    """
    values, vectors = eigh(scatter)
    values = np.where(values[..., -1:] > nothing, np.maximum(values, 0.0), 1.0)
    values = values / values[..., -1:]
    flat = values.min(axis=-1) * max_condition < 1
    if flat.any():
        values[flat] = _clipped(values[flat], max_condition)
    # Weights are 1 / values, scaled to the volume by way of logarithms: products overflow.
    log_weights = -np.log(values)
    log_weights += ((np.log(volumes) - log_weights.sum(axis=-1)) / values.shape[-1])[..., None]
    turned = np.exp(log_weights / 2)[..., None] * np.swapaxes(vectors, -1, -2)
    factors: F64 = np.linalg.qr(turned, mode="r")  # type: ignore[assignment]  # numpy's hint is wrong
    return factors


def _clipped(values: F64, max_condition: float) -> F64:
    """Clip each set of values (f, r) to [τ, βτ], β the condition, at the best τ.

    For values v clipped to w, J is least where ``Σ v/w + Σ ln w`` is, that is, at the zero of
    ``Σ max(τ - v, 0) - Σ max(v/β - τ, 0)``, a rising line with bends at all v and v/β.
    """
    bends = np.sort(np.concatenate([values, values / max_condition], axis=1), axis=1)
    at, low, high = bends[:, :, None], values[:, None, :], values[:, None, :] / max_condition
    height = np.maximum(at - low, 0).sum(axis=2) - np.maximum(high - at, 0).sum(axis=2)
    after = np.argmax(height > 0, axis=1)[:, None]
    (h0, t0), (h1, t1) = (
        (np.take_along_axis(height, i, 1), np.take_along_axis(bends, i, 1))
        for i in (after - 1, after)
    )
    floor = t0 - h0 * (t1 - t0) / (h1 - h0)
    return np.clip(values, floor, floor * max_condition)


def _covariances(frame: Frame, factors: F64, sums: Sums) -> F64:
    """Return covariances (k, D, D): the metrics' shapes, at the sizes that the rows have."""
    inverse = np.linalg.inv(factors)
    shape = inverse @ np.swapaxes(inverse, -1, -2)
    weight = np.where(sums.weight > 0, sums.weight, np.inf)[0]
    size = sums.objective[0] / weight / frame.space.rank
    back = frame.space.back
    out: F64 = back @ (size[:, None, None] * shape) @ back.T
    return out
