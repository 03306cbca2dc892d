"""Our clusterers in HyperSpy's ``cluster_analysis``, and our results in HyperSpy."""

import subprocess
import sys

import hyperspy.api as hs
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.text import Text

from clustem import samples, segment
from clustem.cluster import KMeans
from clustem.core import registry
from clustem.report.label_map import LabelMap

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
    empty = ~signal.data.any(axis=(0, 1))  # HyperSpy 2.4 divides by the sums of channels
    signal.decomposition(True, output_dimension=3, print_info=False, signal_mask=empty)
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


@pytest.fixture
def labels(sample):
    found = segment(sample.signal, "eds", n_clusters=3).relabel({0: "matrix", 2: "rare $x$"})
    excluded = np.zeros((16, 20), dtype=bool)
    excluded[:2] = True
    found = found.exclude(excluded)
    return found, found.to_hyperspy().metadata.Clustem.labels


def texts_of(figure):
    figure.canvas.draw()
    return " ".join(text.get_text() for text in figure.findobj(Text))


def test_a_label_map_draws_what_the_result_draws(labels):
    found, map_ = labels
    assert type(map_) is LabelMap
    np.testing.assert_array_equal(map_.data, found.labels.data)
    np.testing.assert_array_equal(map_.counts, np.bincount(map_.data[map_.data >= 0]))
    shown, wanted = map_.plot(), found.plot()
    assert "matrix" in texts_of(shown)
    assert texts_of(shown) == texts_of(wanted)
    pixels = []
    for figure in (shown, wanted):
        figure.set_dpi(100)
        figure.canvas.draw()
        pixels.append(np.asarray(figure.canvas.buffer_rgba()))
    np.testing.assert_array_equal(*pixels)
    plt.close("all")


@pytest.mark.parametrize("lazy", [False, True])
def test_hyperspy_saves_and_loads_names_and_colors(labels, tmp_path, lazy):
    found, map_ = labels
    map_.save(tmp_path / "labels.hspy")
    again = hs.load(tmp_path / "labels.hspy", lazy=lazy)
    assert isinstance(again, LabelMap)
    assert texts_of(again.plot()) == texts_of(found.plot())
    part = again.isig[3:17, 5:]
    assert isinstance(part, LabelMap)
    assert "rare" in texts_of(part.plot())
    whole = found.to_hyperspy()
    whole.save(tmp_path / "whole.hspy")
    inside = hs.load(tmp_path / "whole.hspy").metadata.Clustem.labels
    assert isinstance(inside, LabelMap)
    assert list(inside.metadata.Clustem.names) == ["matrix", "", "rare $x$"]
    plt.close("all")


def test_hyperspy_finds_the_signal_type():
    """In a process of its own, which has imported nothing of ours."""
    code = (
        "import numpy as np, hyperspy.api as hs\n"
        "signal = hs.signals.Signal2D(np.zeros((2, 3), dtype='int16'))\n"
        "signal.set_signal_type('clustem_labels')\n"
        "print(type(signal).__name__, signal.counts.tolist())"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.stdout.split(None, 1) == ["LabelMap", "[6]\n"], answer.stderr
