"""Preparations against plain loops, hand-computed values and published numbers."""

import threading

import dask.array as da
import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import InputError, Masks
from clustem.prepare.crop import crop
from clustem.prepare.normalize import normalize
from clustem.prepare.pixel_size import pixel_size
from clustem.prepare.pool import pool
from clustem.prepare.rebin import rebin
from clustem.prepare.vacuum import vacuum

RNG = np.random.default_rng(11)


@pytest.mark.parametrize(
    "cut", [lambda signal: crop(signal, rows="1:3"), lambda signal: rebin(signal, scan=2)]
)
def test_other_threads_find_the_values_of_a_signal_that_is_cut(cut):
    signal = hs.signals.Signal1D(RNG.poisson(3, (4, 6, 8)))
    given, ended = signal.data, threading.Event()

    def work():
        for _ in range(20):
            cut(signal)
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    while not ended.is_set() and thread.is_alive():
        assert signal.data is given
    thread.join()


def pooled_by_loops(data, d, weights, mask):
    """The definition, offset by offset, in float64."""
    rows, columns = data.shape[:2]
    reach = int(np.floor(d))
    out = np.zeros(data.shape)
    for i in range(rows):
        for j in range(columns):
            total, norm = np.zeros(data.shape[2:]), 0.0
            for di in range(-reach, reach + 1):
                for dj in range(-reach, reach + 1):
                    inside = 0 <= i + di < rows and 0 <= j + dj < columns
                    if inside and not mask[i + di, j + dj]:
                        near = np.exp(-(di**2 + dj**2) / (2 * d**2))
                        weight = near if weights == "gaussian" else 1.0
                        total += weight * data[i + di, j + dj].astype(np.float64)
                        norm += weight
            if norm:
                out[i, j] = total / norm
    return out


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weights", ["uniform", "gaussian"])
@pytest.mark.parametrize("d", [0.5, 1.5, 2, 3, 4.5])
def test_pooling_is_the_formula(d, weights, masked):
    data = RNG.normal(size=(9, 7, 5)) * 10.0 ** RNG.integers(-3, 4, size=(9, 7, 1))
    mask = RNG.random((9, 7)) < (0.4 if masked else 0)
    found = pool(hs.signals.Signal1D(data), radius=d, weights=weights, masks=Masks(scan=mask)).data
    expected = pooled_by_loops(data, d, weights, mask)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * np.abs(data).max())


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i2", "i8", "f4", "f2", ">u2", "?"])
def test_pooling_takes_any_dtype_to_its_limit(dtype):
    largest = 1 if dtype == "?" else np.iinfo(dtype).max if dtype[-2] in "ui" else 1000
    data = np.full((6, 8, 3), largest, dtype=dtype)
    data[2:4, 1:5] = 0
    found = pool(hs.signals.Signal1D(data), radius=3).data
    assert found.dtype == np.float32
    expected = pooled_by_loops(data, 3, "uniform", np.zeros((6, 8), bool))
    np.testing.assert_allclose(found, expected, rtol=3e-7)


def test_wide_integer_windows_do_not_overflow():
    data = np.full((90, 70, 1), 65535, dtype=np.uint16)
    assert np.all(pool(hs.signals.Signal1D(data), radius=40).data == 65535)


def test_a_window_can_be_larger_than_the_scan():
    data = RNG.random((3, 4, 2))
    found = pool(hs.signals.Signal1D(data), radius=10).data
    np.testing.assert_allclose(found, np.broadcast_to(data.mean((0, 1)), data.shape))


def test_an_excluded_pixel_is_never_read():
    data = RNG.random((6, 7, 4))
    mask = np.zeros((6, 7), dtype=bool)
    mask[2, 3] = True
    spoiled = data.copy()
    spoiled[2, 3] = np.nan
    found = [
        pool(hs.signals.Signal1D(x), radius=1.5, masks=Masks(scan=mask)).data
        for x in (data, spoiled)
    ]
    np.testing.assert_array_equal(*found)
    around = data[1:4, 2:5].sum((0, 1)) - data[2, 3]
    np.testing.assert_allclose(found[0][2, 3], around / 8)


