"""History says what took effect: masks, values that were found, parameters."""

import hashlib
import json

import numpy as np
import pytest

import clustem
from clustem import samples


@pytest.fixture(scope="module")
def grains():
    sample = samples.diffraction(shape=(10, 12))
    return clustem.segment(sample.signal, "diffraction", n_clusters=3)


def steps(result):
    return {f"{step.stage}.{step.name}": step for step in result.history}


def test_masks_that_were_used_are_named(grains):
    step = steps(grains)["describe.patterns"]
    hidden = int(grains.signal_mask.sum())
    assert step.masks["signal"].startswith(
        f"{hidden} of {grains.signal_mask.size} excluded, sha256"
    )
    assert "signal_mask" not in step.parameters
    assert steps(grains)["cluster.KMeans"].masks == {}


def test_the_beam_that_was_found_is_named(grains):
    found = steps(grains)["prepare.beam_mask"].found
    radius = np.sqrt(grains.signal_mask.sum() / np.pi)
    assert found["beam_radius"] == pytest.approx(radius, rel=0.2)
    assert len(found["center"]) == 2


def test_provenance_has_them_too(grains, tmp_path):
    folder = grains.save(tmp_path / "result")
    written = json.loads((folder / "provenance.json").read_text())
    assert written["format"] == 1
    by_name = {f"{step['stage']}.{step['name']}": step for step in written["history"]}
    assert by_name["describe.patterns"]["masks"] == steps(grains)["describe.patterns"].masks
    assert by_name["prepare.beam_mask"]["found"]["beam_radius"] > 1
    back = clustem.load(folder)
    assert [step.label for step in back.history] == [step.label for step in grains.history]


def test_other_masks_have_other_digests():
    sample = samples.diffraction(shape=(10, 12))
    wide = clustem.segment(
        sample.signal, "diffraction", n_clusters=3, settings={"prepare.beam_mask.radius": 9.0}
    )
    usual = clustem.segment(sample.signal, "diffraction", n_clusters=3)
    masks = [steps(result)["describe.patterns"].masks["signal"] for result in (wide, usual)]
    assert masks[0] != masks[1]


def test_the_number_of_clusters_that_was_chosen_is_named():
    sample = samples.eds(shape=(24, 30))
    found = clustem.segment(sample.signal, "eds", n_clusters="auto")
    step = steps(found)["cluster.MultinomialMixture"]
    assert step.parameters["n_clusters"] == step.found["n_clusters"] == found.n_clusters


@pytest.mark.parametrize("size", [3 * 2**20 + 17, 300 * 2**20 + 5])
def test_large_files_are_known_by_pieces_that_reach_their_end(size, tmp_path, monkeypatch):
    from clustem.core import scan

    path = tmp_path / "large.raw"
    with path.open("wb") as file:  # takes no room on disk
        file.truncate(size)
    monkeypatch.setattr(scan, "_WHOLE", size - 1)
    found = scan._file_digest(path)
    digest = hashlib.sha256(str(size).encode())
    piece = 2**20
    with path.open("rb") as file:
        for i in range(256):
            file.seek(max(0, i * (size - piece) // 255))
            digest.update(file.read(piece))
    assert found == f"sha256-sampled:{digest.hexdigest()}"
    for place in (0, size - 1):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        other = scan._file_digest(path)
        assert other != found
        found = other
    monkeypatch.setattr(scan, "_WHOLE", size)
    with path.open("rb") as file:
        whole = hashlib.file_digest(file, "sha256").hexdigest()
    assert scan._file_digest(path) == f"sha256:{whole}"
