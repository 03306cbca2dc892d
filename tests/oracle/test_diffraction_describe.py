"""Descriptors of patterns against plain loops over positions and pixels."""

import math

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError, Masks, ParameterError, PatternInfo
from clustem.describe import patterns, radial_profile, virtual_detectors
from clustem.passes.group_sums import _sum_groups, group_sums
from clustem.passes.rows import Rows
from clustem.passes.scaled_rows import ScaledRows
from clustem.passes.transform import RowTransform

SHAPE = (4, 5, 13, 17)
CENTER = (5.3, 9.1)
DATA = np.random.default_rng(4).poisson(3, SHAPE).astype(np.uint16)
DATA[..., 4:7, 8:11] += 40
MASK = np.zeros(SHAPE[:2], dtype=bool)
MASK[1, 3] = MASK[2, 0] = True
LEFT_OUT = np.zeros(SHAPE[2:], dtype=bool)
LEFT_OUT[4:7, 8:11] = LEFT_OUT[0, 16] = True


def scan(data=DATA):
    signal = hs.signals.Signal2D(data)
    for axis, size in zip(signal.axes_manager.signal_axes, (0.02, 0.03), strict=True):
        axis.scale, axis.units = size, "1/Å"
    return signal


def cut(data=DATA):
    """Lazy, in chunks that cut through the patterns."""
    signal = scan(da.from_array(data, chunks=(3, 2, 5, 6))).as_lazy()
    for axis, size in zip(signal.axes_manager.signal_axes, (0.02, 0.03), strict=True):
        axis.scale, axis.units = size, "1/Å"
    return signal


def scaled_by_loop(pattern, how):
    kept = [
        float(pattern[r, c]) for r in range(SHAPE[2]) for c in range(SHAPE[3]) if not LEFT_OUT[r, c]
    ]
    if how is None:
        return kept
    shift = sum(kept) / len(kept) if how == "zscore" else 0.0
    size = {
        "l1": sum(abs(x) for x in kept),
        "l2": math.sqrt(sum(x * x for x in kept)),
        "max": max(abs(x) for x in kept),
        "zscore": math.sqrt(sum((x - shift) ** 2 for x in kept) / len(kept)),
    }[how]
    return [(x - shift) / size if size else 0.0 for x in kept]


@pytest.mark.parametrize("how", [None, "l1", "l2", "max", "zscore"])
@pytest.mark.parametrize("signal", [scan, cut])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", ">i4"])
def test_patterns_are_those_of_a_loop(how, signal, dtype):
    data = DATA.astype(dtype)
    features = patterns(signal(data), masks=Masks(scan=MASK, signal=LEFT_OUT), normalize=how)
    expected = [
        scaled_by_loop(data[r, c], how)
        for r in range(SHAPE[0])
        for c in range(SHAPE[1])
        if not MASK[r, c]
    ]
    np.testing.assert_allclose(np.asarray(features.rows), expected, rtol=2e-6, atol=5e-7)
    assert features.rows.dtype == (data.dtype if how is None else np.float32)
    assert (features.find(PatternInfo).signal_mask == LEFT_OUT).all()


def test_patterns_as_they_are_are_not_copied():
    rows = patterns(scan()).rows
    assert all(shared for _, shared in rows.map(lambda block, _: np.shares_memory(block, DATA)))


def test_excluded_pixels_are_never_read():
    data = DATA.astype(np.float32)
    data[..., LEFT_OUT] = np.nan
    found = np.asarray(patterns(scan(data), masks=Masks(signal=LEFT_OUT), normalize="l2").rows)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-6)


def test_a_pixel_that_is_not_finite_is_refused_with_its_row():
    data = DATA.astype(np.float32)
    data[0, 2, 1, 1] = np.nan
    with pytest.raises(InputError, match=r"finite.*row 2\."):
        np.asarray(patterns(scan(data), normalize="l2").rows)


def test_constant_and_empty_patterns_become_zeros():
    data = np.full((1, 3, 6, 7), 255, dtype=np.uint8)
    data[0, 1] = 0
    found = np.asarray(patterns(hs.signals.Signal2D(data), normalize="zscore").rows)
    assert (found == 0).all()
    found = np.asarray(patterns(hs.signals.Signal2D(data), normalize="l2").rows)
    np.testing.assert_allclose(found.sum(axis=1), [np.sqrt(42), 0, np.sqrt(42)], rtol=1e-6)


