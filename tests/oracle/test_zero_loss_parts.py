"""What a zero-loss model rests on, and what holds without PyTorch."""

import sys

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from clustem import eels
from clustem.core import InputError
from clustem.eels._network import HIDDEN, OUTPUT, forward, initial
from clustem.eels._noise import counting_noise
from clustem.eels._regions import find_regions, per_cluster
from clustem.eels._spectra import energy_of, label_map


def losses(data, *, scale=0.1, offset=-5.0, units="eV"):
    signal = hs.signals.Signal1D(data)
    signal.set_signal_type("EELS")
    axis = signal.axes_manager[-1]
    axis.scale, axis.offset, axis.units = scale, offset, units
    return signal


ENERGY = -5 + 0.1 * np.arange(300)


def broken_line(*, slope=0.5, minimum=4.0):
    """A Gaussian peak, then log10 I on a straight line down to a minimum, then rising."""
    peak = 5 - 8 * ENERGY**2
    tail = 2.5 - slope * ENERGY
    rise = 2.5 - slope * minimum + 0.3 * (ENERGY - minimum)
    return 10 ** np.where(minimum > ENERGY, np.maximum(peak, tail), rise)


@pytest.mark.parametrize("slope", [0.3, 0.5])
def test_a_straight_tail_ends_where_it_meets_one_count(slope):
    found = find_regions(
        ENERGY, broken_line(slope=slope), width=0.39,
        onset=None, cutoff=None, one_count=1.0, name="cluster 0",
    )  # fmt: skip
    assert found.cutoff == pytest.approx(2.5 / slope, rel=0.05)
    # the knee of two straight pieces is where they meet: 5 - 8 E² = 2.5 - slope E
    meet = (slope + np.sqrt(slope**2 + 4 * 8 * 2.5)) / 16
    assert found.onset == pytest.approx(meet, abs=0.25)
    assert found.onset > found.fwhm
    assert found.blend_start == pytest.approx((found.fwhm + found.onset) / 2)


def test_one_count_moves_the_end_of_the_peak_only():
    given = {"width": 0.39, "onset": None, "cutoff": None, "name": "cluster 0"}
    counts = find_regions(ENERGY, broken_line(), one_count=1.0, **given)
    means = find_regions(ENERGY, broken_line() / 9, one_count=1 / 9, **given)
    np.testing.assert_allclose(
        [means.onset, means.cutoff], [counts.onset, counts.cutoff], rtol=1e-9
    )


def test_the_users_energies_hold():
    found = find_regions(
        ENERGY, broken_line(), width=0.39, onset=1.2, cutoff=3.3, one_count=1.0, name="cluster 0"
    )
    assert (found.onset, found.cutoff) == (1.2, 3.3)
    half = find_regions(
        ENERGY, broken_line(), width=0.39, onset=1.2, cutoff=None, one_count=1.0, name="cluster 0"
    )
    assert half.onset == 1.2
    assert half.cutoff == pytest.approx(5.0, abs=0.15)


@pytest.mark.parametrize(
    ("onset", "cutoff", "match"),
    [
        (0.1, None, "onset of losses in cluster 3 must lie beyond .* full width"),
        (40.0, 41.0, "and on the energy axis"),
        (1.5, 1.5, r"cluster 3 the zero-loss peak must end beyond .*1\.5 eV"),
    ],
)
def test_impossible_energies_are_refused(onset, cutoff, match):
    with pytest.raises(InputError, match=match):
        find_regions(
            ENERGY, broken_line(), width=0.39,
            onset=onset, cutoff=cutoff, one_count=1.0, name="cluster 3",
        )  # fmt: skip


def test_a_tail_below_one_count_is_refused():
    with pytest.raises(InputError, match="must hold more than one count"):
        find_regions(
            ENERGY, 1e-5 * broken_line(), width=0.39,
            onset=None, cutoff=None, one_count=1.0, name="cluster 0",
        )  # fmt: skip


def test_one_energy_for_all_or_one_for_each():
    assert per_cluster(1.5, 3, "onset") == [1.5, 1.5, 1.5]
    assert per_cluster([1, None, 2.0], 3, "onset") == [1.0, None, 2.0]
    with pytest.raises(InputError, match="one for each of the 3 clusters; got 2"):
        per_cluster([1.0, 2.0], 3, "onset")


