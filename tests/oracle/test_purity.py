"""Clusters that hold several groups are known, and their memberships are no surer than that."""

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem.cluster import GaussianMixture, MultinomialMixture
from clustem.core import Clustering, Features, Scan
from clustem.describe import spectra
from clustem.judge import purity, verdict
from clustem.labelmaps.grid_graph import grid_graph
from clustem.samples import eds

ROW, COLUMN = np.indices((36, 44))
THREE = np.where(COLUMN > 26, 2, np.where(ROW > 20, 1, 0))
SHAPES = np.random.default_rng(5).dirichlet(np.full(60, 2.0), 3)


def counts_of(shapes, labels, counts, seed):
    """Draw spectra of the shapes, the dose uneven by a factor of 3."""
    dose = counts * (0.5 + COLUMN / COLUMN.max())
    return np.random.default_rng(seed).poisson(dose[..., np.newaxis] * shapes[labels])


def clustered(data, k):
    """Fit a mixture of multinomials with neighbours to a map of counts."""
    found = spectra(hs.signals.Signal1D(data.astype(np.uint16)))
    fitted = MultinomialMixture(k, connectivity=grid_graph(found.mask), overdispersion=False)
    return Clustering.from_estimator(fitted.fit(found.rows), found)


@pytest.mark.parametrize("seed", [0])
@pytest.mark.parametrize("counts", [8, 200])
def test_a_cluster_of_two_phases_is_known_at_any_dose(counts, seed):
    # phases 0 and 1 are alike, 2 is not: with two clusters they are one
    shapes = SHAPES.copy()
    shapes[1] = 0.5 * shapes[0] + 0.5 * shapes[1]
    found = clustered(counts_of(shapes, THREE, counts, seed), 2)
    both = np.bincount(THREE[COLUMN <= 26])
    assert purity(found)[0] == pytest.approx(both.max() / both.sum(), abs=0.05)
    assert purity(found)[1] == 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("counts", [8, 200])
def test_clusters_of_one_phase_are_pure_whatever_their_dose(counts, seed):
    assert (purity(clustered(counts_of(SHAPES, THREE, counts, seed), 3)) == 1).all()


def test_a_composition_that_changes_smoothly_is_no_second_group():
    share = (ROW / ROW.max())[..., np.newaxis]
    shapes = (1 - share) * SHAPES[0] + share * SHAPES[1]
    data = np.random.default_rng(0).poisson(100 * shapes)
    assert purity(clustered(data, 1)) == [1]


def test_a_line_and_several_scans_are_asked_too():
    line = np.repeat([0, 1], 120)
    data = np.random.default_rng(0).poisson(60 * SHAPES[line])
    assert purity(clustered(data, 1))[0] == pytest.approx(0.5, abs=0.05)
    scan = Scan.of(hs.signals.Signal1D(data[:120]))
    rows = np.random.default_rng(0).normal(size=(240, 2)) + 20 * line[:, None]
    assert mixed(rows, 1, Features(rows, scans=(scan, scan))) == [0.5]


def mixed(rows, k, features=None, **settings):
    fitted = GaussianMixture(k, **settings).fit(rows)
    return purity(Clustering.from_estimator(fitted, features or Features(rows)))


@pytest.mark.parametrize("seed", range(3))
def test_groups_with_a_gap_between_them_are_known_and_clouds_of_one_piece_are_pure(seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(900, 4)) * [1, 2, 1, 0.3]
    rows[:200, 0] += 9
    rows[600:, 1] += 90
    np.testing.assert_allclose(mixed(rows, 2, covariance_type="tied"), [2 / 3, 1], atol=0.01)
    np.testing.assert_allclose(mixed(rows, 1), [4 / 9], atol=0.01)
    skewed = rng.gamma(1.5, size=(900, 3)) * [1, 4, 0.5]
    assert (mixed(skewed, 1) == 1).all()
    assert (mixed(skewed, 3) == 1).all()  # cut, but nowhere at a gap


def test_groups_that_lie_on_the_scan_as_by_chance_are_none():
    rows = np.random.default_rng(0).normal(size=(ROW.size, 2))
    rows[np.random.default_rng(1).random(ROW.size) < 0.4] += [9, 0]
    features = Features(rows, scans=(Scan.of(hs.signals.Signal1D(np.ones((*ROW.shape, 4)))),))
    assert mixed(rows, 1, features) == [1]
    assert mixed(rows, 1)[0] < 0.65


def test_memberships_fall_to_the_share_of_the_largest_group():
    sample = eds(shape=(56, 72))
    few = clustem.segment(sample.signal, "eds", n_clusters=3)
    right = clustem.segment(sample.signal, "eds", n_clusters=4)
    sure = right.memberships.data.max(axis=0)
    assert sure.mean() > 0.97
    assert not any("several groups" in doubt for doubt in verdict(right).doubts)
    held = few.labels.data[sample.labels >= 0], sample.labels[sample.labels >= 0]
    table = np.zeros((3, 4))
    np.add.at(table, held, 1)
    share = table.max(axis=1) / table.sum(axis=1)
    inside = [float(np.median(few.memberships.data[i][few.labels.data == i])) for i in range(3)]
    np.testing.assert_allclose(inside, share, atol=0.08)
    (doubt,) = [doubt for doubt in verdict(few).doubts if "several groups" in doubt]
    assert doubt.startswith(f"Cluster {share.argmin()} holds several groups, of which the largest")
    assert few.unassigned_fraction == 0  # positions are assigned by what the clusterer said
