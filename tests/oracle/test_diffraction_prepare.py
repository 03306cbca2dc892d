"""Beam, bad pixels and descan against plain loops and known positions."""

import math

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.ndimage import shift as shifted

from clustem.core import InputError, Masks, ParameterError
from clustem.passes.rows import Rows
from clustem.physics.beam import find_beam, mean_pattern, sample_positions
from clustem.physics.detector import pixel_pitch, wavelength
from clustem.prepare import bad_pixels, beam_mask, beam_shift
from clustem.samples import diffraction

CENTER, RADIUS = (21.3, 35.8), 5.0
ROW, COLUMN = np.mgrid[:48, :70]


def disc(center=CENTER, radius=RADIUS, level=100.0):
    """A disc with a soft edge."""
    away = np.hypot(ROW - center[0], COLUMN - center[1])
    return level / (1 + np.exp((away - radius) / 0.4))


def spots(level):
    return sum(
        disc((CENTER[0] + a, CENTER[1] + b), 3.0, level)
        for a, b in ((11, 3), (-11, -3), (5, 14), (-5, -14), (16, -11))
    )


def scan_of(pattern, shape=(4, 6), seed=0):
    counts = np.random.default_rng(seed).poisson(pattern, (*shape, *pattern.shape))
    return hs.signals.Signal2D(counts.astype(np.uint16))


KINDS = {
    "clean": disc(),
    "saturated": np.minimum(disc(level=900.0), 255),
    "faint": disc(level=0.5) + 0.02,
    "spotty": disc() + spots(70.0),
    "on a halo": disc() + 30 * np.exp(-np.hypot(ROW - 21.3, COLUMN - 35.8) / 15),
    "with hot pixels": disc() + 5000.0 * ((ROW == 3) & (COLUMN == 66)),
    "with a slope": disc() + 0.2 * COLUMN,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_beam_is_found(kind):
    scan = scan_of(KINDS[kind], shape=(20, 26))
    beam = find_beam(mean_pattern(Rows(scan.data, row_ndim=2)))
    assert math.dist(beam.center, CENTER) < 0.3
    assert RADIUS <= beam.radius <= RADIUS + 3.5


def test_the_beam_is_found_beside_pixels_that_are_not_finite():
    pattern = disc()
    pattern[20, 35] = np.nan
    pattern[0] = np.inf
    assert math.dist(find_beam(pattern).center, CENTER) < 0.2


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (np.full((30, 40), 7.0), "stand out.*got at most 7 above a median of 7"),
        (np.zeros((30, 40)), "stand out"),
        (np.random.default_rng(1).poisson(5, (200, 30, 40)).mean(axis=0), "stand out"),
        (np.mgrid[:30, :40][0] * 1.0, "stand out.*covers 2. % of the detector"),
        (np.full((30, 40), np.nan), "all 1200 excluded or not finite"),
    ],
)
def test_no_beam_is_said_so(pattern, message):
    with pytest.raises(InputError, match=message):
        find_beam(pattern)


def test_a_radius_needs_a_falling_intensity():
    with pytest.raises(InputError, match="fall from the beam's center"):
        find_beam(np.hypot(ROW - 21.3, COLUMN - 35.8), center=CENTER)


def test_few_runs_of_positions_stand_for_a_large_scan():
    rows = Rows(np.zeros((100, 70, 1), dtype=np.uint8))
    found = sample_positions(rows)
    assert len(found) == 512
    assert np.count_nonzero(np.diff(found) > 1) == 31
    assert found[-1] == 6999
    assert len(sample_positions(Rows(np.zeros((7, 70, 1), dtype=np.uint8)))) == 490


def test_mean_pattern_is_that_of_the_sampled_rows():
    data = np.random.default_rng(2).normal(0, 1, (60, 30, 4, 5))
    data[0, 0, 1, 1] = np.nan
    rows = Rows(data, row_ndim=2)
    expected = np.nanmean(data.reshape(-1, 4, 5)[sample_positions(rows)], axis=0)
    np.testing.assert_allclose(mean_pattern(rows), expected)


def mask_by_loop(inside):
    return np.array([[inside(r, c) for c in range(70)] for r in range(48)])


def away(r, c):
    return math.hypot(r - CENTER[0], c - CENTER[1])


@pytest.mark.parametrize(
    ("given", "excluded"),
    [
        ({}, lambda r, c: away(r, c) <= 6),
        ({"keep": "inside"}, lambda r, c: away(r, c) > 6),
        ({"keep": "annulus", "outer": 15}, lambda r, c: not 6 < away(r, c) <= 15),
    ],
)
def test_masks_are_those_of_a_loop(given, excluded):
    found = beam_mask(scan_of(disc()), center=CENTER, radius=6, **given)
    assert (found == mask_by_loop(excluded)).all()


def calibrated(units, scale=(0.03, 0.02), energy=200.0):
    signal = scan_of(disc())
    for axis, size in zip(signal.axes_manager.signal_axes[::-1], scale, strict=True):
        axis.units, axis.scale = units, size
    if energy:
        signal.metadata.set_item("Acquisition_instrument.TEM.beam_energy", energy)
    return signal


