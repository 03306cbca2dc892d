"""Laws of preparations: nothing is mutated or lost, lazy stays lazy, kinds are kept."""

import inspect
import json

import numpy as np
import pytest

from clustem.core import InputError, Masks, recording, registry
from clustem.samples.diffraction import diffraction
from clustem.samples.eds import eds
from clustem.samples.eels import eels

SETTINGS = {
    "crop": {"rows": "3:15", "columns": (2, 17)},
    "rebin": {"scan": 2, "channels": 4},
    "pixel_size": {"width": "17.6 µm", "pixels": 1024, "tilt": 52},
    "pool": {"radius": 3},
    "normalize": {"level": "mean"},
    "remove_background": {"window": (405.0, 450.0)},
    "set_energy_axis": {"scale": 0.02, "offset": -0.1},
    "resample_energy": {"scale": 0.017, "offset": 0.3, "size": 400},
}
PATTERNS = {"beam_mask", "beam_shift", "bad_pixels"}
KINDS_OF_SCAN = dict.fromkeys(PATTERNS, "patterns") | {
    "align_zero_loss": "losses",
    "nonnegative": "losses",
    "remove_background": "edges",
}


def kind_of(entry):
    return entry.declaration.kind


STEPS = list(registry("prepare").values())
every_step = pytest.mark.parametrize("entry", STEPS, ids=lambda entry: entry.name)


@pytest.fixture(scope="module")
def scans():
    spectra = eds(shape=(18, 21)).signal
    patterns = diffraction(shape=(8, 9)).signal
    losses = eels(shape=(9, 8)).signal
    edges = eels(kind="core", shape=(9, 8)).signal.inav[:6]  # without the vacuum
    return {"spectra": spectra, "patterns": patterns, "losses": losses, "edges": edges}


def scan_for(entry, scans):
    return scans[KINDS_OF_SCAN.get(entry.name, "spectra")]


def run(entry, signal, **more):
    found = entry.step(signal, **SETTINGS.get(entry.name, {}), **more)
    return getattr(found, "signal", found)


def test_all_but_the_fit_are_steps_of_a_recipe():
    assert set(registry("prepare").own) - {entry.name for entry in STEPS} == {"fit_energy_axis"}
    assert {kind_of(entry) for entry in STEPS} == {"geometry", "values", "scan mask", "signal mask"}


@every_step
def test_the_input_is_left_alone(entry, scans):
    signal = scan_for(entry, scans).deepcopy()
    data, metadata, axes = signal.data.copy(), str(signal.metadata), str(signal.axes_manager)
    found = run(entry, signal)
    if not kind_of(entry).endswith("mask"):  # what is done to the result stays there
        found.axes_manager[-1].scale = 77
        found.metadata.General.title = "changed"
    np.testing.assert_array_equal(signal.data, data)
    assert str(signal.metadata) == metadata
    assert str(signal.axes_manager) == axes


@every_step
def test_what_comes_out_is_what_the_kind_says(entry, scans):
    signal = scan_for(entry, scans)
    found, kind = run(entry, signal), kind_of(entry)
    scan, inner = signal.data.shape[:2], signal.data.shape[2:]
    if kind.endswith("mask"):
        assert found.dtype == np.bool_
        assert found.shape == (scan if kind == "scan mask" else inner)
    elif kind == "values":
        assert found.data.shape == signal.data.shape
        assert str(found.axes_manager) == str(signal.axes_manager)
    else:
        assert found.data.dtype.kind == signal.data.dtype.kind
        assert found.data.sum(dtype=np.int64) <= signal.data.sum(dtype=np.int64)


@every_step
def test_type_and_metadata_are_kept(entry, scans):
    signal = scan_for(entry, scans)
    found = run(entry, signal)
    if kind_of(entry).endswith("mask"):
        return
    assert type(found) is type(signal)
    for name in ("General.title", "Sample.elements", "Acquisition_instrument.SEM.beam_energy"):
        assert found.metadata.get_item(name) == signal.metadata.get_item(name)


@every_step
def test_lazy_stays_lazy_and_gives_the_same(entry, scans):
    signal = scan_for(entry, scans)
    lazy = signal.as_lazy()
    lazy.data = lazy.data.rechunk((5, 4, *signal.data.shape[2:]))
    found, expected = run(entry, lazy), run(entry, signal)
    if kind_of(entry).endswith("mask"):
        np.testing.assert_array_equal(found, expected)
        return
    assert found._lazy
    assert found.data.dtype == expected.data.dtype
    np.testing.assert_allclose(found.data.compute(), expected.data, rtol=2e-7)


@every_step
def test_the_same_twice(entry, scans):
    one, two = (run(entry, scan_for(entry, scans)) for _ in range(2))
    np.testing.assert_array_equal(getattr(one, "data", one), getattr(two, "data", two))


@every_step
def test_a_mask_of_another_shape_is_refused(entry, scans):
    signal = scan_for(entry, scans)
    for name in ("scan", "signal"):
        if f"Of the {name}: boolean" in entry.step.__doc__:
            with pytest.raises(InputError, match="mask"):
                run(entry, signal, masks=Masks(**{name: np.zeros((3, 2), dtype=bool)}))


def test_masks_are_documented_where_they_are_taken():
    for entry in STEPS:
        takes = "masks" in inspect.signature(entry.step).parameters
        assert takes == ("\n    masks\n        Of the " in entry.step.__doc__), entry.name


@every_step
def test_what_it_found_is_plain(entry, scans):
    with recording() as said:
        run(entry, scan_for(entry, scans))
    assert json.loads(json.dumps(said.found, allow_nan=False)) == said.found


def test_an_energy_axis_writes_to_the_history_what_it_found(scans):
    with recording() as said:
        found = registry("prepare")["energy_axis"].step(scans["spectra"])
    assert said.note == found.note
    assert (said.found["scale"], said.found["offset"]) == (found.scale, found.offset)
