"""Neighbours in Gaussian mixtures and fuzzy clusters: equations by hand, truth under noise."""

import os

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.special import softmax
from scipy.stats import multivariate_normal
from sklearn.metrics import adjusted_rand_score

from clustem.cluster import FuzzyCMeans, GaussianMixture, GustafsonKessel
from clustem.cluster._neighbours import coloring, mean_field
from clustem.cluster.fuzzy import _kernels as kernels
from clustem.cluster.mixture import _potts
from clustem.core import InputError, ParameterError
from clustem.core.history import recording
from clustem.labelmaps.grid_graph import grid_graph

FUZZY = [FuzzyCMeans, GustafsonKessel]
ALL = [GaussianMixture, *FUZZY]
every_fuzzy = pytest.mark.parametrize("make", FUZZY)
every_estimator = pytest.mark.parametrize("make", ALL)


def grid(shape):
    return grid_graph(np.zeros(shape, dtype=bool))


def grains(shape, k, seed=0):
    """Label image of k kinds of grains, some ten pixels wide."""
    rng = np.random.default_rng(seed)
    return np.stack([gaussian_filter(rng.normal(size=shape), 4) for _ in range(k)]).argmax(axis=0)


def lines(shape):
    """Label image of lines that are one pixel wide."""
    truth = np.zeros(shape, dtype=int)
    truth[::9] = truth[:, 5::11] = 1
    return truth


def with_noise(truth, snr, seed=0):
    """Rows (n, 3 or more) whose clusters are ``snr`` standard deviations of the noise apart."""
    k = max(3, int(truth.max()) + 1)
    noise = np.random.default_rng(seed + 100).normal(size=(truth.size, k))
    return snr / np.sqrt(2) * np.eye(k)[truth.ravel()] + noise


def agreement(truth, found):
    return adjusted_rand_score(truth.ravel(), found.labels_)


def results(found):
    return {
        name: np.asarray(value)
        for name, value in vars(found).items()
        if name.endswith("_") and not name.startswith("_") and np.asarray(value).dtype.kind in "bif"
    }


def assert_same_bits(one, other):
    one, other = results(one), results(other)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert_array_equal(value, other[name], err_msg=name)


@pytest.fixture
def small():
    """Two kinds of rows on a scan of 5 x 6, their graph."""
    truth = np.zeros((5, 6), dtype=int)
    truth[1:4, 2:5] = 1
    return with_noise(truth, 2.5, seed=4), grid((5, 6))


