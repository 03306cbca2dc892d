"""Clusters that start from regions, or stay at them, against plain Lloyd iterations."""

import hyperspy.api as hs
import numpy as np
import pytest
import tifffile

import clustem
from clustem import Recipe
from clustem.cluster import (
    FuzzyCMeans,
    GaussianMixture,
    GustafsonKessel,
    KMeans,
    PossibilisticCMeans,
)
from clustem.cluster._markers import region_starts
from clustem.core import InputError, ParameterError, UnknownNameError
from clustem.labelmaps.label_maps import unpacked
from clustem.passes.rows import Rows
from clustem.passes.transform import RowTransform
from clustem.recipes._markers import named

RECIPE = Recipe.from_toml(
    "[describe.spectra]\n[cluster.KMeans]\nn_clusters = 3\n[mapping.clusters]\n"
)
SIZES = (80, 150, 260)
WITH_FIXED_CENTERS = [KMeans, FuzzyCMeans, GustafsonKessel, PossibilisticCMeans]


def clouds():
    """Three clouds, sizes rising, in 5 dimensions; 6 rows of the last two are drawn as regions."""
    rng = np.random.default_rng(2)
    centers = np.zeros((3, 5))
    centers[1, :2], centers[2, 2:] = 12, 9
    X = np.concatenate([rng.normal(c, 1.5, (n, 5)) for c, n in zip(centers, SIZES, strict=True)])
    markers = np.zeros(len(X), dtype=int)
    markers[484:490], markers[100:106] = 4, 7
    return X, markers, np.repeat([0, 1, 2], SIZES)


def plain_lloyd(X, centers, held):
    for _ in range(100):
        labels = ((X[:, None] - centers) ** 2).sum(axis=-1).argmin(axis=1)
        new = np.array(
            [c if i < held else X[labels == i].mean(axis=0) for i, c in enumerate(centers)]
        )
        if np.allclose(new, centers, rtol=0, atol=1e-12):
            break
        centers = new
    return labels, centers


@pytest.mark.parametrize("fix_centers", [False, True])
def test_k_means_from_regions_is_lloyd_from_their_means(fix_centers):
    X, markers, _ = clouds()
    means = np.array([X[markers == 4].mean(axis=0), X[markers == 7].mean(axis=0)])
    found = KMeans(2, markers=markers, fix_centers=fix_centers).fit(X)
    labels, centers = plain_lloyd(X, means, 2 * fix_centers)
    np.testing.assert_array_equal(found.labels_, labels)
    np.testing.assert_allclose(found.cluster_centers_, centers, atol=1e-6)
    assert found.inertia_ == pytest.approx(((X - centers[labels]) ** 2).sum())
    assert found.certified_
    np.testing.assert_array_equal(found.predict(X), labels)


def test_free_centers_move_where_others_are_fixed():
    X, markers, truth = clouds()
    found = KMeans(3, markers=markers, fix_centers=True).fit(X)
    held = [X[markers == 4].mean(axis=0), X[markers == 7].mean(axis=0)]
    np.testing.assert_allclose(found.cluster_centers_[:2], held, atol=1e-6)
    labels, centers = plain_lloyd(X, found.cluster_centers_, 2)
    np.testing.assert_array_equal(found.labels_, labels)
    np.testing.assert_allclose(found.cluster_centers_, centers, atol=1e-6)
    assert clustem.compare(found.labels_, truth).ari > 0.98


def test_fixed_centers_in_the_normalised_space_of_patterns():
    X, markers, _ = clouds()
    X = np.clip(X + 9, 0, 255).round().astype(np.uint8)
    transform = RowTransform(5, normalize="l2")
    found = KMeans(3, normalize="l2", markers=markers, fix_centers=True).fit(X)
    expected = transform.apply(X)[markers == 4].mean(axis=0)
    np.testing.assert_allclose(found.cluster_centers_[0], expected, atol=1e-6)


@pytest.mark.parametrize("make", WITH_FIXED_CENTERS[1:])
def test_fixed_fuzzy_centers_stay_and_the_objective_falls(make):
    X, markers, truth = clouds()
    found = make(3, markers=markers, fix_centers=True).fit(X)
    for i, region in enumerate((4, 7)):
        expected = X[markers == region].mean(axis=0)
        np.testing.assert_allclose(found.cluster_centers_[i], expected, atol=1e-9)
    assert (np.diff(found.objective_history_) <= 0).all()
    assert clustem.compare(found.labels_, truth).ari > 0.95


@pytest.mark.parametrize("make", [*WITH_FIXED_CENTERS, GaussianMixture])
def test_started_clusters_keep_the_order_of_their_regions(make):
    X, markers, truth = clouds()
    found = make(3, markers=markers).fit(X)
    assert clustem.compare(found.labels_, truth).ari > 0.95
    assert np.bincount(found.labels_[truth == 2]).argmax() == 0  # region 4
    assert np.bincount(found.labels_[truth == 1]).argmax() == 1  # region 7


