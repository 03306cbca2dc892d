"""Parts of the recipe texture: levels and support, particles cut apart, sizes."""

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.cluster import KMeans
from clustem.core import Clustering, InputError, Masks, ParameterError, ParticleMap
from clustem.describe import _bands, spectra, texture
from clustem.describe._levels import separation
from clustem.describe._surface import uneven_support
from clustem.judge import regions
from clustem.labelmaps.apart import apart
from clustem.labelmaps.regions import outlines
from clustem.mapping import particles
from clustem.samples import support

SHAPE = (120, 150)
ROW, COLUMN = np.indices(SHAPE).astype(float)


def disk(row, column, radius):
    return np.hypot(ROW - row, COLUMN - column) < radius


def clustered(features, k=2):
    return Clustering.from_estimator(KMeans(k).fit(features.rows), features)


@pytest.mark.parametrize("scale", [1, 3])
@pytest.mark.parametrize("share", [0.85, 0.95])
def test_disks_that_touch_are_cut_and_each_keeps_its_size(scale, share):
    radius = 8.0 * scale
    first, gap = 5 + radius, 2 * radius * share
    mask = np.zeros((int(2 * first), int(10 + 2 * gap + 2 * radius)), dtype=bool)
    row, column = np.indices(mask.shape)
    for i in range(3):
        mask |= np.hypot(row - first, column - first - i * gap) < radius
    found = apart(mask)
    assert found.max() == 3
    np.testing.assert_array_equal(found > 0, mask)
    sizes = np.bincount(found.ravel())[1:]
    np.testing.assert_allclose(sizes, mask.sum() / 3, rtol=0.08)
    assert apart(mask, neck=0).max() == 1


def test_what_is_one_particle_stays_one():
    rng = np.random.default_rng(0)
    bar = (np.abs(ROW - 60) < 8) & (np.abs(COLUMN - 70) < 50)
    oval = ((ROW - 60) / 20) ** 2 + ((COLUMN - 70) / 45) ** 2 < 1
    angle = np.arctan2(ROW - 60, COLUMN - 70)
    rough = np.hypot(ROW - 60, COLUMN - 70) < 30 + 2 * np.sin(9 * angle) + rng.normal(0, 0.5, SHAPE)
    for mask in (bar, oval, rough, disk(0, 0, 30), np.ones(SHAPE, dtype=bool)):
        assert apart(mask)[mask].max() - (apart(mask) > 0).min() <= 1 or mask is rough
    sizes = np.bincount(apart(rough).ravel())[1:]
    assert sizes.max() > 0.97 * rough.sum()
    assert apart(np.zeros(SHAPE, dtype=bool)).max() == 0


@pytest.mark.parametrize("radius", [10, 40])
def test_outline_and_circularity_of_a_disk(radius):
    mask = disk(60, 70, radius)
    (outside, length) = outlines(mask.astype(int), (1.0, 1.0))
    assert length == pytest.approx(2 * np.pi * radius, rel=0.02)
    assert outside == pytest.approx(length + 2 * sum(SHAPE), rel=0.06)
    assert outlines(mask.astype(int), (0.5, 0.5))[1] == pytest.approx(length / 2)
    by_cluster = {region.cluster: region for region in regions(mask.astype(int)).regions}
    assert by_cluster[1].circularity > 0.95


def test_circularity_of_a_bar_is_that_of_the_rectangle():
    mask = (np.abs(ROW - 60) < 6) & (np.abs(COLUMN - 70) < 48)
    expected = 4 * np.pi * mask.sum() / (2 * (11 + 95)) ** 2
    found = next(region for region in regions(mask.astype(int)).regions if region.cluster == 1)
    assert found.circularity == pytest.approx(expected, rel=0.15)  # lines along the axes: 6 %


