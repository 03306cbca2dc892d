"""Gaussian mixture: ellipsoids with memberships, in few and in very many dimensions."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from clustem.cluster._base import Estimator
from clustem.cluster.k_means import KMeans
from clustem.compute.mixture_frame import F64, Coordinates, Workers, workers
from clustem.compute.mixture_steps import Components, SingularError, Steps
from clustem.compute.pulse import pulse
from clustem.compute.rows import Rows
from clustem.model import InputError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Course:
    """How one start went: ``parts`` come from ``made_of``, and ``memberships`` from them."""

    parts: Components
    made_of: F64
    memberships: F64
    bound: float
    n_iter: int
    converged: bool


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
    n_init
        Number of starts; the one of largest likelihood is kept. The first is the best of ten
        k-means, others are single k-means; equal ones run once.
    max_iter
        Largest number of steps of expectation and maximization per start.
    tol
        A start ends when the mean log-likelihood of a row changes by less than this.
    random_state
        Seed of all starts.

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
        (k,).
    weights_
        Share of each component, (k,).
    shrinkage_
        How far each covariance was drawn towards the common one, (k,).
    bic_, aic_
        Information criteria of the fitted rows; the smaller the better.
    lower_bound_
        Mean log-likelihood of a row.
    n_iter_
        Number of steps of the best start.
    converged_
        Whether the best start ended by ``tol``.
    n_features_in_
        Number of features D.

    Notes
    -----
    X may also be ``compute.Rows``, patches say, which are never held as they are. Ellipsoids are
    sought in units of the scatter of all rows, where covariances are well conditioned. From 129
    dimensions on, rows are held and multiplied in float32 and sums taken in float64; the
    log-likelihood then agrees with float64 to some 1e-6. A row is compared with the component it
    belonged to, and with others only until its distance shows that its membership there is below
    1e-19. A step takes n D² multiplications where components are apart, at most k times that.
    Results are the same to the bit for any number of threads.

    References
    ----------
    A. P. Dempster, N. M. Laird, D. B. Rubin, J. R. Stat. Soc. B 39 (1977) 1.
    J. H. Friedman, J. Am. Stat. Assoc. 84 (1989) 165 (shrinkage).
    G. McLachlan, D. Peel, Finite Mixture Models, Wiley (2000).

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
        n_init: Annotated[int, Ge(1)] = 3,
        max_iter: Annotated[int, Ge(1)] = 300,
        tol: Annotated[float, Ge(0)] = 1e-4,
        random_state: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.shrinkage = shrinkage
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002  # scikit-learn's signature
        """Find the components.

        Parameters
        ----------
        X
            Rows (n, D) of finite numbers: array-like, or ``compute.Rows``.
        y
            Ignored.

        Returns
        -------
        :
            The estimator itself, fitted.

        Raises
        ------
        InputError
            If there are NaN or infinite values, or a covariance has no inverse.
        ParameterError
            If a parameter does not fit, or there are more components than rows.
        """
        rows = self._rows(X, reset=True)
        params = self._checked(n_rows=len(rows))
        if len(rows) < 2:
            raise InputError(
                "A mixture needs at least 2 rows", got="1 sample", cure="Use a larger region."
            )
        kind = params["covariance_type"]
        self._space = Coordinates.fit(
            rows, share=params["reg_covar"], turned=kind in ("full", "tied")
        )
        starts = list(_starts(rows, params))
        steps = Steps(self._space.enter(rows), self._space, kind, shrinkage=params["shrinkage"])
        best: _Course | None = None
        try:
            with workers() as pool:
                for labels in starts:
                    found = _run(steps, pool, labels, params)
                    best = found if best is None or found.bound > best.bound else best
        except SingularError:
            raise InputError(
                "Every component needs a covariance that can be inverted",
                got=f"one that cannot, with reg_covar={params['reg_covar']:g}",
                cure="Raise reg_covar, use fewer features (reduce.pca), or a smaller k.",
            ) from None
        del steps  # the rows are not needed any more
        assert best is not None  # noqa: S101  # there is at least one start
        self.cluster_centers_ = _means(rows, best.made_of, self._space.origin)
        self._keep(best, params)
        return self

    def _keep(self, best: _Course, params: dict[str, Any]) -> None:
        parts, space = best.parts, self._space
        kind = params["covariance_type"]
        self._parts = replace(parts, covariances=np.empty(0))  # kept in data units
        self._kind = kind
        self.memberships_ = best.memberships
        self.labels_ = best.memberships.argmax(axis=1).astype(np.int32)
        self.weights_, self.shrinkage_ = parts.weights, parts.drawn
        self.lower_bound_ = best.bound
        self.n_iter_, self.converged_ = best.n_iter, best.converged
        self.covariances_ = space.matrices(parts.covariances)
        n = len(self.labels_)
        self.bic_, self.aic_ = self._criteria(best.bound, n)
        if not self.converged_:
            warnings.warn(
                f"The likelihood still changed after max_iter={params['max_iter']} steps. "
                "Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=3,
            )
        D = self.n_features_in_
        if params["shrinkage"] == "auto" and self.shrinkage_.any():
            _warn_of_few(self.shrinkage_, n * self.weights_, D)
        if params["shrinkage"] == "auto" and kind in ("full", "tied") and n <= D:
            warnings.warn(
                f"{n} rows in {D} dimensions: their common covariance is drawn by "
                f"{D / (n + D):.0%} towards a sphere. Use reduce.pca first.",
                stacklevel=3,
            )

    @property
    def means_(self) -> F64:
        """Means (k, D), by scikit-learn's name."""
        return self.cluster_centers_

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

    def predict_memberships(self, X: Any) -> F64:
        """Return the posterior probabilities (n, k) of new rows (n, D)."""
        return self._expected(X)[0]

    def predict_proba(self, X: Any) -> F64:
        """Return the posterior probabilities (n, k), by scikit-learn's name."""
        return self.predict_memberships(X)

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Return the most probable component (n,) of each new row (n, D)."""
        labels: NDArray[np.int32] = self.predict_memberships(X).argmax(axis=1).astype(np.int32)
        return labels

    def _expected(self, X: Any) -> tuple[F64, F64]:
        check_is_fitted(self)
        x = self._space.enter(self._rows(X, reset=False))
        steps = Steps(x, self._space, self._kind)
        means = self._parts.means.astype(x.dtype)
        reach = np.einsum("ij,ij->i", means, means) - 2 * (x @ means.T)
        with workers() as pool:
            return steps.expect(pool, self._parts, reach.argmin(axis=1))

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


def _starts(rows: Rows, params: dict[str, Any]) -> Iterator[NDArray[np.int32]]:
    """Yield labels (n,) to start from, each once."""
    k, seen = params["n_clusters"], set()
    seeds = np.random.SeedSequence(params["random_state"]).generate_state(params["n_init"])
    for i, seed in enumerate(seeds):
        labels = np.zeros(len(rows), dtype=np.int32)
        if k > 1:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # a start need not be certain
                start = KMeans(k, n_init=1 if i else 10, random_state=int(seed))
                labels = start.fit(rows).labels_
        if labels.tobytes() not in seen:
            seen.add(labels.tobytes())
            yield labels


def _run(steps: Steps, pool: Workers, labels: NDArray[np.int32], params: dict[str, Any]) -> _Course:
    memberships = np.eye(params["n_clusters"])[labels]
    parts = steps.maximize(pool, memberships)
    bound, guess, converged, n_iter = -np.inf, labels, False, 0
    while not converged and n_iter < params["max_iter"]:
        n_iter += 1
        pulse()
        memberships, density = steps.expect(pool, parts, guess)
        before, bound = bound, float(density.mean())
        parts = steps.maximize(pool, memberships, parts)
        guess = memberships.argmax(axis=1).astype(np.int32)
        converged = abs(bound - before) < params["tol"]
        _LOG.debug("step %d: mean log-likelihood %.8g", n_iter, bound)
    made_of = memberships
    memberships, density = steps.expect(pool, parts, guess)
    return _Course(parts, made_of, memberships, float(density.mean()), n_iter, converged)


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
    warnings.warn(
        f"Component{'s' * several} {', '.join(map(str, few))} {'have' if several else 'has'} "
        f"hardly more members ({sizes}) than dimensions ({D}): drawn by {share} towards the "
        "covariance common to all. Use a smaller k, reduce.pca or covariance_type='tied'.",
        stacklevel=4,
    )
