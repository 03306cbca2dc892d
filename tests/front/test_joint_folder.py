"""Several signals of one scan on the command line and in their folder."""

import json
import shutil
import sys

import numpy as np
import pytest

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
    assert run("apply", "out", "eds.hspy", folder=folder, monkeypatch=monkeypatch) == 2
    assert "cannot be applied" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    "change",
    [{"signals": ["../x"]}, {"information": {"eds": "much"}}, {"placements": {"eds": {"kind": 3}}}],
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
