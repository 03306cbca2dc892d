"""Patches against slow loops, columns against known positions, and what must be refused."""

import hyperspy.api as hs
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clustem.core import Clustering, InputError, Masks, PatchGrid, recording
from clustem.describe import _bands, _columns, patches
from clustem.describe._columns import find_columns
from clustem.mapping import clusters
from clustem.report.figures.split_views import shares
from clustem.samples import domains


def image_signal(data):
    signal = hs.signals.Signal2D(data)
    for axis, (name, scale, offset) in zip(
        signal.axes_manager._axes, (("y", 0.5, 7.0), ("x", 0.25, -3.0)), strict=True
    ):
        axis.name, axis.scale, axis.offset, axis.units = name, scale, offset, "nm"
    return signal


@pytest.fixture
def image():
    return image_signal(np.random.default_rng(4).integers(0, 999, (23, 31), dtype=np.uint16))


def lattice(shape, spacing, *, light=0.0, noise=0.0, seed=0):
    """Gaussian columns at known fractional positions; light ones in the middle of the cells."""
    rng = np.random.default_rng(seed)
    row, column = np.mgrid[: shape[0], : shape[1]]
    at = [
        (r + rng.uniform(-0.4, 0.4), c + rng.uniform(-0.4, 0.4))
        for r in np.arange(spacing * 0.6, shape[0] - 4, spacing)
        for c in np.arange(spacing * 0.7, shape[1] - 4, spacing)
    ]
    out = np.zeros(shape)
    for r, c in at:
        width = spacing * 0.16
        out += np.exp(-((row - r) ** 2 + (column - c) ** 2) / (2 * width**2))
        r, c = r + spacing / 2, c + spacing / 2  # noqa: PLW2901
        out += light * np.exp(-((row - r) ** 2 + (column - c) ** 2) / (2 * width**2))
    return out + rng.normal(0, noise, shape) if noise else out, np.array(at)


def test_grid_is_what_a_loop_cuts(image):
    features = patches(image, size=6, step=4)
    data = image.data
    # (23 - 6) % 4 = 1 and (31 - 6) % 4 = 1 pixels are left over: none before the first patch
    corners = [(r, c) for r in range(0, 18, 4) for c in range(0, 26, 4)]
    expected = [data[r : r + 6, c : c + 6].ravel() for r, c in corners]
    assert features.shape == (5, 7)
    assert_array_equal(np.asarray(features.rows), expected)
    assert features.rows.dtype == np.uint16
    assert_array_equal(features.find(PatchGrid).positions, np.array(corners) + 2.5)


