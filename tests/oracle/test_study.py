"""Several scans in one fit, and the clusters of a result on other scans."""

import hyperspy.api as hs
import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import clustem
from clustem import samples
from clustem.core import Features, InputError
from clustem.passes.rows import Rows
from clustem.prepare import resample_energy
from clustem.recipes import _cells as cells
from clustem.recipes.recipe import Recipe


def eds(seed, shape=(36, 44), share=1.0, shift=0, offset=0.0):
    """Counts of one simulated object, moved by channels, on an axis that says so or not."""
    sample = samples.eds(shape=shape, random_state=seed)
    signal = sample.signal
    counts = np.random.default_rng(seed).binomial(signal.data.astype(int), share)
    signal.data = np.roll(counts, shift, axis=-1).astype(np.uint16)
    signal.axes_manager[-1].offset += offset
    return signal, sample.labels


def agreement(found, truth):
    known = (truth >= 0) & (found.labels.data >= 0)
    return adjusted_rand_score(truth[known], found.labels.data[known])


@pytest.fixture(scope="module")
def scans():
    return [
        eds(0),
        eds(1, shape=(40, 30), share=0.3, shift=5),
        eds(2, share=0.5, shift=-5, offset=0.05),
    ]


@pytest.fixture(scope="module")
def study(scans):
    return clustem.segment([signal for signal, _ in scans], "eds", n_clusters=4)


def test_clusters_are_the_same_in_all_maps(study, scans):
    alone = [
        agreement(clustem.segment(signal, "eds", n_clusters=4), truth) for signal, truth in scans
    ]
    for one, (_, truth), by_itself in zip(study, scans, alone, strict=True):
        assert agreement(one, truth) > by_itself - 0.02
    both = np.concatenate([one.labels.data.ravel() for one in study])
    truth = np.concatenate([truth.ravel() for _, truth in scans])
    assert adjusted_rand_score(truth[truth >= 0], both[truth >= 0]) > min(alone) - 0.02
    centers = np.array([one.centers.data / one.centers.data.sum(1)[:, None] for one in study])
    assert np.abs(centers - centers[0]).sum(axis=2).max() < 0.4  # another phase: 0.7 and more
    assert {one.color_index for one in study} == {study.color_index}


def test_axes_are_laid_over_each_other_by_the_lines_that_maps_share(study, scans):
    steps = [
        {step.name: step.parameters for step in one.history if step.stage == "prepare"}
        for one in study
    ]
    assert "set_energy_axis" not in steps[0]
    moved = scans[0][0].axes_manager[-1].offset - steps[1]["set_energy_axis"]["offset"]
    assert moved == pytest.approx(0.05, abs=0.006)
    assert "set_energy_axis" not in steps[2]  # its axis says where it is
    assert "resample_energy" in steps[2]


def test_a_map_of_the_fit_gets_its_labels_again(study, scans, tmp_path):
    study.save(tmp_path / "study")
    loaded = clustem.load(tmp_path / "study")
    assert isinstance(loaded, clustem.Study)
    for i, (signal, _) in enumerate(scans):
        for known in (study, loaded):
            again = known.apply(signal, novelty=None)
            np.testing.assert_array_equal(again.labels.data, study[i].labels.data)


def test_a_fit_that_cannot_hold_all_counts_sees_a_share_of_their_sums(scans, study, monkeypatch):
    monkeypatch.setattr(cells, "_MOST_CELLS", 600)
    monkeypatch.setattr(cells, "_MOST_VALUES", 1)  # the largest map has more
    few = clustem.segment([signal for signal, _ in scans], "eds", n_clusters=4)
    notes = [step.note for step in few[0].history if step.stage == "cluster"]
    assert "fitted to 1/2 of the counts of sums of 2 x 2 positions" in notes[0]
    for one, every, (_, truth) in zip(few, study, scans, strict=True):
        assert agreement(one, truth) > agreement(every, truth) - 0.03


