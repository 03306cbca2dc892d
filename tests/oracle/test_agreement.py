"""Agreement of labellings and silhouettes against the libraries that define them."""

import numpy as np
import pytest
from skimage.metrics import variation_of_information as published_information
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from clustem.core import Features
from clustem.judge.scores import distances_of, scored
from clustem.labelmaps.agreement import rand_index, variation_of_information
from clustem.labelmaps.label_maps import overlaps


@pytest.mark.parametrize("seed", range(20))
def test_agreement_is_that_of_the_libraries(seed):
    rng = np.random.default_rng(seed)
    n, k = rng.integers(1, 80), rng.integers(1, 6)
    one = rng.integers(0, k, n)
    two = np.where(rng.random(n) < 0.7, (one + 1) % k, rng.integers(0, k + 1, n))
    counts = overlaps(one, two, (k, k + 1))[:-1, :-1]
    assert rand_index(counts) == pytest.approx(adjusted_rand_score(one, two), abs=1e-12)
    expected = sum(published_information(one, two))
    assert variation_of_information(counts) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_silhouettes_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(70, 3)).round(1)
    rows[3] = rows[4]
    labels = rng.integers(0, 4, 70) * 2
    labels[0] = 9  # alone
    features, given = Features(rows), {"sample": 2048, "random_state": 0}
    distances = distances_of(features, **given)
    expected = silhouette_samples(rows, labels)
    for shared in (distances, None):
        found = scored(features, labels, **given, distances=shared)
        assert found["silhouette"] == pytest.approx(expected.mean(), abs=1e-10)
        means = [expected[labels == label].mean() for label in np.unique(labels)]
        each = found.silhouettes
        np.testing.assert_allclose(each[~np.isnan(each)], means, atol=1e-10)