def test_levels_of_brightness():
    rng = np.random.default_rng(0)
    normal, uniform = rng.normal(size=20000), rng.uniform(size=20000)
    assert separation(normal, 2) == pytest.approx(2 * 0.798 / 0.603, rel=0.03)  # halves of a normal
    assert separation(uniform, 2) == pytest.approx(12**0.5, rel=0.03)
    for n in (2, 3, 4):
        levels = rng.integers(0, n, 5000) + rng.normal(0, 0.1, 5000)
        assert separation(levels, n) == pytest.approx(10, rel=0.05)
        assert separation(normal, n) < 3.6
    assert separation(np.ones(50), 2) == 0


def test_the_support_is_found_under_particles_and_levels_are_left_alone():
    rng = np.random.default_rng(1)
    ramp = 3 * COLUMN / SHAPE[1] + np.cos(ROW / 40)
    dots = sum(disk(*rng.uniform(0, 1, 2) * SHAPE, 8) for _ in range(12)) > 0
    rows, columns = uneven_support(ramp + 1.5 * dots + rng.normal(0, 0.3, SHAPE))
    found = rows @ columns
    assert abs(found.mean()) < 1e-12
    assert np.abs(found - (ramp - ramp.mean())).mean() < 0.1
    assert uneven_support(dots + rng.normal(0, 0.3, SHAPE)) is None
    halves = np.where(COLUMN - 9 * np.sin(ROW / 20) > 70, 1.0, 0.0)
    assert uneven_support(halves + rng.normal(0, 0.3, SHAPE)) is None
    thirds = np.digitize(COLUMN, (50, 100)).astype(float)
    assert uneven_support(thirds + rng.normal(0, 0.3, SHAPE)) is None


def test_brightness_alone_where_it_suffices_and_texture_where_not():
    rng = np.random.default_rng(2)
    bright = hs.signals.Signal2D(rng.poisson(20 + 20 * disk(60, 70, 30)))
    assert texture(bright).names == ("intensity",)
    assert len(texture(bright, features="all").names) == 13
    from scipy.ndimage import gaussian_filter

    fine, coarse = (gaussian_filter(rng.normal(size=SHAPE), s) for s in (1.2, 3.5))
    grains = np.where(COLUMN > 75, fine / fine.std(), coarse / coarse.std())
    rough = hs.signals.Signal2D(grains + rng.normal(0, 0.2, SHAPE))
    assert len(texture(rough).names) == 13
    found = clustered(texture(rough)).labels.reshape(SHAPE)
    right = (found == (COLUMN > 75)).mean()
    assert max(right, 1 - right) > 0.9
    alone = clustered(texture(rough, features="intensity")).labels.reshape(SHAPE)
    assert abs((alone == (COLUMN > 75)).mean() - 0.5) < 0.1


def test_colors_that_differ_are_features_of_their_own():
    rng = np.random.default_rng(3)
    there = disk(60, 70, 30)
    colors = np.stack([100 + 60 * there, 160 - 60 * there, np.full(SHAPE, 90)], axis=-1)
    colors = (colors + rng.normal(0, 8, colors.shape)).clip(0, 255).astype(np.uint8)
    signal = hs.signals.Signal1D(colors)
    signal.change_dtype("rgb8")
    features = texture(signal)
    assert features.names == ("red", "green", "blue")
    labels = clustered(features).labels.reshape(SHAPE)
    assert (labels == there).mean() > 0.99


def test_excluded_pixels_have_no_rows_and_the_input_stays():
    sample = support(shape=SHAPE, n_particles=5, diameter=8.0)
    before = sample.signal.data.copy()
    mask = ROW < 20
    features = texture(sample.signal, masks=Masks(scan=mask))
    np.testing.assert_array_equal(sample.signal.data, before)
    whole = texture(sample.signal)
    np.testing.assert_array_equal(features.rows, whole.rows[~mask.ravel()])
    found = particles(clustered(features))
    assert (found.labels.data[mask] == -1).all()
    assert (found.find(ParticleMap).particles[mask] == 0).all()