def test_cells_hold_the_counts_of_their_positions(monkeypatch):
    monkeypatch.setattr(cells, "_MOST_CELLS", 1500)
    counts = np.random.default_rng(0).poisson(3.0, (2, 31, 40, 5))
    excluded = np.zeros((31, 40), dtype=bool)
    excluded[:2, :2] = excluded[7, 9] = True
    features = [
        Features.of_scan(Rows(each, mask=excluded), hs.signals.Signal1D(each), excluded)
        for each in counts
    ]
    recipe = Recipe.of("eds")
    assert cells.in_cells(features[:1], recipe) == (features[:1], "")
    found, note = cells.in_cells(features, recipe)
    assert note == "fitted to sums of 2 x 2 positions, as there are so many"
    for each, one in zip(counts, found, strict=True):
        assert one.mask.shape == (16, 20)
        np.testing.assert_array_equal(np.argwhere(one.mask), [[0, 0]])
        kept = np.pad(np.where(excluded[..., None], 0, each), ((0, 1), (0, 0), (0, 0)))
        sums = kept.reshape(16, 2, 20, 2, 5).sum(axis=(1, 3)).reshape(-1, 5)
        np.testing.assert_array_equal(np.asarray(one.rows), sums[1:])
    monkeypatch.setattr(cells, "_MOST_VALUES", 1)
    thinned, note = cells.in_cells([*features, *features], recipe)
    total = sum(int(np.asarray(one.rows).sum()) for one in thinned)
    part = int(note.split("1/")[1].split()[0])
    expected = 2 * counts[:, ~excluded].sum() / part
    assert abs(total - expected) < 5 * np.sqrt(expected)


def test_a_new_map_gets_what_a_common_fit_gives(study, scans):
    signal, truth = eds(7, share=0.6)
    joint = clustem.segment([*(signal for signal, _ in scans), signal], "eds", n_clusters=4)[3]
    found = study.apply(signal)
    assert agreement(found, truth) > agreement(joint, truth) - 0.02
    assert not found.novel.any()


@pytest.mark.parametrize("name", ["eds-fuzzy", "diffraction", "eels"])
def test_every_kind_of_estimator_is_applied(name, tmp_path):
    make = {
        "eds-fuzzy": lambda seed: samples.eds(shape=(30, 34), random_state=seed),
        "diffraction": lambda seed: samples.diffraction(shape=(14, 16 + seed)),
        "eels": lambda seed: samples.eels(shape=(16, 20), random_state=seed),
    }[name]
    one, other = make(0).signal, make(1).signal
    study = clustem.segment([one, other], name, n_clusters=2)
    assert len(study) == 2
    alone = clustem.segment(one, name, n_clusters=2, settings={"eels.zero_loss": False})
    alone.save(tmp_path / "alone")
    again = clustem.load(tmp_path / "alone").apply(one, novelty=None)
    np.testing.assert_array_equal(again.labels.data, alone.labels.data)


def test_merged_clusters_stay_merged_and_named(scans):
    signal, _ = scans[0]
    found = clustem.segment(signal, "eds", n_clusters=4)
    merged = found.merge([1, 2]).relabel({0: "matrix"})
    again = merged.apply(signal, novelty=None)
    np.testing.assert_array_equal(again.labels.data, merged.labels.data)
    assert (again.name_of(0), again.color_index) == ("matrix", merged.color_index)
    with pytest.raises(InputError, match="cut"):
        found.split(0).apply(signal)


def test_the_table_has_shares_and_intervals(study):
    table = study.table()
    assert len(table) == 3 * 4
    assert (table["low"] <= table["share"]).all()
    assert (table["share"] <= table["high"]).all()
    np.testing.assert_allclose(table.groupby("map")["share"].sum(), 1)


def test_a_series_is_cut_along_its_slowest_axis():
    frames = [samples.eds(shape=(20, 24), random_state=i).signal for i in range(2)]
    axes = [
        {"name": "time", "units": "s", "scale": 2.0, "size": 2, "navigate": True},
        *frames[0].axes_manager.as_dictionary().values(),
    ]
    series = hs.signals.Signal1D(np.stack([frame.data for frame in frames]), axes=axes)
    series.set_signal_type("EDS_TEM")
    study = clustem.segment_study(series, "eds", n_clusters=3)
    assert (study.at, study.along) == ((0.0, 2.0), ("time", "s"))
    assert study.titles == ("time 0 s", "time 2 s")
    assert study[1].labels.data.shape == (20, 24)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: [s, s.deepcopy()], "must be another"),
        (lambda s: [s, s.isig[600:]], "share a range"),
        (lambda s: [s, samples.eels(shape=(8, 9)).signal], "type EDS"),
        (lambda s: [s, "no_such_file.hspy"], "no_such_file"),
        (lambda s: [], "scans that can be read"),
    ],
)
def test_scans_that_do_not_go_together_are_refused(change, message):
    signal = samples.eds(shape=(16, 18)).signal
    one = signal.isig[:500] if "range" in message else signal
    given = change(signal)
    with pytest.raises(InputError, match=message):
        clustem.segment([one, *given[1:]] if given else given, "eds", n_clusters=2)


