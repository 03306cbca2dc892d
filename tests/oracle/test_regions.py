"""Regions, borders and neighbours of label maps against slow loops and known shapes."""

import csv

import hyperspy.api as hs
import numpy as np
import pytest
from scipy import ndimage
from skimage import measure

import clustem
from clustem import Recipe
from clustem.core import InputError
from clustem.judge import regions
from clustem.labelmaps.potts import potts
from clustem.labelmaps.regions import connected, interfaces, shared_edges, without_small
from clustem.report.page._findings import summary
from clustem.report.tables.write_regions import write_regions

RNG = np.random.default_rng(6)


def flood(labels):
    """Regions by flood fill."""
    found, count = np.full(labels.shape, -1), 0
    for start in np.ndindex(labels.shape):
        if labels[start] < 0 or found[start] >= 0:
            continue
        todo = [start]
        found[start] = count
        while todo:
            i, j = todo.pop()
            for p in ((i + 1, j), (i - 1, j), (i, j + 1), (i, j - 1)):
                inside = 0 <= p[0] < labels.shape[0] and 0 <= p[1] < labels.shape[1]
                if inside and found[p] < 0 and labels[p] == labels[start]:
                    found[p] = count
                    todo.append(p)
        count += 1
    return found


def edges_by_loop(labels):
    found = {}
    rows, columns = labels.shape
    for i, j in np.ndindex(labels.shape):
        for p in ((i + 1, j), (i, j + 1)):
            if p[0] < rows and p[1] < columns:
                a, b = sorted((int(labels[i, j]), int(labels[p])))
                if 0 <= a < b:
                    found[a, b] = found.get((a, b), 0) + 1
    return found


def joined_by_loop(labels, smallest):
    """Join the smallest region to the neighbour of longest border, then look at all again."""
    labels = labels.copy()
    lonely = set()
    while True:
        parts = flood(labels)
        sizes = np.bincount(parts[parts >= 0])
        small = [r for r in range(len(sizes)) if sizes[r] < smallest and r not in lonely]
        if not small:
            return labels
        region = min(small, key=lambda r: (sizes[r], r))
        borders = {}
        for (a, b), n in edges_by_loop(parts).items():
            if region in (a, b):
                borders[a + b - region] = n
        if not borders:
            lonely.add(region)
            continue
        into = min(borders, key=lambda r: (-borders[r], -sizes[r], r))
        labels[parts == region] = labels[parts == into][0]
        lonely = set()


@pytest.mark.parametrize("shape", [(9, 14), (1, 20), (13, 4)])
def test_regions_and_edges_are_those_of_a_loop(shape):
    labels = RNG.integers(-1, 3, shape)
    np.testing.assert_array_equal(connected(labels), flood(labels))
    pairs, edges = shared_edges(labels)
    assert dict(zip(map(tuple, pairs.tolist()), edges.tolist(), strict=True)) == edges_by_loop(
        labels
    )


@pytest.mark.parametrize("smallest", [2, 4, 9])
@pytest.mark.parametrize("low", [0, -1])
def test_small_regions_join_as_in_a_loop(smallest, low):
    for seed in range(4):
        coarse = np.random.default_rng(seed).integers(low, 3, (5, 6))
        labels = np.kron(coarse, np.ones((2, 2), int))
        noise = np.random.default_rng(seed + 9).random(labels.shape) < 0.12
        labels[noise] = RNG.integers(low, 3, noise.sum())
        found = without_small(labels, smallest)
        # Which of equal regions goes first may differ once regions were renumbered.
        sizes = np.bincount(flood(found)[found >= 0])
        expected = joined_by_loop(labels, smallest)
        assert (sizes >= smallest).all() or low < 0
        assert (found != expected).mean() < 0.05
        np.testing.assert_array_equal(found < 0, labels < 0)


def test_one_small_region_joins_its_longest_border():
    labels = np.array([[0, 0, 0, 1, 1], [0, 2, 2, 1, 1], [0, 2, -1, 1, 1], [0, 0, -1, 1, 1]])
    found = without_small(labels, 4)
    assert (found[labels == 2] == 0).all()  # 5 edges against 1
    np.testing.assert_array_equal(found[labels != 2], labels[labels != 2])
    np.testing.assert_array_equal(without_small(labels, 3), labels)
    lonely = np.array([[0, -1, 1, 1]])
    np.testing.assert_array_equal(without_small(lonely, 2), lonely)


def test_a_line_scan_loses_its_specks():
    assert without_small(np.array([0, 0, 0, 1, 0, 0, 2, 2]), 2).tolist() == [0] * 6 + [2, 2]


