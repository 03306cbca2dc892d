"""The 4D-STEM recipe finds grains and the defect in simulated scans."""

import warnings

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from clustem import segment
from clustem.core import InputError, ParameterError
from clustem.io._formats import open_file
from clustem.io.blockfile import write_blo
from clustem.recipes import Recipe
from clustem.samples import diffraction

SEEDS = (0, 1, 5)


@pytest.fixture(scope="module", params=SEEDS)
def sample(request):
    return diffraction(random_state=request.param)


@pytest.fixture(scope="module")
def first():
    return diffraction(shape=(32, 42), random_state=2)


def agreement(result, sample):
    return adjusted_rand_score(sample.labels.ravel(), result.labels.data.ravel())


def explained(labels, values):
    """Share of the variance of values that labels explain."""
    left = sum(((values[labels == i] - values[labels == i].mean()) ** 2).sum() for i in set(labels))
    return 1 - left / ((values - values.mean()) ** 2).sum()


def test_with_the_beam_masked_clusters_are_grains_and_the_defect(sample):
    result = segment(sample.signal, "diffraction")
    assert agreement(result, sample) > 0.97
    found, defect = result.labels.data, sample.labels == sample.n_clusters - 1
    own = np.bincount(found[defect]).argmax()
    assert (found[defect] == own).mean() > 0.95
    assert defect[found == own].mean() > 0.9
    assert result.scores["certified"] == 1


def test_without_the_mask_clusters_follow_thickness(sample):
    masked = segment(sample.signal, "diffraction", n_clusters=6)
    result = segment(
        sample.signal, "diffraction", n_clusters=6, settings={"prepare.beam_mask": False}
    )
    assert agreement(result, sample) < 0.4
    crystal = sample.labels > 0
    thickness = sample.thickness[crystal]
    assert explained(result.labels.data[crystal], thickness) > 0.8
    assert explained(masked.labels.data[crystal], thickness) < 0.2


def test_centers_are_mean_raw_patterns_with_calibration(first):
    result = segment(first.signal, "diffraction", n_clusters=6)
    labels = result.labels.data
    for i in range(6):
        expected = first.signal.data[labels == i].mean(axis=0, dtype=float)
        np.testing.assert_allclose(result.centers.data[i], expected, rtol=1e-5)
    axes = result.centers.axes_manager.signal_axes
    before = first.signal.axes_manager.signal_axes
    assert [(a.units, a.scale, a.offset) for a in axes] == [
        (a.units, a.scale, a.offset) for a in before
    ]
    metadata = result.centers.metadata
    assert metadata.Signal.signal_type == "electron_diffraction"
    assert metadata.Acquisition_instrument.TEM.beam_energy == 200
    mask = result.signal_mask
    row, column = np.rint(first.center).astype(int)
    assert mask[row, column]
    assert 30 < mask.sum() < 120


@pytest.mark.parametrize("lazy", [None, True])
@pytest.mark.parametrize("kind", ["blo", "npy", "zspy"])
def test_labels_do_not_depend_on_where_the_scan_is(kind, lazy, first, tmp_path):
    if kind == "zspy":
        pytest.importorskip("zarr", reason="needs zarr 2")
    path = tmp_path / f"scan.{kind}"
    if kind == "blo":
        write_blo(first.signal, path)
    elif kind == "npy":
        np.save(path, first.signal.data)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zarr 2 tells about zarr 3
            first.signal.save(path)
    result = segment(open_file(path, lazy=lazy)[0], "diffraction", n_clusters=6)
    expected = segment(first.signal, "diffraction", n_clusters=6)
    assert (result.labels.data == expected.labels.data).all()


def test_any_shape_of_scan_works(first):
    for signal in (
        first.signal.inav[:, 12],
        first.signal.inav[3:4, :],
        first.signal.inav[:13, 9:31],
    ):
        result = segment(signal, "diffraction", settings={"cluster.n_clusters": 3})
        assert result.labels.data.shape == signal.data.shape[:-2]
        assert result.counts.sum() == signal.axes_manager.navigation_size


def test_descan_is_corrected():
    moving = diffraction(shape=(32, 42), descan=9.0, random_state=2)
    recipe = Recipe.named("diffraction").with_settings({"cluster.n_clusters": 6})
    first_of_all = recipe.to_toml().replace("[prepare.", "[prepare.beam_shift]\n[prepare.", 1)
    corrected = segment(moving.signal, Recipe.from_toml(first_of_all))
    without = segment(moving.signal, recipe)
    assert agreement(corrected, moving) > 0.95
    assert agreement(without, moving) < 0.9
    row, column = np.unravel_index(corrected.centers.data[-1].argmax(), (64, 64))
    axes = corrected.centers.axes_manager.signal_axes
    assert (axes[1].index2value(row), axes[0].index2value(column)) == pytest.approx(
        (0, 0), abs=0.04
    )


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"cluster.n_clusters": 2000}, ParameterError, r"number of rows \(1344\)"),
        ({"prepare.beam_mask.radius": 99.0}, InputError, "all of 4096 excluded"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings, error, message, first):
    with pytest.raises(error, match=message):
        segment(first.signal, "diffraction", settings=settings)


def test_constant_patterns_have_no_beam(first):
    signal = first.signal._deepcopy_with_new_data(np.full_like(first.signal.data, 9))
    with pytest.raises(InputError, match="direct beam must stand out"):
        segment(signal, "diffraction")


def test_saturated_patterns_are_clustered(first):
    signal = first.signal._deepcopy_with_new_data(np.minimum(first.signal.data, 12))
    assert agreement(segment(signal, "diffraction", n_clusters=6), first) > 0.9


def test_dead_pixels_that_are_nan_are_masked_and_others_refused(first):
    data = first.signal.data.astype(np.float32)
    data[..., 40, 7] = np.nan
    signal = first.signal._deepcopy_with_new_data(data)
    result = segment(signal, "diffraction", n_clusters=6)
    assert result.signal_mask[40, 7]
    assert agreement(result, first) > 0.95
    with pytest.raises(InputError, match="must be finite"):
        segment(signal, "diffraction", settings={"prepare.bad_pixels": False})


def test_an_image_is_no_scan(first):
    with pytest.raises(InputError, match="needs a scan of patterns"):
        segment(hs.signals.Signal2D(first.signal.data[3, 4]), "diffraction")


@pytest.mark.data
def test_grains_of_another_simulation(data_dir):
    """Al and SiC grains by other hands; NMF then k-means reaches 0.96."""
    with np.load(data_dir / "simulated" / "4dstem_grains.npz") as file:
        signal, truth = hs.signals.Signal2D(file["data"]), file["labels"]
    result = segment(signal, "diffraction", settings={"cluster.n_clusters": 8})
    assert adjusted_rand_score(truth.ravel(), result.labels.data.ravel()) > 0.96


@pytest.mark.data
@pytest.mark.parametrize("k", [4, 5, 6])
def test_fewer_clusters_join_grains_whole(k, data_dir):
    with np.load(data_dir / "simulated" / "4dstem_grains.npz") as file:
        signal, truth = hs.signals.Signal2D(file["data"]), file["labels"].ravel()
    found = segment(signal, "diffraction", settings={"cluster.n_clusters": k}).labels.data.ravel()
    together = [np.bincount(found[truth == i]).max() / np.sum(truth == i) for i in range(8)]
    assert np.median(together) > 0.97
