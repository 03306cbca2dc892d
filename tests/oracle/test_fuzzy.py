"""Fuzzy clustering against plain loops over the formulas, worked examples and published numbers."""

import logging
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from clustem.cluster import FuzzyCMeans, GustafsonKessel, KMeans, PossibilisticCMeans
from clustem.cluster.fuzzy._course import alternate, to_means
from clustem.cluster.fuzzy._passes import Frame, Space, State
from clustem.cluster.fuzzy.gustafson_kessel import _clipped, _metric
from clustem.core import ParameterError

FORMS = ("compiled", "plain")


def form_of(kernel, form):
    return kernel if form == "compiled" else kernel.py_func


def squared(x, center, metric):
    return float((x - center) @ metric @ (x - center))


def loop_memberships(X, centers, metrics, m):
    u = np.zeros((len(X), len(centers)))
    for n, x in enumerate(X):
        d2 = [squared(x, c, A) for c, A in zip(centers, metrics, strict=True)]
        on = [i for i, d in enumerate(d2) if d == 0]
        for i in range(len(centers)):
            if on:
                u[n, i] = (i in on) / len(on)
            else:
                u[n, i] = 1 / sum((d2[i] / d) ** (1 / (m - 1)) for d in d2)
    return u


def loop_typicalities(X, centers, eta, m):
    eye = np.eye(X.shape[1])
    return np.array(
        [
            [
                1 / (1 + (squared(x, c, eye) / e) ** (1 / (m - 1)))
                for c, e in zip(centers, eta, strict=True)
            ]
            for x in X
        ]
    )


def loop_objective(X, u, centers, metrics, m):
    return sum(
        u[n, i] ** m * squared(X[n], centers[i], metrics[i])
        for n in range(len(X))
        for i in range(len(centers))
    )


def loop_means(X, u, m):
    return np.array(
        [
            sum(u[n, i] ** m * X[n] for n in range(len(X))) / sum(u[:, i] ** m)
            for i in range(u.shape[1])
        ]
    )


def loop_covariances(X, u, centers, m):
    return np.array(
        [
            sum(u[n, i] ** m * np.outer(X[n] - c, X[n] - c) for n in range(len(X)))
            / sum(u[:, i] ** m)
            for i, c in enumerate(centers)
        ]
    )


def metrics_of(covariances, volumes):
    D = covariances.shape[1]
    return np.array(
        [
            (rho * np.linalg.det(F)) ** (1 / D) * np.linalg.inv(F)
            for F, rho in zip(covariances, volumes, strict=True)
        ]
    )


def tilted(seed, *, n=500):
    """Four 3-D clouds, long in the same slanted directions, and where each row comes from."""
    rng = np.random.default_rng(seed)
    shear = np.array([[1.0, 0.0, 0.0], [3.0, 1.0, 0.0], [-2.0, 4.0, 1.0]])
    centers = np.array([[0.0, 0.0, 0.0], [5.6, 0.0, 0.0], [0.0, 5.6, 1.4], [0.0, 0.0, 7.0]])
    sizes = [n, n + 50, n + 100, n + 150]
    clouds = [rng.normal(c, 0.7, (size, 3)) for c, size in zip(centers, sizes, strict=True)]
    return np.concatenate(clouds) @ shear.T, np.repeat(np.arange(4), sizes)


@pytest.fixture(scope="module")
def few():
    """Three overlapping clouds, (67, 3)."""
    rng = np.random.default_rng(8)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    clouds = [rng.normal(size=(size, 3)) * [3, 1, 0.5] @ turn for size in (30, 20, 17)]
    return np.concatenate([clouds[0], clouds[1] @ turn + [4, 0, 1], clouds[2] + [0, 5, -3]])