def test_what_is_left_over_lies_on_both_sides(image):
    features = patches(image, size=5, step=7)
    assert_array_equal(
        features.find(PatchGrid).positions[0], [(18 % 7) // 2 + 2, (26 % 7) // 2 + 2]
    )


def test_patches_are_views_and_know_where_they_are(image):
    features = patches(image, size=6, step=4)
    assert np.shares_memory(features.source.data, image.data)
    y, x, inner_y, inner_x = features.source.axes_manager._axes
    assert (y.scale, x.scale) == (2.0, 1.0)
    assert (y.offset, x.offset) == (7.0 + 2.5 * 0.5, -3.0 + 2.5 * 0.25)
    assert (inner_y.offset, inner_x.offset) == (-1.25, -0.625)
    assert {axis.units for axis in (y, x, inner_y, inner_x)} == {"nm"}
    assert (y.name, x.name, y.navigate, inner_y.navigate) == ("y", "x", True, False)


def test_excluded_pixels_take_their_patches_along(image):
    mask = np.zeros((23, 31), dtype=bool)
    mask[9, 13] = True
    features = patches(image, size=6, step=4, masks=Masks(scan=mask))
    touching = [
        (r, c) for r in range(5) for c in range(7) if mask[4 * r :][:6, 4 * c :][:, :6].any()
    ]
    assert sorted(zip(*np.nonzero(features.mask), strict=True)) == touching
    assert len(features.rows) == 35 - len(touching)
    at = np.array([[9.0, 13.0], [9.0, 16.4], [9.0, 16.6], [15.2, 8.0]])
    found = patches(image, size=6, at=at, masks=Masks(scan=mask))
    assert_array_equal(found.mask, [True, True, False, False])


def test_whole_positions_are_cut_as_they_are(image):
    at = np.array([[10.0, 20.0], [2.0, 2.0], [1.9, 9.0], [20.0, 28.0]])
    features = patches(image, size=5, at=at)
    assert features.shape == (3,), "one does not lie wholly inside"
    expected = [
        image.data[r - 2 : r + 3, c - 2 : c + 3].ravel() for r, c in ((10, 20), (2, 2), (20, 28))
    ]
    assert_allclose(np.asarray(features.rows), expected, atol=0.05)


def test_fractions_of_a_pixel_are_interpolated():
    row, column = np.mgrid[:40, :50]
    wave = np.sin(0.31 * row + 0.2) + np.cos(0.27 * column)
    at = np.array([[17.3, 21.6], [20.0, 25.75]])
    features = patches(hs.signals.Signal2D(wave), size=8, at=at)
    grid = np.arange(8) - 3.5
    expected = [
        (np.sin(0.31 * (r + grid) + 0.2)[:, None] + np.cos(0.27 * (c + grid))).ravel()
        for r, c in at
    ]
    assert_allclose(np.asarray(features.rows), expected, atol=2e-3)


@pytest.mark.parametrize("normalize", ["l2", "l1", "max", "zscore"])
def test_each_patch_is_normalised_by_itself(image, normalize):
    plain = np.asarray(patches(image, size=6, step=5).rows).astype(float)
    divide = {
        "l2": lambda x: x / np.linalg.norm(x),
        "l1": lambda x: x / np.abs(x).sum(),
        "max": lambda x: x / np.abs(x).max(),
        "zscore": lambda x: (x - x.mean()) / x.std(),
    }[normalize]
    found = np.asarray(patches(image, size=6, step=5, normalize=normalize).rows)
    assert_allclose(found, [divide(row) for row in plain], rtol=1e-5, atol=1e-6)


def test_columns_are_found_to_a_fraction_of_a_pixel():
    data, at = lattice((120, 150), 13.4, noise=0.05)
    with recording() as said:
        features = patches(hs.signals.Signal2D(data), size=12, at="columns")
    found = features.find(PatchGrid).positions
    nearest = np.linalg.norm(found[:, None] - at, axis=-1)
    assert nearest.min(axis=1).max() < 0.35
    inside = ((at > 7) & (at < np.array([112, 142]))).all(axis=1)
    assert np.linalg.norm(at[inside][:, None] - found, axis=-1).min(axis=1).max() < 0.35
    assert "columns" in said.note
    assert abs(said.found["spacing"] - 13.4) < 1


def test_dark_columns_are_those_of_the_negative():
    data, _ = lattice((100, 120), 12.0, noise=0.03)
    bright = patches(hs.signals.Signal2D(data), size=10, at="columns")
    dark = patches(hs.signals.Signal2D(5 - data), size=10, at="columns", contrast="dark")
    assert_allclose(bright.find(PatchGrid).positions, dark.find(PatchGrid).positions, atol=1e-6)


def test_heavy_columns_are_told_from_light_ones():
    data, at = lattice((150, 180), 18.0, light=0.55, noise=0.03)
    every = patches(hs.signals.Signal2D(data), size=10, at="columns").find(PatchGrid).positions
    heavy = (
        patches(hs.signals.Signal2D(data), size=10, at="heavy columns").find(PatchGrid).positions
    )
    distance = np.linalg.norm(heavy[:, None] - at, axis=-1).min(axis=1)
    assert distance.max() < 1.0
    assert len(every) > 1.6 * len(heavy)


def test_mean_patches_come_from_the_image(image):
    features = patches(image, size=6, step=4, normalize="zscore")
    labels = np.arange(35) % 3
    fitted = type("Fitted", (), {"labels_": labels})()
    found = clusters(Clustering.from_estimator(fitted, features))
    raw = np.lib.stride_tricks.sliding_window_view(image.data, (6, 6))[::4, ::4].reshape(35, 6, 6)
    for i, old in enumerate((0, 1, 2)):
        assert_allclose(found.centers.data[i], raw[labels == old].mean(axis=0), rtol=1e-5)
    assert found.labels.axes_manager.signal_axes[0].scale == 1.0


def test_colors_become_grey_with_a_note():
    rng = np.random.default_rng(0)
    colors = rng.integers(0, 255, (20, 24, 3), dtype=np.uint8)
    rgb = np.zeros((20, 24), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    for i, name in enumerate("RGB"):
        rgb[name] = colors[..., i]
    with recording() as said:
        features = patches(hs.signals.Signal2D(rgb), size=20, step=4)
    grey = colors @ np.array([0.2126, 0.7152, 0.0722])
    assert_allclose(features.find(PatchGrid).image, grey, rtol=1e-5)
    assert "luminance" in said.note
    assert features.shape == (1, 2)


@pytest.mark.parametrize(
    ("data", "options", "words"),
    [
        (np.arange(600.0).reshape(4, 10, 15), {}, "stack"),
        (np.full((50, 60), 3.0), {}, "contrast"),
        (np.arange(600.0).reshape(20, 30), {"size": 21}, "fit in the image"),
        (np.where(np.arange(2500).reshape(50, 50) == 9, np.nan, 1.0), {}, "finite"),
        (np.ones((50, 60)) * 1j, {}, "real"),
        (np.add.outer(np.arange(90.0), np.arange(80.0)), {"at": "columns"}, "repeat|stand out"),
        (np.arange(600.0).reshape(20, 30), {"size": 8, "at": np.zeros((4, 3))}, r"\(n, 2\)"),
        (np.arange(600.0).reshape(20, 30), {"size": 8, "at": np.zeros((4, 2))}, "wholly inside"),
        (
            np.add.outer(np.arange(90.0), np.arange(80.0)),
            {"at": "columns", "spacing": 1e9},
            "fit into the image",
        ),
    ],
)
def test_what_cannot_be_cut_is_refused_with_a_cure(data, options, words):
    with pytest.raises(InputError, match=words) as refusal:
        patches(hs.signals.Signal2D(data), **options)
    assert refusal.value.cure


def test_a_mask_that_leaves_nothing_is_refused(image):
    with pytest.raises(InputError, match="left in"):
        patches(image, size=6, masks=Masks(scan=np.ones((23, 31), dtype=bool)))
    with pytest.raises(InputError, match="mask of the image must be boolean"):
        patches(image, size=6, masks=Masks(scan=np.zeros((31, 23), dtype=bool)))


def test_shares_of_a_split_are_counted(image):
    features = patches(image, size=6, step=4)
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, 3, 35), rng.integers(0, 4, 35)
    first, second = (
        clusters(Clustering.from_estimator(type("F", (), {"labels_": labels})(), features))
        for labels in (one, two)
    )
    a, b = first.labels.data.ravel(), second.labels.data.ravel()
    expected = [[np.mean(b[a == i] == j) for j in range(4)] for i in range(3)]
    assert_allclose(shares(first, second), expected)


@pytest.mark.data
def test_columns_of_a_real_crystal(data_dir):
    signal = hs.load(data_dir / "real" / "re05.tiff")
    with recording() as said:
        features = patches(signal, size=32, at="columns")
    assert 600 < len(features.rows) < 700
    assert "color" in said.note


def test_columns_of_a_large_image_are_those_of_its_bands(monkeypatch):
    image = domains(shape=(300, 130)).signal.data
    whole, spacing = find_columns(image, heavy=True)
    monkeypatch.setattr(_columns, "_AT_ONCE", 7)
    monkeypatch.setattr(_bands, "PIXELS", 130 * 20)
    found, same = find_columns(image, spacing=spacing, heavy=True)
    assert same == spacing
    in_order = [one[np.lexsort(one.round(3).T)] for one in (found, whole)]
    assert_allclose(*in_order, atol=1e-9)
    monkeypatch.setattr(_columns, "PIXELS", 120 * 120)
    assert _columns._middle(image).shape == (120, 120)
    assert find_columns(image)[1] == pytest.approx(spacing, rel=0.02)