def test_a_brighter_image_of_the_same_things_has_the_same_features():
    sample = support(shape=SHAPE, n_particles=5, diameter=8.0)
    brighter = sample.signal.deepcopy()
    brighter.data = brighter.data * 7.0 + 300
    np.testing.assert_allclose(
        np.diff(texture(brighter).rows, axis=0),
        np.diff(texture(sample.signal).rows, axis=0),
        atol=1e-2,
    )


def test_particles_are_the_regions_until_an_edit_takes_them_away():
    sample = support(shape=(200, 240), n_particles=12, diameter=12.0, snr=10.0, touching=0.8)
    found = particles(clustered(texture(sample.signal)))
    assert found.names == {0: "background", 1: "particles"}
    measured = regions(found).of(1)
    assert len(measured) == found.find(ParticleMap).particles.max() == 12
    sizes = sorted(region.diameter for region in measured)
    np.testing.assert_allclose(sizes, np.sort(sample.diameters), rtol=0.06)
    assert len(regions(found.labels).of(1)) < 12  # labels alone do not know
    assert len(regions(found.merge([0, 1])).regions) == 1


def test_wrong_use_is_refused():
    image = hs.signals.Signal2D(np.arange(4096.0).reshape(64, 64))
    with pytest.raises(ParameterError, match="sigma_max"):
        texture(image, sigma_min=4, sigma_max=2)
    lines = spectra(hs.signals.Signal1D(np.random.default_rng(0).normal(size=(30, 8))))
    with pytest.raises(InputError, match="image"):
        particles(clustered(lines))
    with pytest.raises(InputError, match="fit into"):
        support(shape=(64, 64), n_particles=40)


@pytest.mark.parametrize("shape", [(2, 2), (3, 9), (5, 4)])
def test_images_of_a_few_pixels_are_refused_or_work(shape):
    """Fuzzing found such files: medians of no pixels."""
    image = hs.signals.Signal2D(np.random.default_rng(0).random(shape))
    if min(shape) < 4:
        with pytest.raises(InputError, match="at least 4 × 4 pixels"):
            texture(image)
    else:
        assert np.isfinite(texture(image).rows).all()


@pytest.mark.parametrize("uneven", [0.0, 2.0])
def test_an_image_in_bands_has_the_features_of_the_whole(uneven, monkeypatch):
    given = {"shape": (260, 150), "n_particles": 9, "diameter": 12.0, "uneven": uneven}
    signal = support(**given, snr=4.0).signal
    whole = {name: texture(signal, features=name, sigma_max=4.0) for name in ("intensity", "all")}
    monkeypatch.setattr(_bands, "PIXELS", 150 * 40)  # noise and levels are those of all lines
    monkeypatch.setattr(_bands, "_SAMPLES", 10**6)
    for name, features in whole.items():
        found = texture(signal, features=name, sigma_max=4.0)
        rows, wanted = np.asarray(found.rows), np.asarray(features.rows)
        # total variation ends by a change of all values together: bands end a step or two apart
        off = np.abs(rows[:, 0] - wanted[:, 0]) / wanted[:, 0].std()
        assert off.mean() < 0.01
        assert off.max() < 0.1
        np.testing.assert_allclose(rows[:, 1:], wanted[:, 1:], rtol=1e-4, atol=1e-5)


def test_noise_and_scatter_of_a_large_image_come_from_some_of_its_lines(monkeypatch):
    image = np.random.default_rng(4).normal(7.0, 3.0, (900, 64))
    bands = _bands.Bands(image)
    assert _bands.deviation(band.values for band in bands) == pytest.approx(image.std(), rel=1e-12)
    monkeypatch.setattr(_bands, "PIXELS", 64 * 160)
    assert _bands.deviation(band.values for band in bands) == pytest.approx(image.std(), rel=1e-12)
    some = bands.some()
    assert [len(part) for part in some] == [10] * 16
    np.testing.assert_array_equal(some[-1], image[-10:])
    np.testing.assert_array_equal(
        np.concatenate([b.values[b.inside] for b in bands.around(3)]), image
    )