@pytest.mark.parametrize(
    ("units", "per_vector"),
    [("1/Å", 1.0), ("Å⁻¹", 1.0), ("A^-1", 1.0), ("1/nm", 0.1), ("nm^-1", 0.1), ("$nm^{-1}$", None)],
)
def test_units_of_axes_are_understood(units, per_vector):
    signal = calibrated(units)
    if per_vector is None:
        with pytest.raises(InputError, match="calibrated"):
            pixel_pitch(signal, "1/Å")
        return
    assert pixel_pitch(signal, "1/Å") == pytest.approx((0.03 * per_vector, 0.02 * per_vector))
    assert pixel_pitch(signal, "1/nm") == pytest.approx((0.3 * per_vector, 0.2 * per_vector))
    angle = 1e3 * 0.0250793 * per_vector
    assert pixel_pitch(signal, "mrad") == pytest.approx((0.03 * angle, 0.02 * angle), rel=1e-5)
    assert pixel_pitch(signal, "axis") == (0.03, 0.02)
    assert pixel_pitch(signal, "px") == (1, 1)


def test_wavelengths_are_those_of_the_textbook():
    # Williams and Carter, Transmission Electron Microscopy (2009), table 1.2 [pm]
    for energy, expected in ((100, 3.70), (200, 2.51), (300, 1.97)):
        assert 100 * wavelength(energy) == pytest.approx(expected, abs=0.005)


def test_a_radius_in_calibrated_units_is_an_ellipse_of_pixels():
    found = beam_mask(calibrated("1/Å"), center=CENTER, radius=2.0, units="1/nm")
    expected = mask_by_loop(
        lambda r, c: math.hypot(0.03 * (r - CENTER[0]), 0.02 * (c - CENTER[1])) <= 0.2
    )
    assert (found == expected).all()


def test_angles_without_a_beam_energy_are_refused():
    with pytest.raises(InputError, match=r"beam energy; got none.*\[keV\]"):
        beam_mask(calibrated("1/Å", energy=None), radius=4, units="mrad")
    in_mrad = calibrated("mrad", energy=None)
    assert beam_mask(in_mrad, center=CENTER, radius=0.2, units="mrad").sum() > 50


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"radius": 100}, InputError, "some detector pixels in.*all of 3360 excluded"),
        ({"radius": 0.1, "center": (3.5, 4.5)}, InputError, "none of 3360 excluded"),
        ({"center": (48, 3)}, InputError, r"on the detector of 48 × 70.*got \(48, 3\)"),
        ({"outer": 9}, ParameterError, "outer must be given for keep='annulus'"),
        ({"keep": "annulus"}, ParameterError, "outer must be given for keep='annulus'"),
        ({"keep": "annulus", "radius": 9, "outer": 5}, ParameterError, "larger than the radius"),
        ({"radius": 4, "units": "1/Å"}, InputError, "calibrated"),
    ],
)
def test_masks_that_make_no_sense_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        beam_mask(scan_of(disc()), **given)


@pytest.mark.parametrize("step", [beam_mask, bad_pixels, beam_shift])
@pytest.mark.parametrize(
    "signal",
    [hs.signals.Signal2D(np.ones((9, 8))), hs.signals.Signal1D(np.ones((5, 6, 7)))],
    ids=["image", "spectra"],
)
def test_what_is_no_scan_of_patterns_is_refused(step, signal):
    with pytest.raises(InputError, match="needs a scan of patterns"):
        step(signal)


def test_bad_pixels_are_found_and_no_others():
    scan = scan_of(disc() + spots(40.0) + 2, shape=(20, 30))
    assert not bad_pixels(scan).any()
    bad = np.zeros((48, 70), dtype=bool)
    data = scan.data.astype(np.float32)
    for place, value in (
        ((21, 36), 0),
        ((40, 5), 0),
        ((0, 0), 900),
        ((30, 60), 77),
        ((30, 61), 77),
    ):
        data[(..., *place)] = value
        bad[place] = True
    data[:, :, 44] = 0  # a dead line
    bad[44] = True
    data[3, 4, 10, 11] = np.nan
    bad[10, 11] = True
    found = bad_pixels(hs.signals.Signal2D(data))
    assert np.argwhere(found != bad).tolist() == []


def test_silence_where_little_is_expected_is_no_defect():
    scan = scan_of(np.full((12, 15), 0.01), shape=(10, 20))
    assert not bad_pixels(scan).any()


def test_a_saturated_beam_and_a_constant_scan_have_no_bad_pixels():
    saturated = scan_of(np.minimum(disc(level=3e4), 255), shape=(9, 8))
    saturated.data = np.minimum(saturated.data, 255)
    assert not bad_pixels(saturated).any()
    assert not bad_pixels(hs.signals.Signal2D(np.full((4, 5, 9, 8), 7))).any()


def test_bad_pixels_do_not_mislead_the_beam_mask():
    scan = scan_of(disc(), shape=(20, 30))
    scan.data[..., 40:42, 2:4] = 60000
    bad = np.zeros((48, 70), dtype=bool)
    bad[40:42, 2:4] = True
    assert beam_mask(scan, masks=Masks(signal=bad))[21, 36]
    assert not beam_mask(scan)[21, 36]


