"""The recipe's last step: zero-loss model and thickness, in the result and in its folder."""

import sys

import numpy as np
import pytest
import tifffile

from clustem import Segmentation, samples, segment, sweep
from clustem.core import InputError, ParameterError
from clustem.eels import subtract, zero_loss
from clustem.recipes import Recipe
from clustem.report import thickness_map, write_thickness

QUICK = {"eels.n_replicas": 24, "eels.n_epochs": 300}


@pytest.fixture(scope="module")
def wedge():
    return samples.eels(shape=(16, 30), random_state=2)


@pytest.fixture(scope="module")
def plain(wedge):
    return segment(wedge.signal, "eels", settings={"eels.zero_loss": False})


@pytest.fixture(scope="module")
def found(wedge):
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")
    return segment(wedge.signal, "eels", settings={**QUICK, "eels.density": 4.0})


def test_the_thickness_is_in_the_result(wedge, found, plain):
    truth = wedge.thickness
    thick = truth > 0.2
    away = found.thickness.relative[thick] / truth[thick] - 1
    assert np.abs(away).max() < 0.03
    assert (found.thickness.relative_error[thick] > 0).all()
    ratio = found.thickness.absolute / found.thickness.relative
    assert 50 < np.nanmean(ratio) < 300  # mean free paths at 200 keV
    np.testing.assert_array_equal(found.labels.data, plain.labels.data)
    last = found.history[-1]
    assert (last.stage, last.name, last.parameters["density"]) == ("eels", "zero_loss", 4.0)
    assert "median thickness" in last.note
    assert last.found["n_networks"] == len(found.zero_loss.weights_)
    assert last.found["onset"] == found.zero_loss.onset_.tolist()


def test_it_is_in_the_folder_and_comes_back(found, tmp_path):
    folder = found.save(tmp_path / "out")
    for name in ("zero_loss", "thickness", "thickness_nm"):
        assert (folder / "figures" / f"{name}.png").stat().st_size > 20_000
    report = (folder / "report.html").read_text()
    assert "zero-loss peak ends" in report
    pages = tifffile.imread(folder / "thickness.tif")
    assert pages.shape == (4, 16, 30)
    np.testing.assert_array_equal(pages[0], found.thickness.relative)
    again = Segmentation.load(folder)
    with pytest.raises(InputError, match="needs the raw spectra; got a result loaded from disk"):
        zero_loss(again)
    np.testing.assert_array_equal(again.thickness.relative_error, pages[1])
    parts = [subtract(found.source, one.zero_loss).inelastic.data for one in (found, again)]
    np.testing.assert_array_equal(*parts)
    again.save(tmp_path / "again")
    assert (tmp_path / "again" / "figures" / "thickness.png").is_file()


def test_edits_keep_what_still_holds(found):
    merged = found.merge([0, 1])
    assert merged.zero_loss is None
    np.testing.assert_array_equal(merged.thickness.relative, found.thickness.relative)
    out = np.zeros(found.mask.shape, dtype=bool)
    out[:3] = True
    left = found.exclude(out)
    assert np.isnan(left.thickness.relative[:3]).all()
    assert np.isfinite(left.thickness.relative[3:]).all()
    assert found.relabel({0: "thin"}).zero_loss is not None


def test_same_seed_same_map(wedge, found):
    again = segment(wedge.signal, "eels", settings={**QUICK, "eels.density": 4.0})
    np.testing.assert_array_equal(again.thickness.relative, found.thickness.relative)
    model, other = (one.zero_loss for one in (found, again))
    np.testing.assert_array_equal(model.weights_, other.weights_)


def test_without_torch_the_rest_is_there_and_the_note_says_how(wedge, plain, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch", None)
    found = segment(wedge.signal, "eels")
    np.testing.assert_array_equal(found.labels.data, plain.labels.data)
    assert "no zero-loss model" in found.history[-1].note
    assert "pip install 'clustem[torch]'" in found.history[-1].note
    assert found.thickness is None
    folder = found.save(tmp_path / "out")
    assert not (folder / "thickness.tif").exists()
    with pytest.raises(InputError, match="result without it"):
        thickness_map(found)
    with pytest.raises(InputError, match="must be known to be written"):
        write_thickness(found, tmp_path / "thickness.tif")


def test_too_few_spectra_are_no_reason_to_lose_the_map(wedge):
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")
    found = segment(wedge.signal.inav[::6, :6], "eels")
    assert found.labels.data.shape == (6, 5)
    assert "must have 10 spectra to draw from" in found.history[-1].note


def test_only_a_step_that_makes_a_result_ends_a_recipe(plain, wedge):
    recipe = Recipe.named("eels")
    assert list(recipe.steps)[-1] == ("eels", "zero_loss")
    with pytest.raises(ParameterError, match="no parameter of eels called 'subtract'"):
        recipe.with_settings({"eels.subtract": True})
    text = "[describe.total_intensity]\n[eels.zero_loss]\n"
    with pytest.raises(InputError, match=r"must map before eels\.zero_loss"):
        segment(wedge.signal, Recipe.from_toml(text))
    results = sweep(wedge.signal, recipe, [2, 3], choose=False)
    assert [step.stage for step in results[2].history][-1] == "mapping"


def test_it_adds_to_a_result_at_hand(plain):
    pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")
    found = zero_loss(plain, n_replicas=8, n_epochs=50)
    assert found.thickness.relative.shape == plain.mask.shape
    assert plain.thickness is None
