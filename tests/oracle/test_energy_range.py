"""The range of energies that holds X-rays, on hand-made axes and real files."""

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError, Masks, recording
from clustem.io.reading import read
from clustem.prepare.energy_range import energy_range

RNG = np.random.default_rng(4)


def spectra(offset=-0.2, *, scale=0.01, units="keV", data=None):
    """A zero peak at 0, no counts from 0.08 to 0.13, X-rays above."""
    energy = offset + scale * np.arange(300)
    factor = 1000.0 if units == "eV" else 1.0
    mean = 0.1 + 900 * np.exp(-((energy / 0.025) ** 2))
    mean[(energy < -0.08) | ((energy > 0.08) & (energy < 0.13))] = 0
    signal = hs.signals.Signal1D(RNG.poisson(mean, (5, 7, 300)) if data is None else data)
    axis = signal.axes_manager[-1]
    axis.offset, axis.scale, axis.units = offset * factor, scale * factor, units
    return signal


def lowest_of(signal, mask):
    return float(signal.axes_manager[-1].axis[~mask].min())


@pytest.mark.parametrize("units", ["keV", "eV", "kev"])
def test_the_zero_peak_is_left_out(units):
    signal = spectra(units="eV" if units == "eV" else "keV")
    signal.axes_manager[-1].units = units
    with recording() as said:
        mask = energy_range(signal)
    expected = np.arange(300) < 35  # -0.2 + 35 * 0.01 = 0.15
    np.testing.assert_array_equal(mask, expected)
    assert said.found["lowest"] == pytest.approx(0.15)
    assert said.note == "below 0.15 keV left out: 35 channels, the zero peak with it"


def test_a_threshold_above_is_the_first_channel_with_counts():
    data = np.zeros((4, 5, 300), dtype=np.uint8)
    data[1, 2, 47] = data[3, 3, 90] = data[0, 0, 20] = 1
    signal = spectra(data=data)
    assert np.flatnonzero(~energy_range(signal))[0] == 47
    unseen = np.zeros((4, 5), dtype=bool)
    unseen[1, 2] = True
    assert np.flatnonzero(~energy_range(signal, masks=Masks(scan=unseen)))[0] == 90


def test_without_any_counts_only_what_lies_below():
    mask = energy_range(spectra(data=np.zeros((4, 5, 300), dtype=np.uint8)))
    assert mask.sum() == 35


def test_empty_channels_at_the_end_are_left_in():
    signal = spectra()
    signal.data[..., 200:] = 0
    assert not energy_range(signal)[35:].any()


def test_an_axis_that_starts_above_is_left_alone():
    signal = spectra(0.16, data=np.zeros((4, 5, 300), dtype=np.uint8))
    with recording() as said:
        assert not energy_range(signal).any()
    assert said.note == "nothing left out: the axis starts at 0.16 keV"


@pytest.mark.parametrize("units", ["", "px", "nm"])
def test_an_axis_without_energies_is_left_alone(units):
    signal = spectra()
    signal.axes_manager[-1].units = units
    with recording() as said:
        assert not energy_range(signal).any()
    assert "not calibrated" in said.note


def test_limits_are_heeded():
    signal = spectra()
    with recording() as said:
        mask = energy_range(signal, lowest=0.5, highest=1.0)
    kept = signal.axes_manager[-1].axis[~mask]
    assert (kept.min(), kept.max()) == pytest.approx((0.5, 1.0))
    assert "above 1 keV left out" in said.note


@pytest.mark.parametrize(
    "limits", [{"lowest": 50.0}, {"highest": -3.0}, {"lowest": 2.0, "highest": 1.0}]
)
def test_a_range_that_leaves_nothing_is_refused(limits):
    with pytest.raises(InputError, match="must leave channels in"):
        energy_range(spectra(), **limits)


def test_patterns_are_refused():
    with pytest.raises(InputError, match="needs spectra"):
        energy_range(hs.signals.Signal2D(np.ones((3, 4, 5, 6))))


def test_a_single_spectrum_and_lazy_ones():
    signal = spectra()
    expected = energy_range(signal)
    np.testing.assert_array_equal(energy_range(signal.as_lazy()), expected)
    one = signal.inav[3, 2]
    first = np.flatnonzero(one.data[35:])[0] + 35
    np.testing.assert_array_equal(energy_range(one), np.arange(300) < first)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "L2083_tilt_15.bcf",
        "P45_8bit_compressed_80keV_range.bcf",
        "P45_12bit_packed_8bit.bcf",
    ],
)
def test_the_strobe_peak_of_bruker_files(data_dir, name):
    signal = read(data_dir / "real" / name, kind="EDS", signal_axes=1).signal
    mask = energy_range(signal)
    energy = signal.axes_manager[-1].axis
    total = signal.data.sum(axis=(0, 1), dtype=np.int64)
    assert abs(energy[total[energy < 0.15].argmax()]) < 0.02  # a peak, and at zero
    assert mask[energy < 0.12].all()
    assert 0.15 <= lowest_of(signal, mask) < 0.15 + 2 * signal.axes_manager[-1].scale
    assert not mask[energy > 0.2].any()  # C Ka lies at 0.277 keV


@pytest.mark.data
@pytest.mark.parametrize("name", ["core_shell.hspy", "bare_core.hspy"])
def test_files_without_one_are_left_alone(data_dir, name):
    assert not energy_range(hs.load(data_dir / "real" / name)).any()
