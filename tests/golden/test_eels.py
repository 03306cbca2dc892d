"""EELS recipes on simulated wedges, films and real files."""

from dataclasses import replace

import hyperspy.api as hs
import numpy as np
import pytest

from clustem import compare, segment
from clustem.core import InputError, ParameterError
from clustem.io.reading import read
from clustem.recipes import Recipe, pooling_check
from clustem.report import intensity_histogram, intensity_map
from clustem.report.page._findings import warnings_of
from clustem.samples.eels import eels

NO_MODEL = {"eels.zero_loss": False}  # takes seconds, and has tests of its own


@pytest.fixture(scope="module")
def wedge():
    return eels(shape=(24, 41), random_state=1)


@pytest.fixture(scope="module")
def found(wedge):
    return segment(wedge.signal, "eels", settings=NO_MODEL)


@pytest.fixture(scope="module")
def film():
    return eels(kind="core", shape=(26, 38), random_state=1)


def test_clusters_follow_the_thickness(wedge, found):
    assert found.scores["optimal"] == 1
    assert found.scores["gap to the optimum at most"] == 0
    assert found.scores["agreement with p = 1"] > 0.98
    assert compare(found, wedge.labels).ari > 0.9  # pooled across the steps
    thickness = [np.median(wedge.thickness[found.labels.data == i]) for i in range(5)]
    assert thickness == sorted(thickness)
    totals = found.centers.data.sum(axis=1)
    assert (np.diff(totals) < 0).all()
    assert list(found.counts) != sorted(found.counts, reverse=True)


def test_without_pooling_terraces_are_found_to_the_pixel(wedge):
    found = segment(wedge.signal, "eels", settings={**NO_MODEL, "prepare.pool": False})
    np.testing.assert_array_equal(found.labels.data, wedge.labels)


def test_centers_and_members_are_aligned_but_not_pooled(wedge, found):
    members = found.members(3)
    assert members.data.shape[0] == found.counts[3]
    assert members.metadata.Signal.signal_type == "EELS"
    peaks = members.valuemax(-1).data
    assert np.abs(peaks).max() < 0.15
    np.testing.assert_allclose(members.data.mean(axis=0), found.centers.data[3], rtol=1e-3, atol=1)
    image = found.spectral_image(3)
    assert image.data.shape == found.source.data.shape
    np.testing.assert_allclose(image.data.sum(axis=(0, 1)), members.data.sum(axis=0), rtol=1e-4)


def test_figures_show_centers_cuts_and_the_intensity(wedge, found):
    histogram = intensity_histogram(found).axes[0]
    centers = found.feature_centers
    assert (np.diff(centers) < 0).all()
    lines = [line.get_xdata() for line in histogram.lines]
    cuts = sorted(x[0] for x in lines if len(x) == 2)
    np.testing.assert_allclose(cuts, np.sort((centers[1:] + centers[:-1]) / 2))
    assert sorted(x[0] for x in lines if len(x) == 1) == sorted(centers)
    drawn = intensity_map(found).axes[0].images[0].get_array()
    assert np.corrcoef(drawn.ravel(), wedge.thickness.ravel())[0, 1] < -0.97
    merged = found.merge([1, 2])
    assert len(intensity_histogram(merged).axes[0].lines) == 3 + 4
    with pytest.raises(InputError, match="intensity must have been clustered"):
        intensity_map(replace(found, feature_names=("PC 1",)))


def test_what_is_uncertain_is_said(found):
    scores = {"gap to the optimum at most": 0.004, "agreement with p = 1": 0.9}
    labels = found.labels.deepcopy()
    labels.data[np.unravel_index(np.flatnonzero(labels.data == 2)[12:], labels.data.shape)] = 1
    said = " ".join(warnings_of(replace(found, scores=scores, labels=labels)))
    assert "by 0.4 % at most" in said
    assert "With p = 1 10.0 % of the positions" in said
    assert "too small to sample spectra from" in said
    assert not [text for text in warnings_of(found) if "p = 1" in text]


def test_the_check_of_pooling_runs_every_window(wedge):
    checked = pooling_check(wedge.signal, "eels", [0.5, 3])
    assert checked.radii.tolist() == [0.5, 1.5, 3]
    assert checked.chosen == 1.5
    assert checked.ari[1] == checked.same[1] == 1
    assert checked.center_shift[1] == 0
    assert 0.8 < checked.ari[2] < 1
    alone = segment(wedge.signal, "eels", settings={**NO_MODEL, "prepare.pool.radius": 3})
    own = segment(wedge.signal, "eels", settings=NO_MODEL)
    assert compare(alone, own).ari == checked.ari[2]
    assert "chosen" in str(checked).splitlines()[2]
    with pytest.raises(ParameterError, match="must pool"):
        pooling_check(wedge.signal, "eels", settings={"prepare.pool": False})


