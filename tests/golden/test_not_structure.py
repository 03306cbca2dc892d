"""What the recipes say, as they come, of scans that hold no phases; and whether k is warranted."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import clustem
from clustem import Recipe, samples
from clustem.judge import alike, verdict
from clustem.report.layout.maps import key_entries

_FILE = Path(__file__).parents[2] / "benchmarks" / "not_structure.py"
_SPEC = importlib.util.spec_from_file_location("not_structure", _FILE)
scenes = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(scenes)


@pytest.mark.parametrize(
    ("recipe", "scene", "seed"),
    [
        ("diffraction", "dose step", 41),
        ("eels-shape", "waves", 42),
        ("eels-shape", "zero-loss drift", 43),
        ("particles", "noise", 44),
    ],
)
def test_no_structure_is_drawn_without_a_word(recipe, scene, seed):
    found, said = scenes.answer(recipe, scene, seed)
    assert not found, said


def test_a_ramp_of_counts_is_a_trend():
    signal = scenes.eds(np.random.default_rng([45, 0]), "ramp")
    found = clustem.segment(signal, "eds")
    assert found.n_clusters == 1
    assert verdict(found).text.startswith("A trend, no groups")


def test_what_is_said_of_a_number_is_not_said_of_another_map():
    found = clustem.segment(samples.eds(shape=(40, 44)).signal, "eds")
    assert verdict(found).warranted.startswith("4 clusters are warranted")
    assert not verdict(found.merge([0, 1])).warranted


def test_a_number_that_the_user_names_costs_no_search():
    found = clustem.segment(samples.eds(shape=(24, 26)).signal, "eds", n_clusters=2)
    assert found.n_clusters == 2
    assert not verdict(found).warranted


def test_in_doubt_the_recipe_takes_its_own_number():
    rng = np.random.default_rng(2)
    scan = samples.eds(shape=(9, 10)).signal.deepcopy()
    scan.data = rng.poisson(20, scan.data.shape).astype(np.uint16)  # 90 positions are too few
    text = (
        "[recipe]\nin_doubt = 3\n[describe.spectra]\npool = 64\n[cluster.KMeans]\n"
        'n_clusters = "auto"\n[mapping.clusters]\n'
    )
    recipe = Recipe.from_toml(text)
    assert Recipe.from_toml(recipe.to_toml()).in_doubt == 3
    found = clustem.segment(scan, recipe)
    assert found.n_clusters == 3
    assert "3 is the number of the recipe" in verdict(found).warranted
    asked = clustem.segment(scan, recipe, n_clusters="auto")  # who asks gets the answer
    assert asked.n_clusters == 1


def test_a_line_of_two_oxides_and_their_border():
    one, two = samples.eds(shape=(8, 8)).spectra[[0, 2]]
    share = np.repeat([0.0, 0.5, 1.0], [3, 1, 6])[:, None]
    line = samples.eds(shape=(8, 8)).signal.inav[:, 0].deepcopy()
    mean = (1 - share) * one / one.sum() + share * two / two.sum()
    signal = type(line)(np.random.default_rng(0).poisson(3000 * mean).astype(np.uint16))
    signal.metadata.add_dictionary(line.metadata.as_dictionary())
    for name in ("scale", "offset", "units", "name"):
        setattr(signal.axes_manager[-1], name, getattr(line.axes_manager[-1], name))
    with pytest.warns(UserWarning, match="in doubt"):
        found = clustem.segment(signal, "eds", n_clusters=3)
    labels = found.labels.data
    assert len(set(labels[:3])) == len(set(labels[4:])) == 1
    assert len({labels[0], labels[3], labels[9]}) == 3
    fuzzy = clustem.segment(signal, "eds-fuzzy")
    assert "10 positions are too few" in verdict(fuzzy).text


def test_clusters_of_one_shape_are_said_to_be_so_in_the_legend():
    rng = np.random.default_rng(1)
    scan = samples.eds(shape=(12, 14)).signal.deepcopy()
    shape = scan.data.sum(axis=(0, 1)) / scan.data.sum()
    dose = np.where(np.arange(12)[:, None] < 6, 2000.0, 1000.0) * np.ones((12, 14))
    scan.data = rng.poisson(dose[..., None] * shape).astype(np.uint16)
    recipe = Recipe.from_toml(
        "[describe.spectra]\n[cluster.KMeans]\nn_clusters = 2\n[mapping.clusters]\n"
    )
    found = clustem.segment(scan, recipe)
    ((i, j, factor),) = alike(found)
    assert (i, j) == (1, 0)
    assert abs(np.log2(factor)) == pytest.approx(1, abs=0.05)
    names = [name for _, _, name, _ in key_entries(found)]
    assert names[0] == "cluster 0"
    assert names[1] == f"cluster 1: same shape as cluster 0, {factor:.2g}×"
