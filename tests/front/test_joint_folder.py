"""Several signals of one scan on the command line and in their folder."""

import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import clustem
from clustem import samples
from clustem.cli import main
from clustem.core import InputError


def run(*args, folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["clustem", *map(str, args)])
    with pytest.raises(SystemExit) as exit_:
        main()
    return exit_.value.code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint")
    for name, signal in samples.joint(shape=(24, 28)).signals.items():
        signal.save(folder / f"{name}.hspy")
    return folder


@pytest.fixture(scope="module")
def result(folder):
    files = {name: folder / f"{name}.hspy" for name in ("eels", "eds", "haadf")}
    settings = {"eds.weight": 0.9, "eds.prepare.energy_range.lowest": 0.2}
    found = clustem.segment(files, "joint", n_clusters=3, settings=settings)
    return found, found.save(folder / "kept")


def test_signals_are_run_by_name(folder, monkeypatch, capsys):
    given = ["run", "eels=eels.hspy", "eds=eds.hspy", "-r", "joint", "-k", "3", "-o", "out"]
    assert run(*given, folder=folder, monkeypatch=monkeypatch) == 0
    said = capsys.readouterr().out
    assert "all signals together tell" in said
    assert "eds: prepare.place: at the positions of eels" in said
    assert run("compare", "out", "out/eds", folder=folder, monkeypatch=monkeypatch) == 0
    assert "ARI 1.0000" in capsys.readouterr().out
    assert (
        run("run", "eels.hspy", "eds.hspy", "-r", "joint", folder=folder, monkeypatch=monkeypatch)
        == 2
    )
    assert "need names" in capsys.readouterr().err
    given = ["apply", "out", "eels=eels.hspy", "eds=eds.hspy", "-o", "again"]
    assert run(*given, folder=folder, monkeypatch=monkeypatch) == 0
    assert "cluster 0: " in capsys.readouterr().out
    again, known = clustem.load(folder / "again"), clustem.load(folder / "out")
    np.testing.assert_array_equal(again.labels.data, known.labels.data)
    assert not again.first.novel.any()
    given = ["apply", "out", "eds=eds.hspy", "-o", "less"]
    assert run(*given, folder=folder, monkeypatch=monkeypatch) == 2
    assert "Give eels=FILE, eds=FILE." in capsys.readouterr().err


def test_a_joint_result_is_read_back(result):
    found, path = result
    assert {"eels", "eds", "haadf", "table.csv", "report.html", "recipe.toml"} < {
        one.name for one in path.iterdir()
    }
    page = (path / "report.html").read_text(encoding="utf-8")
    assert 'href="eds/report.html"' in page
    assert "Who decided what" in page
    again = clustem.load(path)
    assert list(again) == list(found)
    np.testing.assert_array_equal(again.labels.data, found.labels.data)
    assert again.information == pytest.approx(dict(found.information))
    assert again.placements["eds"].chance == pytest.approx(found.placements["eds"].chance)
    assert again.first.recipe.signals == {
        "eds": {"weight": 0.9, "prepare.energy_range.lowest": 0.2}
    }
    named = again.relabel({0: "diamond"}).merge([1, 2])
    assert named.n_clusters == named["eds"].n_clusters == 2
    assert named["haadf"].names == {0: "diamond"} or named["haadf"].names == {1: "diamond"}


def test_clusters_of_several_signals_are_found_on_another_scan(result):
    found, path = result
    again = clustem.load(path)
    other = samples.joint(shape=(30, 26), random_state=2)
    signals = {name: other.signals[name].deepcopy() for name in found}
    signals["eds"].data[4:14, 5:15, 520:530] += 2  # lines that no phase has
    one = again.relabel({0: "matrix"})
    new = one.apply(signals)
    inside = ~new.mask
    assert new.first.novel[4:14, 5:15].mean() > 0.9
    around = np.zeros(new.mask.shape, dtype=bool)
    around[2:16, 3:17] = True
    assert not new.first.novel[~around].any()
    assert new["haadf"].novel is not None
    known = inside & ~new.first.novel
    assert adjusted_rand_score(other.labels[known], new.labels.data[known]) > 0.85
    assert (new.first.name_of(0), new["eds"].color_index) == ("matrix", one.color_index)
    assert new["eds"].centers.data.shape == (3, found["eds"].centers.data.shape[1])
    merged = found.merge([1, 2])
    labels = merged.apply({n: s.source for n, s in found.items()}, novelty=None).labels
    assert adjusted_rand_score(labels.data.ravel(), merged.labels.data.ravel()) > 0.99
    with pytest.raises(InputError, match="need all of these"):
        found["eds"].apply(signals["eds"])
    with pytest.raises(InputError, match="haadf must be of the kind"):
        found.apply({**signals, "haadf": signals["eels"]})
    with pytest.raises(InputError, match="cut"):
        replace(found, signals={n: one.split(0) for n, one in found.items()}).apply(signals)


@pytest.mark.parametrize(
    "change",
    [
        {"signals": ["../x"]},
        {"information": {"eds": "much"}},
        {"placements": {"eds": {"kind": 3}}},
        {"recipes": {"eds": 3}},
    ],
)
def test_a_broken_folder_is_refused(result, tmp_path, change):
    shutil.copytree(result[1], tmp_path / "copy")
    path = tmp_path / "copy" / "provenance.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **change}), encoding="utf-8")
    with pytest.raises(InputError, match="of several signals"):
        clustem.load(tmp_path / "copy")


def test_other_maps_in_one_folder_are_refused(result, tmp_path):
    shutil.copytree(result[1], tmp_path / "copy")
    other = result[0]["eds"].merge([0, 1])
    shutil.rmtree(tmp_path / "copy" / "eds")
    other.save(tmp_path / "copy" / "eds")
    with pytest.raises(InputError, match="the same map"):
        clustem.load(tmp_path / "copy")


def test_an_image_of_whole_numbers_has_a_report(tmp_path):
    signals = dict(samples.joint(shape=(24, 28)).signals)
    image = signals["haadf"]
    image.change_dtype("float64")
    image.data = np.rint(1000 * np.maximum(image.data, 0)).astype(np.uint16)
    found = clustem.segment({"eds": signals["eds"], "bse": image}, "joint", n_clusters=2)
    found.save(tmp_path / "out")
    assert (tmp_path / "out" / "bse" / "report.html").exists()
