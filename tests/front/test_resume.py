"""A run that is stopped goes on where it was."""

import json
import sys

import numpy as np
import pytest
import tifffile

from clustem import cluster, load, samples, segment
from clustem.cli import main
from clustem.core import Clustering, InputError
from clustem.core.registry import registry
from clustem.io.fitted import load_fitted, save_fitted
from clustem.passes import scratch
from clustem.recipes import _checkpoints, _run


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    path = tmp_path_factory.mktemp("scan") / "map.hspy"
    samples.eds(shape=(20, 24)).signal.save(path)
    return path


def clustem(monkeypatch, capsys, *words):
    monkeypatch.setattr(sys, "argv", ["clustem", *map(str, words)])
    with pytest.raises(SystemExit) as stop:
        main()
    return stop.value.code, capsys.readouterr()


def stopped(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("recipe", ["eds", "eds-fuzzy"])
def test_a_run_that_is_stopped_goes_on(recipe, scan, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_checkpoints, "_LONG", 0.0)
    words = "run", scan, "-r", recipe, "-k", "4", "-o", tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(_run.Run, "_mapping", stopped)
        code, said = clustem(patch, capsys, *words)
    assert code == 130
    assert "what is finished is kept: --resume goes on from there" in said.err
    assert [path.name for path in tmp_path.iterdir()] == [".out.clustem-resume"]
    with monkeypatch.context() as patch:
        patch.setattr(_run.Run, "_cluster", stopped)
        code, said = clustem(patch, capsys, *words, "--resume")
    assert code == 0, said.err
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    found = load(tmp_path / "out")
    whole = segment(scan, recipe, n_clusters=4)
    np.testing.assert_array_equal(found.labels.data, whole.labels.data)
    np.testing.assert_allclose(found.memberships.data, whole.memberships.data, atol=1e-6)
    for one, other in zip(found.history, whole.history, strict=True):
        assert (one.name, one.parameters, one.note) == (other.name, other.parameters, other.note)


def test_a_study_that_is_stopped_goes_on(scan, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(_checkpoints, "_LONG", 0.0)
    other = tmp_path / "other.hspy"
    samples.eds(shape=(18, 22), random_state=1).signal.save(other)
    words = "run", scan, other, "-r", "eds", "-k", "3", "-o", tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(_run.Run, "_mapping", stopped)
        code, said = clustem(patch, capsys, *words)
    assert code == 130
    assert "--resume goes on from there" in said.err
    with monkeypatch.context() as patch:
        patch.setattr(_run.Run, "_cluster", stopped)
        code, said = clustem(patch, capsys, *words, "--resume")
    assert code == 0, said.err
    assert {path.name for path in tmp_path.iterdir()} == {"out", "other.hspy"}
    found, whole = load(tmp_path / "out"), segment([scan, other], "eds", n_clusters=3)
    for one, again in zip(found, whole, strict=True):
        np.testing.assert_array_equal(one.labels.data, again.labels.data)
    words = "run", other, scan, *words[3:]
    monkeypatch.setattr(_run.Run, "_cluster", stopped)
    code, said = clustem(monkeypatch, capsys, *words, "--force", "--resume")
    assert code == 130, "maps in another order are another fit"


def test_signals_of_one_scan_go_on(tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoints, "_LONG", 0.0)
    signals = samples.joint(shape=(16, 18)).signals
    given = {name: signals[name] for name in ("eels", "eds")}
    settings = {"eds.place": "same"}
    kept = {"n_clusters": 2, "settings": settings, "resume": tmp_path / "kept"}
    one = segment(given, "joint", **kept)
    monkeypatch.setattr(_run.Run, "_cluster", stopped)
    other = segment(given, "joint", **kept)
    np.testing.assert_array_equal(one.labels.data, other.labels.data)
    assert dict(other.information) == pytest.approx(dict(one.information))
    with pytest.raises(KeyboardInterrupt):
        segment(given, "joint", **{**kept, "settings": {**settings, "eds.weight": 0.5}})


def test_regions_that_clusters_started_from_are_known_again(scan, tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoints, "_LONG", 0.0)
    regions = np.zeros((20, 24), dtype=np.uint8)
    regions[2:5, 2:5], regions[12:15, 12:15] = 1, 2
    tifffile.imwrite(tmp_path / "regions.tif", regions)
    given = {"recipe": "eds", "settings": {"markers": str(tmp_path / "regions.tif")}}
    one = segment(scan, **given, resume=tmp_path / "kept")
    monkeypatch.setattr(_run.Run, "_cluster", stopped)
    other = segment(scan, **given, resume=tmp_path / "kept")
    np.testing.assert_array_equal(one.labels.data, other.labels.data)
    assert one.names == other.names


def test_another_recipe_or_scan_starts_anew(scan, tmp_path, monkeypatch):
    monkeypatch.setattr(_checkpoints, "_LONG", 0.0)
    given = {"recipe": "eds-fuzzy", "resume": tmp_path / "kept"}
    segment(scan, n_clusters=3, **given)
    segment(scan, n_clusters=2, **given)
    segment(samples.eds(shape=(20, 24), random_state=1).signal, n_clusters=3, **given)
    assert len([*(tmp_path / "kept").glob("*.json")]) == 3
    for path in (tmp_path / "kept").glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-300])
    assert segment(scan, n_clusters=3, **given).n_clusters == 3, "what is broken is made again"


