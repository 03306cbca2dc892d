"""Gaussian mixture, by scikit-learn."""

from __future__ import annotations

import warnings
from typing import Annotated, Any, Literal, Self

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import threadpool_limits

from clustem.cluster._base import Estimator
from clustem.compute.fuzzy_passes import F64, threads
from clustem.model import InputError


class GaussianMixture(Estimator):
    """Normal distributions, each with its own weight; memberships are posterior probabilities.

    scikit-learn's mixture behind the names of this room.

    Parameters
    ----------
    n_clusters
        Number of components k.
    covariance_type
        ``"full"``: each component its own ellipsoid; ``"tied"``: all the same one; ``"diag"``: axes
        along the features; ``"spherical"``: round.
    reg_covar
        Added to the variances, as a share of the data's mean variance.
    n_init
        Number of starts (k-means); the one of largest likelihood is kept.
    max_iter
        Largest number of steps of expectation and maximization per start.
    tol
        A start ends when the mean log-likelihood of a row gains less than this.
    random_state
        Seed of all starts.

    Attributes
    ----------
    labels_
        Component of largest membership, int32 (n,).
    memberships_
        Posterior probabilities, float64 (n, k); they sum to one.
    cluster_centers_
        Means, float64 (k, D).
    covariances_
        Covariances; shape as in scikit-learn: (k, D, D), (D, D), (k, D) or (k,).
    weights_
        Share of each component, (k,).
    bic_, aic_
        Information criteria of the fitted rows; the smaller the better.
    lower_bound_
        Mean log-likelihood of a row, up to the scale of the data.
    n_iter_
        Number of steps of the best start.
    converged_
        Whether the best start ended by ``tol``.
    n_features_in_
        Number of features D.

    Notes
    -----
    Rows are centered first, which needs one float64 copy of them. Starts run side by side, one
    thread each, and give the same result to the bit for any number of threads.

    References
    ----------
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
        n_init: Annotated[int, Ge(1)] = 3,
        max_iter: Annotated[int, Ge(1)] = 300,
        tol: Annotated[float, Ge(0)] = 1e-4,
        random_state: Annotated[int, Ge(0)] = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.covariance_type = covariance_type
        self.reg_covar = reg_covar
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: Any, y: object = None) -> Self:  # noqa: ARG002  # scikit-learn's signature
        """Find the components.

        Parameters
        ----------
        X
            Rows (n, D) of finite numbers.
        y
            Ignored.

        Returns
        -------
        :
            The estimator itself, fitted.

        Raises
        ------
        InputError
            If there are NaN or infinite values.
        ParameterError
            If a parameter does not fit, or there are more components than rows.
        """
        rows = self._validated(X)
        params = self._checked(n_rows=len(rows))
        if len(rows) < 2:
            raise InputError(
                "A mixture needs at least 2 rows", got="1 sample", cure="Use a larger region."
            )
        self._origin = rows.mean(axis=0, dtype=np.float64)
        centered = rows - self._origin
        floor = params["reg_covar"] * (float(np.mean(centered**2)) or 1.0)
        seeds = np.random.SeedSequence(params["random_state"]).generate_state(params["n_init"])

        def run(seed: int) -> mixture.GaussianMixture:
            model = mixture.GaussianMixture(
                params["n_clusters"],
                covariance_type=params["covariance_type"],
                reg_covar=floor,
                max_iter=params["max_iter"],
                tol=params["tol"],
                random_state=int(seed),
            )
            # Its k-means would add up in the order in which OpenMP's threads happen to finish.
            with threadpool_limits(limits=1, user_api="openmp"):
                return model.fit(centered)

        with warnings.catch_warnings(), threads() as (pool, _):
            warnings.simplefilter("ignore", ConvergenceWarning)  # of starts that may lose
            try:
                found = list(pool.map(run, seeds))
            except ValueError as error:
                raise InputError(
                    "Every component needs a covariance that can be inverted",
                    got=f"one that cannot, with reg_covar={params['reg_covar']:g}",
                    cure="Raise reg_covar, use fewer features (reduce.pca), or a smaller k.",
                ) from error
        self._keep(max(found, key=lambda model: model.lower_bound_), centered)
        if not self.converged_:
            warnings.warn(
                f"The likelihood still rose after max_iter={params['max_iter']} steps. "
                "Raise max_iter or tol.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _keep(self, model: mixture.GaussianMixture, centered: F64) -> None:
        self._model = model
        self.memberships_ = model.predict_proba(centered)
        self.labels_ = self.memberships_.argmax(axis=1).astype(np.int32)
        self.cluster_centers_ = model.means_ + self._origin
        self.covariances_ = model.covariances_
        self.weights_ = model.weights_
        self.lower_bound_ = float(model.lower_bound_)
        self.bic_, self.aic_ = float(model.bic(centered)), float(model.aic(centered))
        self.n_iter_ = int(model.n_iter_)
        self.converged_ = bool(model.converged_)

    def bic(self, X: Any) -> float:
        """Return the Bayesian information criterion for rows (n, D); the smaller the better."""
        centered = self._centered(X)
        return float(self._model.bic(centered))

    def aic(self, X: Any) -> float:
        """Return Akaike's information criterion for rows (n, D); the smaller the better."""
        centered = self._centered(X)
        return float(self._model.aic(centered))

    def predict_memberships(self, X: Any) -> F64:
        """Return the posterior probabilities (n, k) of new rows (n, D)."""
        centered = self._centered(X)
        return np.asarray(self._model.predict_proba(centered), dtype=np.float64)

    def predict(self, X: Any) -> NDArray[np.int32]:
        """Return the most probable component (n,) of each new row (n, D)."""
        labels: NDArray[np.int32] = self.predict_memberships(X).argmax(axis=1).astype(np.int32)
        return labels

    def _centered(self, X: Any) -> F64:
        check_is_fitted(self)
        centered: F64 = self._validated(X, reset=False) - self._origin
        return centered
