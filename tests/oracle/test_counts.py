"""Gain, offset and read noise against simulated truth, and refusals of what are no counts."""

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError, Masks, recording
from clustem.prepare._pair_sums import add_pairs
from clustem.prepare.counts import counts
from clustem.prepare.normalize import normalize

SHAPE = (40, 50, 200)


def rates(level):
    """Two phases in stripes, thickness that triples over columns, drift of the beam over rows."""
    rows, columns, channels = SHAPE
    at = np.arange(channels)
    shapes = np.array(
        [
            0.1 + 3 * np.exp(-((at - 60) ** 2) / 50),
            0.1 + 3 * np.exp(-((at - 120) ** 2) / 50) + np.exp(-((at - 30) ** 2) / 80),
        ]
    )
    phase = np.add.outer(np.arange(rows), np.arange(columns)) // 17 % 2
    thickness = 1 + 2 * np.arange(columns) / columns
    beam = 1 + 0.3 * np.sin(np.arange(rows) / 3)
    mean = shapes[phase] * (beam[:, None] * thickness)[..., None]
    return level * mean / mean.mean()


def drawn(level, seed=0):
    return np.random.default_rng(seed).poisson(rates(level))


def run(data, **parameters):
    with recording() as said:
        found = counts(hs.signals.Signal1D(data), **parameters)
    return found, said


@pytest.mark.parametrize("level", [0.01, 0.1, 1, 10, 100, 1000])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_counts_pass_unchanged(level, seed):
    signal = hs.signals.Signal1D(drawn(level, seed).astype(np.uint16))
    with recording() as said:
        found = counts(signal)
    assert found.data is signal.data
    assert (said.found["gain"], said.found["offset"]) == (1, 0)
    assert said.note == "counts of gain 1"


@pytest.mark.parametrize("level", [0.01, 0.1, 1, 10, 100, 1000])
@pytest.mark.parametrize("gain", [2.5, 40, 0.1])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_gain_without_noise_is_found_exactly(level, gain, dtype):
    truth = drawn(level)
    found, said = run((gain * truth).astype(dtype))
    assert said.found["gain"] == pytest.approx(gain, rel=1e-4)
    np.testing.assert_array_equal(found.data, truth)
    assert found.data.dtype == np.min_scalar_type(truth.max())
    assert "converted" in said.note


@pytest.mark.parametrize("level", [0.01, 0.1, 1, 10, 100, 1000])
@pytest.mark.parametrize("gain", [2.5, 40.0])
def test_a_gain_without_a_lattice_is_measured(level, gain):
    """Rounding to integers, or noise of a thousandth, hides the lattice."""
    truth = drawn(level)
    blurred = gain * truth * np.random.default_rng(1).normal(1, 1e-3, SHAPE)
    _, said = run(blurred)
    assert said.found["gain"] == pytest.approx(gain, rel=0.02)
    assert abs(said.found["gain"] - gain) < 5 * said.found["gain_error"] + 0.005 * gain
    assert said.found["offset"] == pytest.approx(0, abs=0.1 * gain)


@pytest.mark.parametrize("integers", [True, False])
@pytest.mark.parametrize("level", [1, 10, 100])
@pytest.mark.parametrize(
    ("gain", "offset", "noise"),
    [(2.5, 0, 2), (2.5, 100, 2), (2.5, -20, 2), (40, 500, 20), (1, 100, 0)],
)
def test_read_noise_and_offset(gain, offset, noise, level, integers):
    random = np.random.default_rng(3)
    data = gain * drawn(level) + offset + random.normal(0, noise, SHAPE)
    _, said = run(np.rint(data).astype(np.int32) if integers else data)
    assert said.found["gain"] == pytest.approx(gain, rel=0.05)
    if level <= 10:  # above, the noise of counts hides that of the detector in all channels
        assert said.found["offset"] == pytest.approx(offset, abs=2 * gain)
        assert said.found["read_noise"] == pytest.approx(noise, abs=0.8 * gain)


