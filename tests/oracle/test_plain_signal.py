"""Signals of plain values: what HyperSpy makes of a file, without HyperSpy."""

import subprocess
import sys

import hyperspy.api as hs
import numpy as np
import pytest
import tifffile

from clustem import samples
from clustem.core import (
    PlainSignal,
    Scan,
    Segmentation,
    axes_of,
    collecting,
    like,
    map_of,
    quiet,
    stack_of_rows,
)
from clustem.io.reading import read
from clustem.recipes.open_scan import open_scan
from clustem.recipes.recipe import Recipe
from clustem.recipes.segment import segment

_BY_HYPERSPY = {"FileIO", "_HyperSpy", "is_binned"}
"""What HyperSpy adds for itself."""


def plain(value):
    """Values that can be compared."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items() if key not in _BY_HYPERSPY}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def same(one, other):
    np.testing.assert_array_equal(np.asarray(one.data), np.asarray(other.data))
    assert one.data.dtype == other.data.dtype
    assert plain(axes_of(one)) == plain(axes_of(other))
    for tree in ("metadata", "original_metadata"):
        assert plain(getattr(one, tree).as_dictionary()) == plain(
            getattr(other, tree).as_dictionary()
        )
    names = "navigation_dimension", "navigation_size", "navigation_shape", "signal_shape"
    for number in ("signal_dimension", *names):
        assert getattr(one.axes_manager, number) == getattr(other.axes_manager, number)


def uneven():
    axes = [
        {"name": "line", "size": 4, "units": "nm", "scale": 0.5, "navigate": True},
        {"axis": np.array([0.1, 0.2, 0.4, 0.8, 1.6]), "units": "keV", "navigate": False},
    ]
    return hs.signals.Signal1D(np.arange(20.0).reshape(4, 5), axes=axes)


SIGNALS = {
    "eds": lambda: samples.eds(shape=(6, 7)).signal,
    "patterns": lambda: samples.diffraction(shape=(8, 9), detector=(32, 36)).signal,
    "image": lambda: samples.support(shape=(64, 80), n_particles=3, diameter=8.0).signal,
    "uneven": uneven,
    "values": lambda: hs.signals.BaseSignal(np.arange(12.0).reshape(3, 4)).transpose(),
}


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("suffix", [".hspy", ".zspy"])
def test_a_file_is_what_hyperspy_makes_of_it(name, suffix, lazy, tmp_path):
    path = tmp_path / f"file{suffix}"
    with quiet():  # about zarr's next version
        SIGNALS[name]().save(path)
    whole, found = (read(path, plain=flag, lazy=lazy).signal for flag in (False, True))
    assert isinstance(found, PlainSignal)
    assert found._lazy == lazy
    same(found, whole)


def test_what_only_hyperspy_can_make_is_hyperspys(tmp_path):
    signal = samples.support(shape=(64, 80), n_particles=3, diameter=8.0).signal
    signal.add_marker(hs.plot.markers.Points(offsets=[[1, 2]]), permanent=True, plot_marker=False)
    signal.save(tmp_path / "marked.hspy")
    found = read(tmp_path / "marked.hspy", plain=True).signal
    assert not isinstance(found, PlainSignal)
    assert PlainSignal.of({"data": np.ones(3), "ragged": True}) is None
    axes = [{"size": 2, "navigate": False}, {"size": 3, "navigate": True}]
    assert PlainSignal.of({"data": np.ones((2, 3)), "axes": axes}) is None


def test_what_a_reader_does_to_a_signal_is_done():
    content = {
        "data": np.arange(6.0).reshape(3, 1, 2),
        "axes": [{"name": n, "size": s} for n, s in zip("eyx", (3, 1, 2), strict=True)],
        "metadata": {"Signal": {"record_by": "spectrum", "signal_type": "EELS"}},
        "original_metadata": {"Tags": {"Exposure (s)": 0.5, "High voltage": 2e5}},
        "post_process": [lambda s: s.to_signal1D(optimize=True), lambda s: s.squeeze()],
        "mapping": {
            "Tags.High_voltage": ("Acquisition_instrument.TEM.beam_energy", lambda v: v / 1e3),
            "Tags": ("Exposure", lambda tags: tags["Exposure_s"] * ("High_voltage" in tags)),
            "Tags.none": ("None", None),
        },
    }
    found = PlainSignal.of(content)
    np.testing.assert_array_equal(found.data, [[0, 2, 4], [1, 3, 5]])
    assert [axis.name for axis in found.axes_manager._axes] == ["x", "e"]
    assert [axis.navigate for axis in found.axes_manager._axes] == [True, False]
    assert found.metadata.Acquisition_instrument.TEM.beam_energy == 200
    assert found.metadata.get_item("Exposure") == 0.5
    assert found.metadata.get_item("None", "nothing") == "nothing"


@pytest.mark.parametrize("name", ["eds", "uneven"])
def test_hyperspy_reads_what_it_writes(name, tmp_path):
    SIGNALS[name]().save(tmp_path / "file.hspy")
    found = read(tmp_path / "file.hspy", plain=True).signal
    found.save(tmp_path / "again.hspy")
    again = hs.load(tmp_path / "again.hspy")
    same(again, found)
    assert type(again) is type(hs.load(tmp_path / "file.hspy"))
    found.set_signal_type("")
    found.save(tmp_path / "again.hspy", overwrite=True)
    assert type(hs.load(tmp_path / "again.hspy")) is hs.signals.Signal1D
    with quiet():  # as above
        found.save(tmp_path / "other.zspy")  # of other formats HyperSpy's signal is written
    np.testing.assert_array_equal(hs.load(tmp_path / "other.zspy").data, found.data)


def test_signals_made_of_it_are_plain_and_alike(tmp_path):
    whole = samples.eds(shape=(6, 7)).signal
    whole.save(tmp_path / "file.hspy")
    found = read(tmp_path / "file.hspy", plain=True).signal
    rows = np.ones((2, found.data.shape[-1]))
    made = [like(found, 2 * found.data), stack_of_rows(rows, found), map_of(rows[:, :3], found)]
    wanted = [like(whole, 2 * whole.data), stack_of_rows(rows, whole), map_of(rows[:, :3], whole)]
    for one, other in zip(made, wanted, strict=True):
        assert isinstance(one, PlainSignal)
        assert plain(axes_of(one)) == plain(axes_of(other))
        assert plain(one.metadata.as_dictionary()) == plain(other.metadata.as_dictionary())
    same(found.inav[1:3].isig[4:], whole.inav[1:3].isig[4:])
    same(found.rebin(scale=[2, 1, 4]), whole.rebin(scale=[2, 1, 4]))
    assert found.deepcopy().data is not found.data
    assert not hasattr(found, "_nothing")
    assert not hasattr(found, "nothing")
    with pytest.raises(AttributeError, match="nothing"):
        found.metadata.nothing  # noqa: B018  # it raises


def test_a_recipe_makes_the_same_of_it(tmp_path):
    samples.eds(shape=(24, 20)).signal.save(tmp_path / "map.hspy")
    one, other = (read(tmp_path / "map.hspy", plain=flag) for flag in (False, True))
    found: list[Segmentation] = [
        segment(Scan.of(s.signal), "eds", n_clusters=3) for s in (one, other)
    ]
    np.testing.assert_array_equal(found[0].labels.data, found[1].labels.data)
    np.testing.assert_array_equal(found[0].memberships.data, found[1].memberships.data)
    np.testing.assert_array_equal(found[0].centers.data, found[1].centers.data)
    assert isinstance(found[1].centers, PlainSignal)
    found[1].save(tmp_path / "result")
    centers = hs.load(tmp_path / "result" / "centers.hspy")
    assert centers._signal_type == one.signal._signal_type
    assert centers.metadata.get_item("Sample.elements") == one.signal.metadata.Sample.elements


RECIPES = {
    "eels": lambda: samples.eels(shape=(10, 12)),
    "eels-shape": lambda: samples.eels(shape=(14, 16), kind="core"),
    "eds-fuzzy": lambda: samples.eds(shape=(20, 24)),
    "domains": lambda: samples.domains(shape=(120, 130)),
    "particles": lambda: samples.particles(shape=(120, 130), diameter=6.0),
    "diffraction": lambda: samples.diffraction(shape=(14, 16), detector=(48, 52)),
}


@pytest.mark.parametrize("recipe", RECIPES)
def test_each_recipe_takes_plain_signals(recipe, tmp_path):
    RECIPES[recipe]().signal.save(tmp_path / "file.hspy")
    chosen = Recipe.named(recipe)
    found = []
    for flag in (False, True):
        scan = open_scan(chosen, tmp_path / "file.hspy", plain=flag)
        with collecting():  # so small a scan is in doubt
            found.append(segment(scan, chosen, anyway=True, n_clusters=2))
    np.testing.assert_array_equal(found[0].labels.data, found[1].labels.data)
    np.testing.assert_array_equal(found[0].centers.data, found[1].centers.data)
    assert plain(axes_of(found[0].centers)) == plain(axes_of(found[1].centers))
    found[1].save(tmp_path / "result")


@pytest.mark.parametrize("command", ["info", "run"])
def test_the_command_line_imports_neither_hyperspy_nor_what_extends_it(command, tmp_path):
    samples.eds(shape=(12, 14)).signal.save(tmp_path / "map.hspy")
    given = ["map.hspy"] if command == "info" else ["map.hspy", "-r", "eds", "-k", "3"]
    script = (
        "import sys\nfrom clustem.cli import app\n"
        f"app([{command!r}, *{given!r}], standalone_mode=False)\n"
        "print({'hyperspy.api', 'hyperspy.signal', 'exspy', 'matplotlib.pyplot'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"


def test_images_of_other_formats(tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", np.arange(12, dtype=np.uint16).reshape(3, 4))
    whole, found = (read(tmp_path / "image.tif", plain=flag).signal for flag in (False, True))
    assert isinstance(found, PlainSignal)
    same(found, whole)