class TestFuzzyCMeans:
    def test_a_worked_example(self):
        # Two centers at 0 and 2: a row on one, one between, one outside with d² = 9 and 1.
        found = FuzzyCMeans(2).fit([[0.0], [0.0], [2.0], [2.0]])
        order = np.argsort(found.cluster_centers_[:, 0])
        u = found.predict_proba([[0.0], [1.0], [3.0]])[:, order]
        assert_allclose(u, [[1, 0], [0.5, 0.5], [0.1, 0.9]], atol=1e-12)

    def test_iris_as_published(self):
        # R, package e1071: cmeans(iris[, 1:4], 3)$centers. The data are scikit-learn's.
        found = FuzzyCMeans(3, tol=1e-13).fit(load_iris().data)
        centers = found.cluster_centers_[np.argsort(found.cluster_centers_[:, 0])]
        published = [
            [5.003966, 3.414089, 1.482816, 0.2535463],
            [5.888932, 2.761069, 4.363952, 1.3973150],
            [6.775011, 3.052382, 5.646782, 2.0535467],
        ]
        assert_allclose(centers, published, atol=1e-6)

    @pytest.mark.parametrize("m", [2.0, 1.3, 2.6])
    def test_result_solves_the_equations(self, few, m):
        found = FuzzyCMeans(3, m=m, tol=1e-14, max_iter=5000).fit(few)
        u, c = found.memberships_, found.cluster_centers_
        eyes = [np.eye(3)] * 3
        assert_allclose(u, loop_memberships(few, c, eyes, m), atol=1e-10)
        assert_allclose(c, loop_means(few, u, m), atol=1e-4)
        assert found.objective_ == pytest.approx(loop_objective(few, u, c, eyes, m), rel=1e-12)

    def test_row_on_several_centers(self):
        found = FuzzyCMeans(3).fit(np.repeat([[0.0, 1.0], [4.0, 1.0]], 5, axis=0))
        expected = loop_memberships([[0.0, 1.0]], found.cluster_centers_, [np.eye(2)] * 3, 2.0)
        assert_allclose(found.predict_proba([[0.0, 1.0]]), expected)
        assert sorted(expected[0]) in ([0, 0, 1], [0, 0.5, 0.5])

    def test_starts_differ_and_the_best_wins(self, few):
        frame = Frame(few, Space.plain(few), 2.0)
        drawn = frame.draw_centers(3, 6, 0)
        assert len(np.unique(drawn.reshape(6, -1), axis=0)) == 6
        assert not np.array_equal(drawn, frame.draw_centers(3, 6, 1))
        drawn[0] = frame.space.coordinates(KMeans(3).fit(few).cluster_centers_)  # never a worse one
        course = alternate(frame, State.euclidean(drawn), to_means, max_iter=300, tol=1e-8)
        lowest = min(h[-1] for h in course.history) * frame.space.unit
        assert FuzzyCMeans(3, n_init=6).fit(few).objective_ == pytest.approx(lowest, rel=1e-14)

    def test_drawn_centers_are_rows_and_distinct(self, few):
        drawn = Frame(few, Space.plain(few), 2.0).draw_centers(67, 1, 0)[0]
        assert_array_equal(
            np.unique(drawn, axis=0), np.unique(Space.plain(few).coordinates(few), axis=0)
        )

    def test_stopping_early_is_said(self, few):
        with pytest.warns(ConvergenceWarning, match="max_iter=2 "):
            found = FuzzyCMeans(3, max_iter=2).fit(few)
        assert not found.converged_
        assert found.n_iter_ == 2

    def test_a_wrong_step_cannot_raise_the_objective(self, few, caplog):
        frame = Frame(few, Space.plain(few), 2.0)

        def astray(state, sums):
            return State(state.centers + 5 * sums.shift + 1.0, state.factors, state.eta)

        with caplog.at_level(logging.WARNING):
            course = alternate(
                frame, State.euclidean(frame.draw_centers(3, 4, 0)), astray, max_iter=50, tol=1e-8
            )
        assert "rose" in caplog.text
        for s, history in enumerate(course.history):
            assert np.all(np.diff(history) < 0)
            best = frame.sums(course.state[[s]]).objective.sum()
            assert best == pytest.approx(history[-1], rel=1e-13), "the best state is kept"

    def test_power_of_two_units_change_no_bit(self, few):
        one, other = FuzzyCMeans(3).fit(few), FuzzyCMeans(3).fit(few * 2.0**20)
        assert_array_equal(one.memberships_, other.memberships_)
        assert_array_equal(one.cluster_centers_ * 2.0**20, other.cluster_centers_)


