"""Laws that every estimator of the stage cluster keeps; new ones are found by themselves."""

import os
from functools import partial

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import coo_array, csr_array, csr_matrix, issparse
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from clustem.cluster.kmeans1d.k_means_1d import KMeans1D
from clustem.cluster.mixture.joint_mixture import JointMixture
from clustem.cluster.mixture.multinomial_mixture import MultinomialMixture
from clustem.core import InputError, ParameterError, UnknownNameError, registry

ENTRIES = list(registry("cluster").values())
every_estimator = pytest.mark.parametrize(
    "make", [entry.step for entry in ENTRIES], ids=[entry.name for entry in ENTRIES]
)

# Data without clusters, or of few rows, are reported by honest warnings; they are not the subject
# of the tests that carry this mark.
warnings_allowed = pytest.mark.filterwarnings("ignore::UserWarning")


NOT_RUN = {
    "check_array_api_input": "does nothing unless an environment variable is set from the start",
    "check_sample_weights_pandas_series": "does nothing without pandas, which Clustem does not use",
}


NOT_FOR = {
    (name, check): why
    for name in ("MultinomialMixture", "JointMixture")
    for check, why in {
        "check_clustering": "its data are negative, and counts are not",
        "check_estimator_sparse_array": "takes predict_proba for a classifier's",
        "check_estimator_sparse_matrix": "takes predict_proba for a classifier's",
        "check_positive_only_tag_during_fit": "wants scikit-learn's own words",
    }.items()
}