def test_what_has_no_neighbour_left_in_is_zero():
    mask = np.ones((4, 9), dtype=bool)
    mask[:, 0] = False
    found = pool(hs.signals.Signal1D(np.ones((4, 9, 2))), masks=Masks(scan=mask)).data
    assert np.all(found[:, :2] == 1)
    assert np.all(found[:, 2:] == 0)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_a_bad_value_stays_in_its_window(value):
    data = RNG.random((9, 11, 3))
    spoiled = data.copy()
    spoiled[4, 5, 1] = value
    clean, dirty = (pool(hs.signals.Signal1D(x), radius=1.5).data for x in (data, spoiled))
    touched = np.zeros(data.shape, dtype=bool)
    touched[3:6, 4:7, 1] = True
    np.testing.assert_array_equal(clean[~touched], dirty[~touched])
    assert np.all(clean[touched] != dirty[touched])


@pytest.mark.parametrize("weights", ["uniform", "gaussian"])
def test_lines_and_patterns_pool_too(weights):
    line = RNG.random((12, 5))
    found = pool(hs.signals.Signal1D(line), radius=2, weights=weights).data
    mask = np.zeros((1, 12), dtype=bool)
    np.testing.assert_allclose(found, pooled_by_loops(line[None], 2, weights, mask)[0])
    patterns = RNG.integers(0, 255, (5, 4, 6, 3)).astype(np.uint8)
    found = pool(hs.signals.Signal2D(patterns), weights=weights).data
    expected = pooled_by_loops(patterns, 1.5, weights, np.zeros((5, 4), bool))
    np.testing.assert_allclose(found, expected, rtol=3e-7)


@pytest.mark.parametrize("chunks", [(4, 3, 5), (1, 1, 2), (11, 7, 5), ((5, 1, 5), (2, 5), 5)])
@pytest.mark.parametrize("weights", ["uniform", "gaussian"])
def test_chunks_do_not_show_in_a_pooled_map(chunks, weights):
    data = RNG.random((11, 7, 5))
    mask = RNG.random((11, 7)) < 0.2
    lazy = hs.signals.Signal1D(da.from_array(data, chunks=chunks)).as_lazy()
    found = pool(lazy, radius=3, weights=weights, masks=Masks(scan=mask))
    assert found._lazy
    at_once = pool(
        hs.signals.Signal1D(data), radius=3, weights=weights, masks=Masks(scan=mask)
    ).data
    np.testing.assert_allclose(found.data.compute(), at_once, rtol=1e-14)


def test_pooling_views_of_larger_scans():
    scan = hs.signals.Signal1D(RNG.integers(0, 9, (14, 12, 20)).astype(np.uint16))
    part = crop(scan, rows=(2, 13), columns=(3, 9), channels=(5, 15))
    copied = hs.signals.Signal1D(part.data.copy())
    np.testing.assert_array_equal(pool(part).data, pool(copied).data)


def test_pool_refuses_what_is_no_scan():
    with pytest.raises(InputError, match="needs a scan"):
        pool(hs.signals.Signal2D(np.ones((4, 5))))
    with pytest.raises(InputError, match="real numbers"):
        pool(hs.signals.Signal1D(np.ones((3, 4, 5), dtype=complex)))
    with pytest.raises(InputError, match=r"scan must be boolean with the shape \(3, 4\)"):
        pool(
            hs.signals.Signal1D(np.ones((3, 4, 5))), masks=Masks(scan=np.zeros((4, 3), dtype=bool))
        )


def test_published_pixel_size():
    scan = hs.signals.Signal1D(np.zeros((156, 152, 3)))
    for width, units in (("17.6 µm", "nm"), ("17.6um", "nm"), (17600, "nm"), ("0.0176 mm", "nm")):
        found = pixel_size(scan, width=width, pixels=1024, tilt=52, units=units)
        x, y = found.axes_manager.navigation_axes
        assert x.scale == 17.1875
        assert y.scale == pytest.approx(21.81125057, abs=5e-9)
        assert x.units == y.units == "nm"


