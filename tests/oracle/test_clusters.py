"""Maps and centers against plain loops."""

from types import SimpleNamespace

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.cluster import KMeans
from clustem.core import Clustering, Masks
from clustem.describe import patterns, spectra
from clustem.mapping import clusters
from clustem.passes.cluster_sums import cluster_sums

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


def test_distances_come_with_the_sums_and_are_those_of_transform(monkeypatch):
    signal = hs.signals.Signal2D(np.random.default_rng(2).poisson(4, (12, 13, 6, 7)).astype("u1"))
    features = patterns(signal, normalize="l2")
    estimator = KMeans(3).fit(features.rows)
    distances = np.sort(estimator.transform(features.rows), axis=1)
    monkeypatch.setattr(KMeans, "transform", None)  # is not asked
    found = clusters(Clustering.from_estimator(estimator, features))
    np.testing.assert_array_equal(found.distance.ravel(), distances[:, 0].astype("f4"))