class TestGaussianMixture:
    def test_result_solves_the_equations(self, small):
        X, graph = small
        found = GaussianMixture(
            2, connectivity=graph, coupling=0.7, covariance_type="diag", tol=1e-12
        ).fit(X)
        r, weights = found.memberships_, graph.toarray()
        assert found.coupling_ == 0.7
        assert 0.05 < r.max(axis=1).min() < 0.999  # not all rows are certain
        for i in range(len(X)):
            logs = np.empty(2)
            for k in range(2):
                logs[k] = multivariate_normal.logpdf(
                    X[i], found.means_[k], np.diag(found.covariances_[k])
                )
                for j in range(len(X)):
                    logs[k] += 0.7 * weights[i, j] * r[j, k]
            assert_allclose(r[i], softmax(logs), atol=2e-3)
        for k in range(2):
            mean = sum(r[i, k] * X[i] for i in range(len(X))) / r[:, k].sum()
            assert_allclose(found.means_[k], mean, rtol=1e-4)  # memberships are found anew
        assert_allclose(found.weights_, r.mean(axis=0), rtol=1e-3)
        np.testing.assert_array_equal(found.assign(X, connectivity=graph), r)
        np.testing.assert_array_equal(found.assign(X), found.predict_proba(X))

    def test_bound_is_the_likelihood_given_the_neighbours(self, small):
        X, graph = small
        found = GaussianMixture(2, connectivity=graph, coupling=0.7).fit(X)
        prior = softmax(0.7 * (graph @ found.memberships_), axis=1)
        density = sum(
            prior[:, k] * multivariate_normal.pdf(X, found.means_[k], found.covariances_[k])
            for k in range(2)
        )
        assert_allclose(found.lower_bound_, np.log(density).mean(), rtol=1e-5)

    def test_new_rows_have_no_neighbours(self, small):
        X, graph = small
        found = GaussianMixture(2, connectivity=graph, coupling=0.7).fit(X)
        joint = np.stack(
            [
                w * multivariate_normal.pdf(X, m, c)
                for w, m, c in zip(found.weights_, found.means_, found.covariances_, strict=True)
            ],
            axis=1,
        )
        expected = joint / joint.sum(axis=1, keepdims=True)
        assert_allclose(found.predict_proba(X), expected, atol=1e-9)
        assert np.abs(found.memberships_ - expected).max() > 0.05

    @pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
    @pytest.mark.parametrize(("k", "snr", "least"), [(2, 1, 0.7), (3, 1, 0.55), (3, 2, 0.85)])
    def test_noise_is_overcome(self, kind, k, snr, least):
        truth, graph = grains((44, 52), k), grid((44, 52))
        X = with_noise(truth, snr)
        alone = GaussianMixture(k, covariance_type=kind).fit(X)
        found = GaussianMixture(k, covariance_type=kind, connectivity=graph, coupling="auto").fit(X)
        assert found.coupling_ > 0
        assert agreement(truth, found) > least > agreement(truth, alone) + 0.2

    @pytest.mark.filterwarnings("ignore:The likelihood still changed")
    @pytest.mark.parametrize(("k", "columns"), [(2, 1), (3, 3), (4, 10)])
    @pytest.mark.parametrize("seed", [0, 1])
    def test_pure_noise_has_no_coupling(self, k, columns, seed):
        X = np.random.default_rng(seed).normal(size=(40 * 50, columns))
        with recording() as said:
            found = GaussianMixture(k, connectivity=grid((40, 50)), coupling="auto").fit(X)
        assert found.coupling_ == said.found["coupling"] == 0
        assert_same_bits(found, GaussianMixture(k).fit(X))

    def test_a_neighbour_does_not_tell_a_row_of_itself(self):
        truth, graph = grains((20, 24), 2), grid((20, 24))
        evidence = np.random.default_rng(0).normal(size=(truth.size, 2))
        left_out = np.arange(truth.size) % 4 == 1
        other = evidence + 5 * left_out[:, None] * [1, -1]
        potts = _potts.Potts(graph, 0.9)
        one = _potts._prior_of_left_out(evidence, left_out, potts)
        assert_array_equal(one, _potts._prior_of_left_out(other, left_out, potts))
        naive = [
            potts.log_prior(mean_field(values, graph, 0.9, softmax(values, axis=1)))[left_out]
            for values in (evidence, other)
        ]
        assert np.abs(naive[0] - naive[1]).max() > 0.1

    @pytest.mark.parametrize(("snr", "loss"), [(3, 0.06), (4, 0.03), (8, 0.0)])
    def test_lines_of_one_pixel_survive(self, snr, loss):
        truth = lines((50, 60))
        X = with_noise(truth, snr)
        alone = GaussianMixture(2).fit(X)
        found = GaussianMixture(2, connectivity=grid((50, 60)), coupling="auto").fit(X)
        assert agreement(truth, found) >= agreement(truth, alone) - loss
        if snr == 4:  # what a wrong coupling would do
            with pytest.warns(UserWarning, match="hardly more members"):
                wrong = GaussianMixture(2, connectivity=grid((50, 60)), coupling=2.0).fit(X)
            assert agreement(truth, wrong) < 0.3

    def test_a_ramp_is_cut_across(self):
        column = np.indices((40, 50))[1]
        X = column.reshape(-1, 1) / 5 + np.random.default_rng(0).normal(size=(2000, 1))
        found = GaussianMixture(3, connectivity=grid((40, 50)), coupling="auto").fit(X)
        rank = np.argsort(np.argsort(found.means_[:, 0]))[found.labels_].reshape(40, 50)
        assert found.coupling_ > 0
        assert (np.diff(rank.mean(axis=0)) > -0.15).all()
        assert rank.mean(axis=0)[0] < 0.1
        assert rank.mean(axis=0)[-1] > 1.9

    def test_more_than_128_dimensions(self):
        truth = grains((24, 30), 2)
        X = np.random.default_rng(0).normal(size=(truth.size, 140))
        X[:, :4] += 1.0 * truth.reshape(-1, 1)
        given = {"connectivity": grid((24, 30)), "shrinkage": 0.9}
        found = GaussianMixture(2, coupling=0.7, **given).fit(X)
        assert agreement(truth, found) > 0.8 > agreement(truth, GaussianMixture(2, **given).fit(X))

    def test_given_starts_are_the_only_ones(self):
        truth, graph = grains((20, 24), 2), grid((20, 24))
        X = with_noise(truth, 2)
        given = {"connectivity": graph, "coupling": 0.6}
        found = GaussianMixture(2, init=np.eye(2)[1 - truth.ravel()], **given).fit(X)
        assert (found.labels_ == 1 - truth.ravel()).mean() > 0.9
        assert agreement(truth, GaussianMixture(2, markers=1 + truth.ravel(), **given).fit(X)) > 0.7

    def test_energy_by_hand(self):
        graph = grid((5, 6))
        rng = np.random.default_rng(0)
        evidence, r = rng.normal(size=(30, 3)), softmax(rng.normal(size=(30, 3)), axis=1)
        r[3] = [1, 0, 0]
        evidence[3, 1] = -np.inf
        expected, weights = 0.0, graph.toarray()
        for i in range(30):
            for k in range(3):
                if r[i, k]:
                    expected += r[i, k] * (evidence[i, k] - np.log(r[i, k]))
                expected += 0.45 * sum(weights[i, j] * r[i, k] * r[j, k] for j in range(30))
        found = _potts.Potts(graph, 0.9).free_energy(evidence, r)
        assert_allclose(found, expected / 30, rtol=1e-12)
        edges = graph.indptr, graph.indices, graph.data
        plain = _potts.free_energy.py_func(evidence, *edges, 0.9, r, 0, 30)
        assert_allclose(plain, expected, rtol=1e-12)