@pytest.mark.parametrize("offset", [-20.0, 0.0, 100.0])
def test_a_known_offset_gives_the_read_noise(offset):
    data = 2.5 * drawn(3) + offset + np.random.default_rng(3).normal(0, 3, SHAPE)
    _, said = run(data, offset=offset)
    assert said.found["offset"] == offset
    assert said.found["gain"] == pytest.approx(2.5, rel=0.03)
    assert said.found["read_noise"] == pytest.approx(3, rel=0.03)


def test_a_known_gain_is_taken():
    truth = drawn(3)
    found, said = run(2.5 * truth + 7, gain=2.5, offset=7)
    assert said.found["gain"] == 2.5
    np.testing.assert_array_equal(found.data, truth)


@pytest.mark.parametrize("scale", [1.0, 1e30])
@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"offset": 1e99}, "An offset must be"),
        ({"offset": -1e99}, "An offset must be"),
        ({"gain": 1e99}, "A gain must be"),
        ({"gain": 1e-99}, "A gain must be"),
    ],
)
def test_what_no_detector_has_is_refused(given, match, scale):
    with pytest.raises(InputError, match=match):
        run(scale * drawn(3), **given)
    with pytest.raises(InputError, match=match):
        run(drawn(3), in_doubt="take", **given)


def test_values_beyond_any_detector_are_refused():
    data = 2.5 * drawn(3)
    with pytest.raises(InputError, match=r"up to \d.*e\+1"):
        run(1e99 * data)
    data.flat[7] = 1e30  # not in the sample, or one value of it
    with pytest.raises(InputError, match="must be counts"):
        run(data)


def test_a_pedestal_of_counts_is_subtracted():
    truth = drawn(1)
    found, said = run((truth + 100).astype(np.uint16))
    assert (said.found["gain"], said.found["offset"]) == (1, 100)
    np.testing.assert_array_equal(found.data, truth)


def test_integers_of_any_width_and_floats_become_small():
    truth = drawn(1)
    for dtype in (np.int64, np.int16, ">u2", "u1"):
        data = truth.astype(dtype)
        assert run(data)[0].data is data
    found, said = run(truth.astype(np.float32))
    assert found.data.dtype == np.uint8
    assert said.found["gain"] == 1
    np.testing.assert_array_equal(found.data, truth)


def test_the_order_of_rows_does_not_matter():
    data = 2.5 * drawn(5) * np.random.default_rng(1).normal(1, 1e-3, SHAPE)
    order = np.random.default_rng(2).permutation(SHAPE[0])
    (one, said), (two, again) = run(data), run(data[order])
    error = said.found["gain_error"]
    assert again.found["gain"] == pytest.approx(said.found["gain"], abs=error)
    assert np.abs(one.data[order].astype(int) - two.data).max() <= 1


def test_lazy_in_odd_chunks_is_the_same():
    signal = hs.signals.Signal1D(2.5 * drawn(1))
    lazy = signal.as_lazy()
    lazy.data = lazy.data.rechunk((7, 11, 60))
    found = counts(lazy)
    assert found._lazy
    assert found.data.dtype == np.uint8
    np.testing.assert_array_equal(found.data.compute(), counts(signal).data)
    whole = hs.signals.Signal1D(drawn(1)).as_lazy()
    assert counts(whole).data is whole.data


def test_excluded_positions_and_channels_do_not_matter():
    data = 2.5 * drawn(1)
    expected = counts(hs.signals.Signal1D(data)).data
    hole = np.zeros(SHAPE[:2], dtype=bool)
    hole[10:15, 20:30] = True
    hot = np.arange(SHAPE[2]) == 77
    data[hole], data[..., hot] = np.nan, -1e9
    found, said = run(data, masks=Masks(scan=hole, signal=hot))
    assert said.found["gain"] == pytest.approx(2.5, rel=1e-6)
    np.testing.assert_array_equal(found.data[~hole][:, ~hot], expected[~hole][:, ~hot])


