"""Stability: what comes out again, what does not, and for how much of the dose."""

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from clustem.cluster import KMeans
from clustem.core import Features, InputError, ParameterError
from clustem.describe import spectra
from clustem.judge import stability
from clustem.judge._agreement import agreement
from clustem.judge._thinning import thinned


def line_scan(rows):
    return Features.of_scan(rows, None, np.zeros(len(rows), dtype=bool))


def counts(seed=0, shape=(14, 17)):
    """Poisson counts of three phases, two of which differ by little, and their truth."""
    truth = np.zeros(shape, dtype=int)
    truth[:, 6:], truth[5:, 11:] = 1, 2
    means = np.full((3, 20), 4.0)
    means[0, :6], means[1, 8:14], means[2, 8:14] = 40, 22, 26
    rng = np.random.default_rng(seed)
    return hs.signals.Signal1D(rng.poisson(means[truth]).astype(np.uint16)), truth


def test_agreement_by_hand():
    reference = np.array([0, 0, 0, 0, 1, 1, 2, 2, -1])
    other = np.array([1, 1, 1, 0, 0, 0, 2, -1, 0])
    found = agreement(reference, other)
    both = (reference >= 0) & (other >= 0)
    assert found.ari == pytest.approx(adjusted_rand_score(reference[both], other[both]))
    np.testing.assert_allclose(found.jaccard, [3 / 4, 2 / 3, 1])
    assert found.kept.tolist() == [True, True, True, False, True, True, True, False, False]


@pytest.mark.parametrize("by", ["reseed", "half", "bootstrap"])
def test_blobs_are_stable_and_halves_of_one_are_not(by):
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(400, 2))
    rows[:100] += [12, 0]
    found = stability(line_scan(rows), KMeans(2), by=by, repeats=4)
    assert found.real.all()
    assert found.ari.mean() > 0.99
    assert found.changes.max() == 0
    assert found.vi.max() < 0.02
    if by == "reseed":
        return  # the same rows give the same clusters, whether or not they are any
    round_cloud = stability(line_scan(rows[100:]), KMeans(3, n_init=1), by=by, repeats=6)
    assert round_cloud.clusters.min() < found.clusters.min()
    assert round_cloud.changes.max() > 0.3


def test_each_cluster_by_itself():
    """One cluster stands apart, the other cloud is cut in two at random."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(600, 2))
    rows[:80] += [20, 5]
    found = stability(line_scan(rows), KMeans(3), by="half", repeats=6)
    alone = int(found.labels[0])
    assert found.clusters[alone] > 0.98
    assert np.delete(found.clusters, alone).max() < 0.9
    assert "Jaccard" in str(found)
    assert (found.map() == found.changes).all()


def test_thinned_copies_are_independent_and_complete():
    signal, _ = counts()
    rows = line_scan(signal.data.reshape(-1, 20).astype(np.int64) * 50 + 1)
    rng = np.random.default_rng(3)
    one, two = thinned(rows, None, 0.5, rng)
    np.testing.assert_array_equal(one.rows + two.rows, rows.rows)
    off = one.rows - rows.rows / 2
    assert abs(off.mean()) < 0.3  # binomial: mean a half, variance a quarter
    assert np.mean(off**2 / (rows.rows / 4)) == pytest.approx(1, abs=0.05)
    fifth, other = thinned(rows, None, 0.2, rng)
    assert fifth.rows.mean() == pytest.approx(0.2 * rows.rows.mean(), rel=0.01)
    assert (fifth.rows != other.rows).any()


def test_thinning_tells_which_phases_a_lower_dose_keeps():
    signal, truth = counts()
    data = spectra(signal)
    found = stability(data, KMeans(3), spectra, by="thinning", repeats=4)
    labels = found.features.on_scan(found.labels, fill=-1)
    far = int(np.bincount(labels[truth == 0]).argmax())
    assert found.clusters[far] > 0.9
    assert np.delete(found.clusters, far).max() < 0.75
    assert found.real.sum() == 1
    less = stability(data, KMeans(3), spectra, by="thinning", repeats=4, share=0.1)
    assert (less.clusters < found.clusters).all()


def test_refusals():
    rows = np.random.default_rng(4).normal(size=(30, 2))
    with pytest.raises(InputError, match=r"Thinning needs counts.*float64.*describe"):
        stability(line_scan(rows), KMeans(2), by="thinning")
    with pytest.raises(InputError, match=r"Thinning needs counts: a source.*no array"):
        stability(line_scan(rows), KMeans(2), spectra, by="thinning")
    with pytest.raises(InputError, match=r"At least 2 rows must differ"):
        stability(line_scan(np.zeros((30, 2))), KMeans(2))
    with pytest.raises(ParameterError, match="n_clusters"):
        stability(line_scan(rows), KMeans(31))
    signal, _ = counts()
    with pytest.raises(InputError, match=r"scan's shape \(14, 17\).*binning left out"):
        stability(spectra(signal), KMeans(2), lambda s: spectra(s.inav[:5]), by="thinning")


@pytest.mark.parametrize("by", ["reseed", "half", "bootstrap", "thinning"])
def test_an_array_needs_no_scan(by):
    signal, _ = counts(shape=(6, 9))
    rows = signal.data.reshape(-1, 20)
    found = stability(rows, KMeans(3, n_init=2), by=by, repeats=2)
    expected = stability(line_scan(rows), KMeans(3, n_init=2), by=by, repeats=2)
    np.testing.assert_array_equal(found.jaccard, expected.jaccard)
    np.testing.assert_array_equal(found.changes, expected.changes)
    assert str(found) == str(expected)
    assert expected.map().shape == (54,)
    with pytest.raises(InputError, match=r"features of one scan; got those of 0"):
        found.map()