def test_rows_of_a_color_are_no_neighbours():
    graph = grid((7, 8))
    first, second = graph.nonzero()
    for one in (coloring, coloring.py_func):
        colors = one(graph.indptr, graph.indices)
        assert colors.max() == 3
        assert (colors[first] != colors[second]).all()


def squared_distances(found, X):
    """Squared distances (n, k) by the fitted centers and, where there are, covariances."""
    out = np.empty((len(X), len(found.cluster_centers_)))
    for k, center in enumerate(found.cluster_centers_):
        shape = np.eye(X.shape[1])
        if hasattr(found, "covariances_"):
            shape = found.covariances_[k] / np.linalg.det(found.covariances_[k]) ** (1 / X.shape[1])
        for i in range(len(X)):
            out[i, k] = (X[i] - center) @ np.linalg.inv(shape) @ (X[i] - center)
    return out


class TestFuzzy:
    @every_fuzzy
    @pytest.mark.parametrize("m", [2.0, 1.6])
    def test_result_solves_the_equations(self, make, m, small):
        X, graph = small
        alone = make(2, m=m).fit(X)
        found = make(2, m=m, connectivity=graph, coupling=0.4, tol=1e-14, max_iter=2000).fit(X)
        w = alone.memberships_**m
        beta = 0.4 * (w * squared_distances(alone, X)).sum() / w.sum()
        u, d2, weights = found.memberships_, squared_distances(found, X), graph.toarray()
        objective = 0.0
        for i in range(len(X)):
            far = np.empty(2)
            for k in range(2):
                others = sum(weights[i, j] * u[j, 1 - k] ** m for j in range(len(X)))
                far[k] = d2[i, k] + beta * others
                objective += u[i, k] ** m * (d2[i, k] + beta / 2 * others)
            expected = [
                1 / sum((far[k] / far[j]) ** (1 / (m - 1)) for j in range(2)) for k in (0, 1)
            ]
            assert_allclose(u[i], expected, atol=1e-4)
        assert_allclose(found.objective_, objective, rtol=1e-4)
        means = (u**m).T @ X / (u**m).sum(axis=0)[:, None]
        assert_allclose(found.cluster_centers_, means, atol=1e-3)
        assert np.abs(u - alone.memberships_).max() > 0.02

    @every_fuzzy
    @pytest.mark.parametrize("coupling", [0.3, 3.0])
    def test_the_objective_falls(self, make, coupling, caplog):
        truth, graph = grains((30, 36), 3), grid((30, 36))
        X = with_noise(truth, 2)
        found = make(3, connectivity=graph, coupling=coupling).fit(X)
        assert found.converged_
        assert (np.diff(found.objective_history_) < 0).all()
        assert "rose" not in caplog.text  # which ends a course, too
        assert_allclose(found.memberships_.sum(axis=1), 1, rtol=1e-12)
        assert_array_equal(found.memberships_.argmax(axis=1), found.labels_)

    @every_fuzzy
    def test_noise_is_overcome(self, make):
        truth, graph = grains((44, 52), 2), grid((44, 52))
        X = with_noise(truth, 2)
        assert agreement(truth, make(2).fit(X)) < 0.55
        assert agreement(truth, make(2, connectivity=graph, coupling=1.0).fit(X)) > 0.88

    @every_fuzzy
    @pytest.mark.parametrize("scale", [2.0**-20, 2.0**10])
    def test_units_do_not_matter(self, make, scale, small):
        X, graph = small
        one, other = (
            make(2, connectivity=graph, coupling=0.5).fit(values) for values in (X, scale * X)
        )
        assert_allclose(one.memberships_, other.memberships_, rtol=1e-9)

    def test_lines_of_one_pixel_survive(self):
        truth, graph = lines((50, 60)), grid((50, 60))
        X = with_noise(truth, 8)
        assert agreement(truth, FuzzyCMeans(2, connectivity=graph, coupling=1.0).fit(X)) > 0.99
        assert agreement(truth, FuzzyCMeans(2, connectivity=graph, coupling=20.0).fit(X)) < 0.3

    @every_fuzzy
    def test_a_row_is_no_neighbour_of_itself(self, make, small):
        X, graph = small
        looped = csr_array(graph + csr_array(np.eye(30)))
        one, other = (make(2, connectivity=g, coupling=0.5).fit(X) for g in (graph, looped))
        assert_same_bits(one, other)

    def test_kernels(self):
        graph = grid((5, 6))
        rng = np.random.default_rng(0)
        edges = graph.indptr, graph.indices, graph.data
        first, second = graph.nonzero()
        weights = rng.random((30, 3))
        by_hand = sum(
            value * weights[i, a] * weights[j, b]
            for i, j, value in zip(first, second, graph.toarray()[first, second], strict=True)
            for a in range(3)
            for b in range(3)
            if a != b
        )
        for one in (kernels.disagreement, kernels.disagreement.py_func):
            assert_allclose(one(*edges, weights, 0, 30), by_hand, rtol=1e-12)
        d2, rows = rng.random((30, 3)), np.arange(5, 25)
        found = []
        for one in (kernels.update_in_field, kernels.update_in_field.py_func):
            u, w = np.zeros((30, 3)), weights.copy()
            one(rows, d2, *edges, 0.3, 1.7, u, w)
            found.append((u, w))
        assert_allclose(found[0], found[1], rtol=1e-12)
        assert (found[0][0][:5] == 0).all()
        assert (found[0][1][25:] == weights[25:]).all()