class TestGustafsonKessel:
    @pytest.mark.parametrize("seed", range(4))
    def test_tilted_clouds_are_found_where_round_clusters_fail(self, seed):
        X, truth = tilted(seed)
        ellipsoids = GustafsonKessel(4, random_state=seed).fit(X)
        assert adjusted_rand_score(truth, ellipsoids.labels_) >= 0.95
        assert adjusted_rand_score(truth, FuzzyCMeans(4).fit(X).labels_) < 0.95

    @pytest.mark.parametrize("m", [2.0, 1.5])
    @pytest.mark.parametrize("volumes", [(1.0, 1.0, 1.0), (0.5, 1.0, 3.0)])
    def test_result_solves_the_equations(self, few, m, volumes):
        found = GustafsonKessel(3, m=m, volumes=volumes, tol=1e-14, max_iter=5000).fit(few)
        u, c, F = found.memberships_, found.cluster_centers_, found.covariances_
        metrics = metrics_of(F, volumes)
        assert_allclose(u, loop_memberships(few, c, metrics, m), atol=1e-9)
        assert_allclose(c, loop_means(few, u, m), atol=1e-4)
        assert_allclose(F, loop_covariances(few, u, c, m), atol=1e-4)
        assert found.objective_ == pytest.approx(loop_objective(few, u, c, metrics, m), rel=1e-9)
        assert found.flat_ == []

    def test_shrinking_adds_its_penalty(self, few):
        found = GustafsonKessel(3, shrinkage=0.2, tol=1e-14, max_iter=5000).fit(few)
        u, c, F = found.memberships_, found.cluster_centers_, found.covariances_
        metrics, all_rows = metrics_of(F, np.ones(3)), np.cov(few.T, ddof=0)
        strength = 67 / 3 * 0.2 / 0.8
        penalty = strength * sum(np.trace(A @ all_rows) for A in metrics)
        objective = loop_objective(few, u, c, metrics, 2.0) + penalty
        assert found.objective_ == pytest.approx(objective, rel=1e-9)
        weights = (u**2).sum(axis=0)
        for i, own in enumerate(loop_covariances(few, u, c, 2.0)):
            shape = weights[i] * own + strength * all_rows
            assert_allclose(F[i] / np.trace(F[i]), shape / np.trace(shape), atol=1e-5)

    def test_whole_shrinkage_is_one_shape_for_all(self, few):
        found = GustafsonKessel(3, shrinkage=1 - 1e-9).fit(few)
        shape = np.cov(few.T, ddof=0)
        for F in found.covariances_:
            assert_allclose(F / np.trace(F), shape / np.trace(shape), atol=1e-6)

    def test_a_limited_metric_is_the_best_of_its_kind(self):
        rng = np.random.default_rng(4)
        scatter = np.diag([1.0, 1e-3, 0.2, 1e-7])
        turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
        factor = _metric(turn @ scatter @ turn.T, np.array(2.0), 50.0, nothing=0.0)
        best = factor.T @ factor
        assert np.linalg.det(best) == pytest.approx(2.0)
        assert np.linalg.cond(best) == pytest.approx(50.0)

        def cost(values):
            values = values / np.prod(values) ** 0.25 * 2.0**0.25
            return np.trace(scatter @ np.diag(values))

        lowest = np.trace(turn @ scatter @ turn.T @ best)
        tries = 50.0 ** rng.random((20000, 4))
        assert min(cost(values) for values in tries) >= lowest * (1 - 1e-12)
        near = np.sort(np.linalg.eigvalsh(best))[[0, 2, 1, 3]]
        assert cost(near) == pytest.approx(lowest)

    def test_clipping_meets_the_ratio_exactly(self):
        values = np.array([[1.0, 1e-9, 1e-9], [1.0, 0.9, 0.0], [1.0, 0.5, 1e-3]])
        out = _clipped(values, 100.0)
        assert_allclose(out.max(axis=1) / out.min(axis=1), 100.0)

    def test_a_cluster_on_a_plane_is_called_flat(self):
        rng = np.random.default_rng(0)
        sheet = rng.normal(size=(80, 3)) * [1, 1, 0]
        X = np.concatenate([sheet, rng.normal([0, 0, 9], size=(90, 3))])
        with pytest.warns(UserWarning, match="flat"):
            found = GustafsonKessel(2).fit(X)
        assert found.flat_ == [int(found.labels_[0])]
        assert np.all(np.diff(found.objective_history_) <= 0)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert GustafsonKessel(2, shrinkage=0.01).fit(X).flat_ == []

    def test_many_columns(self):
        rng = np.random.default_rng(1)
        shift = rng.normal(size=200)
        X = np.concatenate([rng.normal(size=(60, 200)), rng.normal(size=(40, 200)) + shift])
        found = GustafsonKessel(2, shrinkage=0.1, n_init=1).fit(X)
        assert np.isfinite(found.covariances_).all()
        assert adjusted_rand_score(np.repeat([0, 1], [60, 40]), found.labels_) == 1.0

    def test_constant_columns_change_nothing(self, few):
        wider = np.column_stack([few[:, 0], np.full(67, 1e6), few[:, 1:]])
        one = GustafsonKessel(3, n_init=4).fit(few)
        other = GustafsonKessel(3, n_init=4).fit(wider)
        assert_allclose(one.memberships_, other.memberships_, atol=1e-6)
        assert_allclose(other.cluster_centers_[:, 1], 1e6)
        assert_array_equal(other.covariances_[:, 1], 0)

    @pytest.mark.parametrize("volumes", [[1.0, 1.0], [1.0, -1.0, 1.0], [1.0, 0.0, 1.0]])
    def test_impossible_volumes_are_refused(self, few, volumes):
        with pytest.raises(ParameterError, match="volumes must be 3 positive numbers"):
            GustafsonKessel(3, volumes=volumes).fit(few)


