"""One-dimensional k-means with any power against trying everything."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from clustem.cluster.kmeans1d import _kernels as interval_kernels
from clustem.cluster.kmeans1d import _solve as interval_solve
from clustem.cluster.kmeans1d._solve import cost_of, nearest_center, optimum
from clustem.cluster.kmeans1d.k_means_1d import KMeans1D
from clustem.core import InputError, ParameterError


def best_of_one(x, weights, p):
    """Least cost of one cluster, its center found without any shortcut."""
    if p <= 1:
        return min(weights @ np.abs(x - c) ** p for c in x)
    if len(x) == 1:
        return 0.0
    found = minimize_scalar(
        lambda c: weights @ np.abs(x - c) ** p,
        bounds=(x.min(), x.max()),
        method="bounded",
        options={"xatol": 1e-12},
    )
    return found.fun


def tried_out(x, weights, k, p):
    """Least cost of all ways to cut sorted values into k intervals."""
    costs = {
        (a, b): best_of_one(x[a:b], weights[a:b], p) for a, b in combinations(range(len(x) + 1), 2)
    }
    cuts = combinations(range(1, len(x)), k - 1)
    return min(sum(costs[span] for span in pairwise((0, *cut, len(x)))) for cut in cuts)


def some_values(rng, m):
    kind = rng.integers(3)
    if kind == 0:
        return rng.normal(size=m)
    if kind == 1:
        return rng.integers(0, 12, m).astype(float)  # equal ones, equal gaps
    return rng.standard_cauchy(m)  # far outliers


@pytest.mark.parametrize("p", [0.5, 1, 2])
def test_the_optimum_is_that_of_trying_everything(p):
    rng = np.random.default_rng(int(10 * p))
    for _ in range(50):
        rows = some_values(rng, int(rng.integers(2, 11)))
        x, counts = np.unique(rows, return_counts=True)
        k = int(rng.integers(1, len(x) + 1))
        found = KMeans1D(k, p=p).fit(rows[:, None])
        assert found.optimal_
        assert found.gap_bound_ == 0
        expected = tried_out(x, counts.astype(float), k, p)
        np.testing.assert_allclose(found.cost_, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("p", [0.2, 0.8, 1.4, 3.0])
def test_other_powers_too_and_weights(p):
    rng = np.random.default_rng(7)
    for _ in range(12):
        x = np.unique(some_values(rng, 8))
        weights = rng.random(len(x)) + 0.01
        k = int(rng.integers(1, len(x)))
        found = optimum(x, weights, k, p)
        expected = tried_out(x, weights, k, p)
        np.testing.assert_allclose(found.cost, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
def test_no_start_of_lloyds_beats_it(p):
    rng = np.random.default_rng(3)
    x = np.sort(np.concatenate([rng.normal(0, 1, 90), rng.normal(4, 0.4, 60), [11, 12, 30]]))
    ones = np.ones(len(x))
    found = optimum(x, ones, 5, p)
    reached = []
    for _ in range(60):
        centers = np.sort(rng.choice(x, 5, replace=False))
        for _ in range(40):
            label = nearest_center(x, centers)
            groups = [x[label == i] for i in np.unique(label)]
            if p == 2:
                centers = np.array([group.mean() for group in groups])
            else:
                costs = [(np.abs(g[:, None] - g) ** p).sum(axis=0) for g in groups]
                pairs = zip(groups, costs, strict=True)
                centers = np.array([group[cost.argmin()] for group, cost in pairs])
        reached.append(cost_of(x, ones, centers, p))
    assert min(reached) >= found.cost * (1 - 1e-12)
    assert max(reached) > found.cost * 1.01  # the starts do differ


@pytest.mark.parametrize("p", [0.5, 0.8, 1, 1.5, 2, 3])
def test_bins_keep_their_bound(p, monkeypatch):
    rng = np.random.default_rng(5)
    parts = [rng.normal(0, 1, 150), rng.normal(6, 0.3, 100), rng.normal(-3, 0.1, 50), [40.0]]
    x = np.unique(np.concatenate(parts))
    weights = rng.random(len(x)) + 0.5
    monkeypatch.setattr(interval_solve, "_CONVEX", 1000)
    exact = optimum(x, weights, 4, p)
    assert exact.exact
    for name, value in (("_CONCAVE", 200), ("_BINS", 100), ("_CONVEX", 60), ("CUT_MEMORY", 240)):
        monkeypatch.setattr(interval_solve, name, value)
    rough = optimum(x, weights, 4, p)
    assert not rough.exact
    assert rough.bound <= exact.cost * (1 + 1e-12)
    assert exact.cost * (1 - 1e-12) <= rough.cost < 1.05 * exact.cost
    assert 0 < rough.gap < 2.5


def test_many_values_in_bins_are_nearly_optimal():
    rng = np.random.default_rng(5)
    x = np.concatenate([rng.normal(i, 0.05 + 0.02 * i, 6000) for i in range(5)])
    found = KMeans1D(5).fit(x[:, None])
    assert not found.optimal_
    assert 0 < found.gap_bound_ < 0.02
    medians = np.sort([np.median(x[found.labels_ == i]) for i in range(5)])[::-1]
    np.testing.assert_allclose(found.cluster_centers_[:, 0], medians, atol=0.03)


def test_numbers_fall_with_the_centers_and_agreement_is_a_share():
    x = np.array([[1.0], [9.0], [1.2], [1.1], [5.0], [5.2], [1.05]])
    found = KMeans1D(3).fit(x)
    assert found.labels_.tolist() == [2, 0, 2, 2, 1, 1, 2]
    assert (np.diff(found.cluster_centers_[:, 0]) < 0).all()
    assert set(found.cluster_centers_[:, 0]) <= set(x[:, 0])
    assert found.agreement_ == 1
    np.testing.assert_allclose(found.transform(x).argmin(axis=1), found.labels_)
    rows = np.array([0, 0, 0, 0, 0, 1.0, 1.1, 1.2, 1.3, 9.0])[:, None]
    one, half = KMeans1D(2, p=1).fit(rows), KMeans1D(2, p=0.2).fit(rows)
    assert half.agreement_ == np.mean(one.labels_ == half.labels_) < 1


def test_weights_are_repetitions():
    rng = np.random.default_rng(2)
    x, times = rng.normal(size=30), rng.integers(0, 4, 30)
    for p in (0.5, 1, 2, 2.5):
        one = KMeans1D(4, p=p).fit(x[:, None], sample_weight=times)
        other = KMeans1D(4, p=p).fit(np.repeat(x, times)[:, None])
        np.testing.assert_allclose(one.cost_, other.cost_, rtol=1e-12)
        np.testing.assert_allclose(one.cluster_centers_, other.cluster_centers_, rtol=1e-9)


def test_the_cost_is_that_of_the_labels():
    x = np.random.default_rng(8).gamma(2.0, size=(300, 1))
    for p in (0.5, 1, 2, 4):
        found = KMeans1D(6, p=p).fit(x)
        away = np.abs(x[:, 0] - found.cluster_centers_[found.labels_, 0])
        np.testing.assert_allclose(found.cost_, (away**p).sum(), rtol=1e-12)


def test_compiled_loops_are_the_written_ones():
    rng = np.random.default_rng(4)
    x = np.unique(rng.integers(0, 60, 25).astype(float))
    weights = rng.random(len(x))
    for p in (0.5, 0.7):
        for bound in (np.inf, 1.5 * optimum(x, weights, 3, p).cost):
            one = interval_kernels.best_centers(x, x, weights, 3, p, bound)
            other = interval_kernels.best_centers.py_func(x, x, weights, 3, p, bound)
            np.testing.assert_allclose(one[0], other[0], rtol=1e-12)
            assert one[1].tolist() == other[1].tolist()
    for p in (1.0, 2.0, 2.5):
        one = interval_kernels.best_intervals(x, weights, 4, p)
        assert one.tolist() == interval_kernels.best_intervals.py_func(x, weights, 4, p).tolist()


@pytest.mark.parametrize(
    ("rows", "settings", "words"),
    [
        (np.ones((5, 2)), {}, r"one column.*; got 2 columns\. .*KMeans"),
        (np.ones((9, 1)), {}, r"different values \(1\); got 5"),
        (np.array([[1.0], [2.0], [2.0]]), {"n_clusters": 3}, r"different values \(2\); got 3"),
        (np.eye(7, 1), {"p": 0}, r"p must be .*greater than 0.*; got 0"),
        (np.array([[-1.7e308], [1.7e308]]), {"n_clusters": 2}, "Scale them"),
        (np.zeros((0, 1)), {}, "0 sample"),
    ],
)
def test_what_cannot_be_clustered_is_refused(rows, settings, words):
    with pytest.raises((InputError, ParameterError), match=words):
        KMeans1D(**settings).fit(rows)