@every_estimator
def test_without_a_coupling_nothing_changes(make):
    truth, graph = grains((20, 24), 2), grid((20, 24))
    X = with_noise(truth, 3)
    one = make(2).fit(X)
    assert_same_bits(one, make(2, connectivity=graph).fit(X))
    assert_same_bits(one, make(2, connectivity=graph, coupling=0.0).fit(X))
    changed = make(2, connectivity=graph, coupling=0.8).fit(X)
    assert np.abs(changed.memberships_ - one.memberships_).max() > 1e-3  # the test can fail


def test_without_neighbours_nothing_changes():
    X = with_noise(grains((20, 24), 2), 3)
    assert_same_bits(GaussianMixture(2).fit(X), GaussianMixture(2, coupling="auto").fit(X))


@every_estimator
def test_threads_do_not_change_a_bit(make, monkeypatch):
    truth = grains((96, 100), 2)  # several blocks of rows
    X, graph, found = with_noise(truth, 2), grid((96, 100)), []
    for count in (1, 3):
        monkeypatch.setattr(
            os, "sched_getaffinity", lambda _, count=count: set(range(count)), raising=False
        )
        found.append(make(2, connectivity=graph, coupling=0.8).fit(X))
    assert_same_bits(*found)


@every_estimator
def test_order_of_rows_does_not_matter(make):
    truth, graph = grains((30, 36), 2), grid((30, 36))
    X = with_noise(truth, 2)
    order = np.random.default_rng(1).permutation(len(X))
    one = make(2, connectivity=graph, coupling=0.8).fit(X)
    other = make(2, connectivity=graph[order][:, order], coupling=0.8).fit(X[order])
    assert adjusted_rand_score(one.labels_[order], other.labels_) > 0.97


