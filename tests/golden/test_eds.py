"""The EDS recipe on known truth and on real maps."""

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import clustem
from clustem import samples
from clustem.prepare import energy_axis


def minerals(data_dir):
    file = np.load(data_dir / "simulated" / "eds_minerals.npz")
    signal = hs.signals.Signal1D(file["data"])
    signal.set_signal_type("EDS_TEM")
    axis, energy = signal.axes_manager[-1], file["energy_keV"]
    axis.name, axis.units = "Energy", "keV"
    axis.scale, axis.offset = float(energy[1] - energy[0]), float(energy[0])
    return signal, file["labels"]


@pytest.mark.parametrize("recipe", ["eds", "eds-fuzzy"])
@pytest.mark.parametrize("seed", [0, 1])
def test_sample_against_its_truth(recipe, seed):
    sample = samples.eds(shape=(60, 71), random_state=seed)
    found = clustem.segment(sample.signal, recipe)
    assert clustem.compare(found, sample.labels).ari > 0.98
    for i, j in clustem.compare(found, sample.labels).matching.items():
        mean = sample.signal.data[sample.labels == j].mean(axis=0)
        center = found.centers.data[i]
        assert np.corrcoef(mean, center)[0, 1] > 0.997  # the center has mixed pixels in it


@pytest.mark.data
def test_five_minerals_by_fuzzy_clusters(data_dir):
    signal, truth = minerals(data_dir)
    found = clustem.segment(signal, "eds-fuzzy", settings={"cluster.n_clusters": 5})
    assert found.points.shape[1] == 5
    assert adjusted_rand_score(truth.ravel(), found.labels.data.ravel()) > 0.96
    assert clustem.compare(found, truth).ari > 0.965
    highest = found.memberships.data.argmax(axis=0)
    assert clustem.compare(highest, truth).ari > 0.965


SPOILED = pytest.mark.parametrize(
    ("scale", "offset"), [(1.04, 0.1), (0.96, -0.1), (1.04, -0.1), (0.96, 0.1)]
)


def spoil(signal, scale, offset):
    out = signal.deepcopy()
    out.axes_manager[-1].scale *= scale
    out.axes_manager[-1].offset += offset
    return out


@SPOILED
def test_a_spoiled_energy_axis_is_recovered(scale, offset):
    signal = samples.eds(shape=(40, 50)).signal
    true = signal.axes_manager[-1]
    found, pairing, residuals = energy_axis(spoil(signal, scale, offset))
    assert np.abs(found.axes_manager[-1].axis - true.axis).max() < 0.2 * true.scale
    assert len(pairing) >= len(residuals) >= 3


@pytest.mark.data
@SPOILED
def test_where_the_axis_starts_from_does_not_matter(data_dir, scale, offset):
    """The file's own lines lie 0.1 % below the features's energies, so its own axis is no truth."""
    signal, _ = minerals(data_dir)
    elements = ["O", "Mg", "Fe", "Si", "Al", "Ca", "Na", "Ti"]
    one = energy_axis(signal, elements=elements).signal.axes_manager[-1]
    two = energy_axis(spoil(signal, scale, offset), elements=elements).signal.axes_manager[-1]
    assert np.abs(one.axis - two.axis).max() < 0.05 * one.scale
    assert np.abs(one.axis - signal.axes_manager[-1].axis).max() < 0.0015 * one.axis.max()


@pytest.mark.data
def test_phases_at_high_and_low_dose_agree(data_dir):
    """The same field at 617 and at 122 counts per pixel."""
    names = ("P45_8bit_compressed_80keV_range.bcf", "P45_12bit_packed_8bit.bcf")
    one, two = (clustem.segment(data_dir / "real" / name, "eds", n_clusters=4) for name in names)
    found = clustem.compare(one, two)
    assert found.ari > 0.91
    assert found.compared > 0.95
    assert {image.metadata.General.title for image in one.context} == {"BSE", "SE"}


@pytest.mark.data
def test_two_scans_of_a_field_have_the_same_phases(data_dir):
    """Their energy axes differ by up to 1.6 channels, which must not make phases of their own."""
    names = ("P45_8bit_compressed_80keV_range.bcf", "P45_12bit_packed_8bit.bcf")
    study = clustem.segment([data_dir / "real" / name for name in names], "eds", n_clusters=4)
    one, two = (found.labels.data for found in study)
    assert (one != two).mean() < 0.025  # 0.0157, nearly all at borders
    assert "set_energy_axis" in {step.name for step in study[1].history}


@pytest.mark.data
def test_core_shell_and_support(data_dir):
    found = clustem.segment(
        data_dir / "real" / "core_shell.hspy", "eds", settings={"cluster.n_clusters": 3}
    )
    energy = found.centers.axes_manager[-1].axis
    platinum = found.centers.data[:, np.abs(energy - 9.44) < 0.15].sum(axis=1)
    iron = found.centers.data[:, np.abs(energy - 6.40) < 0.15].sum(axis=1)
    support, shell, core = 0, 1, 2  # by falling size
    assert platinum[core] > 2 * platinum[shell] > 2 * platinum[support]
    assert iron[shell] > 3 * iron[support]
    assert found.counts[support] > 2000
    assert 200 < found.counts[core] < 800
