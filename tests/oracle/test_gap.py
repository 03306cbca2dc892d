"""The gap statistic against its definition and the published answers."""

import numpy as np
import pytest

from clustem.cluster import KMeans
from clustem.core import Features, InputError, ParameterError
from clustem.judge import gap


def blobs(rng, k, d=2, each=60, apart=8.0):
    means = np.zeros((k, d))
    means[:, 0] = apart * np.arange(k)
    means[::2, 1] = apart
    return np.concatenate([rng.normal(size=(each, d)) + mean for mean in means])


def test_definition():
    """For k = 1 all is known: the box of the data along its axes has a variance of width² / 12."""
    rows = np.random.default_rng(0).normal(size=(500, 3)) * [3, 2, 1]
    found = gap(Features(rows), ks=[1, 2], reference="uniform", n_references=50)
    within = ((rows - rows.mean(axis=0)) ** 2).sum()
    width = np.ptp(rows, axis=0)
    assert found.log_within[0] == pytest.approx(np.log(within))
    assert found.expected[0] == pytest.approx(np.log(500 * (width**2).sum() / 12), abs=0.02)
    np.testing.assert_allclose(found.gap, found.expected - found.log_within)
    assert 0 < found.error[0] < 0.06


def test_published_choice():
    """Smallest k whose gap is at least that of the next one less its error."""
    rng = np.random.default_rng(1)
    found = gap(Features(blobs(rng, 4)), ks=range(1, 8), n_references=10)
    enough = [
        found.gap[i] >= found.gap[i + 1] - found.error[i + 1] for i in range(len(found.ks) - 1)
    ]
    assert found.k == found.ks[enough.index(True)] == 4


@pytest.mark.parametrize("reference", ["pca", "uniform"])
def test_null_of_the_paper(reference):
    """200 points, uniform over the unit square in 10 dimensions: one cluster."""
    rows = np.random.default_rng(2).uniform(size=(200, 10))
    assert gap(Features(rows), ks=range(1, 6), reference=reference).k == 1


def test_axes_matter_for_long_clusters():
    """Two long parallel clusters of the paper: along the principal axes 2, along the features not.

    Each is the diagonal of a cube, 100 points; the second is moved by 10 along every axis.
    """
    rng = np.random.default_rng(3)
    line = np.linspace(-0.5, 0.5, 100)[:, None]
    one, two = (line + rng.normal(0, 0.1, (100, 3)) + shift for shift in (0, 10))
    data = Features(np.concatenate([one, two]))
    assert gap(data, ks=range(1, 6), reference="pca").k == 2


def test_any_estimator():
    rows = blobs(np.random.default_rng(4), 3)
    one = gap(Features(rows), ks=range(1, 5), n_references=4)
    two = gap(Features(rows), lambda k: KMeans(k, n_init=3), range(1, 5), n_references=4)
    np.testing.assert_allclose(one.log_within, two.log_within, rtol=1e-9)
    assert one.k == two.k == 3


def test_refusals():
    rows = np.random.default_rng(5).normal(size=(20, 2))
    with pytest.raises(ParameterError, match=r"from 1 to the number of rows \(20\).*1 ... 21"):
        gap(Features(rows), ks=range(1, 22))
    with pytest.raises(ParameterError, match=r"got none.*range\(1, 11\)"):
        gap(Features(rows), ks=[])
    with pytest.raises(InputError, match=r"At least 2 rows must differ.*20 equal rows"):
        gap(Features(np.ones((20, 2))), ks=[1, 2])
    rows[3] = np.nan
    with pytest.raises(InputError, match=r"NaN or inf in 1 of 20 rows.*mask"):
        gap(Features(rows), ks=[1, 2])


def test_an_array_needs_no_scan():
    rows = blobs(np.random.default_rng(6), 3)
    found, expected = (
        gap(given, ks=range(1, 5), n_references=3) for given in (rows, Features(rows))
    )
    np.testing.assert_array_equal(found.gap, expected.gap)
    np.testing.assert_array_equal(found.error, expected.error)
    assert found.k == 3
