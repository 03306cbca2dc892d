"""Images and maps that are too large to be treated whole: the same answers from parts of them."""

import csv
import sys

import hyperspy.api as hs
import numpy as np
import pytest
from skimage.graph import pixel_graph
from skimage.measure import label

from clustem import compare, samples
from clustem.cluster import KMeans
from clustem.core import Clustering, FilterBank, Masks
from clustem.describe import _fringes, _gabor_tiles, gabor
from clustem.describe._gabor_tiles import MOST, automatic_step
from clustem.judge.regions import regions
from clustem.labelmaps import regions as parts_module
from clustem.labelmaps.grid_graph import grid_graph
from clustem.labelmaps.regions import _number_regions, connected, interfaces, outlines, shared_edges
from clustem.mapping import _every_pixel, facets
from clustem.report.figures.example import example
from clustem.report.layout import thinned as thinned_module
from clustem.report.layout.thinned import thinned
from clustem.report.page.write_report import write_report
from clustem.report.tables.write_points import write_points


@pytest.fixture(scope="module")
def image():
    return samples.particles(kind="decahedron", shape=(230, 262), diameter=10.0).signal


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("step", [2, 5])
def test_every_so_many_pixels_are_described_as_all_are(image, step, normalize, monkeypatch):
    monkeypatch.setattr(_gabor_tiles, "_TILE", 96)  # several tiles, the last ones smaller
    given = {"orientations": 6, "normalize": normalize}
    every = np.asarray(gabor(image, **given).rows).reshape(230, 262, -1)
    features = gabor(image, step=step, **given)
    shape = -(-230 // step), -(-262 // step)
    found = np.asarray(features.rows).reshape(*shape, -1)
    off = np.abs(found - every[::step, ::step])
    assert off.mean() < 0.02 * every.std()
    assert np.quantile(off, 0.99) < 0.1 * every.std()
    assert features.shape == shape
    assert features.find(FilterBank).step == step
    scales = [axis.scale for axis in features.source.axes_manager.navigation_axes]
    own = [axis.scale for axis in image.axes_manager.signal_axes]
    np.testing.assert_allclose(scales, step * np.array(own))


def test_the_step_leaves_a_million_pixels_but_never_skips_fringes():
    assert automatic_step((1024, 1024), 3.0) == 1
    assert MOST == 1024 * 1024
    assert automatic_step((2048, 2048), 3.0) == 2
    assert automatic_step((8192, 8192), 4.0) == 8
    assert automatic_step((8192, 8192), 2.4) == 6
    assert automatic_step((1200, 1000), 3.0) == 2


def test_spectra_of_parts_show_the_same_fringes(image, monkeypatch):
    whole = _fringes.fringe_wavelengths(image.data.astype(np.float32), most=3)
    monkeypatch.setattr(_fringes, "_LARGE", 1000)
    monkeypatch.setattr(_fringes, "_WINDOW", 160)
    parts = _fringes.fringe_wavelengths(image.data.astype(np.float32), most=3)
    np.testing.assert_allclose(parts, whole, rtol=0.02)


@pytest.mark.parametrize("outline", [True, False])
def test_facets_of_all_pixels_are_those_of_a_full_description(image, outline, monkeypatch):
    monkeypatch.setattr(_every_pixel, "_TILE", 128)
    monkeypatch.setattr(_every_pixel, "_BAND", 50)
    mask = np.zeros((230, 262), dtype=bool)
    mask[:21, 40:] = True
    found = []
    for step in (1, 4):
        features = gabor(image, orientations=18, step=step, masks=Masks(scan=mask))
        model = KMeans(7).fit(features.rows)
        clustering = Clustering.from_estimator(model, features)
        found.append(facets(clustering, outline=outline))
    every, few = found
    assert few.labels.data.shape == (230, 262)
    assert compare(few, every).ari > 0.995
    assert (few.labels.data[mask] == -1).all()
    turned = [
        np.sort([int(name[11:-1]) for name in result.names.values() if name[0] == "l"])
        for result in found
    ]
    assert np.abs(turned[0] - turned[1]).max() <= 2
    assert few.counts.sum() == (~mask).sum()
    assert (np.bincount(few.labels.data[~mask]) == few.counts).all()
    assert (np.diff(few.counts) <= 0).all()
    axes = [axis.scale for axis in few.labels.axes_manager.signal_axes]
    np.testing.assert_allclose(axes, [axis.scale for axis in image.axes_manager.signal_axes])
    assert few.lattice.step == 1


@pytest.mark.parametrize("kernel", [_number_regions, _number_regions.py_func])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_regions_are_those_of_another_library(kernel, seed):
    labels = np.random.default_rng(seed).integers(-1, 2, (23, 31))
    found = np.empty(labels.shape, dtype=np.int32)
    kernel(labels, found)
    expected = label(labels + 1, background=0, connectivity=1) - 1
    assert (found == expected).all()
    assert (connected(labels[0]) == label(labels[0] + 1, background=0, connectivity=1) - 1).all()


def test_maps_are_measured_in_parts_as_whole(monkeypatch):
    rng = np.random.default_rng(0)
    labels = np.repeat(np.repeat(rng.integers(-1, 4, (13, 11)), 5, axis=0), 7, axis=1)
    where = connected(labels)

    def measured():
        found = regions(labels)
        pairs, edges = shared_edges(labels)
        return (
            found.regions,
            found.region_map.tolist(),
            interfaces(labels),
            outlines(where, (1.0, 2.0)).tolist(),
            pairs.tolist(),
            edges.tolist(),
        )

    whole = measured()
    monkeypatch.setattr(parts_module, "_PART", 300)
    monkeypatch.setattr(sys.modules["clustem.judge.regions"], "_PART", 300)
    parts = measured()
    assert parts[1:3] == whole[1:3]
    assert parts[4:] == whole[4:]
    np.testing.assert_allclose(parts[3], whole[3])
    for one, other in zip(parts[0], whole[0], strict=True):
        assert (one.cluster, one.pixels) == (other.cluster, other.pixels)
        np.testing.assert_allclose(one.center, other.center)
        np.testing.assert_allclose(one.axes, other.axes, atol=1e-6)
    sizes = [region.pixels for region in whole[0]]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == (labels >= 0).sum()


@pytest.mark.parametrize("shape", [(1, 9), (7, 5), (40, 33)])
def test_neighbours_are_those_of_another_library(shape):
    mask = np.random.default_rng(1).random(shape) < 0.3
    mask.flat[:2] = False
    expected = pixel_graph(~mask, connectivity=2)[0].toarray()
    expected[expected > 0] = 1 / expected[expected > 0]
    np.testing.assert_allclose(grid_graph(mask).toarray(), expected)
    assert grid_graph(mask).has_canonical_format


def test_large_maps_are_thinned_for_figures(monkeypatch):
    result = example()
    monkeypatch.setattr(thinned_module, "_MOST", 3)
    small = thinned(result)
    rows, columns = result.mask.shape
    assert small.mask.shape == (-(-rows // 2), -(-columns // 2))
    assert (small.labels.data == result.labels.data[::2, ::2]).all()
    assert (small.memberships.data == result.memberships.data[:, ::2, ::2]).all()
    kept = np.zeros(result.mask.shape, dtype=bool)
    kept[::2, ::2] = True
    expected = result.points[kept[~result.mask]]
    assert len(expected) == (~small.mask).sum()
    assert (small.points == expected).all()
    for one, other in zip(
        small.labels.axes_manager._axes, result.labels.axes_manager._axes, strict=True
    ):
        assert one.scale == 2 * other.scale
    assert (small.counts == result.counts).all()


def test_a_report_of_a_large_map_has_figures_and_no_table_of_points(monkeypatch, tmp_path):
    monkeypatch.setattr(thinned_module, "_MOST", 3)
    monkeypatch.setattr(sys.modules["clustem.report.page.write_report"], "MOST", 10)
    names = {path.name for path in write_report(example(), tmp_path, title="large")}
    assert {"phase_map.png", "labels.tif", "regions.csv"} <= names
    assert "points.csv" not in names


def test_points_are_written_in_parts_as_whole(monkeypatch, tmp_path):
    result = example()
    whole = write_points(result, tmp_path / "whole.csv").read_text()
    monkeypatch.setattr(sys.modules["clustem.report.tables.write_points"], "_BLOCK", 1)
    parts = write_points(result, tmp_path / "parts.csv").read_text()
    assert parts == whole
    lines = list(csv.reader(whole.splitlines()))
    assert len(lines) == 1 + (~result.mask).sum()
    labels = [int(line[lines[0].index("label")]) for line in lines[1:]]
    assert labels == result.labels.data[~result.mask].tolist()


def test_a_large_image_of_one_lattice_needs_no_outline():
    row, column = np.indices((90, 120))
    image = np.where(column < 60, np.sin(1.4 * row), np.sin(1.4 * column))
    features = gabor(hs.signals.Signal2D(image), orientations=12, step=3)
    found = facets(Clustering.from_estimator(KMeans(2).fit(features.rows), features))
    assert found.n_clusters == 2
    assert abs(int((found.labels.data[:, :60] == found.labels.data[45, 20]).sum()) - 5400) < 200