# Centers may coincide in these data, and that is said; the equations hold all the same.
coincidence_allowed = pytest.mark.filterwarnings("ignore:Clusters .* have the same center")


class TestPossibilisticCMeans:
    @coincidence_allowed
    @pytest.mark.parametrize("m", [2.0, 1.5])
    def test_result_solves_the_equations(self, few, m):
        found = PossibilisticCMeans(3, m=m, eta_scale=0.3, tol=1e-14, max_iter=5000).fit(few)
        u, c, eta = found.memberships_, found.cluster_centers_, found.eta_
        assert_allclose(u, loop_typicalities(few, c, eta, m), atol=1e-10)
        assert_allclose(c, loop_means(few, u, m), atol=1e-4)
        penalty = sum(eta[i] * (1 - u[n, i]) ** m for n in range(67) for i in range(3))
        objective = loop_objective(few, u, c, [np.eye(3)] * 3, m) + penalty
        assert found.objective_ == pytest.approx(objective, rel=1e-12)

    @coincidence_allowed
    def test_widths_come_from_fuzzy_c_means(self, few):
        start = FuzzyCMeans(3).fit(few)
        u, c = start.memberships_, start.cluster_centers_
        spread = [
            sum(u[n, i] ** 2 * squared(few[n], c[i], np.eye(3)) for n in range(67))
            / sum(u[:, i] ** 2)
            for i in range(3)
        ]
        found = PossibilisticCMeans(3, eta_scale=0.3).fit(few)
        assert_allclose(found.eta_, 0.3 * np.array(spread), rtol=1e-10)

    def test_an_outlier_belongs_to_nothing(self):
        rng = np.random.default_rng(0)
        X = np.concatenate([rng.normal(size=(80, 2)), rng.normal(size=(60, 2)) + 12, [[60, -50]]])
        typical = PossibilisticCMeans(2, eta_scale=0.2).fit(X)
        assert typical.memberships_[-1].max() < 0.02
        assert FuzzyCMeans(2).fit(X).memberships_[-1].max() >= 0.5
        assert np.abs(typical.cluster_centers_[typical.labels_[0]]).max() < 0.3

    def test_coincident_centers_are_reported(self):
        X = np.random.default_rng(0).normal(size=(300, 3))
        with pytest.warns(UserWarning, match="same center"):
            found = PossibilisticCMeans(2).fit(X)
        assert found.coincident_ == [(0, 1)]
        assert_allclose(*found.cluster_centers_, atol=0.05)
