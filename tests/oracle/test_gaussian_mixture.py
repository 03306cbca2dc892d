"""The Gaussian mixture against scikit-learn's own, and its few-member, many-dimension cases."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import multivariate_normal
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning

from clustem.cluster import GaussianMixture, KMeans
from clustem.compute import Rows
from clustem.model import InputError

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
    """scikit-learn's mixture that starts from given labels."""

    def _initialize_parameters(self, X, random_state, **_):
        self._initialize(X, np.eye(self.n_components)[self.labels])


def peer_of(found, X, kind, *, max_iter=300, tol=1e-4):
    """scikit-learn's mixture from the same start as ``found``."""
    peer = Peer(
        found.n_clusters,
        covariance_type=kind,
        tol=tol,
        reg_covar=1e-6 * X.var(axis=0).mean(),
        max_iter=max_iter,
    )
    seed = int(np.random.SeedSequence(0).generate_state(1)[0])
    peer.labels = KMeans(found.n_clusters, n_init=10, random_state=seed).fit(X).labels_
    return peer.fit(X)


@every_kind
def test_is_scikit_learns(few, kind):
    found = GaussianMixture(3, covariance_type=kind, n_init=1).fit(few)
    peer = peer_of(found, few, kind)
    assert_allclose(found.cluster_centers_, peer.means_, atol=1e-8)
    assert_allclose(found.covariances_, peer.covariances_, atol=1e-8)
    assert_allclose(found.weights_, peer.weights_, atol=1e-10)
    assert_allclose(found.memberships_, peer.predict_proba(few), atol=1e-9)
    assert_allclose(found.predict_proba(few[::7]), found.memberships_[::7], atol=1e-12)
    assert_allclose(found.score_samples(few), peer.score_samples(few), atol=1e-7)
    assert found.bic_ == pytest.approx(peer.bic(few), rel=1e-9)
    assert found.aic(few[:50]) == pytest.approx(peer.aic(few[:50]), rel=1e-9)
    assert found.bic(few) == pytest.approx(found.bic_, rel=1e-12)
    assert found.score(few) == pytest.approx(peer.score(few), rel=1e-9)
    assert found.n_iter_ == peer.n_iter_


@every_kind
def test_single_precision_agrees_in_many_dimensions(wide, kind):
    course = {"max_iter": 8, "tol": 0.0}  # the same number of steps
    options = {"covariance_type": kind, "n_init": 1, "shrinkage": 0.0, **course}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = GaussianMixture(3, **options).fit(wide.astype(np.float32))
        peer = peer_of(found, wide, kind, **course)
    assert found.lower_bound_ == pytest.approx(peer.score(wide), rel=1e-4)
    assert_array_equal(found.labels_, peer.predict(wide))
    assert_allclose(found.means_, peer.means_, atol=1e-3 * wide.std())
    assert_allclose(found.memberships_, peer.predict_proba(wide), atol=0.01)
    scale = np.abs(peer.covariances_).max()
    assert_allclose(found.covariances_, peer.covariances_, atol=1e-4 * scale)
    assert_array_equal(found.predict(wide[::3].astype(np.float32)), found.labels_[::3])


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
