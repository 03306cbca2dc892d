"""The simulated EDS map against its own truth and against tables."""

import numpy as np
import pytest

from clustem.core import ParameterError
from clustem.physics.xray_lines import fwhm, lines_of
from clustem.samples.eds import eds


@pytest.fixture(scope="module")
def sample():
    return eds(random_state=4)


def test_it_is_the_map_of_the_reference_run(sample):
    signal = sample.signal
    assert signal.data.shape == (152, 156, 1024)
    assert signal.data.dtype == np.uint16
    assert signal.metadata.Signal.signal_type == "EDS_SEM"
    assert signal.metadata.Acquisition_instrument.SEM.beam_energy == 10
    detector = signal.metadata.Acquisition_instrument.SEM.Detector.EDS
    assert detector.energy_resolution_MnKa == 130
    assert detector.elevation_angle == 35
    assert set(signal.metadata.Sample.elements) == {"Al", "Ca", "Fe", "Mg", "Mn", "O", "Si", "Ti"}
    assert "Fe_Ka" in signal.metadata.Sample.xray_lines
    x, y, energy = (signal.axes_manager[i] for i in range(3))
    assert (x.name, y.name, x.units, y.units) == ("x", "y", "nm", "nm")
    assert (x.scale, y.scale) == (17.1875, 21.81125057)
    assert (energy.name, energy.units, energy.scale, energy.offset) == (
        *("Energy", "keV"),
        *(0.01, -0.0955),
    )


def test_labels_are_those_of_the_abundance(sample):
    assert sample.labels.shape == (152, 156)
    assert sample.labels.dtype == np.int16
    assert sample.abundance.shape == (152, 156, 4)
    np.testing.assert_allclose(sample.abundance.sum(axis=-1), 1, atol=1e-6)
    pure = sample.labels >= 0
    np.testing.assert_array_equal(sample.abundance.argmax(-1)[pure], sample.labels[pure])
    assert sample.abundance.max(-1)[pure].min() >= 0.75 > sample.abundance.max(-1)[~pure].max()
    assert 0.03 < 1 - pure.mean() < 0.08
    shares = np.bincount(sample.labels[pure], minlength=4) / sample.labels.size
    assert sample.n_clusters == len(sample.names) == 4
    assert shares.min() > 0.08


def test_the_map_has_no_symmetry(sample):
    labels = sample.labels[:, :152]
    for other in (labels.T, labels[::-1], labels[:, ::-1], labels[::-1, ::-1]):
        assert np.mean(labels == other) < 0.8


def test_counts_are_poisson(sample):
    mixed = sample.abundance * sample.dose[..., None]
    expected = mixed.astype(np.float64) @ sample.spectra
    seen = expected > 0.01
    score = (sample.signal.data - expected)[seen] / np.sqrt(expected[seen])
    assert score.mean() == pytest.approx(0, abs=2e-3)
    assert score.var() == pytest.approx(1, abs=0.01)
    next_to_each_other = np.corrcoef(score[:-1], score[1:])[0, 1]
    assert abs(next_to_each_other) < 2e-3
    total = sample.signal.data.sum(axis=-1)
    assert total.mean() == pytest.approx(300, rel=0.005)


def test_every_phase_shows_the_lines_of_its_elements(sample):
    energy = sample.signal.axes_manager[-1].axis
    spectra = dict(zip(sample.names, sample.spectra, strict=True))
    shown = {
        "chlorite": {"Mg", "Al", "Si"},
        "rutile": {"Ti"},
        "Fe-rich silicate": {"Al", "Si", "Mn", "Fe"},
        "titanite": {"Si", "Ca", "Ti"},
    }
    for name, elements in shown.items():
        for line in lines_of(elements, low=1):
            if line.name != "Ka":
                continue
            near = np.abs(energy - line.energy) < 0.6 * float(fwhm(line.energy))
            top = energy[near][spectra[name][near].argmax()]
            assert abs(top - line.energy) <= 0.01
            around = np.abs(np.abs(energy - line.energy) - 1.3 * float(fwhm(line.energy))) < 0.01
            assert spectra[name][near].max() > 1.5 * spectra[name][around].min()
    absent = np.abs(energy - 3.6917) < 0.05
    assert spectra["rutile"][absent].max() < 0.1 * spectra["titanite"][absent].max()


def test_no_counts_below_zero_or_above_the_beam(sample):
    energy = sample.signal.axes_manager[-1].axis
    assert not sample.signal.data[..., energy < -0.05].any()
    assert not sample.signal.data[..., energy > 10.0].any()


def test_seed_shape_and_dose():
    one, again, other = (eds(shape=(11, 17), channels=700, random_state=i) for i in (1, 1, 2))
    np.testing.assert_array_equal(one.signal.data, again.signal.data)
    np.testing.assert_array_equal(one.labels, again.labels)
    assert np.any(one.labels != other.labels)
    assert one.signal.data.shape == (11, 17, 700)
    bright = eds(shape=(11, 17), channels=700, counts=2000.0, random_state=1)
    np.testing.assert_array_equal(bright.labels, one.labels)
    assert bright.signal.data.sum() / one.signal.data.sum() == pytest.approx(2000 / 300, rel=0.02)


@pytest.mark.parametrize(
    "settings",
    [{"shape": (2, 9)}, {"counts": 0}, {"channels": 3}, {"random_state": np.arange(3)}],
)
def test_it_refuses(settings):
    with pytest.raises(ParameterError):
        eds(**settings)