@pytest.mark.parametrize(("copies", "gain"), [(1, 1.0), (9, 1 / 9)])
def test_noise_of_counts_and_of_means_is_measured(copies, gain):
    rng = np.random.default_rng(1)
    energy = np.arange(600)
    expected = 300 * np.exp(-energy / 200) + 80 * np.exp(-0.5 * ((energy - 260) / 4) ** 2)
    thick = rng.uniform(0.8, 1.2, (60, 1))
    rows = rng.poisson(thick * expected, (copies, 60, 600)).mean(axis=0)
    read = rng.normal(0, 3, (copies, 60, 600)).mean(axis=0)
    found, floor = counting_noise([rows + read], 0)
    assert found == pytest.approx(gain, rel=0.05)
    assert floor == pytest.approx(9 * gain, rel=0.5)


def test_too_few_spectra_or_channels_count_as_plain_counts():
    rows = np.ones((40, 100))
    assert counting_noise([rows], 90) == (1.0, 0.0)
    assert counting_noise([rows[:3]], 0) == (1.0, 0.0)


def test_networks_say_what_a_slow_loop_says():
    weights = initial(3, np.random.default_rng(4))
    x = np.random.default_rng(5).uniform(-1, 1, (2, 7))
    found = forward(weights, np.vstack([x, np.ones(7)]).astype(np.float32))
    sizes = (2, *HIDDEN, 1)
    for replica, flat in enumerate(weights.astype(float)):
        for point in range(7):
            values, at = list(x[:, point]), 0
            for layer, n_out in enumerate(sizes[1:]):
                hidden, n_in = layer < len(HIDDEN), len(values)
                out = []
                for unit in range(n_out):
                    start = at + unit * (n_in + 1)
                    row = flat[start : start + n_in + 1]
                    total = sum(w * v for w, v in zip(row, values, strict=False)) + row[-1]
                    out.append(np.tanh(total) if hidden else total)
                at += (n_out + hidden) * (n_in + 1)
                values = out
            assert found[replica, point] == pytest.approx(OUTPUT * values[0], abs=1e-4)


def test_energies_in_kev_are_those_in_ev():
    ev, kev = (
        losses(np.ones((2, 8))),
        losses(np.ones((2, 8)), scale=1e-4, offset=-5e-3, units="keV"),
    )
    np.testing.assert_allclose(energy_of(kev), energy_of(ev), atol=1e-9)


@pytest.mark.parametrize("units", ["nm", "1/nm"])
def test_other_units_are_refused(units):
    with pytest.raises(InputError, match="must be in eV or keV"):
        energy_of(losses(np.ones((2, 8)), units=units))


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        (np.zeros((3, 2), int), r"scan's shape, \(2, 3\); got int64 of shape \(3, 2\)"),
        (np.zeros((2, 3)), "must be integers"),
        (np.full((2, 3), -1), "6 positions, all excluded"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels, match):
    with pytest.raises(InputError, match=match):
        label_map(labels, (2, 3))


def test_labels_may_be_a_signal():
    found = label_map(hs.signals.Signal2D(np.arange(6, dtype=np.int16).reshape(2, 3)), (2, 3))
    assert found[1, 0] == 3


def test_without_torch_the_model_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # import torch then raises ImportError
    signal, labels = losses(np.ones((2, 3, 40))), np.zeros((2, 3), int)
    for run in (
        lambda: eels.ZeroLossModel().fit(signal, labels),
        lambda: eels.subtract(signal, labels),
        lambda: eels.thickness(signal, labels),
    ):
        with pytest.raises(InputError, match=r"pip install 'clustem\[torch\]'"):
            run()


def test_an_unfitted_model_cannot_predict(tmp_path):
    with pytest.raises(NotFittedError):
        eels.ZeroLossModel().predict()
    with pytest.raises(InputError, match=r"must be a file that ZeroLossModel\.save wrote"):
        eels.ZeroLossModel.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no model")
    with pytest.raises(InputError, match="Fit the model again"):
        eels.ZeroLossModel.load(tmp_path / "text.npz")