def test_patterns_of_another_size_are_refused():
    one = samples.diffraction(shape=(8, 9)).signal
    with pytest.raises(InputError, match="one shape and calibration"):
        clustem.segment([one, one.isig[2:-2, 2:-2]], "diffraction", n_clusters=2)


def test_what_is_broken_is_left_out_if_asked():
    signal = samples.eds(shape=(16, 18)).signal
    study = clustem.segment_study(
        [signal, "no_such_file.hspy"], "eds", n_clusters=2, skip_broken=True
    )
    assert len(study) == 1
    assert "no_such_file" in study.skipped


def test_counts_keep_their_number_and_their_noise():
    counts = np.random.default_rng(0).poisson(3.0, (60, 50, 40))
    scan = hs.signals.Signal1D(counts)
    scan.axes_manager[-1].scale = 0.01
    found = resample_energy(scan, scale=0.013, offset=0.0, size=30)
    inside = found.data[..., 1:-1].reshape(-1, 28).astype(float)
    np.testing.assert_allclose(inside.mean(axis=0), 3 * 1.3, rtol=0.02)
    np.testing.assert_allclose(inside.var(axis=0) / inside.mean(axis=0), 1, rtol=0.1)
    assert abs(np.corrcoef(inside.T)[np.triu_indices(28, 1)]).max() < 0.1
    assert found.data.dtype.kind == "i"
    moved = resample_energy(scan, scale=0.01, offset=0.05, size=20)
    np.testing.assert_array_equal(moved.data, counts[..., 5:25])
    lazy = resample_energy(scan.as_lazy(), scale=0.013, offset=0.0, size=30)
    np.testing.assert_array_equal(lazy.data.compute(), found.data)
    finer = resample_energy(scan, scale=0.004, offset=-0.003, size=100)
    assert finer.data.sum() == counts.sum()


@pytest.fixture(scope="module")
def known():
    signal, _ = eds(0, shape=(48, 56))
    return clustem.segment(signal, "eds", n_clusters=4)


class TestNovelty:
    """A phase that the fit has not seen, and scans that hold none."""

    @pytest.mark.parametrize(("seed", "share"), [(3, 1.0), (4, 0.1), (5, 0.03)])
    def test_nothing_new_raises_no_alarm(self, known, seed, share):
        found = known.apply(eds(seed, shape=(48, 56), share=share)[0])
        assert found.novel.mean() < 0.01

    @pytest.mark.parametrize(("seed", "share"), [(3, 1.0), (4, 0.1), (5, 0.03)])
    def test_a_new_phase_is_seen(self, known, seed, share):
        signal, _ = eds(seed, shape=(48, 56), share=share)
        inside = np.s_[10:26, 20:38]
        rng = np.random.default_rng(seed)
        here = signal.data[inside]
        new = np.zeros(here.shape[-1])
        new[[805, 804, 806, 451, 450, 452]] = 1
        shape = 0.5 * new / new.sum() + 0.5 * here.sum(axis=(0, 1)) / here.sum()
        totals = here.sum(axis=-1).astype(int)
        here[:] = rng.multinomial(totals, shape / shape.sum())
        found = known.apply(signal)
        mask = np.zeros(found.mask.shape, dtype=bool)
        mask[inside] = True
        assert found.novel[mask].mean() >= 0.9
        assert found.novel[~mask].mean() <= 0.01
        assert "No cluster explains" in clustem.judge.verdict(found).doubts[0]

    def test_few_counts_of_the_fit_are_no_news(self):
        few = clustem.segment(eds(0, shape=(48, 56), share=0.05)[0], "eds", n_clusters=4)
        found = few.apply(eds(3, shape=(48, 56))[0])
        assert found.novel.mean() < 0.01

    def test_patterns_far_from_all_clusters_are_seen(self):
        sample = samples.diffraction(shape=(16, 20))
        known = clustem.segment(sample.signal, "diffraction", n_clusters=5)
        assert known.apply(sample.signal).novel.mean() < 0.01
        other = sample.signal.deepcopy()
        other.data[3:9, 4:12] = other.data[3:9, 4:12, ::-1, :].transpose(0, 1, 3, 2)
        found = known.apply(other)
        assert found.novel[3:9, 4:12].mean() > 0.9
        assert found.novel.mean() < 0.2
