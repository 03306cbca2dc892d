"""The Gaussian mixture against scikit-learn's own, and its few-member, many-dimension cases."""

import os
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning

from clustem.cluster import GaussianMixture, KMeans
from clustem.cluster.mixture._frame import Turn, copied, prepare
from clustem.cluster.mixture._kernels import scaled_squares, weighted_squares
from clustem.cluster.mixture._steps import Steps
from clustem.cluster.mixture._triangle import Lower
from clustem.cluster.mixture._workers import workers
from clustem.core import InputError, ParameterError
from clustem.passes.rows import Rows

KINDS = ["full", "tied", "diag", "spherical"]
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="module")
def few():
    """Three clouds of different shapes, (270, 3)."""
    rng = np.random.default_rng(8)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    one = rng.normal(size=(120, 3)) * [3, 1, 0.5]
    other = rng.normal(size=(80, 3)) * [1, 0.5, 2] @ turn + [9, 0, 1]
    return np.concatenate([one, other, rng.normal([0, 8, -4], size=(70, 3))])


@pytest.fixture(scope="module")
def wide():
    """Three clouds in 150 dimensions, some of them nearly dependent, (1100, 150)."""
    rng = np.random.default_rng(3)
    mix = rng.normal(size=(150, 150)) * np.geomspace(10, 0.05, 150)
    parts = [
        rng.normal(size=(n, 150)) @ mix * scale + shift * rng.normal(size=150)
        for n, scale, shift in ((500, 1.0, 0.0), (350, 1.3, 9.0), (250, 0.8, 9.0))
    ]
    return np.concatenate(parts) + 1000.0


class Peer(mixture.GaussianMixture):
    """scikit-learn's mixture that starts from given memberships."""

    def _initialize_parameters(self, X, random_state, **_):
        self._initialize(X, self.start)


def peer_of(found, X, kind, *, max_iter=300, tol=1e-4, start=None):
    """scikit-learn's mixture from the same start as ``found``."""
    peer = Peer(
        found.n_clusters,
        covariance_type=kind,
        tol=tol,
        reg_covar=1e-6 * X.var(axis=0).mean(),
        max_iter=max_iter,
    )
    if start is None:
        seed = int(np.random.SeedSequence(0).generate_state(1)[0])
        labels = KMeans(found.n_clusters, n_init=10, random_state=seed).fit(X).labels_
        start = np.eye(found.n_clusters)[labels]
    peer.start = start
    return peer.fit(X)


@every_kind
@pytest.mark.parametrize("k", [1, 3])
def test_is_scikit_learns(few, kind, k):
    found = GaussianMixture(k, covariance_type=kind, n_init=1).fit(few)
    peer = peer_of(found, few, kind)
    for name in ("means_", "covariances_", "weights_", "precisions_", "precisions_cholesky_"):
        assert_allclose(getattr(found, name), getattr(peer, name), atol=1e-11, err_msg=name)
    assert_array_equal(found.means_, found.cluster_centers_)
    assert_allclose(found.memberships_, peer.predict_proba(few), atol=1e-11)
    assert_array_equal(found.labels_, peer.predict(few))
    assert_allclose(found.predict_proba(few[::7]), found.memberships_[::7], atol=1e-12)
    assert_array_equal(found.predict(few[::7]), found.labels_[::7])
    assert_allclose(found.score_samples(few), peer.score_samples(few), atol=1e-10)
    assert found.score(few) == pytest.approx(peer.score(few), rel=1e-12)
    assert found.lower_bound_ == pytest.approx(peer.score(few), rel=1e-12)
    for name in ("bic", "aic"):
        mine, theirs = getattr(found, name), getattr(peer, name)
        assert mine(few[:50]) == pytest.approx(theirs(few[:50]), rel=1e-12)
        assert getattr(found, f"{name}_") == pytest.approx(theirs(few), rel=1e-12)
    assert (found.n_iter_, found.converged_) == (peer.n_iter_, peer.converged_)