def test_missing_centers_are_far_rows():
    X, markers, truth = clouds()
    regions = np.where(markers == 4, 0, np.where(markers == 7, 1, -1))
    picked = []
    for seed in range(20):
        centers = region_starts(Rows(X), regions, 3, random_state=seed)
        np.testing.assert_allclose(centers[1], X[markers == 7].mean(axis=0))
        picked.append(truth[(centers[2] == X).all(axis=1)][0])
    assert picked.count(0) > 12  # the cloud without a region


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"fix_centers": True}, "fix_centers needs markers"),
        ({"markers": np.zeros(490, int)}, "at least 1 .* got 0"),
        ({"markers": np.arange(490)}, "got 489. Raise n_clusters"),
        ({"markers": np.ones(7, int)}, "490 integers"),
        ({"markers": np.ones(490)}, "490 integers"),
        ({"markers": "mask.tif"}, "Files are for recipes"),
    ],
)
@pytest.mark.parametrize("make", [KMeans, GustafsonKessel])
def test_refusals(make, given, words):
    with pytest.raises(ParameterError, match=words):
        make(3, **given).fit(clouds()[0])


def test_centers_and_markers_together_are_refused():
    X, markers, _ = clouds()
    for make, init in ((KMeans, np.zeros((2, 5))), (GaussianMixture, np.ones((490, 2)))):
        with pytest.raises(ParameterError, match="init or from markers"):
            make(2, markers=markers, init=init).fit(X)


def scan():
    truth = np.zeros((12, 15), dtype=int)
    truth[:, 9:], truth[7:, 4:] = 1, 2
    means = np.full((3, 20), 5.0)
    means[1, 8:], means[2, :5] = 9, 12
    data = np.random.default_rng(0).poisson(means[truth])
    regions = np.zeros((12, 15), dtype=np.uint8)
    regions[1:3, 11:13], regions[9:11, 6:9], regions[2:4, 1:3] = 1, 2, 5
    return hs.signals.Signal1D(data), truth, regions


@pytest.mark.parametrize("kind", ["array", "labels.tif", "masks"])
def test_markers_of_a_scan_name_their_clusters_and_stay_in_the_recipe(kind, tmp_path):
    signal, truth, regions = scan()
    given = regions
    if kind == "labels.tif":
        given = str(tmp_path / kind)
        tifffile.imwrite(given, regions)
    if kind == "masks":
        given = [str(tmp_path / f"mask{i}.npy") for i in (1, 2, 5)]
        for path, value in zip(given, (1, 2, 5), strict=True):
            np.save(path, (regions == value) * np.uint8(255))
    found = clustem.segment(
        signal, RECIPE, settings={"cluster.markers": given, "cluster.fix_centers": True}
    )
    assert clustem.compare(found, truth).accuracy > 0.97
    last = "region 3" if kind == "masks" else "region 5"
    for value, name in zip((1, 2, 5), ("region 1", "region 2", last), strict=True):
        inside = found.labels.data[regions == value]
        assert {found.name_of(int(i)) for i in inside} == {name}
    assert "100 % of region 1 in" in found.history[-1].note
    for path in tmp_path.iterdir():
        path.unlink()  # the recipe does without
    again = clustem.segment(signal, found.recipe)
    np.testing.assert_array_equal(again.labels.data, found.labels.data)
    assert again.names == found.names
    assert again.recipe_text == found.recipe_text
    inside = unpacked(again.history[1].parameters["markers"])
    np.testing.assert_array_equal(inside > 0, regions > 0)
    assert len(again.history[1].label) < 400


def test_a_region_whose_cluster_went_elsewhere_is_noted():
    signal, _, regions = scan()
    found = clustem.segment(signal, RECIPE)
    regions[regions == 5] = 0
    regions[10, 10:12] = 7  # all of it in the phase of region 2
    note = named(found, regions)[1]
    inside = int(found.labels.data[10, 10])
    assert note.endswith(f"region 7 has no cluster of its own, most of it in {inside}")


def test_markers_drawn_before_rebinning_and_masks():
    signal, _, regions = scan()
    fine = np.kron(regions, np.ones((2, 2), dtype=np.uint8))
    found = clustem.segment(signal, RECIPE, settings={"cluster.markers": fine})
    same = clustem.segment(signal, RECIPE, settings={"cluster.markers": regions})
    np.testing.assert_array_equal(found.labels.data, same.labels.data)
    swept = clustem.sweep(signal, RECIPE, [3, 4], settings={"cluster.markers": regions})
    np.testing.assert_array_equal(swept[3].labels.data, same.labels.data)


@pytest.mark.parametrize(
    ("markers", "words"),
    [
        (np.ones((15, 12), int), "shape of the scan"),
        (np.zeros((12, 15), int), "must have a region"),
        (np.full((12, 15), 0.5), "must hold integers"),
        (np.eye(12, 15, dtype=int) - 1, "0 where there is no region; got -1. Add 1"),
        ("gone.tif", "can be read"),
        (["a.npy", "b.npy"], "not overlap; got an overlap"),
    ],
)
def test_refused_markers_of_a_scan(markers, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", np.ones((12, 15), bool))
    with pytest.raises(InputError, match=words):
        clustem.segment(scan()[0], RECIPE, settings={"cluster.markers": markers})


def test_a_region_that_is_all_excluded_is_refused():
    signal, _, regions = scan()
    signal.data[1:3, 11:13] = 0
    masked = {"prepare.vacuum.threshold": 1, "prepare.vacuum.opening": False}
    with pytest.raises(InputError, match="region 1, all of it excluded"):
        clustem.segment(signal, RECIPE, settings={**masked, "cluster.markers": regions})


def test_mixtures_have_no_fixed_centers():
    with pytest.raises(UnknownNameError, match="called 'fix_centers'"):
        RECIPE.with_settings(
            {"cluster": "GaussianMixture", "cluster.GaussianMixture.fix_centers": True}
        )