class OfFirstColumn(KMeans1D):
    """Takes rows of any width, so that all checks reach what takes one column only.

    scikit-learn knows such estimators as those of one-dimensional arrays, which it does not check.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, True
        return tags

    def _column(self, X, *, reset):
        if np.asarray(X).ndim == 1:
            self._validated(X, reset=reset)  # wants a matrix
        return super()._column(X, reset=reset)

    def _require_one_column(self, x):
        pass


class Rounded:
    """Takes any numbers of at least 0, so that all checks reach what takes counts only."""

    def _source(self, X, *, reset):
        if issparse(X):
            X = X.tocsr(copy=True)
            X.data = np.ceil(X.data)
            return super()._source(X, reset=reset)
        checked = self._validated(X, reset=reset)
        return super()._source(np.rint(20 * checked), reset=reset)


class OfRounded(Rounded, MultinomialMixture):
    pass


class OfRoundedToo(Rounded, JointMixture):
    pass


OF_COUNTS = {MultinomialMixture: OfRounded, JointMixture: OfRoundedToo}


def scikit_learn_checks():
    for entry in ENTRIES:
        # three clusters: some checks have no more different values
        one_column = entry.step is KMeans1D
        made = OfFirstColumn(3) if one_column else entry.step()
        made = OF_COUNTS[entry.step]() if entry.step in OF_COUNTS else made
        for estimator, check in estimator_checks_generator(made):
            name = getattr(check, "func", check).__name__
            if name not in NOT_RUN and (entry.name, name) not in NOT_FOR:
                yield pytest.param(estimator, check, id=f"{entry.name}-{name}")


def columns_for(make, X):
    if make in OF_COUNTS:
        return np.minimum(np.rint(np.abs(X)), 1e5)
    return X[:, :1] if make is KMeans1D else X


@pytest.fixture
def rows(make):
    """Three clouds of different sizes and widths, counts from 0 to 255, shape (940, 4) or 1."""
    rng = np.random.default_rng(5)
    centers = np.array([[40, 200, 30, 90], [200, 60, 120, 90], [90, 90, 220, 40]])
    sizes, widths = (500, 240, 200), (9.0, 6.0, 4.0)
    clouds = [
        rng.normal(center, width, (size, 4))
        for center, size, width in zip(centers, sizes, widths, strict=True)
    ]
    return columns_for(make, np.clip(np.concatenate(clouds), 0, 255).round())


@pytest.fixture
def limit_cores(monkeypatch):
    def limit(count):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)), raising=False)

    return limit


def results(estimator):
    """Public fitted attributes that are arrays or numbers."""
    found = {
        name: np.asarray(value)
        for name, value in vars(estimator).items()
        if name.endswith("_") and not name.startswith("_")
    }
    return {name: value for name, value in found.items() if value.dtype.kind in "bif"}


@pytest.mark.parametrize(("estimator", "check"), list(scikit_learn_checks()))
@warnings_allowed
def test_scikit_learn_accepts(estimator, check):
    check(estimator)


@every_estimator
def test_clusters_are_found(make, rows):
    found = make(3).fit(rows)
    truth = np.repeat([0, 1, 2], [500, 240, 200])
    assert adjusted_rand_score(truth, found.labels_) > 0.99
    assert found.labels_.shape == (940,)
    assert found.labels_.dtype.kind == "i"
    assert found.cluster_centers_.shape == (3, rows.shape[1])
    assert found.n_features_in_ == rows.shape[1]
    near = [rows[found.labels_ == i].mean(axis=0) for i in range(3)]
    assert np.abs(found.cluster_centers_ - near).max() < 9  # the widest cloud


@every_estimator
def test_order_of_rows_does_not_matter(make, rows):
    order = np.random.default_rng(1).permutation(len(rows))
    one, other = make(3).fit(rows).labels_, make(3).fit(rows[order]).labels_
    assert adjusted_rand_score(one[order], other) == 1.0


@every_estimator
def test_same_seed_same_bits(make, rows):
    one, other = (results(make(3, random_state=7).fit(rows)) for _ in range(2))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert_array_equal(value, other[name], err_msg=name)


@every_estimator
@pytest.mark.parametrize("make_state", [np.random.RandomState, np.random.default_rng])
def test_generators_give_a_new_seed_for_each_fit(make, rows, make_state):
    found = [results(make(3, random_state=make_state(7)).fit(rows)) for _ in range(2)]
    for name, value in found[0].items():
        assert_array_equal(value, found[1][name], err_msg=name)
    state, other = make_state(7), make_state(7)
    make(3, random_state=state).fit(rows)
    drawn = [g.random(3).tolist() for g in (state, other)]
    assert drawn[0] != drawn[1]  # a fit takes from it, so the next one starts elsewhere


@every_estimator
def test_no_seed_draws_from_numpys_as_scikit_learn_does(make, rows):
    before = np.random.get_state()  # noqa: NPY002  # the law is about this one
    try:
        found = []
        for _ in range(2):
            np.random.seed(3)  # noqa: NPY002
            found.append(results(make(3, random_state=None).fit(rows)))
    finally:
        np.random.set_state(before)  # noqa: NPY002
    for name, value in found[0].items():
        assert_array_equal(value, found[1][name], err_msg=name)


@every_estimator
@pytest.mark.parametrize("seed", [-1, "seven", 2.5])
def test_what_is_no_seed_is_refused(make, rows, seed):
    with pytest.raises(ParameterError, match="random_state must be an integer of at least 0"):
        make(3, random_state=seed).fit(rows)


@every_estimator
def test_threads_do_not_change_a_bit(make, rows, limit_cores):
    many = columns_for(make, np.concatenate([rows, rows[::-1], rows + 0.25, rows[::2] - 0.5]))
    found = []
    for count in (1, 3):
        limit_cores(count)
        found.append(results(make(3).fit(many)))
    for name, value in found[0].items():
        assert_array_equal(value, found[1][name], err_msg=name)


@every_estimator
def test_input_stays_as_it_was(make, rows):
    before = rows.copy()
    make(3).fit(rows)
    assert_array_equal(rows, before)


@every_estimator
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint16, np.float32])
def test_number_type_does_not_matter(make, rows, dtype):
    assert_array_equal(make(3).fit(rows.astype(dtype)).labels_, make(3).fit(rows).labels_)


@every_estimator
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(make, rows, bad):
    broken = rows.copy()
    broken[11, -1] = bad
    with pytest.raises(InputError, match=r"NaN|inf") as refusal:
        make(3).fit(broken)
    assert refusal.value.got
    assert refusal.value.cure


@every_estimator
@pytest.mark.parametrize(
    ("k", "words"), [(31, r"rows \(30\)"), (0, "at least 1"), (2.5, "integer")]
)
def test_impossible_numbers_of_clusters_are_refused(make, rows, k, words):
    with pytest.raises(
        ParameterError, match=rf"n_clusters must be .*{words}.*; got {k}\."
    ) as refusal:
        make(k).fit(rows[:30])
    assert refusal.value.got is not None
    assert refusal.value.cure


@every_estimator
def test_more_starts_than_memory_holds_are_refused(make, rows):
    if "n_init" not in make().get_params():
        pytest.skip("one start")
    with pytest.raises(InputError, match=r"n_init must be .* at most 1000"):
        make(3, n_init=10**9).fit(rows)


@every_estimator
def test_an_unknown_parameter_is_refused_with_the_nearest(make):
    with pytest.raises(UnknownNameError, match="Did you mean 'n_clusters'"):
        make(n_cluster=3)


@every_estimator
def test_new_rows_go_where_equal_old_ones_are(make, rows):
    found = make(3).fit(rows)
    assert_array_equal(found.predict(rows[100:700:7]), found.labels_[100:700:7])
    if hasattr(found, "memberships_"):
        new = found.predict_proba(rows[100:700:7])
        np.testing.assert_allclose(new, found.memberships_[100:700:7], atol=1e-12)
        assert_array_equal(new.argmax(axis=1), found.labels_[100:700:7])
        assert_array_equal(found.memberships_.argmax(axis=1), found.labels_)


def one_column(make):
    return make is KMeans1D


@pytest.mark.filterwarnings("ignore:Can't test estimator KMeans1D which requires input")
def test_scikit_learn_knows_that_one_column_is_wanted():
    check_estimator(KMeans1D())
    numbers = np.array([0.0, 0.1, 0.3, 5.0])
    one, other = KMeans1D(2).fit(numbers), KMeans1D(2).fit(numbers[:, None])
    assert_array_equal(one.labels_, other.labels_)
    assert_array_equal(other.predict(numbers), one.labels_)


@every_estimator
@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_values_whose_powers_are_no_numbers_are_refused(make, rows, size):
    if make in OF_COUNTS:
        pytest.skip("counts are not that small or large")
    if one_column(make):
        make = partial(make, p=2)
    with pytest.raises(InputError, match=r"must differ by 1e-140 to 1e140.*scale them"):
        make(3).fit(rows * size)


@every_estimator
def test_small_and_large_units_change_nothing(make, rows):
    if make in OF_COUNTS:
        pytest.skip("counts have no unit")
    found = make(3).fit(rows)
    for size in (2.0**-400, 2.0**400):  # about 1e-120 and 1e120
        other = make(3).fit(rows * size)
        assert_array_equal(other.labels_, found.labels_)
        for name in ("inertia_", "objective_"):
            if hasattr(found, name):
                expected = getattr(found, name) * size**2
                assert getattr(other, name) == pytest.approx(expected, rel=1e-6)


@every_estimator
def test_masked_values_are_refused_and_empty_masks_are_not(make, rows):
    values = np.ma.masked_array(rows, mask=False)
    assert_array_equal(make(3).fit(values).labels_, make(3).fit(rows).labels_)
    values[5, 0] = np.ma.masked
    for method in (make(3).fit, make(3).fit(rows).predict):
        with pytest.raises(InputError, match=r"masked values; got 1 in 1 of 940 rows\..*filled"):
            method(values)


@every_estimator
@pytest.mark.parametrize("form", [csr_array, csr_matrix, coo_array])
def test_sparse_counts_are_taken_or_refused(make, rows, form):
    if make in OF_COUNTS:
        assert_array_equal(make(3).fit(form(rows)).labels_, make(3).fit(rows).labels_)
        return
    for method in (make(3).fit, make(3).fit(rows).predict):
        with pytest.raises(InputError, match=r"sparse.*toarray\(\)"):
            method(form(rows))


@every_estimator
@warnings_allowed
def test_a_grid_search_finds_the_better_number_of_clusters(make, rows):
    some = np.random.default_rng(2).permutation(rows)[::2]  # folds are cut in order
    search = GridSearchCV(make(), {"n_clusters": [1, 3]}, cv=3).fit(some)
    assert search.best_params_ == {"n_clusters": 3}
    assert np.isfinite(search.best_score_)


@every_estimator
def test_names_of_columns_are_remembered(make, rows):
    frame = pd.DataFrame(rows, columns=[f"PC {i}" for i in range(rows.shape[1])])
    found = make(3).fit(frame)
    assert found.feature_names_in_.tolist() == list(frame.columns)
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame.rename(columns={"PC 0": "other"}))
    if hasattr(found, "transform"):
        out = found.set_output(transform="pandas").transform(frame)
        assert list(out.columns) == list(found.get_feature_names_out())
        assert out.index.equals(frame.index)


def odd_data():
    rng = np.random.default_rng(3)
    yield "one cluster", rng.normal(size=(23, 3)), 1
    yield "as many clusters as rows", rng.normal(size=(6, 2)), 6
    yield "equal rows", np.full((12, 3), 7.5), 2
    yield "fewer different rows than clusters", np.repeat(np.eye(3), 5, axis=0), 5
    yield "constant columns", np.column_stack([rng.normal(size=(40, 2)), np.full(40, 3.0)]), 3
    yield "rows on a line", rng.normal(size=(50, 1)) * [1.0, -2.0, 0.5] + [5.0, 1.0, 1e3], 3
    yield "one column", rng.normal(size=(40, 1)), 3
    yield "more columns than rows", rng.normal(size=(20, 200)), 2
    yield "far from zero", 1e8 + rng.normal(size=(60, 3)), 3
    yield "columns of very different units", rng.normal(size=(60, 3)) * [1e6, 1.0, 1e-6], 3


@every_estimator
@pytest.mark.parametrize(("X", "k"), [pytest.param(*data, id=name) for name, *data in odd_data()])
@warnings_allowed
def test_odd_data_give_finite_results(make, X, k):
    X = columns_for(make, X)
    if make is KMeans1D and len(np.unique(X)) < k:  # its clusters are never empty
        with pytest.raises(ParameterError, match="number of different values"):
            make(k).fit(X)
        return
    found = make(k).fit(X)
    for name, value in results(found).items():
        assert np.isfinite(value).all(), name
    assert len(found.cluster_centers_) == k
    assert set(found.labels_.tolist()) <= set(range(k))
    low, high = X.min(axis=0), X.max(axis=0)
    slack = 1e-9 * np.abs(X).max()
    assert (
        (found.cluster_centers_ >= low - slack) & (found.cluster_centers_ <= high + slack)
    ).all()
