"""Maps and centers against plain loops."""

from dataclasses import replace
from types import SimpleNamespace

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.cluster import KMeans
from clustem.core import Clustering, Masks
from clustem.describe import patterns, spectra
from clustem.mapping import clusters
from clustem.passes.cluster_sums import RowAdder, cluster_sums
from clustem.passes.rows import Rows
from clustem.passes.scaled_rows import ScaledRows
from clustem.passes.transform import RowTransform

DATA = (
    np.random.default_rng(2).poisson(40, (5, 7, 11)).astype(np.uint16)
    + np.arange(7, dtype=np.uint16)[:, None] * 9
)
MASK = np.zeros((5, 7), dtype=bool)
MASK[1, 2] = MASK[4, 0] = True


def eds_signal(data=DATA):
    signal = hs.signals.Signal1D(data)
    signal.set_signal_type("EDS_SEM")
    energy = signal.axes_manager[-1]
    energy.scale, energy.offset, energy.units, energy.name = 0.01, -0.1, "keV", "Energy"
    signal.axes_manager[0].scale, signal.axes_manager[1].scale = 17.0, 21.0
    signal.set_microscope_parameters(beam_energy=10.0)
    signal.set_elements(["Fe", "O"])
    return signal


def fuzzy(n, k=3):
    memberships = np.random.default_rng(8).dirichlet(np.full(k, 0.4), n)
    return SimpleNamespace(labels_=memberships.argmax(axis=1), memberships_=memberships)


def projected(signal, threshold=0.5):
    features = spectra(signal, masks=Masks(scan=MASK))
    return clusters(
        Clustering.from_estimator(fuzzy(len(features.rows)), features), threshold=threshold
    )


def test_means_and_errors_are_those_of_a_loop():
    found = projected(eds_signal())
    labels = found.labels.data
    for i in range(3):
        members = [
            DATA[y, x].astype(float) for y in range(5) for x in range(7) if labels[y, x] == i
        ]
        assert found.counts[i] == len(members)
        np.testing.assert_allclose(found.centers.data[i], np.mean(members, axis=0), rtol=1e-6)
        error = np.std(members, axis=0, ddof=1) / np.sqrt(len(members))
        np.testing.assert_allclose(found.standard_error.data[i], error, rtol=1e-4)


def test_threshold_leaves_pixels_unassigned():
    found = projected(eds_signal(), threshold=0.7)
    highest = found.memberships.data.max(axis=0)
    assert ((found.labels.data == -1) == ((highest <= 0.7) | MASK)).all()
    assert found.unassigned_fraction == pytest.approx((highest[~MASK] <= 0.7).mean())
    assert (highest[MASK] == 0).all()


def test_at_the_threshold_a_position_is_unassigned():
    signal = eds_signal()
    features = spectra(signal, masks=Masks(scan=MASK))
    n = len(features.rows)
    memberships = np.tile([0.75, 0.25], (n, 1))  # exact in binary
    memberships[::2] = [0.25, 0.75]
    memberships[1] = [0.875, 0.125]
    made = SimpleNamespace(labels_=memberships.argmax(axis=1), memberships_=memberships)
    found = clusters(Clustering.from_estimator(made, features), threshold=0.75)
    assert np.count_nonzero(found.labels.data >= 0) == 1


def test_clusters_are_numbered_by_falling_size():
    found = projected(eds_signal(), threshold=0.0)
    assert (np.diff(found.counts) <= 0).all()


def test_centers_keep_type_axes_and_metadata():
    found = projected(eds_signal())
    centers = found.centers
    assert centers.metadata.Signal.signal_type == "EDS_SEM"
    assert centers.metadata.Acquisition_instrument.SEM.beam_energy == 10.0
    assert list(centers.metadata.Sample.elements) == ["Fe", "O"]
    assert centers.axes_manager[-1].offset == pytest.approx(-0.1)
    assert found.labels.data.dtype == np.int16
    assert [axis.scale for axis in found.labels.axes_manager._axes] == [21.0, 17.0]


def test_lazy_data_gives_the_same():
    now = projected(eds_signal())
    lazy = projected(eds_signal(da.from_array(DATA, chunks=(2, 3, 4))).as_lazy())
    np.testing.assert_allclose(lazy.centers.data, now.centers.data, rtol=1e-6)


def test_an_empty_cluster_has_zeros():
    features = spectra(eds_signal())
    labels = np.zeros(len(features.rows), dtype=int)
    estimator = SimpleNamespace(labels_=labels, cluster_centers_=np.zeros((2, 11)))
    found = clusters(Clustering.from_estimator(estimator, features))
    assert list(found.counts) == [35, 0]
    assert (found.centers.data[1] == 0).all()
    assert (found.standard_error.data[1] == 0).all()


def test_by_intensity_numbers_from_the_brightest():
    features = spectra(eds_signal())
    labels = (np.arange(35) % 7 > 4).astype(int)
    total = np.asarray(features.rows).sum(axis=1, dtype=float)
    found = Clustering.from_estimator(SimpleNamespace(labels_=labels), features, by=total)
    assert (found.labels == 1 - labels).all()