def test_a_large_offset_costs_no_digits():
    data = 1e7 + np.random.default_rng(0).normal(0, 1, (2, 3, 8, 9))
    found = np.asarray(patterns(hs.signals.Signal2D(data), normalize="zscore").rows)
    expected = [(p - p.mean()) / p.std() for p in data.reshape(6, 72)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_line_of_patterns_is_a_scan():
    line = hs.signals.Signal2D(DATA[0])
    assert patterns(line).rows.shape == (5, 13 * 17)
    assert patterns(line).shape == (5,)


@pytest.mark.parametrize(
    ("signal", "message"),
    [
        (hs.signals.Signal2D(np.ones((6, 7))), "got 0 scan axes and 2 signal axes.*single image"),
        (hs.signals.Signal1D(np.ones((6, 7, 8))), "got 2 scan axes and 1 signal axes.*spectra"),
    ],
)
def test_what_is_no_scan_of_patterns_is_refused(signal, message):
    for step in (patterns, radial_profile, virtual_detectors):
        with pytest.raises(InputError, match=message):
            step(signal)


@pytest.mark.parametrize("step", [patterns, radial_profile, virtual_detectors])
def test_masks_must_fit_and_leave_something(step):
    with pytest.raises(InputError, match="mask of the scan"):
        step(scan(), masks=Masks(scan=MASK.T))
    with pytest.raises(InputError, match=r"mask of the pattern.*\(13, 17\)"):
        step(scan(), masks=Masks(signal=LEFT_OUT.T))
    with pytest.raises(InputError, match=r"mask of the pattern; got all 221 excluded"):
        step(scan(), masks=Masks(signal=np.ones((13, 17), dtype=bool)))
    with pytest.raises(InputError, match=r"mask of the scan; got all 20 excluded"):
        step(scan(), masks=Masks(scan=np.ones((4, 5), dtype=bool)))


def rings_by_loop(width, inner, outer, row_size=1.0, column_size=1.0):
    """Ring of each pixel, -1 where none."""
    rings = max(1, int((outer - inner) / width + 1e-9))
    found = {}
    for r in range(SHAPE[2]):
        for c in range(SHAPE[3]):
            away = math.hypot((r - CENTER[0]) * row_size, (c - CENTER[1]) * column_size)
            ring = math.floor((away - inner) / width)
            found[r, c] = ring if 0 <= ring < rings and not LEFT_OUT[r, c] else -1
    return found, rings


@pytest.mark.parametrize("signal", [scan, cut])
@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_radial_profile_is_that_of_a_loop(signal, dtype):
    data = DATA.astype(dtype)
    features = radial_profile(
        signal(data), masks=Masks(scan=MASK, signal=LEFT_OUT), center=CENTER, width=1.7, inner=0.9
    )
    outer = min(CENTER[0], 12 - CENTER[0], CENTER[1], 16 - CENTER[1])
    rings, count = rings_by_loop(1.7, 0.9, outer)
    expected = []
    for pattern in data[~MASK]:
        means = []
        for ring in range(count):
            values = [float(pattern[p]) for p, number in rings.items() if number == ring]
            if values:
                means.append(sum(values) / len(values))
        expected.append(means)
    np.testing.assert_allclose(np.asarray(features.rows), expected, rtol=1e-6)
    assert len(features.names) == features.rows.shape[1]
    assert features.names[-1] == f"{0.9 + 1.7 * (count - 0.5):.4g} px"


def test_rings_follow_the_calibration_of_each_axis():
    features = radial_profile(scan(), center=CENTER, width=0.05, outer=0.16, units="1/Å")
    rings, count = rings_by_loop(0.05, 0.0, 0.16, row_size=0.03, column_size=0.02)
    # LEFT_OUT does not take part here
    row, column = np.indices(SHAPE[2:])
    away = np.hypot((row - CENTER[0]) * 0.03, (column - CENTER[1]) * 0.02)
    expected = [DATA[0, 0][(away / 0.05).astype(int) == i].mean() for i in range(count)]
    np.testing.assert_allclose(np.asarray(features.rows)[0], expected, rtol=1e-6)
    assert features.names == ("0.025 1/Å", "0.075 1/Å", "0.125 1/Å")
    assert len(rings) == 13 * 17


@pytest.mark.parametrize("signal", [scan, cut])
def test_virtual_detectors_are_those_of_a_loop(signal):
    inner, outer, rings, segments = 1.5, 5.0, 2, 3
    features = virtual_detectors(
        signal(),
        masks=Masks(scan=MASK, signal=LEFT_OUT),
        center=CENTER,
        rings=rings,
        segments=segments,
        inner=inner,
        outer=outer,
    )
    sums = np.zeros((18, rings * segments))
    for i, pattern in enumerate(DATA[~MASK]):
        for r in range(SHAPE[2]):
            for c in range(SHAPE[3]):
                away = math.hypot(r - CENTER[0], c - CENTER[1])
                if LEFT_OUT[r, c] or not inner <= away < outer:
                    continue
                turn = math.degrees(math.atan2(CENTER[0] - r, c - CENTER[1])) % 360
                ring = int((away - inner) / (outer - inner) * rings)
                sums[i, ring * segments + int(turn / 120)] += pattern[r, c]
    np.testing.assert_allclose(np.asarray(features.rows), sums, rtol=1e-6)
    assert features.names[4] == "3.25–5 px, 120–240°"


def test_a_spot_above_the_beam_is_counterclockwise_from_one_to_its_right():
    data = np.zeros((1, 2, 21, 25), dtype=np.uint8)
    data[0, 0, 3, 12] = data[0, 1, 10, 19] = 9  # above, right
    features = virtual_detectors(
        hs.signals.Signal2D(data), center=(10, 12), rings=1, segments=4, inner=2
    )
    assert np.asarray(features.rows).tolist() == [[0, 9, 0, 0], [9, 0, 0, 0]]


def test_the_beam_is_found_although_it_is_masked():
    beam = np.zeros(SHAPE[2:], dtype=bool)
    beam[3:8, 7:12] = True
    open_, closed = radial_profile(scan()), radial_profile(scan(), masks=Masks(signal=beam))
    assert closed.names == open_.names[-len(closed.names) :]


def test_radii_that_leave_nothing_are_refused():
    with pytest.raises(ParameterError, match="inner must be smaller"):
        virtual_detectors(scan(), inner=30)
    with pytest.raises(InputError, match="must hold pixels"):
        virtual_detectors(scan(), rings=10**9)
    with pytest.raises(InputError, match="calibrated"):
        radial_profile(hs.signals.Signal2D(DATA), units="1/Å")
    with pytest.raises(InputError, match="on the detector"):
        radial_profile(scan(), center=(-3, 5))
    with pytest.raises(InputError, match="At least one ring"):
        radial_profile(scan(), center=(0, 0), masks=Masks(signal=~LEFT_OUT), outer=2)


def test_sums_refuse_what_is_not_finite_unless_it_is_excluded():
    data = DATA.astype(np.float32)
    data[1, 2, 8, 9] = np.inf
    with pytest.raises(InputError, match="row 7"):
        radial_profile(scan(data), center=CENTER)
    left_out = np.zeros(SHAPE[2:], dtype=bool)
    left_out[8, 9] = True
    assert np.isfinite(
        np.asarray(radial_profile(scan(data), center=CENTER, masks=Masks(signal=left_out)).rows)
    ).all()


@pytest.mark.parametrize("zero", [np.uint64(0), 0.0])
def test_the_kernel_compiled_and_not(zero):
    block = np.arange(72, dtype=np.uint8).reshape(6, 12)
    order, ends = np.array([3, 1, 11, 0, 2], dtype=np.int32), np.array([2, 2, 5])
    found = np.empty((2, 6, 3))
    _sum_groups(block, zero, order, ends, found[0])
    _sum_groups.py_func(block, zero, order, ends, found[1])
    expected = [[4 + 24 * i, 0, 13 + 36 * i] for i in range(6)]
    assert found[0].tolist() == found[1].tolist() == expected


def test_sums_do_not_depend_on_the_block():
    rows = [Rows(DATA, row_ndim=2, block_bytes=size) for size in (1000, 10**7)]
    groups = np.arange(221) % 7 - 1
    first, second = (group_sums(r, groups, 6) for r in rows)
    assert (first == second).all()


def test_scaled_rows_can_be_taken_one_by_one():
    rows = ScaledRows(Rows(DATA, row_ndim=2), RowTransform(221, normalize="l2", mask=LEFT_OUT))
    whole = np.asarray(rows)
    assert rows.nbytes == whole.nbytes
    assert (rows.take(np.array([7, 0, 7])) == whole[[7, 0, 7]]).all()
    assert rows.in_memory
