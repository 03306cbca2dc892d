"""Our clusterers in HyperSpy's ``cluster_analysis``, and our results in HyperSpy."""

import hyperspy.api as hs
import numpy as np
import pytest

from clustem import samples, segment
from clustem.cluster import KMeans
from clustem.core import registry

CLUSTERERS = [e for e in registry("cluster").values() if e.name != "KMeans1D"]  # of one column


@pytest.fixture
def sample():
    return samples.eds(shape=(16, 20))


@pytest.mark.parametrize("entry", CLUSTERERS, ids=lambda entry: entry.name)
def test_hyperspy_clusters_with_our_estimators(entry):
    truth = (np.indices((16, 20)).sum(axis=0) // 7) % 3
    counts = np.random.default_rng(0).poisson(60 * (1 + 4 * np.eye(3, 5))[truth])
    signal = hs.signals.Signal1D(counts.astype(np.float64))
    signal.cluster_analysis("signal", n_clusters=3, algorithm=entry.step(n_clusters=3))
    labels = signal.get_cluster_labels(merged=True).data
    pairs = set(zip(labels.ravel().tolist(), truth.ravel().tolist(), strict=True))
    assert len(pairs) == 3
    assert signal.get_cluster_signals().data.shape == (3, 5)


def test_hyperspy_clusters_what_its_decomposition_leaves(sample):
    signal = sample.signal
    signal.change_dtype("float64")
    signal.decomposition(True, output_dimension=3, print_info=False)
    signal.cluster_analysis("decomposition", n_clusters=4, algorithm=KMeans(4))
    assert len(signal.get_cluster_labels().data) == 4


def test_results_are_signals_with_axes_and_metadata(sample):
    found = segment(sample.signal, "eds", n_clusters=3).relabel({0: "matrix"})
    whole = found.to_hyperspy()
    raw = sample.signal
    assert found.centers.metadata.Signal.signal_type == raw.metadata.Signal.signal_type
    assert found.centers.axes_manager[-1].scale == raw.axes_manager[-1].scale
    for map_ in (found.labels, found.memberships):
        scan = map_.axes_manager.signal_axes
        assert [axis.units for axis in scan] == [a.units for a in raw.axes_manager.navigation_axes]
    assert whole.axes_manager.navigation_shape == raw.axes_manager.navigation_shape