def test_pixel_size_without_tilt_and_of_an_image():
    scan = hs.signals.Signal1D(np.zeros((7, 4, 3)))
    scan.axes_manager[0].offset = 5
    x, y = pixel_size(scan, width=2, units="um").axes_manager.navigation_axes
    assert (x.scale, y.scale, x.units, x.offset) == (0.5, 0.5, "µm", 2.5)
    image = pixel_size(hs.signals.Signal2D(np.zeros((7, 4))), width="8 Å", units="nm")
    assert image.axes_manager.signal_axes[0].scale == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": "17.6 parsec"}, "units must be one of"),
        ({"width": "wide"}, "width must be a length"),
        ({"width": "-3 nm"}, "width must be a length"),
        ({"width": 3, "tilt": 0}, "tilt must be"),
        ({"width": 3, "tilt": 95}, "tilt must be"),
    ],
)
def test_pixel_size_refuses(settings, message):
    with pytest.raises(InputError, match=message):
        pixel_size(hs.signals.Signal1D(np.zeros((3, 4, 5))), **settings)


def test_tilt_needs_rows():
    with pytest.raises(InputError, match="rows and columns"):
        pixel_size(hs.signals.Signal1D(np.zeros((4, 5))), width=3, tilt=52)


def test_crop_in_pixels_and_in_units():
    data = RNG.random((9, 7, 11))
    scan = hs.signals.Signal1D(data)
    x, y, energy = scan.axes_manager._axes[1], scan.axes_manager._axes[0], scan.axes_manager[-1]
    x.scale, x.offset, x.units = 2.0, 10.0, "nm"
    y.scale, y.units = 3.0, "nm"
    energy.scale, energy.offset, energy.units = 0.01, 0.2, "keV"
    found = crop(scan, rows="2:5", columns=[1, 4], channels="3:")
    np.testing.assert_array_equal(found.data, data[2:5, 1:4, 3:])
    assert found.axes_manager[-1].offset == pytest.approx(0.23)
    found = crop(scan, rows=(6, 15), columns=(12, 18), channels=(0.23, 0.28), units="axis")
    np.testing.assert_array_equal(found.data, data[2:5, 1:4, 3:8])
    everything = crop(scan, rows=":", columns="9:23", channels="0.195:0.305", units="axis")
    np.testing.assert_array_equal(everything.data, data)


def test_crop_lines_and_images():
    data = RNG.random((9, 7))
    np.testing.assert_array_equal(crop(hs.signals.Signal1D(data), columns="2:5").data, data[2:5])
    np.testing.assert_array_equal(
        crop(hs.signals.Signal2D(data), rows="2:5", columns=":3").data, data[2:5, :3]
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rows": "2:50"}, r"within 0:9 \[pixel\]; got 2:50"),
        ({"rows": (5, 5)}, "increasing"),
        ({"columns": (-1, 3)}, "within 0:7"),
        ({"rows": "two:5"}, "start and stop"),
        ({"rows": "2:5:7"}, "start and stop"),
        ({"rows": (1.5, 3)}, "whole pixels"),
        ({"rows": 3}, "rows must be"),
        ({"channels": (0, 12), "units": "axis"}, "within"),
    ],
)
def test_crop_refuses(settings, message):
    with pytest.raises(InputError, match=message):
        crop(hs.signals.Signal1D(np.zeros((9, 7, 11))), **settings)


def test_crop_refuses_axes_that_are_not_there():
    with pytest.raises(InputError, match="signal that has rows"):
        crop(hs.signals.Signal1D(np.zeros((9, 7))), rows="1:2")
    with pytest.raises(InputError, match="signal that has channels"):
        crop(hs.signals.Signal2D(np.zeros((3, 4, 5, 6))), channels="1:2")


@pytest.mark.parametrize("lazy", [False, True])
def test_rebin_sums_whole_blocks(lazy):
    data = RNG.integers(0, 256, (9, 7, 11)).astype(np.uint8)
    chunked = hs.signals.Signal1D(da.from_array(data, chunks=(4, 5, 3))).as_lazy()
    scan = chunked if lazy else hs.signals.Signal1D(data)
    found = rebin(scan, scan=(2, 3), channels=4)
    expected = data[:8, :6, :8].astype(int).reshape(4, 2, 2, 3, 2, 4).sum((1, 3, 5))
    assert found._lazy == lazy
    assert found.data.dtype == np.uint16
    np.testing.assert_array_equal(np.asarray(found.data), expected)


