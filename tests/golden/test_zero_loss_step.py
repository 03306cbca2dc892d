"""The recipe's last step: zero-loss model and thickness, in the result and in its folder."""

import sys

import numpy as np
import pytest
import tifffile

from clustem import Segmentation, samples, segment, sweep
from clustem.eels import subtract, zero_loss
from clustem.model import InputError, ParameterError
from clustem.recipes import Recipe
from clustem.report import thickness_map, write_thickness

QUICK = {"eels.n_replicas": 24, "eels.n_epochs": 300}


@pytest.fixture(scope="module")
def wedge():
    return samples.eels(shape=(16, 30), random_state=2)


@pytest.fixture(scope="module")
def plain(wedge):
    return segment(wedge.signal, "eels", **{"eels.zero_loss": False})


@pytest.fixture(scope="module")
def found(wedge):
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")
    return segment(wedge.signal, "eels", **QUICK, **{"eels.density": 4.0})


def test_the_thickness_is_in_the_result(wedge, found, plain):
    truth = wedge.details["thickness"]
    thick = truth > 0.2
    away = found.details["thickness"][thick] / truth[thick] - 1
    assert np.abs(away).max() < 0.03
    assert (found.details["thickness_error"][thick] > 0).all()
    ratio = found.details["thickness_nm"] / found.details["thickness"]
    assert 50 < np.nanmean(ratio) < 300  # mean free paths at 200 keV
    np.testing.assert_array_equal(found.labels.data, plain.labels.data)
    last = found.history[-1]
    assert (last.room, last.name, last.params["density"]) == ("eels", "zero_loss", 4.0)
    assert "median thickness" in last.note
    assert "note" not in found.details


def test_it_is_in_the_folder_and_comes_back(found, tmp_path):
    folder = found.save(tmp_path / "out")
    for name in ("zero_loss", "thickness", "thickness_nm"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 20_000
    report = (folder / "report.html").read_text()
    assert "zero-loss peak ends" in report
    pages = tifffile.imread(folder / "thickness.tif")
    assert pages.shape == (4, 16, 30)
    np.testing.assert_array_equal(pages[0], found.details["thickness"])
    again = Segmentation.load(folder)
    np.testing.assert_array_equal(again.details["thickness_error"], pages[1])
    parts = [
        subtract(found.source, one.details["zero_loss"]).inelastic.data for one in (found, again)
    ]
    np.testing.assert_array_equal(*parts)
    again.save(tmp_path / "again")
    assert (tmp_path / "again" / "figures" / "thickness.png").is_file()


def test_edits_keep_what_still_holds(found):
    merged = found.merge([0, 1])
    assert "zero_loss" not in merged.details
    np.testing.assert_array_equal(merged.details["thickness"], found.details["thickness"])
    out = np.zeros(found.mask.shape, dtype=bool)
    out[:3] = True
    left = found.exclude(out)
    assert np.isnan(left.details["thickness"][:3]).all()
    assert np.isfinite(left.details["thickness"][3:]).all()
    assert "zero_loss" in found.relabel({0: "thin"}).details


def test_same_seed_same_map(wedge, found):
    again = segment(wedge.signal, "eels", **QUICK, **{"eels.density": 4.0})
    np.testing.assert_array_equal(again.details["thickness"], found.details["thickness"])
    model, other = (one.details["zero_loss"] for one in (found, again))
    np.testing.assert_array_equal(model.weights_, other.weights_)


def test_without_torch_the_rest_is_there_and_the_note_says_how(wedge, plain, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = segment(wedge.signal, "eels")
    np.testing.assert_array_equal(found.labels.data, plain.labels.data)
    assert "no zero-loss model" in found.history[-1].note
    assert "pip install 'clustem[torch]'" in found.history[-1].note
    assert "thickness" not in found.details
    folder = found.save(tmp_path / "out")
    assert not (folder / "thickness.tif").exists()
    with pytest.raises(InputError, match="result without it"):
        thickness_map(found.projection)
    with pytest.raises(InputError, match="must be known to be written"):
        write_thickness(found.projection, tmp_path / "thickness.tif")


def test_too_few_spectra_are_no_reason_to_lose_the_map(wedge):
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")
    found = segment(wedge.signal.inav[::6, :6], "eels")
    assert found.labels.data.shape == (6, 5)
    assert "must have 10 spectra to draw from" in found.history[-1].note


def test_only_a_step_that_makes_a_result_ends_a_recipe(plain, wedge):
    recipe = Recipe.named("eels")
    assert list(recipe.steps)[-1] == ("eels", "zero_loss")
    with pytest.raises(ParameterError, match="must return a projection"):
        recipe.with_settings({"eels.subtract": True})
    text = "[describe.total_intensity]\n[eels.zero_loss]\n"
    with pytest.raises(InputError, match="must reproject before"):
        segment(wedge.signal, Recipe.from_toml(text))
    results = sweep(wedge.signal, recipe, [2, 3], choose=False)
    assert [step.room for step in results[2].history][-1] == "reproject"


def test_it_adds_to_a_result_at_hand(plain):
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")
    found = zero_loss(plain.projection, n_replicas=8, n_epochs=50)
    assert found.details["thickness"].shape == plain.mask.shape
    assert plain.details.get("thickness") is None
