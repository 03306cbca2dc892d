"""Laws of one-dimensional clustering that hold for any numbers."""

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clustem.cluster.kmeans1d.k_means_1d import KMeans1D

VALUES = arrays(np.float64, st.integers(3, 24), elements=st.integers(-300, 300).map(float))
POWERS = st.sampled_from([0.3, 0.5, 1.0, 1.7, 2.0])
CLUSTERS = st.integers(1, 4)


def fitted(x, k, p):
    return KMeans1D(k, p=p).fit(x[:, None])


@settings(max_examples=40, deadline=None)
@given(VALUES, CLUSTERS, POWERS, st.sampled_from([-2.0, 0.5, 8.0]), st.integers(-50, 50))
def test_moved_and_stretched_values_cost_alike(x, k, p, stretch, shift):
    assume(len(np.unique(x)) >= k)
    one, other = fitted(x, k, p), fitted(stretch * x + shift, k, p)
    expected = one.cost_ * abs(stretch) ** p
    np.testing.assert_allclose(other.cost_, expected, rtol=1e-9, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(VALUES, CLUSTERS, POWERS)
def test_one_cluster_more_never_costs_more(x, k, p):
    assume(len(np.unique(x)) > k)
    assert fitted(x, k + 1, p).cost_ <= fitted(x, k, p).cost_ * (1 + 1e-12) + 1e-12


@settings(max_examples=40, deadline=None)
@given(VALUES, CLUSTERS, POWERS, st.randoms(use_true_random=False))
def test_any_other_centers_cost_at_least_as_much(x, k, p, random):
    assume(len(np.unique(x)) >= k)
    found = fitted(x, k, p)
    centers = np.array([random.uniform(x.min(), x.max()) for _ in range(k)])
    cost = (np.abs(x[:, None] - centers).min(axis=1) ** p).sum()
    assert found.cost_ <= cost * (1 + 1e-9) + 1e-9
    assert (np.diff(found.cluster_centers_[:, 0]) < 0).all()
