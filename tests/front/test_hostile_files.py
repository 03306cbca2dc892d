"""Files that would run code, fill the memory or lie about what they hold: one line each."""

import json
import os
import re
import shutil
import signal
import sys
import time
import zipfile
import zlib
from base64 import b64encode
from pathlib import Path

import h5py
import hyperspy.api as hs
import numpy as np
import pytest
import tifffile
from hyperspy.io import dict2signal

import clustem
from clustem.cli import main
from clustem.core import InputError
from clustem.core.contents import check_axes
from clustem.io import _arrays, _formats, trial
from clustem.io._arrays import read_arrays
from clustem.io.reading import read
from clustem.io.result_folder import read_result
from clustem.io.toml import from_text, from_toml
from clustem.labelmaps.label_maps import as_labels, packed, unpacked
from clustem.recipes.recipe import Recipe

pytestmark = pytest.mark.filterwarnings("ignore:The NestedDirectoryStore")  # HyperSpy's
KINDS = ("hspy", "zspy", "nxs", "emd", "h5 by name", "nested")


def formula_that_writes(marker):
    return f"x + __import__('pathlib').Path({str(marker)!r}).write_text('ran')"


def with_formula(signal, marker):
    """Give the last axis a formula that writes a file when it is evaluated."""
    axis = signal.axes_manager._axes[-1]
    if not axis.is_uniform:
        axis.convert_to_uniform_axis()
    axis.convert_to_functional_data_axis("x + 1")
    axis._expression = formula_that_writes(marker)
    return signal


def exploit(kind, folder, marker):
    """Write a file that runs code when HyperSpy opens it."""
    signal = hs.signals.Signal1D(np.ones((3, 4, 5)))
    signal.metadata.General.title = "map"
    if kind == "nested":
        signal.metadata.add_dictionary(
            {"Inside": {"other": with_formula(signal.deepcopy(), marker)}}
        )
        signal.save(folder / "evil.hspy")
        return folder / "evil.hspy"
    if kind in ("hspy", "zspy", "h5 by name"):
        path = folder / f"evil.{'hspy' if kind == 'h5 by name' else kind}"
        with_formula(signal, marker).save(path)
        return path.rename(folder / "evil.hdf5") if kind == "h5 by name" else path
    path = folder / f"evil.{kind}"
    signal.save(path)
    with h5py.File(path, "r+") as file:  # axes may lie anywhere in the metadata
        for place in ("entry1/auxiliary/hyperspy_metadata", "microscope", "signals/map"):
            if place in file:
                group = file[place].create_group("_hspy_Axis_a")
                group["expression"] = group.attrs["expression"] = formula_that_writes(marker)
    return path


