"""The recipe for domains on a simulated ferroelectric film with known truth."""

from types import SimpleNamespace

import numpy as np
import pytest

import clustem
from clustem import samples
from clustem.core import PatchGrid
from clustem.mapping.domains import _posterior, _shared
from clustem.recipes.views import views


@pytest.mark.parametrize("seed", [0, 3])
def test_variants_and_substrate_are_found(seed):
    sample = samples.domains(shape=(360, 440), random_state=seed)
    found = clustem.segment(sample.signal, "domains")
    scored = clustem.compare(found, sample.truth_for(found))
    assert scored.ari > 0.93
    assert scored.macro_f1 > 0.96
    assert scored.compared > 0.8
    assert found.find(PatchGrid).positions.shape == (found.mask.size, 2)


@pytest.mark.parametrize(("seed", "dose", "shift"), [(0, 120.0, 0.03), (3, 60.0, 0.02)])
def test_columns_at_a_sharp_wall_are_no_third_cluster_and_not_certain(seed, dose, shift):
    given = {"dose": dose, "displacement": shift, "wall": 0.02, "shape": (420, 420)}
    sample = samples.domains(**given, random_state=seed)
    found = clustem.segment(sample.signal, "domains", n_clusters=5)
    truth = sample.truth_for(found)
    scored = clustem.compare(found, truth)
    labels = np.array([scored.matching.get(i, -1) for i in found.labels.data])
    sure, right = found.memberships.data.max(axis=0), labels == truth
    known = (truth >= 0) & (found.labels.data >= 0)
    assert right[known & (sure > 0.999)].mean() > 0.995
    bins = np.clip((10 * sure[known]).astype(int), 0, 9)
    off = sure[known] - right[known]
    assert sum(abs(off[bins == b].sum()) for b in range(10)) / known.sum() < 0.03
    third = (labels == 4) & (truth < 4) & known  # substrate, taken for half right, half left
    assert third.sum() <= 2


def test_a_patch_across_a_wall_is_shared_by_hand():
    means = np.array([[0.0, 0.0], [20.0, 0.0], [10.0, 3.0]])
    middle = _posterior(np.array([9.0, 0.2]), means, np.array([6.0, 6.0, 0.0]))
    assert middle.argmax() == 0
    assert middle == pytest.approx([0.55, 0.45, 0], abs=0.02)
    own = _posterior(np.array([10.0, 3.0]), means, np.array([3.0, 0.0, 9.0]))
    assert own[2] > 0.9
    alike = _posterior(np.zeros(2), means[[0, 0, 1]], np.array([5.0, 3.0, 0.0]))
    assert alike == pytest.approx([0.62, 0.38, 0], abs=0.01)


def test_as_many_clusters_as_patches_share_nothing():
    rows, labels = np.random.default_rng(3).random((3, 2)), np.arange(3, dtype=np.int16)
    clustering = SimpleNamespace(labels=labels, n_clusters=3, memberships=np.eye(3))
    places = np.array([[10.0, 10], [10, 20], [20, 10]])
    assert (_shared(clustering, rows, places, 30.0) == np.eye(3)).all()


def test_mean_patches_show_the_displacement():
    """The light columns of each variant lie where its polarisation moves them."""
    sample = samples.domains(shape=(360, 440), dose=400)
    found = clustem.segment(sample.signal, "domains")
    scored = clustem.compare(found, sample.truth_for(found))
    expected = {0: (0, 1), 1: (-1, 0), 2: (0, -1), 3: (1, 0), 4: (0, 0)}
    row, column = np.mgrid[-4:5, -4:5]
    for number, variant in scored.matching.items():
        middle = found.centers.data[number][15:24, 15:24]  # 8 px below and right of the middle
        weight = np.clip(middle - np.quantile(middle, 0.6), 0, None)
        at = np.array([(weight * row).sum(), (weight * column).sum()]) / weight.sum() + 19 - 19.5
        assert np.abs(at - 1.2 * np.array(expected[variant])).max() < 0.5, (variant, at)


def test_columns_of_the_sample_are_found():
    sample = samples.domains(shape=(240, 300))
    found = clustem.segment(sample.signal, "domains").find(PatchGrid).positions
    known = sample.columns
    inside = ((known > 21) & (known < np.array([218, 278]))).all(axis=1)
    distance = np.linalg.norm(known[inside][:, None] - found, axis=-1).min(axis=1)
    assert np.mean(distance < 1.0) > 0.97


def test_truth_is_sampled_at_the_patches():
    sample = samples.domains(shape=(120, 150))
    assert sample.labels_at([[3.4, 7.6], [110.0, 20.0]]).tolist() == [
        sample.labels[3, 8],
        sample.labels[110, 20],
    ]


def test_both_views_and_how_one_splits():
    sample = samples.domains(shape=(200, 240))
    settings = {"describe.size": 20, "cluster.covariance_type": "spherical", "cluster.n_init": 1}
    found = views(sample.signal, settings=settings)
    assert found.full.labels.data.shape == found.plane.labels.data.shape
    assert found.plane.points.shape[1] == 2
    assert found.split.counts.sum() > 0.8 * found.full.mask.size
    assert len(found.plot().axes) == 3


def test_report_shows_columns_on_the_image(tmp_path):
    sample = samples.domains(shape=(160, 200))
    found = clustem.segment(sample.signal, "domains")
    folder = found.save(tmp_path / "result")
    names = {file.stem for file in (folder / "figures").iterdir()}
    assert {"image_map", "ellipses", "centers", "scree"} <= names
    assert "phase_map" not in names
    again = clustem.Segmentation.load(folder)
    np.testing.assert_array_equal(again.find(PatchGrid).positions, found.find(PatchGrid).positions)
