"""Laws of fuzzy clustering on data that Hypothesis makes up."""

import warnings
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal

from clustem.cluster import FuzzyCMeans, GustafsonKessel, PossibilisticCMeans
from clustem.cluster.fuzzy import _course

every_kind = pytest.mark.parametrize(
    "make", [FuzzyCMeans, GustafsonKessel, PossibilisticCMeans], ids=lambda make: make.__name__
)
few_examples = settings(max_examples=30, deadline=None)

steps = st.integers(-8, 8).map(float)  # many equal rows, lines and planes
smooth = st.floats(-1e3, 1e3, allow_nan=False, width=32)


@st.composite
def tables(draw):
    n, D = draw(st.integers(1, 25)), draw(st.integers(1, 4))
    X = draw(arrays(np.float64, (n, D), elements=draw(st.sampled_from([steps, smooth]))))
    return X, draw(st.integers(1, min(n, 5)))


def fitted(make, X, k, *, n_init=3, **params):
    # The objective falls by itself: that rises are cut off is for rounding alone.
    rose = AssertionError("the objective rose")
    with warnings.catch_warnings(), patch.object(_course._log, "warning", side_effect=rose):
        # Such data have flat and coincident clusters, which is said; laws hold for them too.
        warnings.simplefilter("ignore", UserWarning)
        return make(k, n_init=n_init, **params).fit(X)


@every_kind
@few_examples
@given(tables(), st.sampled_from([1.1, 1.5, 2.0, 3.5]))
def test_objective_falls_and_memberships_are_memberships(make, features, m):
    X, k = features
    shrinkage = {"shrinkage": 0.1} if make is GustafsonKessel and len(X) % 2 else {}
    found = fitted(make, X, k, m=m, **shrinkage)
    history, u = found.objective_history_, found.memberships_
    assert np.isfinite(history).all()
    assert np.all(np.diff(history) <= 0)
    assert found.objective_ == history[-1] >= 0
    assert ((u >= 0) & (u <= 1 + 1e-12)).all()
    if make is not PossibilisticCMeans:
        assert_allclose(u.sum(axis=1), 1, rtol=1e-12)
    assert_array_equal(u[np.arange(len(X)), found.labels_], u.max(axis=1))
    low, high = X.min(axis=0), X.max(axis=0)
    slack = 1e-9 * (1 + np.abs(X).max())
    assert np.all(found.cluster_centers_ >= low - slack)
    assert np.all(found.cluster_centers_ <= high + slack)


@every_kind
@few_examples
@given(tables(), st.integers(-40, 40))
def test_power_of_two_units_scale_the_result(make, features, exponent):
    X, k = features
    unit = 2.0**exponent
    one, other = fitted(make, X, k), fitted(make, X * unit, k)
    assert_allclose(one.memberships_, other.memberships_, atol=1e-7)
    assert_allclose(one.cluster_centers_ * unit, other.cluster_centers_, atol=1e-6 * unit * 1e3)
    assert other.objective_ == pytest.approx(one.objective_ * unit**2, rel=1e-9)


@few_examples
@given(st.integers(0, 2**31), arrays(np.float64, (2, 2), elements=st.floats(-3, 3, width=32)))
def test_ellipsoids_do_not_depend_on_axes_or_units(seed, turn):
    turn = turn + np.diag([4.5, -4.5])  # far from singular
    rng = np.random.default_rng(seed)
    X = np.concatenate([rng.normal(size=(25, 2)), rng.normal(size=(35, 2)) * [1, 4] + [14, 0]])
    one, other = GustafsonKessel(2).fit(X), GustafsonKessel(2).fit(X @ turn + [3.0, -100.0])
    same = one.labels_[0] == other.labels_[0]
    u = other.memberships_ if same else other.memberships_[:, ::-1]
    assert_allclose(u, one.memberships_, atol=1e-3)


@every_kind
@few_examples
@given(tables(), st.integers(0, 2**32 - 1))
def test_a_rerun_is_the_same_to_the_bit(make, features, seed):
    X, k = features
    one, other = fitted(make, X, k, random_state=seed), fitted(make, X, k, random_state=seed)
    assert_array_equal(one.memberships_, other.memberships_)
    assert_array_equal(one.cluster_centers_, other.cluster_centers_)
    assert_array_equal(one.objective_history_, other.objective_history_)
