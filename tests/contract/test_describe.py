"""What every descriptor keeps: it sees only what is left in, and storage does not matter to it."""

import json

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.core import NO_MASKS, Features, InputError, Masks, recording, registry

STEPS = registry("describe")
RNG = np.random.default_rng(12)


def _patterns():
    data = RNG.poisson(2, (4, 6, 20, 23)).astype(np.uint16)
    data[..., 8:12, 10:14] += RNG.poisson(60, (4, 6, 4, 4)).astype(np.uint16)
    return hs.signals.Signal2D(data)


def _spectra():
    return hs.signals.Signal1D(RNG.poisson(5, (4, 6, 31)).astype(np.uint16))


def _image():
    row, column = np.mgrid[:52, :60]
    waves = np.sin(2 * np.pi * (row + 2 * column) / 11) * (column < 33)
    return hs.signals.Signal2D((waves + RNG.normal(0, 0.2, waves.shape)).astype(np.float32))


def accepted(step):
    """A signal that the descriptor takes, and the features it makes of it."""
    for make in (_spectra, _patterns, _image):
        signal = make()
        try:
            return signal, step(signal)
        except InputError:
            continue
    raise AssertionError(f"{step.__name__} takes neither spectra nor patterns nor an image")


def values(features):
    return np.asarray(features.rows)


def is_scan(signal):
    """An image's rows are its pixels, columns of atoms or patches: not each is one position."""
    return signal.axes_manager.navigation_dimension > 0


def positions_of(signal):
    return signal.data.shape[:2]


def mask_of(signal):
    mask = np.zeros(positions_of(signal), dtype=bool)
    mask[1, 2] = mask[3, 0] = mask[3, 5] = True
    return mask


every_descriptor = pytest.mark.parametrize(
    "step", [entry.step for entry in STEPS.values()], ids=list(STEPS)
)


@every_descriptor
def test_features_with_one_row_per_position(step):
    signal, features = accepted(step)
    assert isinstance(features, Features)
    assert not is_scan(signal) or features.source is signal
    assert features.rows.shape[0] == np.count_nonzero(~features.mask)
    assert len(features.names) in (0, features.rows.shape[1])
    assert np.isfinite(values(features)).all()


@every_descriptor
def test_what_it_found_is_plain(step):
    signal, _ = accepted(step)
    with recording() as said:
        step(signal)
    assert json.loads(json.dumps(said.found, allow_nan=False)) == said.found


@every_descriptor
def test_the_same_again(step):
    signal, features = accepted(step)
    assert (values(step(signal)) == values(features)).all()


@every_descriptor
def test_the_input_stays_as_it_is(step):
    signal, _ = accepted(step)
    data, axes = signal.data.copy(), str(signal.axes_manager)
    signal.data.flags.writeable = False
    values(step(signal))
    assert (signal.data == data).all()
    assert str(signal.axes_manager) == axes


@every_descriptor
def test_from_disk_as_from_memory(step):
    signal, features = accepted(step)
    lazy = signal.as_lazy()
    lazy.data = lazy.data.rechunk(tuple(max(2, size // 2) for size in lazy.data.shape))
    np.testing.assert_allclose(values(step(lazy)), values(features), rtol=1e-6, atol=1e-7)


@every_descriptor
def test_excluded_positions_have_no_row(step):
    signal, features = accepted(step)
    mask = mask_of(signal)
    found = step(signal, masks=Masks(scan=mask))
    assert found.rows.shape[0] == np.count_nonzero(~found.mask)
    assert found.rows.shape[0] <= features.rows.shape[0]
    if is_scan(signal):
        assert found.rows.shape[0] == features.rows.shape[0] - 3
        assert (found.mask == mask).all()
        assert (found.positions == np.flatnonzero(~mask)).all()


@every_descriptor
def test_excluded_positions_do_not_matter(step):
    signal, _ = accepted(step)
    if not is_scan(signal):
        return  # what surrounds a pixel of an image is part of its description
    mask = mask_of(signal)
    before = values(step(signal, masks=Masks(scan=mask)))
    signal.data[mask] = 60000
    assert (values(step(signal, masks=Masks(scan=mask))) == before).all()


@every_descriptor
def test_excluded_channels_and_pixels_do_not_matter(step):
    signal, _ = accepted(step)
    if not is_scan(signal):
        return  # an image has positions only
    ndim = signal.axes_manager.navigation_dimension
    left_out = np.zeros(signal.data.shape[ndim:], dtype=bool)
    left_out[tuple(size - 2 for size in left_out.shape)] = True
    before = values(step(signal, masks=Masks(signal=left_out)))
    signal.data[..., left_out] = 1000
    assert (values(step(signal, masks=Masks(signal=left_out))) == before).all()


@every_descriptor
def test_nothing_left_is_refused(step):
    signal, _ = accepted(step)
    with pytest.raises(InputError, match=r"left in|excluded|at least"):
        step(signal, masks=Masks(scan=np.ones(positions_of(signal), dtype=bool)))


def test_the_laws_see_a_descriptor_that_breaks_them():
    def careless(signal, *, masks=NO_MASKS):
        signal.data[0] = 0
        rows = signal.data.reshape(24, -1).astype(float) - signal.data.mean()
        left = rows if masks.scan is None else rows[~masks.scan.ravel()]
        return Features.of_scan(left, signal, np.zeros((4, 6), bool))

    with pytest.raises(ValueError, match="read-only"):
        test_the_input_stays_as_it_is(careless)
    with pytest.raises(InputError, match="one row per scan position"):
        test_excluded_positions_have_no_row(careless)
