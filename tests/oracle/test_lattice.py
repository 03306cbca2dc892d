"""Whether images of known kind show a lattice."""

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from clustem import samples
from clustem.core import InputError
from clustem.judge import lattice

SHAPE = (264, 320)
ROW, COLUMN = np.indices(SHAPE).astype(float)
PARTICLES = [
    ("decahedron", "haadf", 400, 2), ("decahedron", "bf", 300, 2), ("decahedron", "haadf", 15, 3),
    ("decahedron", "bf", 80, 5), ("icosahedron", "haadf", 200, 2), ("icosahedron", "bf", 300, 3),
    ("crystal", "haadf", 60, 2), ("crystal", "bf", 200, 4), ("several", "haadf", 300, 2),
    ("several", "bf", 300, 2),
]  # fmt: skip


def waves(period, *angles, row=ROW, column=COLUMN):
    turned = (column * np.cos(np.radians(a)) + row * np.sin(np.radians(a)) for a in angles)
    return sum(np.cos(2 * np.pi * t / period) for t in turned)


def disks(rng, n, smallest, largest):
    out = np.zeros(SHAPE)
    for _ in range(n):
        middle = rng.uniform(0, 1, 2) * SHAPE
        radius = rng.uniform(smallest, largest)
        out[np.hypot(ROW - middle[0], COLUMN - middle[1]) < radius] = 1
    return out


def cells(rng, n):
    points = rng.uniform(0, 1, (n, 2)) * SHAPE
    far = [np.hypot(ROW - row, COLUMN - column) for row, column in points]
    return np.argmin(far, axis=0)


def with_a_lattice():
    """Twenty images: what they show, and the image."""
    rng = np.random.default_rng(8)
    for i, (kind, contrast, dose, carbon) in enumerate(PARTICLES):
        given = {"kind": kind, "contrast": contrast, "dose": dose, "carbon": carbon}
        sample = samples.particles(**given, angle=11.0 * i + 5, random_state=i + 40)
        yield "columns", sample.signal.data
    small = {"kind": "crystal", "diameter": 4.5, "shape": (260, 330), "random_state": 7}
    yield "columns", samples.particles(**small, dose=80, angle=19).signal.data
    for dose in (120, 8):
        sample = samples.domains(shape=(300, 400), dose=dose, random_state=dose)
        yield "columns", sample.signal.data
    yield "columns", samples.domains(shape=(150, 180), dose=30, random_state=9).signal.data
    drift = 40 * gaussian_filter(rng.normal(size=SHAPE), (25, 400))
    bent = waves(5.3, 7, 67, 127, column=COLUMN + drift)
    yield "columns", rng.poisson((6 + 1.8 * bent).clip(0))
    turn = rng.uniform(0, 180, 12)[cells(rng, 12)]
    yield "columns", rng.poisson((15 + 3 * waves(6.0, turn, turn + 90)).clip(0))
    yield "fringes", rng.poisson((20 + 3 * waves(7.1, 38)).clip(0))
    yield "fringes", rng.poisson((4 + 0.8 * waves(3.3, 111)).clip(0))
    inside = np.hypot(ROW - 120, COLUMN - 200) < 30
    yield "fringes", rng.poisson(30 + 24 * inside * (1 + 0.35 * waves(4.2, 71)))
    film = gaussian_filter(rng.normal(size=SHAPE), 2) * 7
    yield "fringes", rng.poisson((50 + 7 * film + 6 * waves(3.1, 152)).clip(0))


def without():
    """Twenty images that show no lattice."""
    rng = np.random.default_rng(9)
    noise = lambda scale=1.0: rng.normal(0, scale, SHAPE)  # noqa: E731
    for n, smallest, largest, snr in (
        (12, 8, 30, 5),
        (60, 5, 14, 2),
        (150, 3, 5, 8),
        (25, 9, 11, 90),
    ):
        yield disks(rng, n, smallest, largest) + COLUMN / 600 + noise(1 / snr)
    yield samples.support(n_particles=30, snr=10, random_state=2).signal.data
    brightness = rng.uniform(0, 1, 50)[cells(rng, 50)]
    yield brightness + noise(0.05)
    yield np.rint(255 * brightness)
    f = np.hypot(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.fftfreq(SHAPE[1]))
    ring = np.fft.ifft2(np.fft.fft2(noise()) * np.exp(-(((f - 0.06) / 0.008) ** 2))).real
    yield (ring > 0) + noise(0.2)
    yield ring / ring.std() + noise(0.1)
    turn = np.arctan2(np.fft.fftfreq(SHAPE[0])[:, None], np.fft.fftfreq(SHAPE[1]))
    lens = np.sin(300 * np.pi * (f * (1 + 0.08 * np.cos(2 * turn))) ** 2) ** 2
    yield np.fft.ifft2(np.fft.fft2(noise()) * lens * np.exp(-((f / 0.3) ** 2))).real + noise(0.1)
    yield rng.poisson(4, SHAPE)
    yield rng.poisson(5 + COLUMN / 20 + ROW / 40)
    yield rng.poisson(20 * (1 + gaussian_filter(noise(), 1.5)).clip(0))
    yield disks(rng, 15, 8, 25) + noise(0.2) + 0.6 * rng.normal(size=(SHAPE[0], 1))
    yield disks(rng, 15, 8, 25) + noise(0.2) + 0.5 * np.sin(2 * np.pi * ROW / 9.3)
    slab = np.abs(COLUMN * np.cos(0.4) + ROW * np.sin(0.4) - 200) < 40
    yield slab + noise(0.1)
    yield np.rint(200.0 * slab)
    yield zoom(1 - disks(rng, 80, 3, 18) + noise(0.1), 2, order=3)[:300, :300]
    yield np.cos(2 * np.pi * ((COLUMN - 150) ** 2 + (ROW - 100) ** 2) / 2e4) + noise(0.3)
    yield gaussian_filter(noise(), (12, 1.2)) * 9 + noise(0.3)