@every_kind
def test_memberships_to_start_from_are_scikit_learns_responsibilities(few, kind):
    start = np.random.default_rng(4).dirichlet(np.ones(3), len(few))
    found = GaussianMixture(3, covariance_type=kind, init=7 * start, tol=1e-6).fit(few)
    peer = peer_of(found, few, kind, start=start, tol=1e-6)
    assert found.n_iter_ == peer.n_iter_ > 5
    assert_allclose(found.means_, peer.means_, atol=1e-8)
    assert_allclose(found.memberships_, peer.predict_proba(few), atol=1e-8)


@pytest.mark.parametrize(
    "start", [np.ones((9, 2)), np.zeros((270, 3)), np.full((270, 3), -1.0), np.full(3, np.nan)]
)
def test_a_start_that_does_not_fit_is_refused(few, start):
    with pytest.raises(ParameterError, match=r"memberships of shape \(270, 3\)"):
        GaussianMixture(3, init=start).fit(few)


# What EM makes of rounded rows: values near 1000 have seven digits in float32, and where hundreds
# of rows belong to two components (tied), each step enlarges what the rounding has moved.
@pytest.mark.parametrize(("dtype", "slack"), [(np.float64, 1.0), (np.float32, 10.0)])
@every_kind
def test_single_precision_agrees_in_many_dimensions(wide, kind, dtype, slack):
    course = {"max_iter": 8, "tol": 0.0}  # the same number of steps
    options = {"covariance_type": kind, "n_init": 1, "shrinkage": 0.0, **course}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = GaussianMixture(3, **options).fit(wide.astype(dtype))
        peer = peer_of(found, wide, kind, **course)
    assert found.lower_bound_ == pytest.approx(peer.score(wide), rel=1e-7)
    assert_array_equal(found.labels_, peer.predict(wide))
    assert_allclose(found.means_, peer.means_, atol=1e-5 * slack * wide.std())
    assert_allclose(found.memberships_, peer.predict_proba(wide), atol=2e-4 * slack)
    scale = np.abs(peer.covariances_).max()
    assert_allclose(found.covariances_, peer.covariances_, atol=2e-6 * slack * scale)
    assert_array_equal(found.predict(wide[::3].astype(dtype)), found.labels_[::3])


def test_steps_that_keep_what_stays_are_those_that_make_all_anew():
    """Two clouds that overlap, and one far away, whose component soon stays as it is."""
    X = np.random.default_rng(0).normal(size=(2000, 140))
    X[:800, :3] += 1.2
    X[1500:] += 9.0
    start = 0.9 * np.eye(3)[np.repeat([0, 1, 2], [800, 700, 500])] + 0.1 / 3
    with workers() as pool:
        x, space = prepare(pool, Rows(X), share=1e-6, turned=True, start=start)
        steps = Steps(x, space, "full", shrinkage=0.0)
        kept, kept_seen, guess = steps.maximize(pool, start), None, start.argmax(axis=1)
        anew, stayed = steps.maximize(pool, start), []
        for _ in range(6):
            kept_seen = steps.expect(pool, kept, guess, kept_seen)
            seen = steps.expect(pool, anew, guess)
            assert_allclose(kept_seen.memberships, seen.memberships, atol=1e-5)
            assert_allclose(kept_seen.density, seen.density, rtol=1e-6)
            guess = seen.memberships.argmax(axis=1)
            kept = steps.maximize(pool, kept_seen.memberships, kept)
            anew = steps.maximize(pool, seen.memberships)
            stayed.append(int((~kept.fresh).sum()))
    assert stayed[0] == 0
    assert set(stayed) == {0, 1}, stayed


def test_the_best_start_is_made_again_after_others(wide):
    X = wide[:, :140] + np.random.default_rng(0).normal(0, 30, (len(wide), 140))
    found = GaussianMixture(5, n_init=4, shrinkage=0.0, random_state=3).fit(X)
    assert_allclose(found.predict_proba(X), found.memberships_, atol=1e-4)
    assert found.score(X) == pytest.approx(found.lower_bound_, rel=1e-6)
    assert found.covariances_.shape == (5, 140, 140)


