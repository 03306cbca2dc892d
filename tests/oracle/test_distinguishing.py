"""Standardised differences against a loop over the raw data, and marks that were planted."""

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem import Recipe
from clustem.judge import distinguishing

RECIPE = Recipe.from_toml(
    "[describe.spectra]\n[cluster.KMeans]\nn_clusters = 3\n[mapping.clusters]\n"
)


@pytest.fixture(scope="module")
def found():
    truth = np.zeros((15, 18), dtype=int)
    truth[:, 8:], truth[9:, 8:] = 1, 2
    channel = np.arange(120)
    means = np.full((3, 120), 6.0)
    means[1] += 30 * np.exp(-(((channel - 40) / 3) ** 2))
    means[1] -= 5 * np.exp(-(((channel - 90) / 4) ** 2))
    means[2] += 30 * np.exp(-(((channel - 70) / 3) ** 2))
    signal = hs.signals.Signal1D(np.random.default_rng(3).poisson(means[truth]))
    signal.axes_manager[-1].scale, signal.axes_manager[-1].offset = 0.5, 10
    return clustem.segment(signal, RECIPE)


def test_differences_are_those_of_a_loop(found):
    data, labels = found.source.data.astype(float), found.labels.data
    result = distinguishing(found)
    groups = [data[labels == i] for i in range(3)]
    within = sum(((g - g.mean(axis=0)) ** 2).sum(axis=0) for g in groups)
    deviation = np.sqrt(within / (sum(map(len, groups)) - 3))
    for i, own in enumerate(groups):
        rest = np.concatenate([g for j, g in enumerate(groups) if j != i])
        apart = own.mean(axis=0) - rest.mean(axis=0)
        np.testing.assert_allclose(result.difference[i], apart / deviation, rtol=1e-3, atol=1e-4)
        error = np.sqrt(own.var(axis=0, ddof=1) / len(own) + rest.var(axis=0) / len(rest))
        np.testing.assert_allclose(result.significance[i], apart / error, rtol=2e-2, atol=1e-3)


def test_marks_are_what_was_planted(found):
    result = distinguishing(found, n=2)
    of = {int(found.labels.data[place]): i for i, place in enumerate([(0, 0), (0, 17), (14, 17)])}
    marks = {of[cluster]: marks for cluster, marks in enumerate(result.marks)}
    first, second = marks[1]
    assert first.index[0] == pytest.approx(40, abs=2)
    assert first.position[0] == 10 + 0.5 * first.index[0]
    assert first.difference > 5
    assert second.index[0] in range(66, 96)  # less of 70, or of 90
    assert second.difference < 0
    assert marks[2][0].index[0] == pytest.approx(70, abs=2)
    assert {m.index[0] // 10 for m in marks[0]} <= {3, 4, 6, 7}
    assert all(m.difference < 0 for m in marks[0])


def test_noise_is_no_mark():
    data = np.random.default_rng(0).poisson(9, (12, 14, 60))
    found = clustem.segment(hs.signals.Signal1D(data), RECIPE)
    fair = found.split(0)  # halves of noise: differences without significance
    assert max(len(marks) for marks in distinguishing(fair, least=12.0).marks) == 0


def test_patterns_and_one_cluster():
    data = np.random.default_rng(0).poisson(4, (6, 9, 20, 24))
    data[:, :4, 5:8, 15:19] += 9
    recipe = Recipe.from_toml(
        "[describe.patterns]\n[cluster.KMeans]\nn_clusters = 2\n[mapping.clusters]\n"
    )
    found = clustem.segment(hs.signals.Signal2D(data), recipe)
    result = distinguishing(found, n=3)
    for marks in result.marks:
        assert len(marks) == 1
        assert marks[0].index[0] in range(5, 8)
        assert marks[0].index[1] in range(15, 19)
    assert result.marks[0][0].difference * result.marks[1][0].difference < 0
    assert result.difference.shape == (2, 20, 24)
    one = clustem.segment(hs.signals.Signal2D(data), recipe, settings={"cluster.n_clusters": 1})
    assert distinguishing(one).marks == ((),)


def test_channels_without_noise_are_finite():
    data = np.zeros((4, 6, 5))
    data[:, 3:, 2] = 1
    found = clustem.segment(hs.signals.Signal1D(data), RECIPE, settings={"cluster.n_clusters": 2})
    result = distinguishing(found)
    assert np.isfinite(result.difference).all()
    assert [marks[0].index for marks in result.marks] == [(2,), (2,)]