def test_rebin_axes_and_exposure():
    scan = hs.signals.Signal1D(np.ones((4, 6, 10)))
    scan.set_signal_type("EDS_SEM")
    scan.set_microscope_parameters(live_time=2.0)
    energy = scan.axes_manager[-1]
    energy.scale, energy.offset = 0.01, 0.2
    found = rebin(scan, scan=2, channels=5)
    assert found.axes_manager[-1].scale == pytest.approx(0.05)
    assert found.axes_manager[-1].offset == pytest.approx(0.22)
    assert found.metadata.Acquisition_instrument.SEM.Detector.EDS.live_time == 8.0
    assert found.data.dtype == np.float64
    patterns = rebin(hs.signals.Signal2D(np.ones((2, 3, 4, 6), np.uint32)), channels=(2, 3))
    assert patterns.data.shape == (2, 3, 2, 2)
    assert patterns.data.dtype == np.uint64
    assert np.all(patterns.data == 6)


def test_rebin_refuses():
    scan = hs.signals.Signal1D(np.ones((4, 6, 10)))
    with pytest.raises(InputError, match="no larger than the signal"):
        rebin(scan, scan=5)
    with pytest.raises(InputError, match="one number"):
        rebin(scan, channels=(2, 2))
    with pytest.raises(InputError, match="scan must be"):
        rebin(scan, scan=0)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("by", ["sum", "max", "l2", "zscore"])
def test_normalize_row_by_row(by, lazy):
    data = RNG.integers(0, 255, (4, 3, 6, 5)).astype(np.uint8)
    data[1, 2] = 0
    data[2, 0] = 7
    mask = RNG.random((6, 5)) < 0.3
    scan = hs.signals.Signal2D(data)
    found = normalize(scan.as_lazy() if lazy else scan, by=by, masks=Masks(signal=mask))
    assert found._lazy == lazy
    assert found.data.dtype == np.float32
    for i, j in np.ndindex(4, 3):
        row = data[i, j].astype(np.float64)
        counted = row[~mask]
        if by == "zscore":
            row = row - counted.mean()
            size = counted.std()
            row = row if size else 0 * row
        else:
            size = {"sum": counted.sum(), "max": counted.max(), "l2": np.sqrt((counted**2).sum())}[
                by
            ]
        expected = row / size if size else np.zeros(row.shape)
        np.testing.assert_allclose(np.asarray(found.data[i, j]), expected, rtol=2e-7, atol=1e-9)


def test_normalize_single_spectra_and_refusals():
    one = normalize(hs.signals.Signal1D(np.array([1.0, 3.0])))
    assert one.data.tolist() == [0.25, 0.75]
    with pytest.raises(InputError, match="left in"):
        normalize(hs.signals.Signal1D(np.ones((2, 3))), masks=Masks(signal=np.ones(3, dtype=bool)))


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("opening", [False, True])
@pytest.mark.parametrize("closing", [False, True])
def test_vacuum_is_the_same_for_every_technique(closing, opening, lazy):
    data = np.random.default_rng(5).poisson(0.08, (12, 9, 20)).astype(np.uint16)
    data[:, 4:, 7] += 5
    scan = hs.signals.Signal1D(data)
    tem = scan.deepcopy()
    tem.set_signal_type("EDS_TEM")  # eXSpy's own mask
    settings = {"threshold": 1.0, "closing": closing, "opening": opening}
    found, expected = (vacuum(s.as_lazy() if lazy else s, **settings) for s in (scan, tem))
    assert found.dtype == expected.dtype == np.bool_
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (12, 9)
    assert found[:, :3].mean() > 0.7
    assert not found[:, 5:].any()


def test_vacuum_of_patterns():
    data = np.zeros((5, 6, 4, 4), dtype=np.uint8)
    data[:, 3:, 1, 2] = 9
    np.testing.assert_array_equal(
        vacuum(hs.signals.Signal2D(data)), np.arange(6) < np.full((5, 1), 3)
    )
