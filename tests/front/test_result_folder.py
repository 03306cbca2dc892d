"""A result folder, read back: nothing is lost."""

from dataclasses import fields, replace

import hyperspy.api as hs
import numpy as np
import pytest
import tifffile

import clustem
from clustem.core import (
    FilterBank,
    InputError,
    IntensityInfo,
    NMFInfo,
    PatchGrid,
    PatternInfo,
    Segmentation,
    Step,
    TextureInfo,
    Thickness,
)
from clustem.recipes.recipe import Recipe
from clustem.report.layout.units import pretty
from clustem.report.page.save_result import save_sweep

LOST = {"source", "context", "features", "before", "fitted"}
"""What a folder does not hold; what was fitted is compared by applying it, in test_study."""


def assert_equal(found, given):
    """Compare values of any kind that a result holds."""
    if given is None or isinstance(given, str | int | float | bool):
        assert found == given
        assert type(found) is type(given)
    elif hasattr(given, "axes_manager"):
        assert type(found) is type(given)
        assert_equal(found.data, given.data)
        keys = ("name", "scale", "offset", "size")
        for a, b in zip(found.axes_manager._axes, given.axes_manager._axes, strict=True):
            assert [getattr(a, key) for key in keys] == [getattr(b, key) for key in keys]
            assert pretty(a.units) == pretty(b.units)  # "" is <undefined>
        for path in ("Sample", "Acquisition_instrument", "General.title", "Signal.quantity"):
            known = (signal.metadata.get_item(path, default="") for signal in (found, given))
            one, other = (getattr(item, "as_dictionary", lambda i=item: i)() for item in known)
            assert one == other
    elif isinstance(given, np.ndarray):
        assert found.dtype == given.dtype
        np.testing.assert_array_equal(found, given)
    elif isinstance(given, dict):
        assert dict(found) == given
    elif isinstance(given, tuple):
        assert tuple(found) == given
    elif isinstance(given, Recipe):
        assert found.to_toml() == given.to_toml()
    else:  # a dataclass
        assert type(found) is type(given)
        for field in fields(given):
            assert_equal(getattr(found, field.name), getattr(given, field.name))


def assert_nothing_is_lost(given, folder):
    found = clustem.load(given.save(folder))
    for field in fields(Segmentation):
        if field.name not in LOST:
            assert_equal(getattr(found, field.name), getattr(given, field.name))
    assert found.recipe_text == given.recipe_text
    assert clustem.load(found.save(folder, force=True)).history == given.history
    return found


def test_the_result_of_a_recipe_is_read_back(tmp_path):
    sample = clustem.samples.eds(shape=(20, 24))
    settings = {"cluster.n_init": 3}
    given = clustem.segment(sample.signal, "eds", n_clusters=3, settings=settings)
    given = given.relabel({0: "matrix", 2: "α"})
    found = assert_nothing_is_lost(given, tmp_path / "result")
    assert found.names == {0: "matrix", 2: "α"}
    assert '"α"' in (tmp_path / "result" / "provenance.json").read_text(encoding="utf-8")
    assert found.history[-1].stage == "edits"
    assert found.source is None


@pytest.mark.parametrize("case", ["eds", "hard", "line", "patterns", "fringes", "values"])
def test_every_kind_of_result_is_read_back(case, cases, tmp_path):
    given = cases[case]()
    shape = given.mask.shape
    some = np.random.default_rng(0).random(shape).astype(np.float32)
    thick = Thickness(some, some / 9, 90 * some, some)
    steps = (
        Step(
            "prepare",
            "beam_mask",
            {"radius": None},
            masks={"scan": "3 of 308 excluded"},
            found={"beam_radius": 4.25, "center": [1.5, 2.0]},
            version="0.2",
            seed=3,
            seconds=0.5,
            note="a note",
        ),
    )
    mean = np.asarray(given.centers.data[0], dtype=np.float32)
    given = replace(
        given,
        names={0: 'oxide "α"'},
        color_index=tuple(range(given.n_clusters))[::-1],
        scores={"inertia": 0.1 + 0.2},
        about=IntensityInfo(ranked_by="ln N_tot"),
        mean=np.atleast_1d(mean),
        feature_centers=np.arange(given.n_clusters) / 3,
        distance=some,
        margin=some / 2,
        thickness=thick,
        history=steps,
        origin={"path": "map.bcf", "digest": "sha256:1"},
    )
    assert_nothing_is_lost(given, tmp_path / "result")


