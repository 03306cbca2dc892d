"""Tests of scikit-learn and HyperSpy, run from the installed packages against our estimators.

A shim gives ours the parameters of theirs. What must differ is listed with its reason; a listed
test that passes fails here, so that the list stays true.
"""

import importlib
import types

import numpy as np
import pytest
from scipy.sparse import issparse

from clustem.cluster import FuzzyCMeans, GaussianMixture, GustafsonKessel, KMeans
from clustem.core import ClustemError

NOISE = {FuzzyCMeans: {"m": 1.2}}  # at m = 2 fuzzy clusters of noise fall together

pytestmark = pytest.mark.filterwarnings("ignore")  # of theirs, which their own settings allow


def dense(X):
    return X.toarray() if issparse(X) else X


class ScikitKMeans(KMeans):
    """Ours with scikit-learn's parameters; sparse rows are made dense."""

    def __init__(
        self,
        n_clusters=8,
        *,
        init="k-means++",
        n_init="auto",
        max_iter=300,
        tol=1e-4,
        verbose=0,
        random_state=None,
        copy_x=True,
        algorithm="lloyd",
    ):
        self.n_clusters, self.init, self.n_init, self.tol = n_clusters, init, n_init, tol
        self.max_iter, self.verbose, self.copy_x = max_iter, verbose, copy_x
        self.random_state, self.algorithm = random_state, algorithm

    def fit(self, X, y=None, sample_weight=None):
        X = dense(X)
        init = self.init
        if callable(init):
            init = init(X, self.n_clusters, random_state=self.random_state)
        if isinstance(init, str) and init == "random":
            init = "k-means++"  # ours has no worse starts
        if not isinstance(init, str):
            init = np.asarray(dense(init), dtype=float)
        ours = KMeans(
            self.n_clusters,
            init=init,
            n_init=self.n_init if isinstance(self.n_init, int) else 1,
            max_iter=self.max_iter,
            tol=self.tol,
            random_state=self.random_state,
        )
        ours.fit(X, sample_weight=sample_weight)
        for name, value in vars(ours).items():
            if name not in ours.get_params():
                setattr(self, name, value)
        self._n_init = ours.n_init
        return self

    mask = normalize = threads = None

    def _rows(self, X, *, reset):
        return super()._rows(dense(X), reset=reset)


class ScikitMixture(GaussianMixture):
    """Ours with scikit-learn's parameters, full covariances only."""

    def __init__(
        self,
        n_components=1,
        *,
        covariance_type="full",
        tol=1e-3,
        reg_covar=1e-6,
        max_iter=100,
        n_init=1,
        init_params="kmeans",
        random_state=None,
        warm_start=False,
    ):
        super().__init__(
            n_components, tol=tol, max_iter=max_iter, n_init=n_init, random_state=random_state
        )
        self.n_components, self.covariance_type = n_components, covariance_type
        self.reg_covar, self.init_params, self.warm_start = reg_covar, init_params, warm_start

    def _checked(self, *, n_rows=None):
        ours = GaussianMixture(
            self.n_components,
            tol=self.tol,
            max_iter=self.max_iter,
            n_init=self.n_init,
            random_state=self.random_state,
        )
        return ours._checked(n_rows=n_rows)