def test_threads_do_not_change_a_bit_in_many_dimensions(wide, monkeypatch):
    found = []
    for count in (1, 3):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, n=count: set(range(n)))
        found.append(GaussianMixture(3, n_init=1, shrinkage=0.1).fit(wide))
    assert_array_equal(found[0].memberships_, found[1].memberships_)
    assert_array_equal(found[0].covariances_, found[1].covariances_)


@pytest.mark.parametrize("scale", [2.0**-300, 2.0**300])
@every_kind
def test_the_unit_of_the_values_does_not_matter(few, kind, scale):
    options = {"covariance_type": kind, "n_init": 1}
    one, other = (GaussianMixture(3, **options).fit(X) for X in (few, few * scale))
    assert_allclose(one.memberships_, other.memberships_, atol=1e-12)
    assert_allclose(one.lower_bound_ - 3 * np.log(scale), other.lower_bound_, rtol=1e-12)


@pytest.fixture
def symmetric():
    """Products of rows (900, 300), and the rows: three panels, the last one short."""
    rows = np.random.default_rng(7).normal(size=(900, 300)) * np.linspace(1, 3, 300)
    return rows.T @ rows, rows


def test_triangles_in_panels_are_those_of_the_whole_matrix(symmetric):
    whole, rows = symmetric
    half = Lower.zeros(300)
    with workers() as pool:
        half.add_products(pool, 900, copied(rows), np.float64)
        assert_allclose(np.tril(half.dense()), np.tril(whole), rtol=1e-12, atol=1e-9)
        half.add(half, 0.5)
        half.scale(2.0)
        half.add_diagonal(5.0)
        assert_allclose(half.diagonal(), 3 * whole.diagonal() + 5)
        factor, log_det = half.factor(pool, np.float64)
    expected = np.linalg.cholesky(3 * whole + 5 * np.eye(300))
    assert_allclose(factor.dense(), expected, atol=1e-9)
    assert log_det == pytest.approx(np.linalg.slogdet(3 * whole + 5 * np.eye(300))[1])
    solved = rows[:7].copy()
    factor.solve(solved)
    assert_allclose(solved, np.linalg.solve(expected, rows[:7].T).T, atol=1e-10)
    assert_allclose(factor.times(solved), rows[:7], atol=1e-9)


def test_a_matrix_that_is_not_positive_has_no_factor(symmetric):
    half = Lower.zeros(300)
    with workers() as pool:
        half.add_products(pool, 200, copied(symmetric[1][:200]), np.float64)
        half.add_diagonal(-1e-3)
        with pytest.raises(np.linalg.LinAlgError):
            half.factor(pool, np.float64)


def test_a_turn_brings_the_differences_of_means_to_the_front():
    rng = np.random.default_rng(5)
    means, rows = rng.normal(size=(4, 30)), rng.normal(size=(9, 30))
    turn = Turn.ahead(means, np.float64)
    turned, again = means.copy(), rows.copy()
    turn.apply(turned)
    assert_allclose(turned[:, 4:], 0, atol=1e-12)
    turn.apply(again)
    assert_allclose(again @ again.T, rows @ rows.T)
    turn.undo(again)
    assert_allclose(again, rows)


@pytest.mark.parametrize("form", ["compiled", "python"])
def test_sums_of_squares_are_those_of_plain_loops(form):
    rng = np.random.default_rng(6)
    x, centers = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(3, 5))
    precisions, weights = rng.random((3, 5)), rng.random((7, 3)) * (rng.random((7, 3)) > 0.3)
    squares = (x[:, None].astype(float) - centers) ** 2
    distances, sums = np.empty((7, 3)), np.ones((3, 5))
    first, second = scaled_squares, weighted_squares
    if form == "python":
        first, second = first.py_func, second.py_func
    first(x, centers, precisions, distances)
    second(x, weights, centers, sums)
    assert_allclose(distances, (squares * precisions).sum(axis=2))
    assert_allclose(sums, 1 + (squares * weights[..., None]).sum(axis=0))