WANDER = diffraction(shape=(14, 18), detector=(48, 60), descan=7.0, dtype="uint16")


def center_by_loop(pattern, near):
    """Center of mass of the disc, by the mean of a circle that follows it."""
    at = np.array(near, dtype=float)
    row, column = np.indices(pattern.shape)
    for _ in range(20):
        inside = np.hypot(row - at[0], column - at[1]) <= 4
        weight = pattern * inside
        at = np.array([(row * weight).sum(), (column * weight).sum()]) / weight.sum()
    return at


@pytest.mark.parametrize(("order", "within"), [(0, 0.75), (1, 0.25)])
@pytest.mark.parametrize("fit", ["none", "plane"])
def test_after_the_correction_the_beam_stays(order, within, fit):
    found = beam_shift(WANDER.signal, order=order, fit=fit)
    target = [-axis.offset / axis.scale for axis in found.axes_manager.signal_axes[::-1]]
    assert target == pytest.approx([round(at) for at in target], abs=1e-9)
    for index in np.ndindex(14, 18):
        assert math.dist(center_by_loop(found.data[index].astype(float), target), target) < within
    assert found.data.dtype == (np.uint16 if order == 0 else np.float32)


def test_whole_pixel_shifts_keep_every_count():
    found = beam_shift(WANDER.signal)
    for index in np.ndindex(14, 18):
        before, after = WANDER.signal.data[index], found.data[index]
        moves = [
            (a, b)
            for a in range(-6, 7)
            for b in range(-6, 7)
            if (after == _moved_by_loop(before, a, b)).all()
        ]
        assert len(moves) == 1, index
        target = [-axis.offset / axis.scale for axis in found.axes_manager.signal_axes[::-1]]
        at = np.array(WANDER.center) + WANDER.shift[index]
        assert np.abs(at + moves[0] - target).max() < 0.7


def _moved_by_loop(pattern, down, right):
    out = np.zeros_like(pattern)
    rows, columns = pattern.shape
    for r in range(max(0, down), min(rows, rows + down)):
        first, last = max(0, right), min(columns, columns + right)
        out[r, first:last] = pattern[r - down, first - right : last - right]
    return out


def test_interpolated_shifts_are_those_of_scipy():
    from clustem.prepare.beam_shift import _moved

    patterns = gaussian_filter(np.random.default_rng(3).random((3, 12, 17)), 1)
    moves = np.array([[1.3, -2.6], [-0.4, 0.0], [0.0, 20.0]])
    found = _moved(patterns, moves, np.dtype(np.float32))
    for pattern, move, after in zip(patterns, moves, found, strict=True):
        expected = shifted(pattern, move, order=1, mode="grid-constant")
        np.testing.assert_allclose(after, expected, atol=1e-6)


@pytest.mark.parametrize("order", [0, 1])
def test_lazy_and_mapped_scans_are_shifted_when_read(order, tmp_path):
    expected = beam_shift(WANDER.signal, order=order).data
    chunked = da.from_array(WANDER.signal.data, chunks=(5, 7, 20, 30))
    lazy = beam_shift(hs.signals.Signal2D(chunked).as_lazy(), order=order)
    assert lazy._lazy
    assert lazy.data.dtype == expected.dtype
    assert (lazy.data.compute() == expected).all()
    np.save(tmp_path / "scan.npy", WANDER.signal.data)
    mapped = beam_shift(
        hs.signals.Signal2D(np.load(tmp_path / "scan.npy", mmap_mode="r")), order=order
    )
    assert mapped._lazy
    assert (np.asarray(Rows(mapped.data, row_ndim=2)) == expected.reshape(14 * 18, -1)).all()


def test_a_plane_is_not_misled_by_positions_without_a_beam():
    data = WANDER.signal.data.copy()
    data[3:5, 6:9] = 0
    data[9, 9] = np.random.default_rng(0).poisson(3, (48, 60))
    signal = WANDER.signal._deepcopy_with_new_data(data)
    found = beam_shift(signal, fit="plane").data
    whole = beam_shift(WANDER.signal, fit="plane").data
    untouched = (data == WANDER.signal.data).all(axis=(2, 3))
    assert (found == whole).all(axis=(2, 3))[untouched].mean() > 0.97


def test_a_line_has_no_plane():
    line = WANDER.signal.inav[:, 0]
    assert beam_shift(line).data.shape == (18, 48, 60)
    assert beam_shift(line, fit="plane").data.shape == (18, 48, 60)
    with pytest.raises(InputError, match="at least 2 positions"):
        beam_shift(WANDER.signal.inav[:1, :], fit="plane")


@pytest.mark.parametrize("step", [beam_mask, bad_pixels, beam_shift])
def test_the_input_stays_as_it_is(step):
    signal = WANDER.signal.deepcopy()
    signal.data.flags.writeable = False
    step(signal)
    assert (signal.data == WANDER.signal.data).all()
    assert str(signal.axes_manager) == str(WANDER.signal.axes_manager)
