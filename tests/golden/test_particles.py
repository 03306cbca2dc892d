"""The particles recipe on simulated images whose truth comes from the atoms."""

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import clustem
from clustem import samples
from clustem.mapping import orientations


@pytest.mark.parametrize(
    ("contrast", "accuracy", "f1", "angle", "dose"),
    [("haadf", 0.98, 0.97, 31.0, 150.0), ("bf", 0.97, 0.95, 57.0, 300.0)],
)
def test_a_decahedron_beats_the_published_figures(contrast, accuracy, f1, angle, dose):
    sample = samples.particles(contrast=contrast, angle=angle, dose=dose, random_state=5)
    found = clustem.segment(sample.signal, "particles")
    score = clustem.compare(found, sample.labels)
    assert score.accuracy > accuracy
    assert score.macro_f1 > f1
    assert score.matching[0] == 0
    turned = orientations(found)
    assert turned.background.tolist() == [True] + [False] * 5
    assert len(turned.twins) == 5
    np.testing.assert_allclose(list(turned.twins.values()), 72, atol=2)
    assert max(f.spacing for f in turned.fringes[1]) == pytest.approx(0.2354, rel=0.04)


@pytest.mark.parametrize(("contrast", "angle", "seed"), [("haadf", 31.0, 5), ("bf", 57.0, 5)])
def test_facets_stay_as_k_grows(contrast, angle, seed):
    sample = samples.particles(contrast=contrast, angle=angle, dose=200.0, random_state=seed)
    few, many = (
        clustem.segment(sample.signal, "particles", settings={"cluster.n_clusters": k})
        for k in (6, 16)
    )
    facets = sample.labels > 0
    assert adjusted_rand_score(few.labels.data[facets], many.labels.data[facets]) > 0.95
    assert many.n_clusters == 6
    assert many.scores["clusters asked for"] == 16


def test_more_clusters_than_lattices_give_a_facet_each():
    sample = samples.particles(kind="several", angle=17.0, dose=300.0, random_state=2)
    settings = {"cluster.n_clusters": 12, "cluster.n_init": 3}
    found = clustem.segment(sample.signal, "particles", settings=settings)
    score = clustem.compare(found, sample.labels)
    assert found.n_clusters == sample.n_clusters == 8
    assert score.macro_f1 > 0.96
    keep_all = {"mapping.alike": 1.0, "mapping.width": 0.0}
    apart = clustem.segment(sample.signal, "particles", settings={**settings, **keep_all})
    assert apart.n_clusters > 8


@pytest.mark.data
@pytest.mark.parametrize("name", ["deca_hrtem", "deca_linear"])
def test_small_decahedra(data_dir, name):
    file = np.load(data_dir / "simulated" / f"{name}.npz")
    found = clustem.segment(hs.signals.Signal2D(file["image"]), "particles")
    truth = file["labels"].astype(int)
    assert clustem.compare(found, truth).accuracy > 0.97
    inside = np.where(truth > 0, truth, -1)
    assert clustem.compare(found, inside).accuracy > 0.97


@pytest.mark.data
@pytest.mark.parametrize(("name", "least"), [("deca_hrtem", 0.97), ("deca_linear", 0.99)])
def test_small_decahedra_have_five_facets_when_k_is_not_given(data_dir, name, least):
    file = np.load(data_dir / "simulated" / f"{name}.npz")
    found = clustem.segment(hs.signals.Signal2D(file["image"]), "particles")
    assert found.n_clusters == 6
    assert list(found.names.values()).count("background") == 1
    assert clustem.compare(found, file["labels"].astype(int)).ari >= least


@pytest.mark.parametrize(
    ("contrast", "dose", "carbon", "least"),
    [("bf", 300, 2, 0.985), ("haadf", 300, 2, 0.985), ("bf", 80, 5, 0.94), ("bf", 1000, 8, 0.94)],
)
def test_five_facets_and_a_background_when_k_is_not_given(contrast, dose, carbon, least):
    given = {"contrast": contrast, "dose": dose, "carbon": carbon, "diameter": 12.0}
    sample = samples.particles(**given, angle=10.0, random_state=3)
    found = clustem.segment(sample.signal, "particles")
    assert found.n_clusters == 6
    assert list(found.names.values()).count("background") == 1
    assert clustem.compare(found, sample.labels).ari >= least


def test_the_outline_is_sharper_than_the_filters():
    sample = samples.particles(angle=31.0, dose=150.0, random_state=5)
    settings = {"cluster.n_clusters": 6}
    sharp = clustem.segment(sample.signal, "particles", settings=settings)
    settings["mapping.outline"] = False
    blurred = clustem.segment(sample.signal, "particles", settings=settings)
    wrong = [np.sum((r.labels.data > 0) != (sample.labels > 0)) for r in (sharp, blurred)]
    assert wrong[0] < 0.75 * wrong[1]


@pytest.mark.data
def test_two_grains_of_graphene(data_dir):
    file = np.load(data_dir / "simulated" / "img_graphene.npz")
    signal = hs.signals.Signal2D(file["image"])
    found = clustem.segment(signal, "particles", settings={"cluster.n_clusters": 2})
    assert clustem.compare(found, file["labels"].astype(int)).ari > 0.985