def test_what_all_steps_knew_is_read_back_in_order(eds, tmp_path):
    grid = PatchGrid(
        positions=np.indices(eds.mask.shape).reshape(2, -1).T + 1.0,
        image=np.arange(16 * 24, dtype=np.uint16).reshape(16, 24),
        image_scale=np.array([0.1, 0.2]),
        image_units="nm",
        patch_size=5,
    )
    bank = FilterBank(
        wavelengths=np.array([4.0]), orientations=np.arange(3.0), normalized=True, before=grid
    )
    mask = PatternInfo(signal_mask=np.array([[True, False]]), before=bank)
    about = NMFInfo(factors=np.ones((2, 3), dtype=np.float32), before=mask)
    found = assert_nothing_is_lost(replace(eds, about=about), tmp_path / "result")
    assert [type(info) for info in found.about] == [NMFInfo, PatternInfo, FilterBank, PatchGrid]
    np.testing.assert_array_equal(found.signal_mask, [[True, False]])
    assert found.lattice.image is None


@pytest.mark.parametrize("label", [0, 1])
def test_what_a_mask_excludes_has_no_label(label, tmp_path):
    found = clustem.segment(clustem.samples.eds(shape=(12, 14)).signal, "eds-fuzzy", n_clusters=2)
    out = np.zeros((12, 14), dtype=bool)
    out[2:4, 3:9] = True
    folder = found.exclude(out).save(tmp_path / "result")
    assert clustem.load(folder).mask.sum() == 12
    labels = tifffile.imread(folder / "labels.tif")
    labels[3, 5] = label
    tifffile.imwrite(folder / "labels.tif", labels)
    with pytest.raises(InputError, match="-1 where the mask excludes; got labels there"):
        clustem.load(folder)


def test_numbers_of_steps_are_read_back(eds, tmp_path):
    given = replace(eds, about=TextureInfo(envelope=2.5))
    assert clustem.load(given.save(tmp_path / "result")).find(TextureInfo).envelope == 2.5


def test_a_map_of_one_line_is_read_back(tmp_path):
    signal = clustem.samples.eds(shape=(20, 24)).signal.inav[:, 4:5]
    assert signal.data.shape[:2] == (1, 24)
    found = clustem.segment(signal, "eds-fuzzy", n_clusters=2)
    folder = found.save(tmp_path / "result")
    tifffile.imwrite(folder / "labels.tif", tifffile.imread(folder / "labels.tif").ravel())
    np.testing.assert_array_equal(clustem.load(folder).labels.data, found.labels.data)


def test_a_folder_of_another_format_is_refused(eds, tmp_path):
    folder = eds.save(tmp_path / "result")
    file = folder / "provenance.json"
    file.write_text(file.read_text(encoding="utf-8").replace('"format": 1', '"format": 9'))
    with pytest.raises(InputError, match="must have format 1; got 9"):
        clustem.load(folder)


def test_files_say_what_they_are(eds, tmp_path):
    folder = eds.save(tmp_path / "result")
    names = {file.name for file in folder.iterdir()}
    assert {"arrays.npz", "standard_error.hspy", "provenance.json", "recipe.toml"} <= names
    assert not {"details.npz", "spread.hspy"} & names
    np.testing.assert_array_equal(
        hs.load(folder / "standard_error.hspy").data, eds.standard_error.data
    )


def test_a_sweep_has_a_folder_for_each_k(tmp_path):
    signal = clustem.samples.eds(shape=(20, 24)).signal
    results = clustem.sweep(signal, "eds", [2, 3])
    folder = save_sweep(results, tmp_path / "sweep", force=False)
    assert sorted(file.name for file in folder.iterdir()) == [
        "k02",
        "k03",
        "k_choice.csv",
        "k_choice.png",
        "lineage.png",
        "manifest.json",
        "maps.png",
        "sweep.csv",
    ]
    head, *lines = (folder / "sweep.csv").read_text(encoding="utf-8").splitlines()
    assert head.startswith("k,unassigned_fraction,smallest,")
    assert [line.split(",")[0] for line in lines] == ["2", "3"]
    np.testing.assert_array_equal(clustem.load(folder / "k03").labels.data, results[3].labels.data)
