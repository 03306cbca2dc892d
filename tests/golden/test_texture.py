"""The recipe texture on simulated particles, and recipes that do not fit an image."""

import csv

import hyperspy.api as hs
import imageio.v3 as iio
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from skimage.filters import threshold_otsu
from typer.testing import CliRunner

import clustem
from clustem import samples
from clustem.cli import app
from clustem.cluster import KMeans
from clustem.core import ParameterError, ParticleMap
from clustem.describe import texture
from clustem.judge import choose_k

CASES = [
    # particles, signal to noise, unevenness of the support, contrast, seed
    (5, 1.0, 0.5, "bright", 1), (80, 1.0, 0.0, "bright", 3), (60, 2.0, 1.0, "dark", 4),
    (20, 4.0, 2.0, "bright", 5), (40, 10.0, 0.0, "dark", 8),
]  # fmt: skip


def overlap(one, other):
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize(("n", "snr", "uneven", "contrast", "seed"), CASES)
def test_particles_are_found_where_otsu_fails_and_where_it_does_not(n, snr, uneven, contrast, seed):
    given = {"n_particles": n, "snr": snr, "uneven": uneven, "contrast": contrast}
    shape = (480, 512) if n > 40 else (320, 448)
    sample = samples.support(**given, shape=shape, touching=0.5, random_state=seed)
    found = clustem.segment(sample.signal, "texture")
    image, truth = sample.signal.data, sample.labels > 0
    dark = image < threshold_otsu(image)
    share = overlap(found.labels.data == 1, truth)
    assert share >= 0.9
    assert share >= overlap(dark if contrast == "dark" else ~dark, truth)
    assert abs(found.find(ParticleMap).particles.max() - n) <= 0.1 * n


def test_the_report_lists_and_draws_the_particles(tmp_path):
    sample = samples.support(shape=(160, 200), n_particles=8, diameter=12.0)
    found = clustem.segment(sample.signal, "texture")
    folder = found.save(tmp_path / "result")
    assert (folder / "figures" / "particles.png").is_file()
    with (folder / "regions.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["name"] == "particles"]
    assert len(lines) == 8
    assert all(0.7 < float(line["circularity"]) <= 1 for line in lines)
    sizes = sorted(float(line["diameter (nm)"]) for line in lines)
    np.testing.assert_allclose(sizes, np.sort(sample.diameters), rtol=0.1)
    again = clustem.load(folder)
    np.testing.assert_array_equal(
        again.find(ParticleMap).particles, found.find(ParticleMap).particles
    )


@pytest.mark.parametrize("recipe", ["domains", "particles"])
def test_a_recipe_for_lattices_is_refused_without_one(recipe):
    signal = samples.support(shape=(160, 200), n_particles=8, diameter=12.0).signal
    with pytest.raises(ParameterError, match=r"no lattice.*Use texture"):
        clustem.segment(signal, recipe)


def test_fringes_are_for_particles_only():
    row, column = np.indices((160, 200))
    image = np.random.default_rng(0).poisson(20 + 6 * np.sin(column * 0.9 + row * 0.5))
    signal = hs.signals.Signal2D(image)
    with pytest.raises(ParameterError, match=r"atom columns; got fringes at 6\.1.*Use particles"):
        clustem.segment(signal, "domains")
    assert clustem.segment(signal, "particles", n_clusters=2).n_clusters >= 1
    given = {"describe.spacing": 6.0, "describe.size": 12}
    assert clustem.segment(signal, "domains", n_clusters=2, settings=given).n_clusters == 2


def test_the_command_line_names_the_recipe_and_runs_others_anyway(tmp_path):
    plain, lattice = tmp_path / "plain.hspy", tmp_path / "lattice.hspy"
    signal = samples.support(shape=(160, 200), n_particles=8, diameter=12.0).signal
    signal.save(plain)
    samples.domains(shape=(160, 200)).signal.save(lattice)
    runner = CliRunner()
    told = runner.invoke(app, ["info", str(plain)]).output
    assert "image: no lattice" in told
    assert told.splitlines()[-1] == "recipe: texture"
    told = runner.invoke(app, ["info", str(lattice)]).output
    assert "image: columns at 0.28" in told
    assert told.splitlines()[-1] == "recipe: domains, particles"
    command = ["run", str(plain), "-r", "particles", "-k", "2", "-o", str(tmp_path / "result")]
    refused = runner.invoke(app, command)
    assert isinstance(refused.exception, ParameterError)
    assert "--anyway" in str(refused.exception)
    assert runner.invoke(app, [*command, "--anyway"]).exit_code in (0, 1)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_color_images_of_common_formats_are_segmented(tmp_path, suffix):
    row, column = np.indices((90, 120))
    there = np.hypot(row - 40, column - 70) < 22
    colors = np.stack([90 + 60 * there, 150 - 50 * there, np.full(there.shape, 100)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 10, colors.shape)
    colors = (colors + noise).clip(0, 255).astype(np.uint8)
    path = tmp_path / f"colors{suffix}"
    if suffix == ".npy":
        np.save(path, colors)
    else:
        iio.imwrite(path, colors)
    found = clustem.segment(path, "texture", n_clusters=2)
    assert overlap(found.labels.data == 1, there) > 0.98
    command = ["run", str(path), "-r", "texture", "-k", "2", "-o", str(tmp_path / "result")]
    if suffix == ".tif":  # reading is the same
        assert CliRunner().invoke(app, command).exit_code == 0
        again = clustem.load(tmp_path / "result")
        np.testing.assert_array_equal(again.labels.data, found.labels.data)


def test_sweeps_and_movies_ask_first_too():
    plain = samples.support(shape=(160, 200), n_particles=8, diameter=12.0).signal
    with pytest.raises(ParameterError, match="shows lattice fringes"):
        clustem.sweep(plain, "particles", [2, 3])
    stack = hs.signals.Signal2D(np.stack([plain.data, plain.data[::-1]]))
    with pytest.raises(ParameterError, match="shows lattice fringes"):
        clustem.segment_movie(stack, n_clusters=2)


def test_two_textures_are_told_from_noise():
    rng = np.random.default_rng(7)
    noise, fine, coarse = (
        gaussian_filter(rng.normal(size=(240, 260)), sigma) for sigma in (0.5, 1.0, 3.0)
    )
    two = np.where(np.arange(260) < 120, fine / fine.std(), coarse / coarse.std())
    for image, k in ((noise / noise.std(), 1), (two, 2)):
        signal = hs.signals.Signal2D(100 + 10 * image + rng.normal(size=image.shape))
        found = choose_k(texture(signal), KMeans, range(1, 5), scored="chosen", repeats=1)
        assert found.k == k
        assert k > 1 or found.confidence != "high"
