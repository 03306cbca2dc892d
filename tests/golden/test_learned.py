"""Recipes with learned descriptors, on simulated images with known truth."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score

import clustem
from clustem import samples
from clustem.core import PatchGrid, VAEInfo
from clustem.judge.compare import compare
from clustem.recipes.apply import apply
from clustem.recipes.views import views
from clustem.report.page.save_result import save_sweep

pytest.importorskip("torch", reason="needs PyTorch: pip install 'clustem[torch]'")


@pytest.fixture(scope="module")
def film():
    sample = samples.domains(shape=(320, 380), random_state=3)
    return sample, clustem.segment(sample.signal, "domains-vae", settings={"reduce.max_steps": 200})


@pytest.fixture(scope="module")
def grains():
    """Two grains of one hexagonal lattice, turned by 17° against each other."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices((168, 200)).astype(float)
    labels = (columns > 100 + 8 * np.sin(rows / 30)).astype(int)
    image = np.zeros(labels.shape)
    for grain, turn in enumerate(np.radians([4.0, 21.0])):
        waves = [turn + i * np.pi / 3 for i in range(3)]
        along = [np.cos(w) * columns + np.sin(w) * rows for w in waves]
        drawn = sum(np.cos(2 * np.pi * a / 9.0) for a in along)
        image += np.where(labels == grain, drawn, 0)
    image += rng.normal(0, 0.7, image.shape)
    import hyperspy.api as hs

    settings = {"describe.step": 6, "describe.size": 28, "reduce.max_steps": 100}
    signal = hs.signals.Signal2D(image.astype(np.float32))
    return labels, clustem.segment(signal, "particles-vae", settings=settings)


def test_domains_are_found_as_well_as_with_principal_components(film):
    sample, found = film
    plain = clustem.segment(sample.signal, "domains")
    learned, linear = (clustem.compare(one, sample.truth_for(one)).ari for one in (found, plain))
    assert learned > 0.93
    assert learned > linear - 0.02


def test_one_motif_at_two_angles_is_one_cluster(grains):
    labels, found = grains
    about = found.find(VAEInfo)
    places = found.find(PatchGrid).positions.round().astype(int)
    truth = labels[tuple(places.T)].reshape(about.angle.shape)
    inside = np.ones(labels.shape, dtype=bool)  # far from the border
    border = np.abs(np.diff(labels, axis=1)).nonzero()
    for row, column in zip(*border, strict=True):
        inside[row, max(column - 18, 0) : column + 18] = False
    far = inside[tuple(places.T)].reshape(truth.shape)
    assert (about.fold[far] == 6).mean() > 0.95
    clusters = found.labels.data[far]
    assert adjusted_rand_score(truth[far], clusters) < 0.1  # no cluster is a grain
    turn = np.exp(6j * np.radians(about.angle))
    means = [turn[far & (truth == grain)].mean() for grain in (0, 1)]
    assert min(map(abs, means)) > 0.97
    between = np.degrees(np.angle(means[1] / means[0])) / 6
    assert between == pytest.approx(17.0, abs=1.0)


def test_a_saved_result_finds_the_same_on_other_images(film, tmp_path):
    sample, found = film
    folder = found.save(tmp_path / "result")
    again = clustem.load(folder)
    same = apply(again, sample.signal, novelty=None)
    np.testing.assert_array_equal(same.labels.data, found.labels.data)
    other = samples.domains(shape=(240, 280), random_state=8)
    there = apply(again, other.signal, novelty=None)
    assert clustem.compare(there, other.truth_for(there)).ari > 0.8


def test_the_report_shows_what_was_learned(grains, tmp_path):
    _, found = grains
    folder = found.save(tmp_path / "result")
    names = {file.stem for file in (folder / "figures").iterdir()}
    assert {"manifold", "reconstructions", "angles", "widths"} <= names
    again = clustem.load(folder).find(VAEInfo)
    np.testing.assert_array_equal(again.angle, found.find(VAEInfo).angle)
    np.testing.assert_array_equal(again.weights, found.find(VAEInfo).weights)


def test_all_dimensions_components_and_learned_side_by_side(film):
    sample, found = film
    seen = views(
        sample.signal,
        "domains-vae",
        settings={
            "cluster.covariance_type": "spherical",
            "cluster.n_init": 1,
            "cluster.n_clusters": 5,
            "reduce.max_steps": 20,
        },
    )
    assert seen.plane.points.shape[1] == 2
    assert seen.learned.points.shape[1] == found.points.shape[1] > 2
    assert set(seen.agreement) == {("full", "plane"), ("full", "learned"), ("plane", "learned")}
    assert all(0 < one.ari <= 1 for one in seen.agreement.values())
    assert len(seen.plot().axes) == 3


def test_a_sweep_says_what_is_found_without_learning(tmp_path):
    sample = samples.domains(shape=(160, 200))
    settings = {
        "describe.size": 16,
        "cluster.covariance_type": "spherical",
        "cluster.n_init": 1,
        "reduce.max_steps": 20,
    }
    found = clustem.sweep(sample.signal, "domains-vae", [4, 5], settings=settings)
    assert set(found.others) == {"full", "plane"}
    assert found.others["plane"][5].points.shape[1] == 2
    assert found.others["full"].choice.ks == found.choice.ks == (4, 5)
    folder = save_sweep(found, tmp_path / "sweep", force=False)
    table = pd.read_csv(folder / "sweep.csv", index_col="k")
    for name, agreed in found.agreement().items():
        for k, each in agreed.items():
            again = compare(found[k].labels.data, found.others[name][k].labels.data)
            assert each.ari == pytest.approx(again.ari)
            assert table.loc[k, f"ARI {name}"] == pytest.approx(again.ari)
    reduced = {name: settings[name] for name in settings if name != "reduce.max_steps"}
    assert not clustem.sweep(sample.signal, "domains", [4], choose=False, settings=reduced).others
