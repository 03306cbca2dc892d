"""Recipes: TOML in and out, settings, refusals, and the order of steps."""

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem import Recipe
from clustem.core import InputError, ParameterError, UnknownNameError
from clustem.io.toml import from_toml, toml_table


@pytest.mark.parametrize("name", Recipe.names())
def test_toml_round_trip(name):
    recipe = Recipe.named(name)
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_settings_reach_the_step():
    recipe = Recipe.named("eds-fuzzy").with_settings(
        {"cluster.n_clusters": 7, "reduce.pca.n_components": 3, "prepare.rebin.scan": 2}
    )
    assert recipe.steps["cluster", "GustafsonKessel"]["n_clusters"] == 7
    assert recipe.steps["reduce", "pca"]["n_components"] == 3
    assert next(iter(recipe.steps)) == ("prepare", "rebin")


def test_a_step_is_replaced_and_keeps_what_both_take():
    recipe = Recipe.named("eds-fuzzy").with_settings({"cluster": "KMeans", "cluster.n_clusters": 3})
    assert ("cluster", "GustafsonKessel") not in recipe.steps
    found = recipe.steps["cluster", "KMeans"]
    assert found["n_clusters"] == 3
    assert "m" not in found
    patches = Recipe.named("domains").with_settings({"describe.patches.size": 30})
    assert patches.steps["describe", "patches"]["normalize"] == "zscore"
    gabor = patches.with_settings({"describe": "gabor"}).steps["describe", "gabor"]
    assert gabor == {}  # there, normalize is true or false


def test_a_step_is_switched_off_and_on():
    recipe = Recipe.named("eds").with_settings({"reduce.smooth": False})
    assert ("reduce", "smooth") not in recipe.steps
    assert ("reduce", "smooth") in recipe.with_settings({"reduce.smooth": True}).steps


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"clutser.n_clusters": 3}, UnknownNameError, "no stage 'clutser'. Did you mean 'cluster'"),
        ({"cluster.n_cluster": 3}, UnknownNameError, "Did you mean 'n_clusters'"),
        ({"cluster": "KMean"}, UnknownNameError, "Did you mean 'KMeans'"),
        ({"prepare.corp.rows": "1:2"}, UnknownNameError, "Did you mean 'crop'"),
        ({"cluster.n_clusters": 0}, ParameterError, "at least 1; got 0"),
        ({"cluster.n_clusters": "many"}, ParameterError, "an integer of at least 1; got 'many'"),
        ({"cluster.n_clusters": True}, ParameterError, "got True"),
        ({"reduce.random_state": 1, "reduce.nmf": True}, ParameterError, "Say reduce.pca"),
        ({"prepare.tilt": 52}, ParameterError, "Say prepare.pixel_size.tilt"),
        ({"cluster.KMeans": True}, ParameterError, "one cluster step"),
    ],
)
def test_refused_settings(settings, error, message):
    with pytest.raises(error, match=message):
        Recipe.named("eds-fuzzy").with_settings(settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cluster.KMeans]\nn_clusters = 0", "at least 1"),
        ("[cluster.KMeans\n", "must be TOML"),
        ("[clusters.KMeans]", "Did you mean 'cluster'"),
        ("[cluster]\nn_clusters = 3", r"Write \[cluster.STEP\]"),
        ("[recipe]\ntitel = 'x'", "Did you mean 'title'"),
    ],
)
def test_refused_toml(text, message):
    with pytest.raises(InputError, match=message):
        Recipe.from_toml(text)