def test_short_steps_leave_nothing(scan, tmp_path):
    segment(scan, "eds-fuzzy", n_clusters=3, resume=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_what_preparations_compute_is_kept(tmp_path, monkeypatch):
    import dask.array as da

    monkeypatch.setattr(scratch, "_IN_MEMORY", 1000)
    data, file = da.arange(4000, chunks=900) * 2, tmp_path / "kept" / "data.npy"
    found = scratch.computed_once(data, file=file)
    np.testing.assert_array_equal(found, np.arange(4000) * 2)
    assert [path.name for path in file.parent.iterdir()] == ["data.npy"]
    calls = []
    again = scratch.computed_once(data.map_blocks(calls.append, meta=np.empty(0)), file=file)
    np.testing.assert_array_equal(again, found)
    assert not calls
    broken = data.map_blocks(lambda block: block / None, dtype=float)
    with pytest.raises(InputError):
        scratch.computed_once(broken, file=tmp_path / "kept" / "other.npy")
    assert [path.name for path in file.parent.iterdir()] == ["data.npy"]


@pytest.mark.parametrize("name", [*registry("cluster")])
def test_each_clusterer_can_be_kept(name, tmp_path):
    rng = np.random.default_rng(0)
    rows = rng.poisson(rng.gamma(2, 20, (3, 6))[np.arange(300) % 3]).astype(float)
    rows = rows[:, :1] if name == "KMeans1D" else rows
    step = registry("cluster")[name].step
    known = step(n_clusters=3).fit(rows)
    save_fitted(known, tmp_path / "state.npz")
    found = load_fitted(step(n_clusters=3), tmp_path / "state.npz")
    np.testing.assert_array_equal(found.predict(rows[::-1]), known.predict(rows[::-1]))
    np.testing.assert_array_equal(found.labels_, known.labels_)


def test_what_was_tampered_with_is_refused(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 5))
    save_fitted(cluster.KMeans(2).fit(rows), tmp_path / "state.npz")
    with np.load(tmp_path / "state.npz") as file:
        arrays = dict(file)
    state = json.loads(str(arrays["state"]))
    for value, words in (
        ({"made": ["os", "system", {"command": "true"}]}, "os is not of clustem"),
        ({"made": ["clustem.cli", "main", {}]}, "neither an array"),
        ({"made": ["clustem.cluster.kmeans._sketch", "Centering", {}]}, "other parts"),
        ({"array": 99}, "a99"),
        ({}, "not enough values"),
    ):
        changed = json.dumps({**state, "_centering": value})
        np.savez(tmp_path / "bad.npz", **{**arrays, "state": np.array(changed)})
        with pytest.raises(InputError, match=words):
            load_fitted(cluster.KMeans(2), tmp_path / "bad.npz")


def test_what_is_no_plain_state_is_not_kept(tmp_path):
    found = cluster.KMeans(2).fit(np.random.default_rng(0).normal(size=(60, 5)))
    found.odd_ = Clustering
    with pytest.raises(TypeError, match="neither an array nor a plain value"):
        save_fitted(found, tmp_path / "state.npz")