@every_estimator
def test_excluded_positions_are_no_neighbours(make):
    truth = grains((30, 36), 2)
    mask = np.zeros(truth.shape, dtype=bool)
    mask[:, 17] = mask[4:9, 3:20] = True
    X = with_noise(truth, 2)[~mask.ravel()]
    graph = grid_graph(mask)
    assert graph.shape == (len(X), len(X))
    found = make(2, connectivity=graph, coupling=0.8).fit(X)
    assert adjusted_rand_score(truth[~mask], found.labels_) > 0.8


@every_estimator
@pytest.mark.parametrize(
    "wrong",
    [
        grid((5, 7)),
        csr_array(np.triu(np.ones((30, 30)))),
        -grid((5, 6)),
        grid((5, 6)) * np.nan,
    ],
    ids=["size", "asymmetric", "negative", "NaN"],
)
def test_a_wrong_connectivity_is_refused(make, wrong, small):
    X, _ = small
    couplings = (0.5, "auto") if make is GaussianMixture else (0.5,)
    for coupling in couplings:
        with pytest.raises(InputError, match="connectivity must be") as refusal:
            make(2, connectivity=wrong, coupling=coupling).fit(X)
        assert refusal.value.got
        assert refusal.value.cure


@every_estimator
@pytest.mark.parametrize("coupling", [-0.1, "strong", None, np.nan])
def test_a_wrong_coupling_is_refused(make, coupling, small):
    X, graph = small
    with pytest.raises(ParameterError, match="coupling"):
        make(2, connectivity=graph, coupling=coupling).fit(X)


@every_estimator
def test_rows_without_any_neighbours(make, small):
    X, _ = small
    alone = csr_array((30, 30))
    found = make(2, connectivity=alone, coupling=0.8).fit(X)
    assert np.isfinite(found.memberships_).all()
    if make is not GaussianMixture:  # there the weights give way to the neighbours
        assert_allclose(found.memberships_, make(2).fit(X).memberships_, atol=1e-3)