@pytest.mark.parametrize("angle", np.radians([0, 17, 30, 45, 63, 90, 120]))
@pytest.mark.parametrize("pixel", [(1.0, 1.0), (2.0, 1.5)])
def test_length_of_a_straight_border(angle, pixel):
    y, x = np.indices((300, 400))
    y, x = (y - 150.3) * pixel[0], (x - 200.2) * pixel[1]
    inside = np.hypot(y, x) < 140 * min(pixel)
    labels = np.where(inside, (y * np.cos(angle) + x * np.sin(angle) > 0).astype(int), -1)
    length = interfaces(labels, pixel)[0, 1]
    assert length == pytest.approx(280 * min(pixel), rel=0.08 if pixel[0] != pixel[1] else 0.06)


def test_length_of_a_circle():
    y, x = np.indices((200, 220))
    labels = (np.hypot(y - 99.7, x - 110.2) < 60).astype(int)
    assert interfaces(labels)[0, 1] == pytest.approx(2 * np.pi * 60, rel=0.01)


def calibrated(labels, scales=(3.0, 2.0), units="nm"):
    signal = hs.signals.Signal2D(labels)
    for axis, scale in zip(signal.axes_manager._axes, scales, strict=True):
        axis.scale, axis.units = scale, units
    return signal


def test_regions_of_a_map_in_its_units():
    labels = np.zeros((30, 40), dtype=np.int16)
    labels[5:15, 10:30], labels[20:24, 3:9], labels[0, 0] = 1, 1, 2
    found = regions(calibrated(labels), min_size=2)
    assert [(r.cluster, r.pixels, r.area) for r in found.regions] == [
        (0, 975, 5850.0), (1, 200, 1200.0), (1, 24, 144.0),
    ]  # fmt: skip
    first = found.of(1)[0]
    assert first.center == (9.5, 19.5)
    assert first.diameter == pytest.approx(2 * np.sqrt(1200 / np.pi))
    assert first.axes == pytest.approx((4 * 40 / 12**0.5, 4 * 30 / 12**0.5), rel=0.01)
    assert (found.region_map[5:15, 10:30] == 1).all()
    assert found.region_map[0, 0] == -1
    assert found.units == "nm"
    around = 2 * (40 + 30) + 2 * (12 + 12)
    assert found.borders[0, 1] == pytest.approx(around, rel=0.09)
    assert regions(calibrated(labels, units="")).units == "px"
    with pytest.raises(InputError, match="map of two axes"):
        regions(labels[0])


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (2.0, 3.0)])
def test_shapes_are_those_of_scikit_image(pixel):
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=(40, 70)), 1.5)
    found = regions(calibrated(np.digitize(noise, [-0.1, 0.1]) - 1, scales=pixel))
    expected = measure.regionprops(found.region_map + 1, spacing=pixel)
    assert len(found.regions) == len(expected) > 40
    for region, part in zip(found.regions, expected, strict=True):
        assert region.pixels == part.num_pixels
        np.testing.assert_allclose(region.center, part.centroid / np.array(pixel))
        np.testing.assert_allclose(region.diameter, part.equivalent_diameter_area)
        lengths = part.axis_major_length, part.axis_minor_length
        np.testing.assert_allclose(region.axes, lengths, rtol=1e-6, atol=1e-5)


def test_a_map_without_clusters_has_no_regions():
    found = regions(np.full((3, 4), -1))
    assert found.regions == ()
    assert not found.borders
    assert (found.region_map == -1).all()


def spectra(shape=(20, 24), counts=3.0):
    """Two phases hard to tell apart pixel by pixel."""
    truth = np.zeros(shape, dtype=int)
    truth[:, 13:] = 1
    truth[6:10, 3:9] = 1
    means = np.full((2, 24), counts)
    means[1, :8] *= 1.7
    return truth, hs.signals.Signal1D(np.random.default_rng(1).poisson(means[truth]))


HARD = "[describe.spectra]\n[cluster.KMeans]\nn_clusters = 2\n[mapping.clusters]\n"
SOFT = HARD.replace("KMeans", "GaussianMixture").replace("[cl", "[reduce.pca]\nn_components=1\n[cl")


def energy(evidence, labels, mask, smoothness):
    """Minus the logarithm of the posterior, term by term."""
    total = 0.0
    rows, columns = mask.shape
    for i, j in np.ndindex(mask.shape):
        if mask[i, j]:
            continue
        total -= evidence[i, j, labels[i, j]]
        for di, dj, weight in ((0, 1, 1.0), (1, 0, 1.0), (1, 1, 0.5**0.5), (1, -1, 0.5**0.5)):
            p, q = i + di, j + dj
            if p < rows and 0 <= q < columns and not mask[p, q]:
                total -= smoothness * weight * (labels[i, j] == labels[p, q])
    return total