def test_unknown_recipe_and_missing_file(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'eds'"):
        Recipe.named("edx")
    with pytest.raises(InputError, match="must be readable"):
        Recipe.named(tmp_path / "mine.toml")


def scan():
    rng = np.random.default_rng(0)
    means = np.array([[9.0] * 5 + [1] * 15, [1.0] * 10 + [7] * 10])
    truth = np.arange(12 * 17).reshape(12, 17) % 17 > 8
    return hs.signals.Signal1D(rng.poisson(means[truth.astype(int)])), truth


def test_own_recipe_from_a_file(tmp_path):
    signal, truth = scan()
    path = tmp_path / "own.toml"
    path.write_text("[describe.spectra]\n[cluster.KMeans]\nn_clusters = 2\n[mapping.clusters]\n")
    found = clustem.segment(signal, path)
    assert clustem.compare(found, truth).ari == 1
    assert [step.label.split("(")[0] for step in found.history] == [
        "describe.spectra",
        "cluster.KMeans",
        "mapping.clusters",
    ]


def test_centers_come_from_raw_counts_whatever_was_clustered():
    signal, _ = scan()
    text = "[prepare.normalize]\n[describe.spectra]\n[cluster.KMeans]\nn_clusters = 2\n"
    found = clustem.segment(signal, Recipe.from_toml(text + "[mapping.clusters]"))
    members = signal.data[found.labels.data == 0]
    np.testing.assert_allclose(found.centers.data[0], members.mean(axis=0), rtol=1e-6)


def test_crop_moves_the_raw_signal_too():
    signal, _ = scan()
    found = clustem.segment(
        signal,
        Recipe.from_toml("[describe.spectra]\n[cluster.KMeans]\nn_clusters=2\n[mapping.clusters]"),
        settings={"prepare.crop.rows": "2:7"},
    )
    assert found.labels.data.shape == (5, 17)
    assert found.members(0).data.shape[1:] == (20,)


def test_what_moves_pixels_goes_before_masks_and_values():
    text = "[prepare.normalize]\n[prepare.vacuum]\n[prepare.rebin]\nscan=2\n[prepare.pool]\n"
    names = [step for _, step in Recipe.from_toml(text).steps]
    assert names == ["rebin", "normalize", "vacuum", "pool"]
    added = Recipe.from_toml(text).with_settings({"prepare.crop.rows": "2:7"})
    assert [step for _, step in added.steps][:2] == ["rebin", "crop"]


def test_none_can_be_said_in_a_recipe():
    recipe = Recipe.named("diffraction").with_settings({"describe.patterns.normalize": "none"})
    assert recipe.steps["describe", "patterns"]["normalize"] is None


def test_the_recipes_that_fit():
    assert Recipe.fitting(scan()[0]) == []
    eds = scan()[0]
    eds.set_signal_type("EDS_TEM")
    assert Recipe.fitting(eds) == ["eds", "eds-fuzzy"]
    assert Recipe.fitting(hs.signals.Signal2D(np.ones((3, 4, 5, 6)))) == ["diffraction"]
    image = hs.signals.Signal2D(np.ones((5, 6)))
    learned = {"domains-vae", "particles-vae"}
    assert set(Recipe.fitting(image)) == {"domains", "particles", "texture", *learned}


def test_a_recipe_without_an_end_is_refused():
    signal, _ = scan()
    with pytest.raises(InputError, match="must end in a mapping step"):
        clustem.segment(signal, Recipe.from_toml("[describe.spectra]"))
    with pytest.raises(InputError, match="must describe before"):
        clustem.segment(signal, Recipe.from_toml("[cluster.KMeans]\n[mapping.clusters]"))


def test_the_input_stays():
    signal, _ = scan()
    signal.set_signal_type("EDS_SEM")
    before, axes = signal.data.copy(), signal.axes_manager.as_dictionary()
    clustem.segment(signal, "eds", settings={"cluster.n_clusters": 2})
    np.testing.assert_array_equal(signal.data, before)
    assert signal.axes_manager.as_dictionary() == axes


def test_a_sweep_gives_what_single_runs_give():
    signal, _ = scan()
    signal.set_signal_type("EDS_SEM")
    found = clustem.sweep(signal, "eds", [3, 2])
    assert list(found) == [2, 3]
    for k, result in found.items():
        alone = clustem.segment(signal, "eds", settings={"cluster.n_clusters": k})
        np.testing.assert_array_equal(result.labels.data, alone.labels.data)
        steps = [step.label for step in result.history if step.name != "recolor"]
        assert steps == [step.label for step in alone.history]
        assert result.recipe_text.partition("\n[[edit]]")[0] == alone.recipe_text
    with pytest.raises(ParameterError, match="needs a k"):
        clustem.sweep(signal, "eds", [])


def test_a_k_means_sweep_shares_one_sketch():
    signal, truth = scan()
    text = "[describe.spectra]\n[cluster.KMeans]\nn_clusters = 2\n[mapping.clusters]\n"
    found = clustem.sweep(signal, Recipe.from_toml(text), [2, 4])
    assert clustem.compare(found[2], truth).ari == 1
    assert found[4].scores["inertia"] < found[2].scores["inertia"]


def test_a_bare_name_is_enough_where_one_step_has_it():
    eds = Recipe.named("eds-fuzzy")
    assert eds.with_settings({"m": 2}).steps["cluster", "GustafsonKessel"]["m"] == 2
    assert eds.with_settings({"n_clusters": 3}) == eds.with_settings({"cluster.n_clusters": 3})
    swapped = eds.with_settings({"cluster": "KMeans", "n_clusters": 3})
    assert [step for step in swapped.steps if step[0] == "cluster"] == [("cluster", "KMeans")]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("n_cluster", r"Did you mean cluster\.n_clusters\?"),
        ("clustr", r"Did you mean cluster\?"),
        ("random_state", r"Did you mean reduce\.pca\.random_state or cluster\..*random_state\?"),
        ("zzzz", "clustem recipes NAME --parameters"),
    ],
)
def test_a_bare_name_that_is_unknown_or_ambiguous_is_refused(name, words):
    with pytest.raises(ParameterError, match=words):
        Recipe.named("eds-fuzzy").with_settings({name: 1})


def test_any_letter_comes_back_from_toml_as_it_is():
    texts = {"units": "Å⁻¹", "name": "phase 𝛼", "path": 'C:\\x "y"'}
    text = toml_table("about", {**texts, "nothing": None})
    assert "Å⁻¹" in text
    assert from_toml(text, "recipe.toml") == {"about": texts}


def test_text_of_the_largest_size_is_read_and_a_longer_one_is_not(monkeypatch):
    text = "x = 1"
    monkeypatch.setattr("clustem.io.toml._LONGEST", len(text))
    assert from_toml(text, "recipe.toml") == {"x": 1}
    with pytest.raises(InputError, match="must be TOML; got 0 MB of text"):
        from_toml(f"{text}0", "recipe.toml")