ScikitMixture.__name__ = "GaussianMixture"  # their tests read it in messages
K_MEANS = "sklearn.cluster.tests.test_k_means"
MIXTURE = "sklearn.mixture.tests.test_gaussian_mixture"
NAMES = {
    K_MEANS: (
        "test_kmeans_results",
        "test_kmeans_relocated_clusters",
        "test_kmeans_convergence",
        "test_all_init",
        "test_fortran_aligned_data",
        "test_kmeans_copyx",
        "test_score_max_iter",
        "test_kmeans_predict",
        "test_dense_sparse",
        "test_predict_dense_sparse",
        "test_integer_input",
        "test_transform",
        "test_fit_transform",
        "test_n_init",
        "test_float_precision",
        "test_centers_not_mutated",
        "test_kmeans_init_fitted_centers",
        "test_kmeans_warns_less_centers_than_unique_points",
        "test_weighted_vs_repeated",
        "test_unit_weights_vs_no_weights",
        "test_scaled_weights",
        "test_kmeans_elkan_iter_attribute",
        "test_kmeans_empty_cluster_relocated",
        "test_result_equal_in_diff_n_threads",
        "test_k_means_1_iteration",
        "test_sample_weight_unchanged",
        "test_kmeans_with_array_like_or_np_scalar_init",
        "test_feature_names_out",
        "test_predict_does_not_change_cluster_centers",
        "test_relocating_with_duplicates",
    ),
    MIXTURE: (
        "test_gaussian_mixture_fit_predict_n_init",
        "test_gaussian_mixture_fit_best_params",
        "test_bic_1d_1component",
        "test_score",
        "test_score_samples",
        "test_gaussian_mixture_single_component_stable",
        "test_multiple_init",
    ),
}
DIFFER = {
    "test_float_precision": "centers are float64 whatever the rows are",
    "test_kmeans_warns_less_centers_than_unique_points": "says it in other words",
    "test_relocating_with_duplicates": "says it in other words",
    "test_gaussian_mixture_single_component_stable": "a mixture draws no new rows (sample)",
}
"""Tests that must fail, each with the reason."""


@pytest.fixture
def global_random_seed():
    """Stand in for scikit-learn's fixture."""
    return 42


@pytest.fixture
def global_dtype():
    return np.float64


def against_ours(function):
    """Return a test function of scikit-learn that sees our estimators instead of its own."""
    ours = {"KMeans": ScikitKMeans, "GaussianMixture": ScikitMixture}
    seen = types.FunctionType(
        function.__code__,
        {**function.__globals__, **ours},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    seen.pytestmark = [ours_only(mark) for mark in getattr(function, "pytestmark", ())]
    if why := DIFFER.get(function.__name__):
        seen.pytestmark.append(pytest.mark.xfail(reason=why, strict=True).mark)
    return seen


def ours_only(mark):
    """Leave only our estimator, and one of two algorithms that are one here."""
    if mark.name != "parametrize":
        return mark
    names, values, *more = mark.args
    if names in ("Estimator", "Klass"):
        return pytest.mark.parametrize(names, [ScikitKMeans]).mark
    if names in ("algo", "algorithm"):
        return pytest.mark.parametrize(names, ["lloyd"]).mark
    if names == "Klass, method":  # of the three the first
        return pytest.mark.parametrize(names, [(ScikitKMeans, "fit")]).mark
    return pytest.mark.parametrize(names, values, *more, **mark.kwargs).mark


for _module, _names in NAMES.items():
    for _name in _names:
        # a name of scikit-learn's that is gone fails here
        globals()[_name] = against_ours(getattr(importlib.import_module(_module), _name))


@pytest.fixture(scope="module")
def spectra():
    """Make a scan with its components, as HyperSpy's tests of clustering do."""
    signals = importlib.import_module("hyperspy.signals")
    signal = signals.Signal1D(np.random.default_rng(123).uniform(size=(7, 5, 7)))
    signal.decomposition(print_info=False)
    return signal


@pytest.mark.parametrize("make", [KMeans, FuzzyCMeans, GustafsonKessel, GaussianMixture])
@pytest.mark.parametrize("preprocessing", [None, "norm"])
@pytest.mark.parametrize("use_masks", [False, True])
@pytest.mark.parametrize("source", ["signal", "decomposition"])
def test_hyperspy_takes_ours_as_its_algorithm(make, preprocessing, use_masks, source, spectra):
    suite = importlib.import_module("hyperspy.tests.learn.test_cluster").TestCluster1D()
    suite.setup_method()
    test = suite.test_combinations
    unwrapped = getattr(test, "__wrapped__", test)
    unwrapped(
        spectra.deepcopy(),
        algorithm=make(3, **NOISE.get(make, {})),
        cluster_source=source,
        preprocessing=preprocessing,
        source_for_centers=None,
        use_masks=use_masks,
    )


def test_the_shims_hide_no_refusal():
    with pytest.raises(ClustemError, match="n_clusters"):
        ScikitKMeans(9).fit(np.eye(3))
