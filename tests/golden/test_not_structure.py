"""What the recipes say, as they come, of scans that hold no phases; and whether k is warranted."""

import importlib.util
import re
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem import Recipe, samples
from clustem.describe import spectra
from clustem.judge import alike, verdict
from clustem.judge._few_positions import told_apart
from clustem.report.layout.maps import key_entries

_FILE = Path(__file__).parents[2] / "benchmarks" / "not_structure.py"
_SPEC = importlib.util.spec_from_file_location("not_structure", _FILE)
scenes = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(scenes)


@pytest.mark.parametrize(
    ("recipe", "scene", "seed"),
    [
        ("diffraction", "dose step", 41),
        ("domains", "waves", 4),
        ("domains", "dose step", 1),
        ("eels-shape", "waves", 12),
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


def test_positions_in_no_cluster_come_first():
    def said_of(m, threshold):
        settings = {"cluster.m": m, "cluster.n_clusters": 4, "mapping.threshold": threshold}
        signal = samples.eds(shape=(24, 26)).signal
        return verdict(clustem.segment(signal, "eds-fuzzy", settings=settings))

    assert not said_of(1.25, 0.9).doubts  # 13 % are in none
    some = said_of(2, 0.8)
    assert re.match(r"7\d % of the positions belong to no cluster\.", some.text)
    assert some.structure
    with pytest.warns(UserWarning, match="m=5 is too fuzzy"):
        none = said_of(5, 0.9)
    assert none.text == "No position belongs to a cluster."
    assert not none.structure


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


LINE = np.repeat([0.0, 0.5, 1.0], [3, 1, 6])[:, None]
"""Share of the second oxide at ten positions."""


def eds_line(seed, share=LINE, counts=3000):
    sample, rng = samples.eds(shape=(8, 8)), np.random.default_rng(seed)
    one, two = sample.spectra[rng.permutation(len(sample.spectra))[:2]]
    mean = (1 - share) * one / one.sum() + share * two / two.sum()
    line = sample.signal.inav[:, 0].deepcopy()
    signal = type(line)(rng.poisson(counts * mean).astype(np.uint16))
    signal.metadata.add_dictionary(line.metadata.as_dictionary())
    for name in ("scale", "offset", "units", "name"):
        setattr(signal.axes_manager[-1], name, getattr(line.axes_manager[-1], name))
    return signal


def eels_line(seed, share=LINE, counts=30_000):
    """Core losses of two oxides, of different thickness, as floats of unknown gain."""
    energy, rng = np.arange(400, 1000, 1.0), np.random.default_rng(seed)

    def edge(at, height):
        rise = np.exp(-np.clip(energy - at, 0, None) / 250) / (1 + np.exp((at - energy) / 1.5))
        return height * (rise + 2 * np.exp(-0.5 * ((energy - at - 4) / 3) ** 2))

    one, two = ((energy / 400) ** -3.0 + e for e in (edge(456, 0.18), edge(640, 0.12)))
    mean = (1 - share) * one / one.sum() + share * two / two.sum()
    data = rng.poisson(counts * mean * rng.uniform(0.8, 1.2, (len(share), 1)))
    signal = hs.signals.Signal1D((0.37 * data).astype(np.float32))
    signal.set_signal_type("EELS")
    axis = signal.axes_manager[-1]
    axis.name, axis.units, axis.offset = "Energy loss", "eV", 400.0
    return signal


@pytest.mark.filterwarnings("ignore:Whole numbers are taken as counts")
@pytest.mark.parametrize(("line", "recipe"), [(eds_line, "eds"), (eels_line, "eels-shape")])
@pytest.mark.parametrize("seed", range(3))
def test_a_line_of_two_oxides_and_their_border(line, recipe, seed):
    found = clustem.segment(line(seed), recipe)
    labels = found.labels.data
    assert len(set(labels[:3])) == len(set(labels[4:])) == 1
    assert len({labels[0], labels[3], labels[9]}) == 3
    assert "spectra of 3 groups, 1 of them of a single position, differ" in verdict(found).warranted


@pytest.mark.parametrize("line", [eds_line, eels_line])
def test_a_line_of_one_phase_has_no_groups(line):
    for seed in range(12):
        told = told_apart(spectra(line(seed, np.zeros((6 + 2 * seed, 1)), 100 * 2**seed)))
        assert told is None or told.size == 1


@pytest.mark.filterwarnings("ignore:Whole numbers are taken as counts")
def test_of_a_line_of_noise_what_is_missing_is_said():
    found = clustem.segment(eds_line(0, np.zeros((10, 1)), 800), "eds-fuzzy")
    text = verdict(found).warranted
    assert "spectra of 10 positions do not differ by more than noise" in text
    assert "pca" not in text


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


def test_a_dose_step_is_no_reason_for_two_clusters():
    signal = scenes.eds(np.random.default_rng([5, 1]), "dose step")
    said = verdict(clustem.segment(signal, "eds-fuzzy"))
    assert not said.structure
    assert "are warranted" not in said.warranted