def told(args, monkeypatch, capsys):
    """Run the command line here; return the exit status and what it says on stderr."""
    monkeypatch.setattr(sys, "argv", ["clustem", *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code, capsys.readouterr().err.strip()


@pytest.mark.filterwarnings("ignore")
def test_the_exploit_runs_code_in_hyperspy(tmp_path):
    """Else the tests below would hold nothing."""
    for kind in ("hspy", "zspy", "nested", "nxs"):
        marker = tmp_path / kind
        marker.mkdir()
        try:
            hs.load(exploit(kind, marker, marker / "ran"))
        except ValueError:
            assert kind == "nxs"  # after it ran
        assert (marker / "ran").exists(), kind


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_runs_code(kind, tmp_path, monkeypatch, capsys):
    marker = tmp_path / "ran"
    path = exploit(kind, tmp_path, marker)
    for args in (["info", path], ["run", path, "-r", "eds"], ["compare", path, path]):
        status, errors = told(args, monkeypatch, capsys)
        assert status == 2, errors
        assert len(errors.splitlines()) == 1, errors
    with pytest.raises(InputError, match="formula"):
        read(path)
    with pytest.raises(InputError, match="formula"):
        read(path, lazy=True)
    with pytest.raises(InputError, match=r"formula|file that can be read"):
        as_labels(path)
    assert not marker.exists()


def test_no_file_of_the_explorer_runs_code(tmp_path):
    from clustem.app.session.opened import Opened

    path = exploit("hspy", tmp_path, tmp_path / "ran")
    with pytest.raises(InputError, match="formula"):
        Opened.file(path, "evil")
    assert not (tmp_path / "ran").exists()


def test_a_store_that_unpickles_is_refused(tmp_path):
    hs.signals.Signal1D(np.ones((3, 4, 5))).save(tmp_path / "map.zspy")
    about = next((tmp_path / "map.zspy").rglob(".zarray"))
    content = json.loads(about.read_text())
    about.write_text(json.dumps({**content, "filters": [{"id": "pickle", "protocol": 5}]}))
    with pytest.raises(InputError, match="pickled"):
        read(tmp_path / "map.zspy")


def test_a_reader_that_evaluates_is_not_used(tmp_path):
    (tmp_path / "old.nc").write_bytes(b"CDF\x01" + bytes(100))
    with pytest.raises(InputError, match="evaluates text"):
        read(tmp_path / "old.nc")


@pytest.mark.parametrize("where", ["axes", "metadata", "original_metadata"])
def test_no_reader_hands_on_a_formula(where, tmp_path):
    """Readers of other formats put what they find into metadata, where HyperSpy looks for axes."""
    axis = {"expression": formula_that_writes(tmp_path / "ran"), "size": 4, "navigate": False}
    content = {"data": np.ones(4), "axes": [{"size": 4}], "metadata": {"Signal": {}}}
    content[where] = [axis] if where == "axes" else {"Signal": {}, "X": {"_hspy_Axis_a": axis}}
    with pytest.raises(InputError, match=r"formula .*__import__"):
        check_axes([content], "map.emd")
    if where == "metadata":
        axis["x"] = {"size": 4, "scale": 1.0, "offset": 0.0}
        dict2signal(content)
        assert (tmp_path / "ran").exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    signal = clustem.samples.eds(shape=(20, 24)).signal
    result = clustem.segment(signal, "eds-fuzzy", n_clusters=4)
    return result.save(tmp_path_factory.mktemp("whole") / "result")


@pytest.fixture
def result(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "result")


def change(folder, **changes):
    """Change fields of the provenance; None takes one away."""
    file = folder / "provenance.json"
    content = {**json.loads(file.read_text(encoding="utf-8")), **changes}
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def change_arrays(folder, **changes):
    with np.load(folder / "arrays.npz") as file:
        arrays = {**file, **changes}
    np.savez_compressed(folder / "arrays.npz", **arrays)


def change_map(folder, name, change):
    path = folder / f"{name}.tif"
    tifffile.imwrite(path, change(tifffile.imread(path)), photometric="minisblack")


def rewrite(path, change):
    path.write_bytes(change(path.read_bytes()))


BROKEN = {
    "labels transposed": lambda f: change_map(f, "labels", np.transpose),
    "labels beyond k": lambda f: change_map(f, "labels", lambda a: a + 1),
    "labels below -1": lambda f: change_map(f, "labels", lambda a: np.where(a == 0, -2, a)),
    "labels as floats": lambda f: change_map(f, "labels", lambda a: a.astype(np.float32)),
    "half of labels": lambda f: rewrite(f / "labels.tif", lambda b: b[: len(b) // 2]),
    "memberships of one cluster": lambda f: change_map(f, "memberships", lambda a: a[:1]),
    "memberships transposed": lambda f: change_map(f, "memberships", lambda a: a.swapaxes(1, 2)),
    "half a recipe": lambda f: rewrite(f / "recipe.toml", lambda b: b[: b.index(b"\n\n") + 1]),
    "no recipe": lambda f: (f / "recipe.toml").unlink(),
    "half of arrays": lambda f: rewrite(f / "arrays.npz", lambda b: b[: len(b) // 2]),
    "no arrays": lambda f: (f / "arrays.npz").unlink(),
    "arrays of objects": lambda f: change_arrays(f, points=np.array([{}, 1], dtype=object)),
    "an unknown array": lambda f: change_arrays(f, other=np.ones(3)),
    "mask of another shape": lambda f: change_arrays(f, mask=np.zeros((24, 20), dtype=bool)),
    "mask of numbers": lambda f: change_arrays(f, mask=np.zeros((20, 24))),
    "counts of three": lambda f: change_arrays(f, counts=np.ones(3, dtype=int)),
    "negative counts": lambda f: change_arrays(f, counts=-np.ones(4, dtype=int)),
    "points of few": lambda f: change_arrays(f, points=np.ones((7, 3), dtype=np.float32)),
    "mean of another length": lambda f: change_arrays(f, mean=np.ones(3, dtype=np.float32)),
    "distance of another shape": lambda f: change_arrays(f, distance=np.ones((3, 4))),
    "thickness of another shape": lambda f: change_arrays(f, **{"thickness.relative": np.ones(3)}),
    "an unknown part of a step": lambda f: change_arrays(f, **{"about.0.other": np.ones(3)}),
    "text in place of a mask": lambda f: change(
        f, about=[{"kind": "PatternInfo", "signal_mask": "text"}]
    ),
    "text in place of a number": lambda f: change(
        f, about=[{"kind": "TextureInfo", "envelope": "wide"}]
    ),
    "a number in place of a text": lambda f: change(
        f, about=[{"kind": "IntensityInfo", "ranked_by": 3}]
    ),
    "centers of another k": lambda f: hs.signals.Signal1D(np.ones((3, 1024))).save(
        f / "centers.hspy", overwrite=True
    ),
    "half of centers": lambda f: rewrite(f / "centers.hspy", lambda b: b[: len(b) // 2]),
    "errors of another shape": lambda f: hs.signals.Signal1D(np.ones((4, 7))).save(
        f / "standard_error.hspy", overwrite=True
    ),
    "half of provenance": lambda f: rewrite(f / "provenance.json", lambda b: b[: len(b) // 2]),
    "provenance a list": lambda f: rewrite(f / "provenance.json", lambda b: b"[]"),
    "provenance deep": lambda f: rewrite(f / "provenance.json", lambda b: b"[" * 99999),
    "an unknown key": lambda f: change(f, other=1),
    "no history": lambda f: change(f, history=None),
    "history of text": lambda f: change(f, history=["prepare"]),
    "an unknown key of a step": lambda f: change(
        f, history=[{"stage": "a", "name": "b", "other": 1}]
    ),
    "names a list": lambda f: change(f, names=["a"]),
    "names by letters": lambda f: change(f, names={"a": "b"}),
    "a color far away": lambda f: change(f, color_index=[0, 1, 2, 10**9]),
    "a negative color": lambda f: change(f, color_index=[0, 1, 2, -9]),
    "colors of fractions": lambda f: change(f, color_index=[0.5, 1, 2, 3]),
    "three colors": lambda f: change(f, color_index=[0, 1, 2]),
    "names of others": lambda f: change(f, names={"4": "a"}),
    "a share beyond all": lambda f: change(f, unassigned_fraction=7.0),
    "an infinite axis": lambda f: change(f, axes=[{"size": 20, "scale": 1e999}, {"size": 24}]),
    "few names of features": lambda f: change(f, feature_names=["a"]),
    "a large map": lambda f: change_map(f, "labels", lambda a: np.zeros((2000, 4000), a.dtype)),
    "scores of text": lambda f: change(f, scores={"ari": "high"}),
    "axes of text": lambda f: change(f, axes="text"),
    "one axis": lambda f: change(f, axes=[{"size": 480}]),
    "a huge axis": lambda f: change(f, axes=[{"size": 10**12}, {"size": 24}]),
    "title a number": lambda f: change(f, title=3),
    "format a list": lambda f: change(f, format=[1]),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_broken_result_folder_is_one_line(case, result):
    assert clustem.load(result).n_clusters == 4
    BROKEN[case](result)
    with pytest.raises(InputError) as error:
        clustem.load(result)
    assert type(error.value).__module__.startswith("clustem")
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 600


def test_maps_are_not_read_before_their_size_is_known(result, tmp_path, monkeypatch):
    change_map(result, "labels", lambda a: np.zeros((2000, 4000), a.dtype))
    monkeypatch.setattr(tifffile.TiffPageSeries, "asarray", None)
    with pytest.raises(InputError, match=r"labels\.tif must have at most 480 values; got 8000000"):
        clustem.load(result)
    large = tmp_path / "large.npy"
    np.lib.format.open_memmap(large, "w+", np.int8, shape=(2**27 + 1,))
    with pytest.raises(InputError, match=r"large\.npy must have at most 134217728 values"):
        as_labels(large)


@pytest.mark.skipif(sys.platform != "linux", reason="there are no trials elsewhere")
def test_centers_are_tried_by_a_child(result, monkeypatch):
    from rsciio import hspy

    monkeypatch.setattr(hspy, "file_reader", crash)
    monkeypatch.setattr(trial.threading, "active_count", lambda: 1)
    with pytest.raises(InputError, match=r"centers\.hspy must be a whole file.*a crash of the"):
        clustem.load(result)
    map_file = result / "standard_error.hspy"
    with pytest.raises(InputError, match=r"error\.hspy must be a whole file.*a crash of the"):
        clustem.compare(map_file, map_file)


@pytest.mark.parametrize("place", ["centers", "standard_error", "axes"])
def test_no_result_folder_runs_code(place, result, tmp_path, monkeypatch, capsys):
    marker = tmp_path / "ran"
    if place == "axes":
        axis = {
            "_type": "FunctionalDataAxis",
            "expression": formula_that_writes(marker),
            "size": 24,
        }
        change(result, axes=[{"size": 20}, axis])
    else:
        signal = hs.load(result / f"{place}.hspy")
        with_formula(signal, marker).save(result / f"{place}.hspy", overwrite=True)
    with pytest.raises(InputError, match="formula"):
        clustem.load(result)
    status, errors = told(["compare", result, result], monkeypatch, capsys)
    assert status == 2
    assert len(errors.splitlines()) == 1
    assert "formula" in errors
    assert not marker.exists()


def test_arrays_that_expand_a_thousandfold_are_refused(result):
    header = {"descr": "<f8", "fortran_order": False, "shape": (200, 2**17)}
    with (
        zipfile.ZipFile(result / "arrays.npz", "a", zipfile.ZIP_DEFLATED) as file,
        file.open("about.0.other.npy", "w", force_zip64=True) as stream,
    ):
        np.lib.format.write_array_header_1_0(stream, header)
        for _ in range(200):
            stream.write(bytes(2**20))
    with pytest.raises(InputError, match=r"declared in"):
        read_result(result)


def test_a_file_of_arrays_holds_numbers_only(tmp_path):
    path = tmp_path / "arrays.npz"
    np.savez(path, points=np.array([{}, 1], dtype=object))
    with pytest.raises(InputError, match=r"objects in points\.npy"):
        read_arrays(path)
    for name in ("mask.txt", "mask.npy"):
        with zipfile.ZipFile(path, "w") as file, file.open(name, "w") as stream:
            np.lib.format.write_array(stream, np.eye(3), version=(2, 0))
        if name == "mask.npy":
            np.testing.assert_array_equal(read_arrays(path)["mask"], np.eye(3))
        else:
            with pytest.raises(InputError, match=r"objects in mask\.txt"):
                read_arrays(path)


def test_maps_of_a_large_scan_may_be_there(result, monkeypatch):
    """The label map says how many positions there are; arrays of that shape are no surprise."""
    with np.load(result / "arrays.npz") as arrays:
        total = sum(array.nbytes for array in arrays.values())
    monkeypatch.setattr(_arrays, "_RATIO", 0)
    monkeypatch.setattr(_arrays, "_FEW", total - 32 * 20 * 24)
    assert clustem.load(result).n_clusters == 4
    monkeypatch.setattr(_arrays, "_FEW", total - 33 * 20 * 24)
    with pytest.raises(InputError, match="GB declared"):
        clustem.load(result)


def test_what_other_files_announce_may_be_there(tmp_path, monkeypatch):
    path = tmp_path / "arrays.npz"
    np.savez_compressed(path, distance=np.zeros(50000))
    monkeypatch.setattr(_arrays, "_FEW", 1000)
    with pytest.raises(InputError, match=r"0\.0004 GB declared in"):
        read_arrays(path, room=200_000)
    assert read_arrays(path, room=400_000)["distance"].shape == (50000,)
    monkeypatch.setattr(_arrays, "_RATIO", 10000)
    assert read_arrays(path)["distance"].shape == (50000,)


def test_a_packed_mask_is_as_large_as_it_says():
    body = b64encode(zlib.compress(bytes(10**8), 9)).decode()
    with pytest.raises(InputError, match="as it was written"):
        unpacked(f"labels:10x10:int8:{body}")
    for shape in ("100000x100000", "0x3", "-1x-1", "9" * 99):
        with pytest.raises(InputError, match="positions"):
            unpacked(f"labels:{shape}:int8:{body}")
    with pytest.raises(InputError, match="as it was written"):
        unpacked(f"labels:10000x10000:object:{body}"[:200])
    assert unpacked(packed(np.eye(3, dtype=int))).sum() == 3


@pytest.mark.parametrize(
    "text",
    ["x = " + "[" * 5000 + "]" * 5000, "[" + ".".join("a" * 5000) + "]", "a" * 2**27],
    ids=["brackets", "tables", "long"],
)
def test_a_recipe_nested_deep_is_one_line(text):
    with pytest.raises(InputError, match="must be TOML"):
        from_toml(text, "recipe.toml")
    with pytest.raises(InputError, match="must be TOML"):
        Recipe.from_toml(text)
    assert from_text(text[4:]) is not None


def test_what_a_recipe_needs_may_be_nested():
    assert from_toml("x = " + "[" * 19 + "]" * 19, "recipe.toml")
    with pytest.raises(InputError, match="nested more than 20 deep"):
        from_toml("x = " + "[" * 20 + "]" * 20, "recipe.toml")


def test_a_file_that_declares_terabytes_is_refused(tmp_path, monkeypatch, capsys):
    hs.signals.Signal1D(np.ones((3, 4, 5))).save(tmp_path / "map.hspy")
    with h5py.File(tmp_path / "map.hspy", "r+") as file:
        experiment = file["Experiments/__unnamed__"]
        del experiment["data"]
        experiment.create_dataset("data", (10**4, 10**4, 10**4), "f8", chunks=(10, 10, 10))
        for i in range(3):
            experiment[f"axis-{i}"].attrs["size"] = 10**4
    assert (tmp_path / "map.hspy").stat().st_size < 10**6
    for args in (["info"], ["info", "--reader", "HSPY"]):
        status, errors = told([*args, tmp_path / "map.hspy"], monkeypatch, capsys)
        assert status == 2
        assert len(errors.splitlines()) == 1
        assert "GB declared in" in errors


def test_a_store_that_declares_terabytes_is_refused(tmp_path):
    hs.signals.Signal1D(np.ones((3, 4, 5))).save(tmp_path / "map.zspy")
    about = next(p for p in (tmp_path / "map.zspy").rglob(".zarray") if p.parent.name == "data")
    content = json.loads(about.read_text())
    about.write_text(json.dumps({**content, "shape": [10**4, 10**4, 10**4]}))
    with pytest.raises(InputError, match="GB declared in"):
        read(tmp_path / "map.zspy")


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "map.hspy"
    hs.signals.Signal1D(np.ones((3, 4, 5))).save(path)
    return path


def crash(*_, **__):
    os.kill(os.getpid(), signal.SIGSEGV)


def hang(*_, **__):
    time.sleep(60)


def spin(*_, **__):
    while True:
        pass


def fill(*_, **__):
    return [np.ones(10**9)]


LINUX = pytest.mark.skipif(sys.platform != "linux", reason="there are no trials elsewhere")


@LINUX
@pytest.mark.parametrize(
    ("reader", "words"),
    [
        (crash, "a crash"),
        (hang, "no end of it in 4 s"),
        (spin, "no end of it in 1 s"),
        (fill, "2.0 GB of"),
    ],
)
def test_a_reader_that_fails_ends_in_a_child(reader, words, small, monkeypatch):
    from rsciio import hspy

    monkeypatch.setattr(hspy, "file_reader", reader)
    monkeypatch.setattr(trial, "_SECONDS", 1)
    monkeypatch.setattr(trial.threading, "active_count", lambda: 1)
    with pytest.raises(InputError, match=words):
        read(small)


@LINUX
def test_a_file_is_tried_once(small, monkeypatch):
    calls = []
    forked = trial._forked
    monkeypatch.setattr(trial.threading, "active_count", lambda: 1)
    monkeypatch.setattr(trial, "_forked", lambda job: calls.append(job) or forked(job))
    for _ in range(2):
        assert read(small).signal.data.sum() == 60
    assert len(calls) == 1
    hs.signals.Signal1D(np.ones((3, 4, 6))).save(small, overwrite=True)
    assert read(small).signal.data.sum() == 72
    assert len(calls) == 2


@LINUX
def test_small_files_are_tried_whole_and_each_reader_is(small, monkeypatch):
    from rsciio import hspy, nexus

    asked = []

    def reader(name, *, fails):
        def call(filename, lazy, **_):
            asked.append((name, filename, lazy))
            if fails:
                raise OSError
            return [{"data": np.ones(3), "axes": [], "metadata": {}}]

        return call

    monkeypatch.setattr(hspy, "file_reader", reader("HSPY", fails=True))
    monkeypatch.setattr(nexus, "file_reader", reader("NeXus", fails=False))
    monkeypatch.setattr(trial, "readers_of", lambda *_: ["HSPY", "NeXus"])
    for size, lazy in ((1000, False), (10**8, True)):
        assert trial._open(trial._Job(str(small), None, None, size)) == 0
        assert asked == [("HSPY", str(small), lazy), ("NeXus", str(small), lazy)]
        asked.clear()
    monkeypatch.setattr(trial, "readers_of", lambda *_: ["NeXus"])
    assert trial._open(trial._Job(str(small), None, None, 1000)) == 0


@LINUX
def test_readers_in_the_child_are_silent(small, monkeypatch, capfd):
    def loud(*_, **__):
        os.write(1, b"said")
        os.write(2, b"cried")
        raise OSError

    from rsciio import hspy

    monkeypatch.setattr(hspy, "file_reader", loud)
    monkeypatch.setattr(trial, "_tried", set())
    monkeypatch.setattr(trial.threading, "active_count", lambda: 1)
    assert trial.try_out(small) is None
    assert capfd.readouterr() == ("", "")


@LINUX
def test_bruker_s_files_are_read_in_the_child_only(data_dir, monkeypatch):
    path = data_dir / "real" / "P45_12bit_packed_8bit.bcf"
    monkeypatch.setattr(trial.threading, "active_count", lambda: 1)
    content = trial.try_out(path)
    assert max(found["data"].ndim for found in content) == 3
    assert trial.try_out(path, lazy=True) is None


@LINUX
def test_a_process_of_several_threads_asks_a_helper(small, monkeypatch):
    monkeypatch.setattr(trial.threading, "active_count", lambda: 2)
    monkeypatch.setattr(trial, "_tried", set())
    assert read(small).signal.data.sum() == 60
    helper = trial._helper
    helper.kill()
    helper.communicate()
    trial._tried.clear()
    assert read(small).signal.data.sum() == 60
    assert trial._helper.pid != helper.pid


@pytest.mark.parametrize("share", [0.25, 0.6, 0.95])
def test_a_cut_file_of_bruker_is_one_line(share, tmp_path, data_dir, monkeypatch, capsys):
    """Its compiled reader crashes, or fills in zeros."""
    whole = (data_dir / "real" / "P45_12bit_packed_8bit.bcf").read_bytes()
    (tmp_path / "map.bcf").write_bytes(whole[: int(len(whole) * share)])
    status, errors = told(["info", tmp_path / "map.bcf"], monkeypatch, capsys)
    assert status == 2
    assert f"of {len(whole)} bytes" in errors
    assert len(errors.splitlines()) == 1


def test_only_bruker_s_own_containers_are_measured(tmp_path):
    """What begins otherwise says nothing of its size there."""
    for content in (b"AAMVHFSS" * 9, b"\xff" * 1000):
        (tmp_path / "map.bcf").write_bytes(content)
        assert _formats.readers_of(tmp_path / "map.bcf", None)


@LINUX
@pytest.mark.parametrize("threads", [1, 2])
def test_a_cut_file_of_bruker_with_a_consistent_head(threads, tmp_path, data_dir, monkeypatch):
    """Its compiled reader crashes, or goes on with what lies next in memory."""
    monkeypatch.setattr(trial.threading, "active_count", lambda: threads)
    whole = (data_dir / "real" / "P45_12bit_packed_8bit.bcf").read_bytes()
    for share in (0.3, 0.6, 0.8):
        n = int(share * (len(whole) - 280) / 4096)
        bad = bytearray(whole[: 280 + 4096 * n])
        bad[0x148:0x14C] = n.to_bytes(4, "little")
        (tmp_path / f"map{share}.bcf").write_bytes(bad)
        with pytest.raises(InputError, match="parts of it that lie beyond its end"):
            read(tmp_path / f"map{share}.bcf")


def test_a_whole_file_of_bruker_is_as_hyperspy_reads_it(data_dir):
    path = data_dir / "real" / "P45_12bit_packed_8bit.bcf"
    expected = hs.load(path)
    found = read(path)
    ours, theirs = [found.signal, *found.context], sorted(expected, key=lambda s: -s.data.ndim)
    for one, other in zip(ours, theirs, strict=True):
        assert type(one) is type(other)
        np.testing.assert_array_equal(one.data, other.data)
        assert str(one.axes_manager) == str(other.axes_manager)
        kept, whole = (s.metadata.as_dictionary() for s in (one, other))
        kept["General"].pop("FileIO")
        whole["General"].pop("FileIO")
        assert kept == whole


def test_no_other_place_loads_with_hyperspy():
    source = Path(clustem.__file__).parent
    places = {
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"\bhs\.load\(|hyperspy\.io|rsciio.*file_reader", line) and ">>>" not in line
    }
    assert places == {"core/contents.py"}