def test_forty_images_and_at_most_one_wrong_verdict():
    kinds = [*with_a_lattice(), *(("none", image) for image in without())]
    assert len(kinds) == 40
    found = [lattice(np.asarray(image)).verdict for _, image in kinds]
    wrong = [i for i, (kind, _) in enumerate(kinds) if kind != found[i]]
    assert len(wrong) <= 1, wrong


@pytest.mark.data
@pytest.mark.parametrize("name", ["re05.tiff", "HRSTEM.dm3"])
def test_real_lattices(data_dir, name):
    found = lattice(hs.load(data_dir / "real" / name))
    assert found.verdict != "none"
    assert found.p_value < 1e-6
    assert "particles" in found.recipes


@pytest.mark.data
def test_a_real_microstructure_has_none(data_dir):
    for signal in hs.load(data_dir / "real" / "P45_8bit_compressed_80keV_range.bcf")[:2]:
        assert lattice(signal).verdict == "none"


def test_false_alarms_stay_below_the_stated_rate():
    rng = np.random.default_rng(0)
    found = [lattice(rng.poisson(3, (96, 110)), rate=0.2).verdict for _ in range(60)]
    assert sum(verdict != "none" for verdict in found) <= 0.2 * 60


def test_spacing_direction_and_units():
    image = hs.signals.Signal2D(10 + waves(6.4, 25, 85, 145))
    for axis in image.axes_manager.signal_axes:
        axis.scale, axis.units = 0.05, "nm"
    found = lattice(image)
    np.testing.assert_allclose(found.spacings, 6.4, rtol=0.01)
    np.testing.assert_allclose(sorted(found.directions), [25, 85, 145], atol=0.5)
    assert found.summary == "columns at 0.32 nm: domains or particles"
    assert lattice(np.random.default_rng(0).normal(size=SHAPE)).summary.endswith(": texture")


@pytest.mark.parametrize(("period", "angle"), [(2.1, 20), (2.0, 0), (90.0, 30)])
def test_what_is_too_fast_or_too_slow_is_no_lattice(period, angle):
    noise = np.random.default_rng(1).normal(0, 0.2, SHAPE)
    assert lattice(waves(period, angle) + noise).verdict == "none"


def test_lines_of_the_scan_are_no_lattice_but_one_along_both_axes_is():
    noise = np.random.default_rng(2).normal(0, 0.2, SHAPE)
    assert lattice(waves(8.0, 90) + noise).verdict == "none"
    assert lattice(waves(8.0, 0, 90) + noise).verdict == "columns"


def test_a_transposed_image_has_turned_directions_and_none_is_changed():
    rng = np.random.default_rng(3)
    image = rng.poisson(10 + 2 * waves(5.0, 33))
    before = image.copy()
    found, turned = lattice(image), lattice(image.T)
    np.testing.assert_array_equal(image, before)
    assert found.directions[0] == pytest.approx(33, abs=1)
    assert turned.directions[0] == pytest.approx(90 - 33, abs=1)


def test_a_constant_image_is_refused():
    with pytest.raises(InputError, match="contrast"):
        lattice(np.ones((64, 80)))


def test_colors_are_an_image_too():
    grey = 100 + 30 * waves(6.0, 20, 80)
    colors = np.stack([grey, grey / 2, np.full(SHAPE, 9)], axis=-1).astype(np.uint8)
    signal = hs.signals.Signal1D(colors)
    signal.change_dtype("rgb8")
    assert lattice(signal).verdict == "columns"