@pytest.mark.parametrize("dtype", ["u1", "u2", ">u2", "?", "i2", "f4", "f8"])
def test_sums_of_clusters_are_those_of_numpy(dtype):
    rng = np.random.default_rng(4)
    data = rng.integers(0, 250 if dtype == "u1" else 2, (9, 11, 3, 4)).astype(dtype)
    labels = rng.integers(-1, 3, 99)
    found = cluster_sums(data, labels, 3, mask=np.zeros((9, 11), dtype=bool))
    rows = data.reshape(99, 3, 4).astype(float)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), rtol=1e-6)
    for j in range(3):
        own = rows[labels == j]
        np.testing.assert_allclose(found.means[j], own.mean(axis=0), rtol=1e-6)
        error = own.std(axis=0, ddof=1) / np.sqrt(len(own))
        np.testing.assert_allclose(found.errors[j], error, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["u1", "i2", "f4"])
def test_sums_that_are_known_change_with_the_labels(dtype, monkeypatch):
    rng = np.random.default_rng(5)
    data = (rng.integers(0, 250, (40, 50, 6)) - (dtype != "u1") * 100).astype(dtype)
    before = rng.integers(-1, 6, 2000)  # of finer cells
    labels = np.array([2, 0, 1, 0, 2, 1, -1])[before]  # their clusters, numbered anew
    changed = rng.choice(2000, 150, replace=False)
    labels[changed] = rng.integers(-1, 3, 150)
    adder = RowAdder(Rows(data), before, 6, np.array([1, 4]))
    for where, part in Rows(data).map(adder.work):
        adder.take(where, part)
    given = {"mask": np.zeros((40, 50), dtype=bool), "left_out": np.array([1, 4])}
    expected = cluster_sums(data, labels, 3, **given)
    read = count_reads(monkeypatch)
    found = cluster_sums(data, labels, 3, **given, known=adder.sums)
    assert 0 < sum(read) < 200
    for field in ("means", "errors", "counts", "mean", "hidden"):
        np.testing.assert_allclose(getattr(found, field), getattr(expected, field), rtol=1e-5)
    read.clear()
    other = cluster_sums(data.copy(), labels, 3, **given, known=adder.sums)
    assert sum(read) >= 2000, "the rows of another array are read"
    np.testing.assert_allclose(other.means, expected.means)
    read.clear()
    none = np.zeros(2000, dtype=int)
    none[::2] = rng.integers(0, 3, 1000)
    found = cluster_sums(data, none, 3, **given, known=adder.sums)
    np.testing.assert_allclose(found.means[1], data.reshape(2000, 6)[none == 1].mean(axis=0), 1e-5)


def count_reads(monkeypatch):
    """Collect how many rows each pass reads."""
    read, make = [], Rows.map

    def counted(rows, function, **settings):
        for where, found in make(rows, function, **settings):
            read.append(len(where))
            yield where, found

    monkeypatch.setattr(Rows, "map", counted)
    return read


def many_patterns():
    """Three kinds of patterns, more than fit in a sketch of their own."""
    rng = np.random.default_rng(2)
    kinds = rng.gamma(0.5, 2, (3, 16, 20)) + 0.5
    data = rng.poisson(kinds[rng.integers(0, 3, (80, 90))]).astype("u1")
    data[..., 7:9, 9:11] = 200
    beam = np.zeros((16, 20), dtype=bool)
    beam[7:9, 9:11] = True
    masks = Masks(signal=beam)
    return patterns(hs.signals.Signal2D(data), normalize="l2", masks=masks), data


@pytest.mark.parametrize("k", [3, 5])
def test_the_map_needs_next_to_no_reading_after_k_means(k, monkeypatch):
    features, data = many_patterns()
    read = count_reads(monkeypatch)
    estimator = KMeans(k).fit(features.rows)
    assert estimator.n_passes_ == pytest.approx(sum(read) / 7200, abs=0.01)
    read.clear()
    found = clusters(Clustering.from_estimator(estimator, features))
    assert sum(read) < 0.5 * 7200
    raw, labels = data.reshape(7200, -1), found.labels.data.ravel()
    for j in range(k):
        own = raw[labels == j].astype(float)
        np.testing.assert_allclose(found.centers.data[j].ravel(), own.mean(axis=0), rtol=1e-5)
        error = own.std(axis=0, ddof=1) / np.sqrt(len(own))
        np.testing.assert_allclose(found.standard_error.data[j].ravel(), error, rtol=1e-4)
    np.testing.assert_array_equal(found.context[0].data, data[..., 7:9, 9:11].sum(axis=(2, 3)))
    distances = np.sort(estimator.transform(features.rows), axis=1)
    np.testing.assert_allclose(found.distance.ravel(), distances[:, 0], rtol=5e-3)
    off = np.abs(found.distance.ravel() / distances[:, 0] - 1)
    assert np.median(off) < 1e-4
    margin = 1 - distances[:, 0] / distances[:, 1]
    np.testing.assert_allclose(found.margin.ravel(), margin, atol=5e-3)


def test_distances_of_rows_without_noise_are_read():
    """Nothing is left of a difference of squares there."""
    kinds = np.random.default_rng(3).gamma(0.5, 40, (3, 300)).astype("u1")
    data = kinds[np.arange(8100).reshape(90, 90) % 3]
    features = spectra(hs.signals.Signal1D(data))
    features = replace(features, rows=ScaledRows(features.rows, RowTransform(300, normalize="l2")))
    estimator = KMeans(3).fit(features.rows)
    assert estimator.nearest_distances_[:, 0].max() < 1e-6
    found = clusters(Clustering.from_estimator(estimator, features))
    assert found.margin.min() > 0.9999
