"""Gaussian mixture: ellipsoids with memberships, in few and in very many dimensions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from scipy.sparse import csr_array, sparray, spmatrix
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from clustem.cluster._neighbours import Coupling, checked_graph, is_mask, mean_field
from clustem.cluster.estimator import Estimator, Markers, Starts
from clustem.cluster.mixture import _course
from clustem.cluster.mixture._course import Course, best_course, some_rows, starts_of
from clustem.cluster.mixture._densities import F64, posteriors, sorts_out
from clustem.cluster.mixture._frame import needed_for, prepare, prepare_rows, size_of
from clustem.cluster.mixture._grid import Grid
from clustem.cluster.mixture._over_rows import RowSteps, assigned_on
from clustem.cluster.mixture._potts import (
    ROUNDS,
    Potts,
    best_coupling,
    best_start,
    pooled_starts,
    with_neighbours,
)
from clustem.cluster.mixture._steps import Steps
from clustem.cluster.mixture._workers import Workers, workers
from clustem.core import InputError, clusterer, record, warn
from clustem.core.memory import check_memory, free_memory
from clustem.core.random_state import RandomState
from clustem.passes.rows import Rows

_PER_MEMBERSHIP = 24
"""Memory of a membership where rows are not kept: as float64 and twice as float32, or labels."""
_LARGE = 2**30
"""Size of the rows in their coordinates from which on they are not kept [bytes]."""
_SOME = 2**27
"""Numbers of rows that are searched where they are not kept, at most."""
_FEWER = "Use fewer features (n_components of reduce.pca)"


@clusterer
class GaussianMixture(Estimator):
    """Normal distributions, each with its own weight; memberships are posterior probabilities.

    Parameters
    ----------
    n_clusters
        Number of components k.
    covariance_type
        ``"full"``: each component its own ellipsoid; ``"tied"``: all the same one; ``"diag"``: axes
        along the features; ``"spherical"``: round.
    reg_covar
        Ridge: added to the variances, as a share of the data's mean variance.
    shrinkage
        How far each full covariance is drawn towards the one that is common to all components
        (``"tied"``), 0 ... 1. ``"auto"`` leaves them as they are, but for components with no more
        members than dimensions, which have no covariance of their own: D / (members + D). With no
        more rows than dimensions, the common one is drawn towards a sphere by D / (n + D). A
        warning says so.
    connectivity
        Weights between neighbouring rows, sparse (n, n), symmetric, as in scikit-learn's
        ``AgglomerativeClustering``; or a scan's mask, boolean, True = excluded, whose n positions
        have the neighbours of the grid; None for none. Recipes give the grid of the scan.
    coupling
        How much a neighbour of weight 1 counts: it makes a component ``exp(coupling)`` times as
        likely. 0 leaves neighbours out. ``"auto"`` takes what predicts rows best from their
        neighbours, and 0 unless that is certain.
    n_init
        Number of starts; the one of largest likelihood is kept. The first is the best of ten
        k-means, others are single k-means; equal ones run once. With a coupling, k-means of
        rows averaged with their neighbours, 4, 16 and 64 at a time, are starts, too.
    init
        ``"k-means"``, or memberships (n, k) to start from once; one-hot rows are labels.
    markers
        Region of each row (n,), 1 or more, others none: the first components start from the rows
        nearest to the regions' means. In a recipe a label image or masks.
    max_iter
        Largest number of steps of expectation and maximization per start.
    tol
        A start ends when the mean log-likelihood of a row changes by less than this.
    random_state
        Seed of all starts. With an integer, a rerun gives the same result; None and numpy's
        generators give each fit another seed.

    Attributes
    ----------
    labels_
        Component of largest membership, int32 (n,).
    memberships_
        Posterior probabilities, float64 (n, k); they sum to one.
    cluster_centers_, means_
        Means, float64 (k, D).
    covariances_
        Covariances, ridge included, float64; shape as in scikit-learn: (k, D, D), (D, D), (k, D) or
        (k,). They are held as factors, in a quarter of this memory, and made when asked for.
    precisions_, precisions_cholesky_
        Inverse covariances of the same shape, and their factors, upper triangular or inverse
        standard deviations; made when asked for.
    weights_
        Share of each component, (k,).
    shrinkage_
        How far each covariance was drawn towards the common one, (k,).
    coupling_
        The coupling that took effect.
    bic_, aic_
        Information criteria of the fitted rows; the smaller the better.
    lower_bound_
        Mean log-likelihood of a row; with a coupling, given the memberships of its neighbours.
    n_iter_
        Number of steps of the best start.
    converged_
        Whether the best start ended by ``tol``.
    n_features_in_
        Number of features D.

    Notes
    -----
    X may also be ``passes.rows.Rows``, of patches for example. Rows are copied once: centered and,
    for ellipsoids, in units of the scatter of all rows, where covariances are well conditioned;
    from 129 dimensions on in float32. Products are then float32 and sums float64; the
    log-likelihood agrees with float64 to some 1e-7. Memory: that copy and k D² / 2 numbers.

    With ``"full"`` from 129 dimensions on, a row is compared with the component it belonged to, and
    with others only until its distance shows that its membership there is below 1e-19; a component
    whose memberships stay as they were to 1e-10 is not made again. A step takes 2 n D²
    multiplications where components are apart, at most k times that, and none where nothing
    changes. Results are the same to the bit for any number of threads.

    With a coupling β, ``ln r_ik = ln N(x_i | k) + β Σ_j w_ij r_jk + const``: a mean field takes the
    place of the weights, and steps raise its free energy. For ``"auto"``, a fourth of the rows at a
    time loses its values, the field comes to rest without them, and ``Σ_i ln Σ_k π_ik N(x_i | k)``
    is summed over them, π_ik being what the field says there; a coupling must beat the weights by
    two standard errors of this sum. New rows have no neighbours: they go by the weights.

    Beyond 2^20 rows starts and couplings are compared on half a million of them, with neighbours on
    16 pieces of consecutive rows; all rows go on from the best. Rows that would take more than
    1 GiB, or do not fit in memory, are not copied but read once for each step, with neighbours if
    ``connectivity`` is a mask; memberships must fit.

    References
    ----------
    A. P. Dempster, N. M. Laird, D. B. Rubin, J. R. Stat. Soc. B 39 (1977) 1.
    J. H. Friedman, J. Am. Stat. Assoc. 84 (1989) 165 (shrinkage).
    G. McLachlan, D. Peel, Finite Mixture Models, Wiley (2000).
    G. Celeux, F. Forbes, N. Peyrard, Pattern Recognition 36 (2003) 131 (mean field).

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = np.concatenate([rng.normal(0, 1, (50, 2)), rng.normal(9, 1, (70, 2))])
    >>> sorted(np.bincount(GaussianMixture(2).fit(X).labels_).tolist())
    [50, 70]
    """

    def __init__(
        self,
        n_clusters: Annotated[int, Ge(1)] = 4,
        *,
        covariance_type: Literal["full", "tied", "diag", "spherical"] = "full",
        reg_covar: Annotated[float, Ge(0)] = 1e-6,
        shrinkage: Annotated[float, Ge(0), Le(1)] | Literal["auto"] = "auto",
        connectivity: sparray | spmatrix | NDArray[Any] | None = None,
        coupling: Coupling | Literal["auto"] = 0.0,
        n_init: Starts = 3,
        init: Literal["k-means"] | NDArray[np.float64] = "k-means",
        markers: Markers = None,
        max_iter: Annotated[int, Ge(1)] = 300,
        tol: Annotated[float, Ge(0)] = 1e-4,
        random_state: RandomState = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.shrinkage = shrinkage
        self.connectivity = connectivity
        self.coupling = coupling
        self.n_init = n_init
        self.init = init
        self.markers = markers
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002  # scikit-learn's signature
        """Find the components.

        Parameters
        ----------
        X
            Rows (n, D) of finite numbers: array-like, or ``passes.rows.Rows``.
        y
            Ignored.

        Returns
        -------
        :
            The estimator itself, fitted.

        Raises
        ------
        InputError
            If there are NaN or infinite values, a covariance has no inverse, or the connectivity
            does not fit the rows.
        ParameterError
            If a parameter does not fit, or there are more components than rows.
        """
        rows = self._rows(X, reset=True)
        params = self._checked(n_rows=len(rows))
        if len(rows) < 2:
            raise InputError(
                "A mixture needs at least 2 rows", got="1 sample", cure="Use a larger region."
            )
        self.__dict__.pop("covariances_", None)
        kind = params["covariance_type"]
        used = params["coupling"] != 0 and params["connectivity"] is not None
        grid = Grid(params["connectivity"]) if is_mask(params["connectivity"], len(rows)) else None
        if _not_kept(rows, params) and (not used or grid):
            return self._fit_over(rows, grid if used else None, params)
        _check_memory(needed_for(rows.shape, params["n_clusters"]))
        graph = checked_graph(params["connectivity"], len(rows)) if used else None
        sorted_out = sorts_out(kind, rows.shape[1])
        some = None if sorted_out else some_rows(len(rows), params, graph)
        first = rows if some is None else Rows(rows.take(some))
        starts = list(starts_of(first, params))
        with _invertible(params["reg_covar"]), workers() as pool:
            x, space = prepare(
                pool,
                rows,
                share=params["reg_covar"],
                turned=kind in ("full", "tied"),
                start=starts[0] if sorted_out else None,
            )
            steps = Steps(x, space, kind, shrinkage=params["shrinkage"])
            best = (
                self._best(steps, pool, starts, graph, params)
                if some is None
                else self._best_of_many(steps, pool, (some, starts), graph, params)
            )
        del x, steps  # the rows are not needed any more
        self._space, self._kind = space, kind
        self.cluster_centers_ = _means(rows, best.parts.made_of, space.origin)
        self._keep(best, params)
        if self.coupling_:
            self.memberships_ = self.assign(rows, connectivity=graph)
            self.labels_ = self.memberships_.argmax(axis=1).astype(np.int32)
        return self

    def _fit_over(self, rows: Rows, grid: Grid | None, params: dict[str, Any]) -> Self:
        """Fit rows that are not kept: a search in some of them, then one pass for each step."""
        n, D = rows.shape
        _check_memory(_PER_MEMBERSHIP * n * params["n_clusters"])
        kind, near = params["covariance_type"], None
        self.coupling_ = 0.0
        with _invertible(params["reg_covar"]), workers() as pool:
            turned = kind in ("full", "tied")
            space, scatter = prepare_rows(pool, rows, share=params["reg_covar"], turned=turned)
            steps = RowSteps(rows, space, scatter, kind, shrinkage=params["shrinkage"])
            if _course.is_given(params):
                parts = steps.made_of(pool, next(starts_of(rows, params)))
            else:
                few = min(_course.FEW, max(_SOME // D, 2 * params["n_clusters"]), n)
                if grid is None:
                    random = np.random.default_rng([params["random_state"], n])
                    some = np.sort(random.choice(n, few, replace=False))
                else:
                    some, near = grid.some(few, _course.PIECES)
                block = rows.take(some)
                starts = list(starts_of(Rows(block), params))
                x = space.enter(block, some)
                search = Steps(x, space, kind, shrinkage=params["shrinkage"])
                parts = self._best(search, pool, starts, near, params).parts
                del block, x, search, starts
            stop = {"max_iter": params["max_iter"], "tol": params["tol"]}
            if grid is not None and self.coupling_:
                best = steps.course_on(grid, self.coupling_, pool, parts, **stop)
            else:
                best = steps.course(pool, parts, **stop)
        self._space, self._kind = space, kind
        self.cluster_centers_ = space.origin + space.unturned(best.parts.means) / space.gain
        self._keep(best, params)
        return self

    def _best(
        self,
        steps: Steps,
        pool: Workers,
        starts: list[F64],
        graph: csr_array | None,
        params: dict[str, Any],
    ) -> Course:
        self.coupling_ = 0.0
        if graph is None:
            return best_course(steps, pool, starts, params)
        k, seed, coupling = params["n_clusters"], params["random_state"], params["coupling"]
        more = list(starts)
        if isinstance(params["init"], str) and params["markers"] is None:
            more += pooled_starts(steps.x, graph, k, seed)
        if coupling == "auto":
            alone = best_course(steps, pool, starts, params)
            start = best_start(steps, pool, [alone.memberships, *more], graph)
            coupling = best_coupling(steps, pool, alone, start, graph, seed)
            record(f"coupling {coupling:g} by left-out positions", coupling=coupling)
            if coupling == 0:
                return alone
            del alone
        else:
            start = best_start(steps, pool, more, graph, coupling)
        self.coupling_ = coupling
        stop = {"max_iter": params["max_iter"], "tol": params["tol"]}
        return with_neighbours(steps, pool, start, Potts(graph, coupling), **stop)

    def _best_of_many(
        self,
        steps: Steps,
        pool: Workers,
        first: tuple[NDArray[np.intp], list[F64]],
        graph: csr_array | None,
        params: dict[str, Any],
    ) -> Course:
        """Search on some rows, from starts made of them; go on with all rows from what is best."""
        some, starts = first
        few = Steps(steps.x[some], steps.space, steps.kind, shrinkage=params["shrinkage"])
        near = None if graph is None else csr_array(graph[some][:, some])
        parts = self._best(few, pool, starts, near, params).parts
        guess = np.zeros(len(steps.x), dtype=np.intp)
        start = steps.expect(pool, parts, guess).memberships
        if graph is None or self.coupling_ == 0:
            return best_course(steps, pool, [start], params)
        stop = {"max_iter": params["max_iter"], "tol": params["tol"]}
        return with_neighbours(steps, pool, start, Potts(graph, self.coupling_), **stop)

    def _keep(self, best: Course, params: dict[str, Any]) -> None:
        parts, kind = best.parts, self._kind
        self._parts = replace(parts, made_of=np.empty(0))
        self.memberships_ = best.memberships
        self.labels_ = best.memberships.argmax(axis=1).astype(np.int32)
        self.weights_, self.shrinkage_ = parts.weights, parts.drawn
        self.lower_bound_ = best.bound
        self.n_iter_, self.converged_ = best.n_iter, best.converged
        n = len(self.labels_)
        self.bic_, self.aic_ = self._criteria(best.bound, n)
        if not self.converged_:
            warn(
                f"The likelihood still changed after max_iter={params['max_iter']} steps. "
                "Raise max_iter or tol.",
                ConvergenceWarning,
            )
        D = self.n_features_in_
        if params["shrinkage"] == "auto" and self.shrinkage_.any():
            _warn_of_few(self.shrinkage_, n * self.weights_, D)
        if params["shrinkage"] == "auto" and kind in ("full", "tied") and n <= D:
            warn(
                f"{n} rows in {D} dimensions: their common covariance is drawn by "
                f"{D / (n + D):.0%} towards a sphere. {_FEWER}."
            )

    @property
    def means_(self) -> F64:
        """Means (k, D), by scikit-learn's name."""
        return self.cluster_centers_

    @cached_property
    def covariances_(self) -> F64:
        """Covariances in data units, by scikit-learn's name."""
        check_is_fitted(self)
        parts, space = self._parts, self._space
        if self._kind in ("diag", "spherical"):
            variances = parts.variances / space.gain**2
            return variances if self._kind == "diag" else variances[:, 0]
        out = np.empty((len(parts.factors), *2 * (self.n_features_in_,)))
        for place, factor in zip(out, parts.factors, strict=True):
            root = space.root(factor)
            np.matmul(root, root.T, out=place)
        return out if self._kind == "full" else np.asarray(out[0])

    @property
    def precisions_cholesky_(self) -> F64:
        """Factors of the inverse covariances: ``U`` of ``U @ U.T``, or inverse deviations."""
        check_is_fitted(self)
        if self._kind in ("diag", "spherical"):
            return np.asarray(1 / np.sqrt(self.covariances_))
        from scipy.linalg import solve_triangular

        roots, unit = np.linalg.cholesky(self.covariances_), np.eye(self.n_features_in_)
        each = roots.reshape(-1, *unit.shape)  # SciPy 1.14 takes one at a time
        inverse = [solve_triangular(root, unit, lower=True).T for root in each]
        return np.reshape(inverse, roots.shape)

    @property
    def precisions_(self) -> F64:
        """Inverse covariances, by scikit-learn's name."""
        factors = self.precisions_cholesky_
        if self._kind in ("diag", "spherical"):
            return factors**2
        return factors @ factors.swapaxes(-1, -2)

    def score_samples(self, X: Any) -> F64:
        """Return the log-likelihood (n,) of each row."""
        return self._expected(X)[1]

    def score(self, X: Any, y: object = None) -> float:  # noqa: ARG002  # scikit-learn's signature
        """Return the mean log-likelihood of a row."""
        return float(self.score_samples(X).mean())

    def bic(self, X: Any) -> float:
        """Return the Bayesian information criterion for rows (n, D); the smaller the better."""
        density = self.score_samples(X)
        return self._criteria(float(density.mean()), len(density))[0]

    def aic(self, X: Any) -> float:
        """Return Akaike's information criterion for rows (n, D); the smaller the better."""
        density = self.score_samples(X)
        return self._criteria(float(density.mean()), len(density))[1]

    def predict_proba(self, X: Any) -> F64:
        """Return the posterior probabilities (n, k) of new rows (n, D)."""
        return self._expected(X)[0]

    def assign(self, X: Any, *, connectivity: Any = None) -> F64:
        """Return the posterior probabilities (n, k) of rows of another scan, with neighbours.

        Parameters
        ----------
        X
            Rows (n, D), as for :meth:`fit`.
        connectivity
            Weights between neighbouring rows (n, n); None for none.

        Returns
        -------
        :
            Memberships; those of the fitted rows are ``memberships_``.

        Raises
        ------
        InputError
            As :meth:`fit`.
        """
        rows = self._rows(X, reset=False)
        if self.coupling_ and is_mask(connectivity, len(rows)) and size_of(rows.shape) > _LARGE:
            given = Grid(connectivity), self.coupling_, rows, self._space, self._parts, self._kind
            return assigned_on(*given)[0]
        alone = self.predict_proba(rows)
        graph = checked_graph(connectivity, len(alone))
        if graph is None or not self.coupling_:
            return alone
        density = np.log(np.maximum(alone, np.finfo(np.float64).tiny))
        density -= np.log(np.maximum(self.weights_, np.finfo(np.float64).tiny))
        return mean_field(density, graph, self.coupling_, alone, rounds=ROUNDS)

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Return the most probable component (n,) of each new row (n, D)."""
        labels: NDArray[np.int32] = self.predict_proba(X).argmax(axis=1).astype(np.int32)
        return labels

    def _expected(self, X: Any) -> tuple[F64, F64]:
        check_is_fitted(self)
        rows, space = self._rows(X, reset=False), self._space
        memberships, density = np.empty((len(rows), len(self.weights_))), np.empty(len(rows))

        def one(block: NDArray[Any], where: NDArray[np.intp]) -> tuple[F64, F64]:
            return posteriors(space.enter(block, where), self._parts, self._kind)

        for where, found in rows.map(one):
            memberships[where], density[where] = found
        return memberships, density - space.log_volume

    def _rows(self, X: Any, *, reset: bool) -> Rows:
        if not isinstance(X, Rows):
            return Rows(self._validated(X, reset=reset, order=None))
        if reset:
            self.n_features_in_ = X.shape[1]
        elif X.shape[1] != self.n_features_in_:
            raise InputError(
                f"Rows must have {self.n_features_in_} values, as in fit",
                got=X.shape[1],
                cure="Give patches of the same size.",
            )
        return X

    def _criteria(self, bound: float, n: int) -> tuple[float, float]:
        k, D = self.cluster_centers_.shape
        each = {"full": k * D * (D + 1) / 2, "tied": D * (D + 1) / 2, "diag": k * D, "spherical": k}
        free = each[self._kind] + k * D + k - 1
        return -2 * bound * n + free * float(np.log(n)), -2 * bound * n + 2 * free


@contextmanager
def _invertible(reg_covar: float) -> Iterator[None]:
    """Say in words that a covariance has no inverse."""
    try:
        yield
    except np.linalg.LinAlgError:
        raise InputError(
            "Every component needs a covariance that can be inverted",
            got=f"one that cannot, with reg_covar={reg_covar:g}",
            cure=f"Raise reg_covar. {_FEWER}, or a smaller k.",
        ) from None


def _not_kept(rows: Rows, params: dict[str, Any]) -> bool:
    """Whether rows are read again for each step: they are many, or do not fit in memory."""
    needed = needed_for(rows.shape, params["n_clusters"])
    return size_of(rows.shape) > _LARGE or needed > free_memory()


def _check_memory(needed: float) -> None:
    check_memory(needed, "GaussianMixture", cure="Use KMeans, which needs less, or bin the scan.")


def _means(rows: Rows, memberships: F64, origin: F64) -> F64:
    """Means (k, D) of the rows as they are, in float64."""

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> F64:
        sums: F64 = memberships[where].T @ np.subtract(block, origin, dtype=np.float64)
        return sums

    total = sum(part for _, part in rows.map(one))
    size = np.maximum(memberships.sum(axis=0), np.finfo(np.float64).tiny)
    return np.asarray(origin + total / size[:, None])


def _warn_of_few(drawn: F64, members: F64, D: int) -> None:
    few = np.flatnonzero(drawn)
    several = len(few) > 1
    sizes = ", ".join(f"{members[j]:.0f}" for j in few)
    share = ", ".join(f"{drawn[j]:.0%}" for j in few)
    warn(
        f"Component{'s' * several} {', '.join(map(str, few))} {'have' if several else 'has'} "
        f"hardly more members ({sizes}) than dimensions ({D}): drawn by {share} towards the "
        f"covariance common to all. {_FEWER}, a smaller k or covariance_type='tied'."
    )