def test_overlapping_memberships_are_right_where_rows_are_left_out_early():
    """With close clouds no row may be left out: every density is compared with SciPy's."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 140))
    X[:900, :3] += 1.2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = GaussianMixture(2, n_init=1, max_iter=3).fit(X)
    logs = np.stack(
        [
            multivariate_normal(mean, covariance).logpdf(X) + np.log(weight)
            for mean, covariance, weight in zip(
                found.means_, found.covariances_, found.weights_, strict=True
            )
        ],
        axis=1,
    )
    expected = np.exp(logs - np.logaddexp(*logs.T)[:, None])
    assert 0.01 < expected.min(axis=1).max() < 0.5
    assert_allclose(found.memberships_, expected, atol=2e-4)
    assert_allclose(found.score_samples(X), np.logaddexp(*logs.T), rtol=1e-5)


def test_rows_in_blocks_give_the_same(wide):
    options = {"n_init": 1, "shrinkage": 0.0}
    one = GaussianMixture(3, **options).fit(wide)
    other = GaussianMixture(3, **options).fit(Rows(wide.reshape(10, 110, 150), block_bytes=2**16))
    assert_array_equal(one.labels_, other.labels_)
    assert one.lower_bound_ == pytest.approx(other.lower_bound_, rel=1e-6)


def test_a_component_with_few_members_is_drawn_towards_the_others_and_says_so():
    rng = np.random.default_rng(1)
    X = np.concatenate([rng.normal(size=(90, 20)), 30 + rng.normal(size=(12, 20))])
    with pytest.warns(UserWarning, match=r"Component 1 has hardly more members \(12\) than dim"):
        found = GaussianMixture(2, n_init=1).fit(X)
    assert_array_equal(found.labels_, np.repeat([0, 1], [90, 12]))
    assert_allclose(found.shrinkage_, [0, 20 / (12 + 20)], rtol=1e-4)
    S = [np.cov(part.T, bias=True) for part in (X[:90], X[90:])]
    common, a = (90 * S[0] + 12 * S[1]) / 102, found.shrinkage_[1]
    ridge = 1e-6 * X.var(axis=0).mean() * np.eye(20)
    assert_allclose(found.covariances_[0], S[0] + ridge, atol=1e-9)
    assert_allclose(found.covariances_[1], (1 - a) * S[1] + a * common + ridge, atol=1e-9)
    plain = GaussianMixture(2, n_init=1, shrinkage=0.0).fit(X)
    assert_allclose(plain.covariances_[1], S[1] + ridge, atol=1e-9)


def test_the_best_start_wins():
    X = np.random.default_rng(2).random((150, 3))
    bounds = [GaussianMixture(5, n_init=n).fit(X).lower_bound_ for n in (1, 4, 12)]
    assert bounds == sorted(bounds)
    assert bounds[0] < bounds[-1], "starts differ"


def test_the_criterion_finds_the_number_of_components(few):
    bic = [GaussianMixture(k).fit(few).bic_ for k in (1, 2, 3, 4, 5)]
    assert np.argmin(bic) == 2  # k = 3


@every_kind
def test_a_singular_component_is_refused_with_a_cure(kind):
    X = np.zeros((20, 3))
    with pytest.raises(InputError, match="Raise reg_covar"):
        GaussianMixture(2, covariance_type=kind, reg_covar=0.0).fit(X)


def test_stopping_early_is_said(few):
    with pytest.warns(ConvergenceWarning, match="max_iter=2 "):
        found = GaussianMixture(3, max_iter=2, tol=0).fit(few)
    assert not found.converged_


def test_patches_of_another_size_are_refused(few):
    found = GaussianMixture(2).fit(few)
    with pytest.raises(InputError, match="3 values"):
        found.predict(Rows(np.ones((5, 4))))
