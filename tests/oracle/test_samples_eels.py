"""The simulated EELS spectrum images against their own truth and against tables."""

from math import factorial

import numpy as np
import pytest

from clustem.core import ParameterError
from clustem.samples import _low_loss
from clustem.samples.eels import eels


@pytest.fixture(scope="module")
def wedge():
    return eels(shape=(22, 31), random_state=4)


@pytest.fixture(scope="module")
def film():
    return eels(kind="core", shape=(36, 50), random_state=4)


def energy_of(sample):
    return sample.signal.axes_manager.signal_axes[0].axis


def test_it_is_a_spectrum_image(wedge, film):
    for sample, size, first, step in ((wedge, 1200, -10.0, 0.1), (film, 960, 400.0, 0.5)):
        signal = sample.signal
        assert signal.data.shape == (*sample.labels.shape, size)
        assert signal.data.dtype == np.float32
        assert signal.metadata.Signal.signal_type == "EELS"
        assert signal.metadata.Acquisition_instrument.TEM.beam_energy == 200
        x, y, loss = (signal.axes_manager[i] for i in range(3))
        assert (x.units, y.units, loss.units) == ("nm", "nm", "eV")
        assert (x.scale, y.scale, loss.scale, loss.offset) == (2.0, 2.5, step, first)


def test_the_parts_add_up_to_what_was_measured(wedge, film):
    for sample, names in ((wedge, ("zlp", "inelastic")), (film, ("background", "edges"))):
        expected = sum(getattr(sample, name).astype(np.float64) for name in names)
        score = (sample.signal.data - expected) / np.sqrt(expected + 1)  # read noise 1
        assert abs(score.mean()) < 0.01
        assert abs(score.var() - 1) < 0.01


def test_thickness_is_the_log_ratio(wedge):
    zlp, inelastic = (getattr(wedge, name).sum(axis=-1) for name in ("zlp", "inelastic"))
    np.testing.assert_allclose(
        np.log1p(inelastic / zlp), wedge.thickness, rtol=0.007
    )  # less what is lost beyond the last channel


def test_terraces_get_thicker_and_darker(wedge):
    total, thickness = wedge.signal.data.sum(axis=-1), wedge.thickness
    for values, sign in ((total, -1), (thickness, 1)):
        medians = [sign * np.median(values[wedge.labels == i]) for i in range(5)]
        assert medians == sorted(medians)
    sizes = np.bincount(wedge.labels.ravel())
    assert len(sizes) == wedge.n_clusters == 5
    assert list(np.argsort(-sizes, kind="stable")) != [0, 1, 2, 3, 4]


def test_the_peak_lies_where_it_was_shifted_to(wedge):
    energy, zlp = energy_of(wedge), wedge.zlp.astype(np.float64)
    half = zlp.max(axis=-1, keepdims=True) / 4  # the center of mass of the tip follows the shift
    tip = np.maximum(zlp - half, 0)
    center = (tip * energy).sum(axis=-1) / tip.sum(axis=-1)
    moved = center - wedge.shift
    assert np.ptp(moved) < 0.03  # of channels of 0.1 eV
    assert wedge.shift.std() > 0.05


def test_the_peak_is_asymmetric_and_reaches_the_gap():
    tail = _low_loss.zero_loss([-2.0, 2.0, 0.0, 0.2, -0.15])
    assert tail[1] > 5 * tail[0]
    np.testing.assert_allclose(tail[2:], [1, 0.5, 0.5])
    assert _low_loss.single_scattering(np.arange(0, 60, 0.1))[:15].max() == 0


@pytest.mark.parametrize("tau", [0.3, 1.1])
def test_plural_scattering_is_poissons(tau):
    energy = np.arange(-10, 110, 0.1)
    spectra = _low_loss.Scattering(energy)
    found = spectra.inelastic(np.array([tau]), np.zeros(1))[0]
    losses = np.arange(0, 110, 0.1)
    once = _low_loss.single_scattering(np.arange(0, 230, 0.1))[: len(losses)] * 0.1
    wide = np.arange(-60, 60, 0.1)
    peak = _low_loss.zero_loss(wide)
    expected, order = np.zeros(len(losses)), np.eye(1, len(losses))[0]
    for n in range(1, 12):
        order = np.convolve(order, once)[: len(losses)]
        expected += np.exp(-tau) * tau**n / factorial(n) * order
    blurred = np.convolve(expected, peak / peak.sum())[600 : 600 + len(losses)]
    np.testing.assert_allclose(found[100:900], blurred[:800], rtol=0.01, atol=1e-7)


def test_the_film_has_its_edges(film):
    energy, edges = energy_of(film), film.edges
    mean = [edges[film.abundance[..., i] > 0.99].mean(axis=0) for i in range(3)]

    def has(phase, onset):
        before, after = (mean[phase][np.searchsorted(energy, onset + at)] for at in (-8, 3))
        return after > 1.3 * before + 1

    assert film.names == ("SrTiO3", "LaMnO3", "vacuum")
    assert [has(0, onset) for onset in (456, 532, 640, 832)] == [True, True, False, False]
    assert [has(1, onset) for onset in (456, 532, 640, 832)] == [False, True, True, True]
    total = film.signal.data.sum(axis=-1)
    assert total[film.labels == 2].mean() < 0.03 * total[film.labels == 0].mean()
    np.testing.assert_allclose(film.abundance.sum(axis=-1), 1, atol=1e-6)


def test_same_seed_same_counts():
    one, other, third = (eels(shape=(4, 5), channels=300, random_state=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.signal.data, other.signal.data)
    assert not np.array_equal(one.signal.data, third.signal.data)


@pytest.mark.parametrize("settings", [{"kind": "both"}, {"shape": (3, 9)}, {"counts": 0}])
def test_what_cannot_be_simulated_is_refused(settings):
    with pytest.raises(ParameterError):
        eels(**settings)
