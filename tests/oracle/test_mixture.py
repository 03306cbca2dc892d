"""The Gaussian mixture against scikit-learn's own."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import mixture
from sklearn.exceptions import ConvergenceWarning

from clustem.cluster import GaussianMixture
from clustem.model import InputError


@pytest.fixture(scope="module")
def few():
    """Three clouds of different shapes, (270, 3)."""
    rng = np.random.default_rng(8)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    one = rng.normal(size=(120, 3)) * [3, 1, 0.5]
    other = rng.normal(size=(80, 3)) * [1, 0.5, 2] @ turn + [9, 0, 1]
    return np.concatenate([one, other, rng.normal([0, 8, -4], size=(70, 3))])


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_is_scikit_learns(few, kind):
    found = GaussianMixture(3, covariance_type=kind, n_init=1).fit(few)
    peer = mixture.GaussianMixture(
        3,
        covariance_type=kind,
        tol=1e-4,
        reg_covar=1e-6 * few.var(axis=0).mean(),
        max_iter=300,
        random_state=int(np.random.SeedSequence(0).generate_state(1)[0]),
    ).fit(few)
    assert_allclose(found.cluster_centers_, peer.means_, atol=1e-6)
    assert_allclose(found.covariances_, peer.covariances_, atol=1e-6)
    assert_array_equal(found.labels_, peer.predict(few))
    assert found.bic_ == pytest.approx(peer.bic(few), rel=1e-9)
    assert found.aic(few[:50]) == pytest.approx(peer.aic(few[:50]), rel=1e-9)
    assert found.bic(few) == found.bic_


def test_the_best_start_wins(few):
    alone = [GaussianMixture(6, n_init=1, random_state=seed).fit(few) for seed in range(3)]
    best = GaussianMixture(6, n_init=8).fit(few)
    assert best.lower_bound_ >= GaussianMixture(6, n_init=1).fit(few).lower_bound_
    assert len({model.lower_bound_ for model in alone}) > 1, "starts differ"


def test_the_criterion_finds_the_number_of_components(few):
    bic = [GaussianMixture(k).fit(few).bic_ for k in (1, 2, 3, 4, 5)]
    assert np.argmin(bic) == 2  # k = 3


def test_a_singular_component_is_refused_with_a_cure():
    X = np.zeros((20, 3))
    with pytest.raises(InputError, match="Raise reg_covar"):
        GaussianMixture(2, reg_covar=0.0).fit(X)


def test_stopping_early_is_said(few):
    with pytest.warns(ConvergenceWarning, match="max_iter=2 "):
        found = GaussianMixture(3, max_iter=2, tol=0).fit(few)
    assert not found.converged_
