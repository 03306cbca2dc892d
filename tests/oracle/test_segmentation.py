"""What a user can do with a result."""

import errno
import pickle

import dask.array as da
import numpy as np
import pytest

import clustem
from clustem import Segmentation, samples
from clustem.core import InputError, OutputError, UnknownNameError, like


@pytest.fixture(scope="module")
def result():
    return clustem.segment(samples.eds(shape=(26, 31)).signal, "eds")


def assert_same(one, other):
    np.testing.assert_array_equal(one.labels.data, other.labels.data)
    np.testing.assert_array_equal(one.memberships.data, other.memberships.data)
    np.testing.assert_array_equal(one.centers.data, other.centers.data)
    np.testing.assert_array_equal(one.standard_error.data, other.standard_error.data)
    np.testing.assert_array_equal(one.counts, other.counts)
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.mask, other.mask)


def test_save_and_load_round_trip(result, tmp_path):
    named = result.relabel({0: "chlorite"})
    folder = named.save(tmp_path / "out")
    back = Segmentation.load(folder)
    assert_same(back, result)
    assert back.name_of(0) == "chlorite"
    assert back.recipe_text == named.recipe_text
    assert back.scores == pytest.approx(dict(result.scores))
    assert [step.name for step in back.history][:-1] == [step.name for step in result.history]
    assert back.unassigned_fraction == result.unassigned_fraction
    assert back.labels.axes_manager[0].scale == result.labels.axes_manager[0].scale
    assert back.centers.metadata.Signal.signal_type == "EDS_SEM"
    assert_same(Segmentation.load(back.save(tmp_path / "again")), result)


def test_the_recipe_in_the_folder_gives_the_same_labels(result, tmp_path):
    folder = result.save(tmp_path / "out")
    again = clustem.segment(samples.eds(shape=(26, 31)).signal, folder / "recipe.toml")
    assert_same(again, result)


