"""Preparations of energy losses against the simulation's truth and hand-made spectra."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError, Masks
from clustem.physics.energy_loss import find_zero_loss
from clustem.prepare._shifting import shift_rows
from clustem.prepare.align_zero_loss import align_zero_loss
from clustem.prepare.nonnegative import nonnegative
from clustem.prepare.normalize import normalize
from clustem.prepare.remove_background import remove_background
from clustem.prepare.vacuum import vacuum
from clustem.samples.eels import eels


@pytest.fixture(scope="module")
def wedge():
    return eels(shape=(12, 17), random_state=3)


@pytest.fixture(scope="module")
def film():
    return eels(kind="core", shape=(20, 30), random_state=3)


def centers(signal):
    """Where the tip of each zero-loss peak has its center of mass [channels]."""
    axis = signal.axes_manager.signal_axes[0]
    near = np.abs(axis.axis) < 6 * axis.scale
    tip = np.asarray(signal.data)[..., near].astype(float)
    tip = np.maximum(tip - 0.3 * tip.max(axis=-1, keepdims=True), 0)
    return (tip * axis.axis[near]).sum(axis=-1) / tip.sum(axis=-1) / axis.scale


@pytest.mark.parametrize(
    ("interpolation", "spread"), [("cubic", 0.1), ("linear", 0.1), ("none", 0.4)]
)
def test_peaks_are_aligned_to_parts_of_a_channel(wedge, interpolation, spread):
    before = wedge.signal.data.copy()
    found = align_zero_loss(wedge.signal, interpolation=interpolation)
    assert centers(wedge.signal).std() > 0.8
    assert centers(found).std() < spread
    assert abs(centers(found).mean()) < 0.2  # the tip leans to the loss side
    assert np.isfinite(found.data).all()
    np.testing.assert_array_equal(wedge.signal.data, before)
    peak = found.data.max(axis=-1).mean() / wedge.signal.data.max(axis=-1).mean()
    assert abs(peak - 1) < {"cubic": 0.015, "linear": 0.03, "none": 1e-6}[interpolation]


def test_lazy_counts_and_kev_are_aligned_alike(wedge):
    counts = wedge.signal._deepcopy_with_new_data(wedge.signal.data.clip(0).astype(np.uint32))
    expected = align_zero_loss(counts)
    lazy = align_zero_loss(counts.as_lazy())
    assert lazy._lazy
    assert lazy.data.dtype == np.float32
    np.testing.assert_allclose(lazy.data.compute(), expected.data, rtol=1e-6)
    kilo = counts.deepcopy()
    axis = kilo.axes_manager.signal_axes[0]
    axis.scale, axis.offset, axis.units = axis.scale / 1000, axis.offset / 1000, "keV"
    found = align_zero_loss(kilo)
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-4, atol=1e-3)
    offset = expected.axes_manager.signal_axes[0].offset
    assert found.axes_manager.signal_axes[0].offset == pytest.approx(offset / 1000)
    whole = align_zero_loss(counts, interpolation="none")
    assert whole.data.dtype == np.uint32
    rows = {row.tobytes() for row in counts.data.reshape(-1, 1200)[:, 40:1100]}
    assert len(rows) == counts.data[..., 0].size


def test_an_axis_without_units_and_a_window(wedge):
    plain = hs.signals.Signal1D(wedge.signal.data.copy())
    found = align_zero_loss(plain)
    assert abs(centers(found).mean()) < 0.3
    higher = plain.deepcopy()
    higher.data[..., 500:520] += 4e5  # something else is higher
    again = align_zero_loss(higher, window=(60.0, 140.0))
    offsets = [each.axes_manager[-1].offset for each in (again, found)]
    assert offsets[0] == pytest.approx(offsets[1], abs=0.01)
    assert centers(again).std() < 0.1


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5,), ()])
def test_small_scans_are_aligned(wedge, shape):
    n = int(np.prod(shape))
    rows = wedge.signal.data.reshape(-1, 1200)[:n].reshape(*shape, 1200)
    small = hs.signals.Signal1D(rows)
    axis = small.axes_manager.signal_axes[0]
    axis.scale, axis.offset, axis.units = 0.1, -10, "eV"
    found = align_zero_loss(small)
    assert found.data.shape[:-1] == shape
    assert np.abs(centers(found)).max() < 0.3


def test_core_losses_are_refused_or_left(film):
    words = r"zero-loss peak in range; got .* on an axis of 400 \.\.\. 879.5 eV"
    with pytest.raises(InputError, match=words):
        align_zero_loss(film.signal)
    left = align_zero_loss(film.signal, core_losses="leave")
    assert left.axes_manager[-1].offset == 400
    np.testing.assert_array_equal(left.data, film.signal.data)


def test_what_has_no_zero_loss_peak_is_refused(wedge):
    none = wedge.signal.isig[6.0:]
    with pytest.raises(InputError, match="zero-loss peak in range"):
        align_zero_loss(none)
    with pytest.raises(InputError, match="zero-loss peak in range"):
        align_zero_loss(none, window=(0.0, 12.0))
    empty = wedge.signal.inav[:4, :3].deepcopy()
    empty.data[...] = 0
    with pytest.raises(InputError, match="no counts"):
        align_zero_loss(empty)
    with pytest.raises(InputError, match="at least three channels"):
        align_zero_loss(wedge.signal, window=(300.0, 320.0))
    with pytest.raises(InputError, match="one signal axis"):
        align_zero_loss(hs.signals.Signal2D(np.ones((2, 3, 4, 5))))


def test_positions_without_a_peak_are_counted_and_left(wedge):
    part = wedge.signal.inav[:9, :6].deepcopy()
    part.data[2, 3] = 0
    with pytest.warns(UserWarning, match="1 of 54 positions have no zero-loss peak"):
        found = align_zero_loss(part)
    assert not found.data[2, 3].any()
    mask = np.zeros((6, 9), dtype=bool)
    mask[2, 3] = True
    found = align_zero_loss(part, masks=Masks(scan=mask))
    found.data[2, 3] = found.data[0, 0]
    assert centers(found).std() < 0.1
    part.data[1:] = 0
    with pytest.raises(InputError, match=r"Most positions .* none in 45 of 54"):
        align_zero_loss(part)


def test_a_shift_is_a_cubic_through_four_channels():
    x = np.arange(12.0)
    row = 0.3 * x**3 - 2 * x**2 + x + 5
    for shift in (0.25, -1.6, 3.0):
        moved = shift_rows(row[np.newaxis], np.array([shift]), "cubic")[0]
        at = x - shift
        inside = slice(5, 9)
        expected = 0.3 * at**3 - 2 * at**2 + at + 5
        np.testing.assert_allclose(moved[inside], expected[inside], rtol=1e-12)
        linear = shift_rows(row[np.newaxis], np.array([shift]), "linear")[0]
        np.testing.assert_allclose(linear[inside], np.interp(at, x, row)[inside], rtol=1e-12)


def test_the_width_is_that_between_half_heights():
    axis = hs.signals.Signal1D(np.zeros(101)).axes_manager[0]
    axis.scale, axis.offset = 0.5, -25.0
    energy = axis.axis
    peak = find_zero_loss(axis, np.exp(-((energy - 0.2) ** 2) / (2 * 1.5**2)))
    assert peak.position == pytest.approx(0.2, abs=1e-9)
    assert peak.fwhm == pytest.approx(2.3548 * 1.5, rel=0.02)


@pytest.mark.parametrize("lazy", [False, True])
def test_the_background_below_an_edge(film, lazy):
    mask = film.labels == 2
    signal = film.signal.as_lazy() if lazy else film.signal
    net = remove_background(signal, window=(405.0, 450.0), masks=Masks(scan=mask))
    assert net._lazy == lazy
    data, edges = np.asarray(net.data), film.edges
    assert data.dtype == np.float32
    assert not data[mask].any()
    assert not data[..., :10].any()
    for phase, low, high in ((0, 455, 480), (1, 530, 545)):  # Ti L, O K
        inside = (film.labels == phase)[..., None] & (np.abs(energies(film) * 2 - low - high) < 25)
        assert data[inside].sum() == pytest.approx(edges[inside].sum(), rel=0.06)
    assert net.metadata.Signal.background_removed
    assert remove_background(film.signal).data is film.signal.data


def energies(sample):
    return sample.signal.axes_manager.signal_axes[0].axis


def test_backgrounds_that_cannot_be(film):
    for window in ((10.0, 20.0), (405.0, 406.0), (700.0, 900.0)):
        with pytest.raises(InputError, match="window must hold at least 4 channels"):
            remove_background(film.signal, window=window)
    with pytest.warns(UserWarning, match="less than nothing is left"):
        remove_background(film.signal, window=(456.0, 464.0), masks=Masks(scan=film.labels == 2))
    with pytest.raises(InputError, match="left in"):
        remove_background(film.signal, window=(405, 450), masks=Masks(scan=np.ones((20, 30), bool)))
    dark = film.signal.inav[:6, :5].deepcopy()
    dark.data[1, 2] = np.nan
    with pytest.raises(InputError, match=r"found at each position; got none at 1 of 30"):
        remove_background(dark, window=(405, 450))


def test_negative_values_are_noise_or_refused(film):
    found = nonnegative(film.signal, masks=Masks(scan=film.labels == 2))
    np.testing.assert_array_equal(found.data, np.maximum(film.signal.data, 0))
    counts = hs.signals.Signal1D(np.ones((2, 3, 4), np.uint8))
    assert nonnegative(counts).data is counts.data
    net = remove_background(film.signal, window=(405, 450), masks=Masks(scan=film.labels == 2))
    with pytest.raises(InputError, match="Negative net counts must stay"):
        nonnegative(net)
    with pytest.raises(InputError, match=r"at most 2 % of the others'; got 50 %"):
        nonnegative(hs.signals.Signal1D(np.array([[2.0, -1.0]])))
    with pytest.raises(InputError, match="nothing positive"):
        nonnegative(hs.signals.Signal1D(np.array([[0.0, -1.0]])))


@pytest.mark.parametrize("by", ["sum", "max", "l2"])
def test_rows_can_keep_the_level_of_counts(by):
    data = np.random.default_rng(2).random((4, 5, 9)) + 0.1
    data[1, 2] *= 1000
    mask = np.zeros((4, 5), dtype=bool)
    mask[1, 2] = True
    found = normalize(hs.signals.Signal1D(data), by=by, level="mean", masks=Masks(scan=mask)).data
    sizes = {"sum": data.sum(-1), "max": data.max(-1), "l2": np.sqrt((data**2).sum(-1))}[by]
    expected = data / sizes[..., None] * sizes[~mask].mean()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_vacuum_by_its_share_of_the_counts(film):
    found = vacuum(film.signal, share=0.05, closing=False, opening=False)
    assert found[film.abundance[..., 2] > 0.98].all()
    assert not found[film.abundance[..., 2] < 0.9].any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not vacuum(film.signal.inav[:15], share=0.05).any()