def test_one_row_one_column_and_a_line():
    data = drawn(3).reshape(-1, SHAPE[2])[:600]
    for shape in ((1, 600), (600, 1), (600,)):
        assert run(data.reshape(*shape, SHAPE[2]))[1].found["gain"] == 1


def net(level):
    energy = np.arange(SHAPE[2])
    background = 10 * level * np.exp(-energy / 50)
    return np.random.default_rng(5).poisson(rates(level) + background) - background


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (net(100), "not linear"),
        (np.rint(net(100)).astype(int), "not linear"),
        (net(3), "linear|not from counts"),
        (drawn(100) / drawn(100).sum(axis=-1, keepdims=True), "totals of all positions"),
        (drawn(100) / drawn(100).max(axis=-1, keepdims=True), "largest values"),
        (np.ones(SHAPE), "the same at all positions"),
        (np.zeros(SHAPE, dtype=np.uint8), "the same at all positions"),
        (np.random.default_rng(0).normal(0, 1, SHAPE), "linear|rise|counts|uncertain"),
        (np.random.default_rng(0).normal(0, 1, SHAPE) + rates(100), "linear|rise|counts"),
        (np.sqrt(drawn(100)), "linear|rise|counts"),
        (np.log1p(drawn(10)), "linear|rise|counts"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_counted_is_refused(data, got):
    with pytest.raises(InputError, match=got) as caught:
        counts(hs.signals.Signal1D(data))
    assert "Values must be counts" in str(caught.value)
    assert "eels-shape" in str(caught.value)
    assert "GaussianMixture" in str(caught.value)


def test_normalised_by_our_own_step_is_refused():
    signal = hs.signals.Signal1D(drawn(100).astype(np.uint16))
    for level in ("mean", "one"):
        with pytest.raises(InputError, match="Values must be counts"):
            counts(normalize(signal, level=level))


def test_a_signal_that_says_it_is_net_is_refused():
    signal = hs.signals.Signal1D(drawn(10))
    signal.metadata.set_item("Signal.background_removed", True)
    with pytest.raises(InputError, match="without background"):
        counts(signal)


@pytest.mark.parametrize("at", [(3, 4, 5), (39, 49, 199)])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_missing_values_are_refused(at, value):
    data = drawn(1).astype(np.float32)
    data[at] = value
    with pytest.raises(InputError, match="must be finite"):
        counts(hs.signals.Signal1D(data))


def test_a_value_below_the_noise_is_refused():
    data = drawn(1).astype(np.int32)
    data[3, 4, 5] = -50
    with pytest.raises(InputError, match="values down to -50"):
        counts(hs.signals.Signal1D(data))


def test_too_few_neighbours_are_refused():
    for shape in ((3, 5, 20), (20,)):
        with pytest.raises(InputError, match=r"pairs of neighbouring|needs a scan"):
            counts(hs.signals.Signal1D(np.random.default_rng(0).poisson(5, shape)))


@pytest.mark.data
@pytest.mark.parametrize("share", [1, 0.1, 0.01])
@pytest.mark.parametrize("name", ["eds_minerals", "4dstem_grains"])
def test_simulated_files(data_dir, name, share):
    with np.load(data_dir / "simulated" / f"{name}.npz") as file:
        data = np.random.default_rng(0).binomial(file["data"], share).astype(np.uint16)
    signal = (hs.signals.Signal1D if data.ndim == 3 else hs.signals.Signal2D)(data)
    with recording() as said:
        assert counts(signal).data is data
    assert said.found["gain_error"] < 0.01
    scaled = signal.deepcopy()
    scaled.data = (0.37 * data).astype(np.float32)
    np.testing.assert_array_equal(counts(scaled).data, data)


@pytest.mark.data
@pytest.mark.parametrize(
    "name",
    [
        "L2083_tilt_15.bcf",
        "P45_8bit_compressed_80keV_range.bcf",
        "core_shell.hspy",
        "bare_core.hspy",
        "88_ES-LP_G8_selection2_cropped2.hspy",
    ],
)
def test_real_maps_are_counts(data_dir, name):
    from clustem.io.reading import read

    signal = read(data_dir / "real" / name, kind="EDS", signal_axes=1).signal
    with recording() as said:
        assert counts(signal).data is signal.data
    assert said.found["gain"] == 1


def test_integers_in_doubt_are_taken_as_counts_with_a_warning():
    data = np.random.default_rng(0).poisson(3, (9, 11, 20)).astype(np.uint16)
    data[:, 6:, 4:9] += 9
    scan = hs.signals.Signal1D(data)
    with pytest.raises(InputError, match="must be counts"):
        counts(scan)
    with pytest.warns(UserWarning, match="in doubt"):
        assert counts(scan, in_doubt="take").data is data


@pytest.mark.parametrize(("gain", "share", "read"), [(0.4, 1, 0), (16, 1, 0), (3.7, 0.1, 2)])
def test_a_wandering_zero_loss_peak_is_left_out(data_dir, gain, share, read):
    rng = np.random.default_rng(5)
    with np.load(data_dir / "simulated" / "eels_low.npz") as file:
        electrons = rng.binomial(file["data"], share)
    values = electrons * gain + rng.normal(0, read, electrons.shape)
    found = counts(hs.signals.Signal1D(values.astype(np.float32)))
    assert found.data.sum() == pytest.approx(electrons.sum(), rel=0.05 if read else 1e-6)


@pytest.mark.parametrize("kernel", [add_pairs, add_pairs.py_func])
def test_pairs_are_added_as_a_slow_loop_does(kernel):
    rng = np.random.default_rng(3)
    lam = rng.gamma(0.7, 2.0, 9) * rng.uniform(0.2, 3, (14, 1))
    one, two = (rng.poisson(lam) - 0.25 for _ in range(2))
    totals = np.stack([one.sum(axis=1), two.sum(axis=1)])
    compared, used = totals.sum(axis=0) > 20, np.arange(14) % 3 > 0
    share, gain = lam.mean(axis=0) / lam.mean(axis=0).sum(), 1.3
    edges, group = np.geomspace(0.05, 8, 6), np.arange(14) // 7 * 7
    bins, of_pair, of_channel = np.zeros((5, 14)), np.zeros((4, 14)), np.zeros((4, 9))
    kernel(one, two, totals, compared, used, group, share, gain, edges, bins, of_pair, of_channel)
    told, pairs, channels = np.zeros_like(bins), np.zeros_like(of_pair), np.zeros_like(of_channel)
    for i in range(14):
        a, b = totals[:, i] if compared[i] else (1.0, 1.0)
        for j in range(9):
            mean = (one[i, j] + two[i, j]) / 2
            p = 2 * mean / (a + b) if compared[i] else 0.0
            drawn = (a + b) / max(a + b - gain, (a + b) / 2) if compared[i] else 1.0
            terms = np.array(
                [
                    (a * two[i, j] - b * one[i, j]) ** 2 / (2 * a * b),
                    mean * (1 - p) * drawn,
                    (a / b + b / a) / 2 * (1 - 2 * p + 9 * p**2),
                    (mean * (1 - p) * drawn) ** 2,
                ]
            )
            pairs[:, i] += terms
            if used[i]:
                at = group[i] + np.searchsorted(edges, max(totals[:, i].mean(), 0) * share[j])
                told[:, at] += [1, *terms]
                channels[:, j] += terms
    np.testing.assert_allclose(bins, told, rtol=1e-12)
    np.testing.assert_allclose(of_pair, pairs, rtol=1e-12)
    np.testing.assert_allclose(of_channel, channels, rtol=1e-12)