def test_an_existing_folder_is_kept(result, tmp_path):
    folder = result.save(tmp_path / "out")
    with pytest.raises(OutputError, match=r"must not exist yet.*--force"):
        result.save(folder)
    result.save(folder, force=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(OutputError, match="Only a result folder can be replaced"):
        result.save(tmp_path / "mine", force=True)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mine", "out"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_leaves_nothing(result, tmp_path, monkeypatch, code):
    def fail(*_, **__):
        raise OSError(code, "disk trouble")

    monkeypatch.setattr(np, "savez_compressed", fail)
    message = "a full disk. Free" if code == errno.ENOSPC else "disk trouble"
    with pytest.raises(OutputError, match=message):
        result.save(tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_while_writing_leaves_nothing_and_keeps_the_old(result, tmp_path, monkeypatch):
    folder = result.save(tmp_path / "out")
    before = (folder / "labels.tif").read_bytes()

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", interrupt)
    with pytest.raises(KeyboardInterrupt):
        result.save(folder, force=True)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert (folder / "labels.tif").read_bytes() == before


def test_a_broken_folder_is_refused(result, tmp_path):
    with pytest.raises(InputError, match=r"must hold provenance\.json"):
        Segmentation.load(tmp_path)
    folder = result.save(tmp_path / "out")
    (folder / "labels.tif").write_bytes(b"II*")
    with pytest.raises(InputError, match="whole result folder"):
        Segmentation.load(folder)


def test_members_are_the_raw_spectra(result):
    members = result.members(1)
    np.testing.assert_array_equal(members.data, result.source.data[result.labels.data == 1])
    assert members.metadata.Signal.signal_type == "EDS_SEM"
    assert members.axes_manager[-1].offset == result.source.axes_manager[-1].offset
    with pytest.raises(UnknownNameError, match="no cluster '9'"):
        result.members(9)


@pytest.mark.parametrize("lazy", [False, True])
def test_a_spectral_image_is_zero_elsewhere(result, lazy):
    source = result.source.as_lazy() if lazy else result.source
    inside = result.labels.data == 1
    found = result.spectral_image(1, source=source)
    assert found._lazy == lazy
    assert found.data.dtype == source.data.dtype
    assert str(found.axes_manager) == str(source.axes_manager)
    data = np.asarray(found.data)
    np.testing.assert_array_equal(data[inside], result.source.data[inside])
    assert not data[~inside].any()
    assert result.source.data[~inside].any()
    with pytest.raises(UnknownNameError):
        result.spectral_image(9)


def test_merge_is_what_one_cluster_would_have_been(result):
    merged = result.merge([1, 3])
    together = np.isin(result.labels.data, [1, 3])
    number = merged.labels.data[together][0]
    assert (merged.labels.data[together] == number).all()
    assert merged.n_clusters == result.n_clusters - 1
    assert (np.diff(merged.counts) <= 0).all()
    members = result.source.data[together].astype(float)
    np.testing.assert_allclose(merged.centers.data[number], members.mean(axis=0), rtol=1e-5)
    error = members.std(axis=0, ddof=1) / np.sqrt(len(members))
    np.testing.assert_allclose(merged.standard_error.data[number], error, rtol=1e-2, atol=1e-5)
    np.testing.assert_allclose(merged.memberships.data.sum(axis=0), 1, atol=1e-6)
    assert merged.history[-1].label == "edits.merge(clusters=[1, 3])"
    with pytest.raises(InputError, match="two clusters or more"):
        result.merge([1])
    with pytest.raises(UnknownNameError, match="no cluster '7'"):
        result.merge([1, 7])


def test_to_hyperspy_plots_there(result):
    signal = result.to_hyperspy()
    labels = signal.get_cluster_labels(merged=True)
    np.testing.assert_array_equal(labels.data, result.labels.data)
    signals = signal.get_cluster_signals(signal="mean")
    np.testing.assert_allclose(signals.data, result.centers.data, rtol=1e-5)


def test_two_runs_are_identical(result):
    again = clustem.segment(samples.eds(shape=(26, 31)).signal, "eds")
    assert_same(again, result)


def test_lazy_is_the_same(result):
    lazy = clustem.segment(samples.eds(shape=(26, 31)).signal.as_lazy(), "eds")
    np.testing.assert_array_equal(lazy.labels.data, result.labels.data)
    assert lazy.members(0)._lazy


def test_results_travel_between_processes(result):
    back = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(back.labels.data, result.labels.data)
    np.testing.assert_array_equal(back.centers.data, result.centers.data)
    assert type(back.centers) is type(result.centers)
    assert back.centers.metadata.as_dictionary() == result.centers.metadata.as_dictionary()
    assert back.recipe_text == result.recipe_text
    assert (back.source, back.features) == (None, None)
    assert back.merge([0, 1]).n_clusters == result.n_clusters - 1


def test_results_can_be_compared_and_hashed(result):
    other = result.relabel({0: "a"})
    assert result == result.relabel({}).before
    assert result != other
    assert len({result, other, result}) == 2


def test_to_hyperspy_works_without_learning_results(result, monkeypatch):
    kind = type(result.source)
    monkeypatch.setattr(kind, "learning_results", None, raising=False)
    signal = result.to_hyperspy()
    np.testing.assert_array_equal(signal.metadata.Clustem.labels.data, result.labels.data)
    np.testing.assert_array_equal(signal.metadata.Clustem.centers.data, result.centers.data)
    np.testing.assert_array_equal(signal.metadata.Clustem.memberships.data, result.memberships.data)


@pytest.mark.parametrize("kind", ["signal", "lazy", "step", "estimator", "label map", "mask"])
def test_masked_values_are_refused_in_one_line(kind):
    """Else the values under the mask would be clustered like any others."""
    plain = clustem.samples.eds(shape=(9, 11)).signal
    masked = np.ma.array(plain.data, mask=False)
    assert clustem.segment(like(plain, masked), "eds", n_clusters=2).n_clusters == 2
    masked[2, 3:5] = np.ma.masked
    signal = like(plain, masked)
    lazy = like(plain, da.ma.masked_equal(da.from_array(plain.data), 0))
    labels = np.ma.masked_equal(np.eye(9, 11, dtype=int), 1)
    calls = {
        "signal": lambda: clustem.segment(signal, "eds", n_clusters=2),
        "lazy": lambda: clustem.segment(lazy, "eds", n_clusters=2),
        "step": lambda: clustem.describe.spectra(signal),
        "estimator": lambda: clustem.cluster.KMeans(2).fit(masked.reshape(99, -1)),
        "label map": lambda: clustem.compare(labels, labels.data),
        "mask": lambda: clustem.segment(plain, "eds", n_clusters=2).exclude(labels),
    }
    with pytest.raises(InputError, match="must not have masked values; got") as error:
        calls[kind]()
    assert len(str(error.value).splitlines()) == 1
