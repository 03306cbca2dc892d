"""Studies on the command line and in their folder."""

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
    folder = tmp_path_factory.mktemp("study")
    for i, shape in enumerate([(20, 24), (18, 20), (24, 22)]):
        signal = samples.eds(shape=shape, random_state=i).signal
        if i == 2:
            signal.data[4:12, 4:12, 800:806] += 4
        signal.save(folder / f"map_{i}.hspy")
    (folder / "map_9.hspy").write_bytes((folder / "map_0.hspy").read_bytes()[:5000])
    return folder


@pytest.fixture(scope="module")
def study(folder):
    files = [folder / f"map_{i}.hspy" for i in range(2)]
    return clustem.segment(files, "eds", n_clusters=3).save(folder / "study")


def test_a_study_is_run_and_applied(folder, study, monkeypatch, capsys):
    names = {path.name for path in study.iterdir()}
    assert {"1_map_0", "2_map_1", "report.html", "table.csv", "centers.hspy"} < names
    page = (study / "report.html").read_text(encoding="utf-8")
    assert 'href="1_map_0/report.html"' in page
    assert (
        run("apply", "study", "map_2.hspy", "-o", "new", folder=folder, monkeypatch=monkeypatch)
        == 0
    )
    said = capsys.readouterr().out
    assert said.startswith("No cluster explains")
    assert "No cluster explains" in (folder / "new" / "report.html").read_text(encoding="utf-8")
    found = clustem.load(folder / "new")
    assert found.novel[4:12, 4:12].mean() > 0.9
    assert found.color_index == clustem.load(study)[0].color_index


def test_a_study_is_no_single_result(study):
    with pytest.raises(InputError, match="result of one scan or image; got several"):
        clustem.Segmentation.load(study)


def test_a_broken_file_stops_a_study_or_is_left_out(folder, monkeypatch, capsys):
    given = ["run", "map_[01].hspy", "map_9.hspy", "-r", "eds", "-k", "2", "-o", "some"]
    assert run(*given, folder=folder, monkeypatch=monkeypatch) == 2
    assert capsys.readouterr().err.startswith("clustem: map_9: ")
    assert not (folder / "some").exists()
    assert run(*given, "--skip-broken", folder=folder, monkeypatch=monkeypatch) == 0
    assert "map_9 was left out" in capsys.readouterr().out
    assert len(clustem.load(folder / "some")) == 2


def test_studies_are_compared_with_one_matching(folder, study, monkeypatch, capsys):
    known = clustem.load(study)
    found = clustem.compare(study, known.relabel({0: "matrix"}))
    assert (found.ari, found.compared) == (1.0, 1.0)
    first = known[0].labels.data
    assert len(found.labels) == first.size + known[1].labels.data.size
    with pytest.raises(InputError, match="another study"):
        clustem.compare(known, known[0])
    with pytest.raises(InputError, match="same shapes"):
        clustem.compare(known, known[::-1])
    assert run("compare", "study", "study", folder=folder, monkeypatch=monkeypatch) == 0
    assert "ARI 1.0000" in capsys.readouterr().out
    given = ["compare", "study", "study", "-o", "figures"]
    assert run(*given, folder=folder, monkeypatch=monkeypatch) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"maps": ["../study/1_map_0", "2_map_1"]},
        {"maps": []},
        {"titles": ["one"]},
        {"at": [1.0, float("nan")]},
        {"along": "map"},
        {"format": 2},
    ],
)
def test_a_broken_study_is_refused_in_one_line(folder, study, change, tmp_path):
    known = json.loads((study / "provenance.json").read_text(encoding="utf-8"))
    (tmp_path / "provenance.json").write_text(json.dumps(known | change), encoding="utf-8")
    with pytest.raises(InputError, match="of a study"):
        clustem.load(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [("number", [0, 1, 9]), ("purity", [0.5]), ("purity", [2.0, 1.0, 1.0]), ("number", "x")],
)
def test_a_broken_fit_is_refused_in_one_line(folder, study, name, value, tmp_path):
    shutil.copytree(study / "1_map_0", tmp_path / "map")
    path = tmp_path / "map" / "provenance.json"
    known = json.loads(path.read_text(encoding="utf-8"))
    known["fitted"][name] = value
    path.write_text(json.dumps(known), encoding="utf-8")
    with pytest.raises(InputError, match=r"provenance\.json must hold"):
        clustem.load(tmp_path / "map")


def test_a_fit_is_no_code(folder, study, tmp_path):
    shutil.copytree(study / "1_map_0", tmp_path / "map")
    path = tmp_path / "map" / "fitted.npz"
    with np.load(path) as arrays:
        content = dict(arrays)
    tree = json.loads(str(content["state"]))
    tree["_fit"] = {"made": ["os", "system", {"command": "true"}]}
    np.savez(path, **(content | {"state": np.array(json.dumps(tree))}))
    with pytest.raises(InputError, match=r"fitted\.npz must hold the state"):
        clustem.load(tmp_path / "map")
