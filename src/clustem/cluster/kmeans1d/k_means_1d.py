"""Clusters of single numbers at the proven absolute minimum of their cost."""

from __future__ import annotations

from typing import Annotated, Any, Self

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from clustem.cluster.estimator import Estimator, check_spread, checked_weights
from clustem.cluster.kmeans1d._solve import cost_of, nearest_center, optimum
from clustem.core import InputError, ParameterError, clusterer
from clustem.core.random_state import RandomState

F64 = NDArray[np.float64]


@clusterer
class KMeans1D(ClassNamePrefixFeaturesOutMixin, TransformerMixin, Estimator):
    """Clusters of single numbers, such as log intensities, with any power of the distance.

    Parameters
    ----------
    n_clusters
        Number of clusters k.
    p
        Power of the distance in the cost ``Σ |x - c|^p``: at 0.5 outliers weigh little, 1 gives
        medians, 2 is ordinary k-means.
    random_state
        Not used, for nothing is random; all estimators have it.

    Attributes
    ----------
    labels_
        Cluster of each row, int32 (n,). Clusters are numbered by falling center.
    cluster_centers_
        Centers (k, 1), falling. For p up to 1 they are values of the data.
    cost_
        Weighted sum of ``|x - c|^p``, from the final labels and centers.
    optimal_
        Whether this is the absolute minimum, up to rounding.
    gap_bound_
        ``cost_`` is above the absolute minimum by this share of it at most; 0 if optimal.
    agreement_
        Share of the rows that p = 1 puts in the cluster of the same number, by weight.
    n_features_in_
        Number of features, 1.

    Notes
    -----
    On a line, optimal clusters are intervals, and dynamic programming finds the best of
    all ways to cut: O(m² + m k) operations for m different values if p < 1, O(k m log m) for p = 1
    and 2. The optimum is proven for up to 16384 different values if p < 1, 2²⁵ / k for p = 1 and 2,
    and 512 for other p. More are joined to bins for that, and their optimum is then improved on all
    values; the bound says how much might be left, typically 0.5 % for p = 0.5 and 4 % for
    p = 1.5. For p = 1 and 2 costs are differences of sums: how clusters narrower than 10^-7 of
    the range are cut is up to rounding.

    References
    ----------
    A. Brokkelkamp et al., J. Phys. Chem. A 126 (2022) 1255. H. Wang and M. Song, R Journal 3/2
    (2011) 29. A. Grønlund et al., arXiv:1701.07204 (2017).

    Examples
    --------
    >>> found = KMeans1D(2).fit(np.array([[0.0], [0.1], [0.3], [5.0]]))
    >>> found.labels_.tolist(), found.cluster_centers_.ravel().tolist(), found.optimal_
    ([1, 1, 1, 0], [5.0, 0.1], True)
    """

    def __init__(
        self,
        n_clusters: Annotated[int, Ge(1)] = 5,
        *,
        p: Annotated[float, Gt(0), Le(16)] = 0.5,
        random_state: RandomState = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.p = p
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: object = None, sample_weight: ArrayLike | None = None) -> Self:  # noqa: ARG002  # scikit-learn's signature
        """Find the clusters.

        Parameters
        ----------
        X
            Finite real numbers (n,) or (n, 1).
        y
            Ignored.
        sample_weight
            Weight of each row (n,): 2 counts like two equal rows, 0 like none.

        Returns
        -------
        :
            The estimator itself, fitted.

        Raises
        ------
        InputError
            If there is more than one column, or values or weights are not finite numbers.
        ParameterError
            If a parameter does not fit, or there are more clusters than different values.
        """
        x = self._column(X, reset=True)
        params = self._checked(n_rows=len(x))
        weights = checked_weights(sample_weight, len(x))
        values, number = np.unique(x, return_inverse=True)
        total: F64 = np.bincount(number, weights=weights).astype(np.float64, copy=False)
        values, total = values[total > 0], total[total > 0]
        k, p = params["n_clusters"], params["p"]
        if k > len(values):
            raise ParameterError(
                f"n_clusters must be at most the number of different values ({len(values)})",
                got=k,
                cure="Use a smaller k or a larger region.",
            )
        check_spread(float(values[-1] - values[0]), p)
        found = optimum(values, total, k, p)
        self._rising = found.centers
        self.cluster_centers_ = found.centers[::-1, np.newaxis]
        self._n_features_out = k  # what get_feature_names_out counts
        self.labels_ = self._nearest(x)
        self.cost_ = found.cost
        self.optimal_ = found.exact
        self.gap_bound_ = found.gap
        self.agreement_ = self._agreement(values, total, k)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """Return the number of the nearest center of each row.

        Parameters
        ----------
        X
            Numbers (m,) or (m, 1).

        Returns
        -------
        :
            Labels, int32 (m,).
        """
        check_is_fitted(self)
        return self._nearest(self._column(X, reset=False))

    def transform(self, X: ArrayLike) -> F64:
        """Return the distance of each row to each center, float64 (m, k)."""
        check_is_fitted(self)
        distances: F64 = np.abs(
            self._column(X, reset=False)[:, np.newaxis] - self.cluster_centers_[:, 0]
        )
        return distances

    def score(
        self,
        X: ArrayLike,
        y: object = None,  # noqa: ARG002  # scikit-learn's signature
        sample_weight: ArrayLike | None = None,
    ) -> float:
        """Return the negative cost ``-Σ |x - c|^p`` of numbers at the centers found."""
        check_is_fitted(self)
        x = self._column(X, reset=False)
        return -cost_of(x, checked_weights(sample_weight, len(x)), self._rising, self.p)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False
        return tags

    def _column(self, X: ArrayLike, *, reset: bool) -> F64:
        if (numbers := np.asanyarray(X)).ndim == 1:  # masked arrays stay masked
            X = numbers.reshape(-1, 1)
        x = self._validated(X, reset=reset)
        self._require_one_column(x)
        column = x[:, 0].astype(np.float64)
        with np.errstate(over="ignore"):
            if not np.isfinite(column.max() - column.min()):
                raise InputError(
                    "Values must differ by less than 1.8e308",
                    got=f"{column.min():g} ... {column.max():g}",
                    cure="Scale them.",
                )
        return column

    def _require_one_column(self, x: NDArray[Any]) -> None:
        if x.shape[1] != 1:
            raise InputError(
                "KMeans1D needs one column: only on a line can the absolute minimum be found",
                got=f"{x.shape[1]} columns",
                cure="Give one feature, as describe.total_intensity does, or use KMeans.",
            )

    def _nearest(self, x: F64) -> NDArray[np.int32]:
        labels: NDArray[np.int32] = (
            len(self._rising) - 1 - nearest_center(x, self._rising)
        ).astype(np.int32)
        return labels

    def _agreement(self, values: F64, weights: F64, k: int) -> float:
        if self.p == 1:
            return 1.0
        medians = optimum(values, weights, k, 1.0).centers
        same = nearest_center(values, medians) == nearest_center(values, self._rising)
        return float(weights[same].sum() / weights.sum())