def test_shapes_of_low_losses(wedge):
    found = segment(wedge.signal, "eels-shape", settings={"cluster.n_clusters": 5})
    assert compare(found, wedge.labels).ari > 0.99


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {
            "prepare.remove_background.window": [405, 450],
            "prepare.nonnegative": False,
            "reduce.weights": "none",
        },
    ],
    ids=["total", "net"],
)
def test_shapes_of_core_losses_beside_vacuum(film, settings):
    found = segment(film.signal, "eels-shape", settings={"cluster.n_clusters": 2, **settings})
    vacuum = film.abundance[..., 2] > 0.98
    assert found.mask[vacuum].all()
    assert not found.mask[film.abundance[..., 2] < 0.9].any()
    solid = (film.labels >= 0) & (film.labels < 2)
    assert compare(found.labels.data[solid], film.labels[solid]).ari > 0.96
    assert np.isfinite(found.centers.data).all()
    assert found.centers.data.sum() > 0


def test_recipes_that_fit(wedge, film):
    assert Recipe.fitting(wedge.signal) == ["eels", "eels-shape"]
    assert Recipe.fitting(film.signal) == ["eels-shape"]
    recipe = Recipe.named("eels")
    assert recipe.reaches == 0
    assert Recipe.from_toml(recipe.to_toml()) == recipe


def test_bad_input_is_refused_in_one_line(wedge, film):
    core = film.signal
    with pytest.raises(InputError, match="There must be a zero-loss peak in range"):
        segment(core, "eels")
    with pytest.raises(ParameterError, match=r"at most the number of rows \(1\); got 5"):
        segment(wedge.signal.inav[:1, :1], "eels")
    same = wedge.signal.inav[:3, :2].deepcopy()
    same.data[:] = same.data[0, 0]
    with pytest.raises(ParameterError, match=r"different values \(1\); got 5"):
        segment(same, "eels")
    net = {"cluster.n_clusters": 2, "prepare.remove_background.window": [405, 450]}
    with pytest.raises(InputError, match="Negative net counts must stay"):
        segment(core, "eels-shape", settings=net)
    with pytest.raises(InputError, match="Poisson weights need counts of 0 or more"):
        segment(core, "eels-shape", settings={**net, "prepare.nonnegative": False})


def test_kev_gives_the_same_clusters(wedge, found):
    kilo = wedge.signal.deepcopy()
    axis = kilo.axes_manager.signal_axes[0]
    axis.scale, axis.offset, axis.units = axis.scale / 1000, axis.offset / 1000, "keV"
    other = segment(kilo, "eels", settings=NO_MODEL)
    np.testing.assert_array_equal(other.labels.data, found.labels.data)
    np.testing.assert_allclose(other.points, found.points, rtol=1e-5)


@pytest.mark.data
def test_the_five_regions_of_the_simulated_file(data_dir):
    with np.load(data_dir / "simulated" / "eels_low.npz") as file:
        data, labels, energy = file["data"], file["labels"].astype(int), file["energy_eV"]
    scan = hs.signals.Signal1D(data)
    scan.set_signal_type("EELS")
    axis = scan.axes_manager.signal_axes[0]
    axis.offset, axis.scale, axis.units = energy[0], energy[1] - energy[0], "eV"
    found = segment(scan, "eels-shape", settings={"cluster.n_clusters": 5})
    assert compare(found, labels).ari > 0.95


@pytest.mark.data
def test_the_real_film_lies_between_its_substrates(data_dir):
    path = data_dir / "real" / "DMReader_SpectrumImage_SI-EELS.dm3"
    assert Recipe.fitting(read(path).signal) == ["eels-shape"]
    labels = segment(path, "eels-shape").labels.data
    assert (labels[:17] == 0).all()
    assert (labels[19:27] == 1).all()
    assert (labels[32:] == 0).all()
    sides = segment(path, "eels-shape", settings={"cluster.n_clusters": 3}).labels.data
    assert len({sides[5, 2], sides[23, 2], sides[40, 2]}) == 3