@pytest.mark.parametrize("smoothness", [0.0, 0.4, 1.5])
def test_no_single_change_lowers_the_energy(smoothness):
    evidence = RNG.normal(size=(7, 9, 3))
    mask = RNG.random((7, 9)) < 0.1
    labels = potts(evidence, mask, smoothness=smoothness).argmax(axis=-1)
    best = energy(evidence, labels, mask, smoothness)
    assert best <= energy(evidence, evidence.argmax(axis=-1), mask, smoothness) + 1e-9
    for i, j in np.ndindex(mask.shape):
        for other in range(3):
            changed = labels.copy()
            changed[i, j] = other
            assert energy(evidence, changed, mask, smoothness) >= best - 1e-9
    if not smoothness:
        np.testing.assert_array_equal(labels[~mask], evidence.argmax(axis=-1)[~mask])


def test_a_line_is_smoothed_along_itself():
    evidence = np.zeros((9, 2))
    evidence[:, 0] = [1, 1, 1, -0.5, 1, -1, -1, 0.5, -1]
    found = potts(evidence, np.zeros(9, dtype=bool), smoothness=0.4).argmax(axis=1)
    assert found.tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("text", [HARD, SOFT], ids=["hard", "soft"])
def test_neighbours_help_where_single_spectra_are_too_noisy(text):
    truth, signal = spectra()
    alone = clustem.segment(signal, Recipe.from_toml(text))
    found = clustem.segment(signal, Recipe.from_toml(text), settings={"mapping.smoothness": 1.0})
    before, after = (clustem.compare(result, truth).accuracy for result in (alone, found))
    assert before < 0.95
    assert after > before + 0.04
    assert (found.labels.data[7:9, 4:8] == found.labels.data[7, 5]).all()  # the island stays
    assert found.labels.data[7, 5] == found.labels.data[0, 20]
    assert "Potts model, smoothness 1" in found.history[-1].note
    assert "Neighbours weighed in" in summary(found)
    assert "eighbours" not in summary(alone)
    data = signal.data[found.labels.data == 0]
    np.testing.assert_allclose(found.centers.data[0], data.mean(axis=0), rtol=1e-5)
    if alone.memberships is not None:
        np.testing.assert_array_equal(found.memberships.data, alone.memberships.data)


def test_the_threshold_counts_neighbours_in():
    signal = spectra()[1]
    strict = {"mapping.threshold": 0.9}
    alone = clustem.segment(signal, Recipe.from_toml(SOFT), settings=strict)
    found = clustem.segment(
        signal, Recipe.from_toml(SOFT), settings={**strict, "mapping.smoothness": 1}
    )
    assert found.unassigned_fraction < 0.3 * alone.unassigned_fraction


def test_smallest_area_is_a_setting_of_the_recipe(tmp_path):
    signal = spectra()[1]
    found = clustem.segment(signal, Recipe.from_toml(HARD), settings={"mapping.min_size": 12})
    listed = regions(found)
    assert min(region.pixels for region in listed.regions) >= 12
    assert "regions below 12 positions joined" in found.history[-1].note
    members = signal.data[found.labels.data == 1]
    np.testing.assert_allclose(found.centers.data[1], members.mean(axis=0), rtol=1e-5)
    again = clustem.segment(signal, Recipe.from_toml(found.recipe_text))
    np.testing.assert_array_equal(again.labels.data, found.labels.data)
    named = found.relabel({0: "matrix, fine"})
    with write_regions(named, tmp_path / "regions.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [line["kind"] for line in lines] == ["region"] * len(listed.regions) + ["border"]
    assert int(lines[0]["positions"]) == listed.regions[0].pixels
    assert lines[-1]["name"] == "matrix, fine"
    assert float(lines[-1]["length (px)"]) == pytest.approx(listed.borders[0, 1], rel=1e-5)


def test_columns_in_a_row_have_no_neighbours():
    sample = clustem.samples.domains(shape=(160, 200))
    small = {"describe.size": 16, "cluster.covariance_type": "spherical", "cluster.n_init": 1}
    asked = {"mapping": "clusters", "mapping.min_size": 3}
    with pytest.raises(InputError, match="positions on a grid"):
        clustem.segment(sample.signal, "domains", settings={**small, **asked})
