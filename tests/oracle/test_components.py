"""Mixtures by which the number of groups is judged."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from clustem.judge._components import Steps


@pytest.mark.parametrize(("n", "d", "k"), [(90, 4, 3), (60, 50, 5), (40, 1, 2)])
def test_a_step_with_one_covariance_is_that_of_the_textbook(n, d, k):
    rng = np.random.default_rng(n)
    labels = rng.integers(k, size=n)
    rows = rng.normal(size=(n, d)) + 3 * rng.normal(size=(k, d))[labels]
    rows -= rows.mean(axis=0)
    before = rng.dirichlet(np.ones(k), n)
    found = Steps(rows, "tied").run(before, 1)

    size = before.sum(axis=0)
    means = before.T @ rows / size[:, None]
    within = np.reshape(
        sum(np.cov(rows.T, aweights=w, bias=True) * w.sum() for w in before.T) / n, (d, d)
    )
    covariance = within + np.trace(found.covariance - within) / d * np.eye(d)  # the ridge
    assert_allclose(found.covariance, covariance, rtol=1e-8, atol=1e-10)
    joint = np.stack(
        [multivariate_normal(mean, covariance).logpdf(rows) for mean in means], axis=1
    ) + np.log(size / n)
    assert_allclose(found.likelihood, np.logaddexp.reduce(joint, axis=1).sum(), rtol=1e-9)
    joint -= np.logaddexp.reduce(joint, axis=1, keepdims=True)
    assert_allclose(found.memberships, np.exp(joint), atol=1e-9)
