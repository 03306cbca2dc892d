"""Edits against loops over the raw data; recipes that repeat them."""

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem import Recipe, Segmentation
from clustem.core import InputError, ParameterError, UnknownNameError
from clustem.passes.picked_rows import PickedRows
from clustem.passes.rows import Rows

HARD = "[describe.spectra]\n[cluster.KMeans]\nn_clusters = 3\n[mapping.clusters]\n"
SOFT = (
    "[describe.spectra]\n[reduce.pca]\nn_components = 3\n[cluster.FuzzyCMeans]\nn_clusters = 3\n"
    "[mapping.clusters]\n"
)
SHAPE = (13, 17)


def signal():
    truth = np.zeros(SHAPE, dtype=int)
    truth[:, 9:], truth[8:, 9:], truth[10:, :6] = 1, 2, 3
    means = np.full((4, 70), 4.0)  # wider than what travels with a result
    for i in range(4):
        means[i, 16 * i : 16 * i + 16] += 6 + 2 * i
    data = np.random.default_rng(0).poisson(means[truth]).astype(np.uint16)
    found = hs.signals.Signal1D(data)
    found.metadata.General.title = "test"
    return found


@pytest.fixture(scope="module", params=[HARD, SOFT], ids=["hard", "soft"])
def result(request):
    return clustem.segment(signal(), Recipe.from_toml(request.param))


def assert_means(result):
    """Centers, errors and counts are those of a loop over the labels."""
    data, labels = result.source.data.astype(float), result.labels.data
    for i in range(result.n_clusters):
        members = data[labels == i]
        assert result.counts[i] == len(members)
        np.testing.assert_allclose(result.centers.data[i], members.mean(axis=0), rtol=1e-5)
        error = members.std(axis=0, ddof=1) / np.sqrt(len(members))
        np.testing.assert_allclose(result.standard_error.data[i], error, rtol=2e-3, atol=1e-6)


def test_split_cuts_one_cluster_and_leaves_the_others(result):
    parts = result.split(0, n=2)
    assert parts.n_clusters == 4
    assert (np.diff(parts.counts) <= 0).all()
    assert_means(parts)
    inside = result.labels.data == 0
    assert len(np.unique(parts.labels.data[inside])) == 2
    for i in (1, 2):
        assert len(np.unique(parts.labels.data[result.labels.data == i])) == 1
    np.testing.assert_array_equal(parts.labels.data < 0, result.labels.data < 0)
    if result.memberships is not None:
        assert parts.memberships.data.shape == (4, *SHAPE)
        np.testing.assert_allclose(parts.memberships.data.sum(axis=0), 1, atol=1e-5)
    children = [c for c in range(4) if inside[parts.labels.data == c].all()]
    largest = min(children)
    assert parts.color_index[largest] == result.color_index[0]
    assert sorted(parts.color_index) == [0, 1, 2, 3]


def test_memberships_go_to_the_nearer_part_wherever_a_position_lies():
    data = np.random.default_rng(3).normal(50, 0.5, (6, 10, 5))
    data[..., 0] += 30 * (np.arange(10) > 5)  # two clusters
    data[:2, :, 1] += 6  # with two parts each
    soft = clustem.segment(hs.signals.Signal1D(data), Recipe.from_toml(SOFT), n_clusters=2)
    parts = soft.split(0)
    children = np.unique(parts.labels.data[:, :6])
    assert np.unique(parts.labels.data[:2, :6]).tolist() in children[:, None].tolist()
    first = parts.labels.data[0, 0]
    before, after = soft.memberships.data[0], parts.memberships.data
    np.testing.assert_array_equal(after[first, :2], before[:2])
    assert (after[first, 2:] == 0).all()
    (second,) = children[children != first]
    np.testing.assert_array_equal(after[second, 2:], before[2:])
    assert (after[second, :2] == 0).all()


def test_the_mean_of_one_position_stays_when_others_are_joined():
    data = np.random.default_rng(2).poisson(9, (3, 4, 6)).astype(float)
    data[1, 2] += 500
    data[:, 0] += 90
    found = clustem.segment(hs.signals.Signal1D(data), Recipe.from_toml(HARD), n_clusters=3)
    assert found.counts.tolist()[-1] == 1
    joined = found.merge([0, 1])
    np.testing.assert_allclose(joined.centers.data[1], data[1, 2])
    np.testing.assert_allclose(joined.centers.data[0], data[joined.labels.data == 0].mean(axis=0))


def test_split_finds_what_was_joined():
    whole = clustem.segment(signal(), Recipe.from_toml(HARD), settings={"cluster.n_clusters": 4})
    back = whole.merge([1, 3]).split(whole.merge([1, 3]).labels.data[whole.labels.data == 1][0])
    assert clustem.compare(back, whole).ari == 1


@pytest.mark.parametrize("shape", [(2, 2), (1, 5)])
def test_errors_of_few_positions_are_exact(shape):
    """Of two members, n - 1 and n differ by a factor."""
    data = np.random.default_rng(4).poisson(50, (*shape, 6)).astype(float)
    data[0, :2] += 300  # a cluster of two
    made = hs.signals.Signal1D(data)
    joined = clustem.segment(made, Recipe.from_toml(HARD), n_clusters=3).merge([0, 1])
    everything = joined.merge([0, 1])
    for found in (joined, everything):
        for i in range(found.n_clusters):
            members = data[found.labels.data == i]
            np.testing.assert_allclose(found.centers.data[i], members.mean(axis=0), rtol=1e-6)
            if len(members) > 1:
                error = members.std(axis=0, ddof=1) / np.sqrt(len(members))
                np.testing.assert_allclose(found.standard_error.data[i], error, rtol=1e-3)
    assert everything.n_clusters == 1


def test_memberships_of_joined_clusters_add_up():
    soft = clustem.segment(signal(), Recipe.from_toml(SOFT))
    found = soft.merge([0, 2])
    ours = next(i for i in range(2) if found.counts[i] == soft.counts[0] + soft.counts[2])
    before = soft.memberships.data
    np.testing.assert_allclose(found.memberships.data[ours], before[0] + before[2], rtol=1e-6)
    np.testing.assert_allclose(
        found.memberships.data.sum(axis=0), before.sum(axis=0), rtol=1e-6, atol=1e-7
    )


def test_names_and_colors_go_with_their_clusters(result):
    named = result.relabel({0: "matrix", 2: "film"})
    merged = named.merge([1, 2])
    number = merged.labels.data[result.labels.data == 1][0]
    assert number not in merged.names
    assert merged.color_index[number] == 1
    other = merged.labels.data[result.labels.data == 0][0]
    assert merged.name_of(other) == "matrix"
    parts = named.split(0, n=3)
    assert sorted(parts.names.values()) == ["film", "matrix 1", "matrix 2", "matrix 3"]


def test_what_is_excluded_from_one_cluster_leaves_its_mean(result):
    for cluster in range(result.n_clusters):
        out = np.zeros(SHAPE, dtype=bool)
        out[tuple(np.argwhere(result.labels.data == cluster)[:3].T)] = True
        less = result.exclude(out)
        assert less.counts[cluster] == result.counts[cluster] - 3
        assert_means(less)


@pytest.mark.parametrize("gone", [(0,), (2,), (1, 2)])
def test_whole_clusters_may_be_excluded(result, gone):
    less = result.exclude(np.isin(result.labels.data, gone))
    kept = [i for i in range(result.n_clusters) if i not in gone]
    assert (less.counts[list(gone)] == 0).all()
    np.testing.assert_array_equal(less.counts[kept], result.counts[kept])
    np.testing.assert_allclose(less.centers.data[kept], result.centers.data[kept], rtol=1e-5)


def test_what_no_cluster_holds_does_not_take_the_place_of_an_excluded_one():
    recipe = Recipe.from_toml(
        SOFT.replace("[mapping.clusters]", "[mapping.clusters]\nthreshold=0.9")
    )
    found = clustem.segment(signal(), recipe)
    assert (found.labels.data == -1).any()
    assert found.exclude(found.labels.data == 2).counts[2] == 0


def test_exclude_takes_positions_out_of_everything(result):
    out = np.zeros(SHAPE, dtype=bool)
    out[2:9, 3:12] = True
    less = result.exclude(out)
    assert (less.labels.data[out] == -1).all()
    np.testing.assert_array_equal(less.labels.data[~out], result.labels.data[~out])
    np.testing.assert_array_equal(less.mask, out)
    assert len(less.points) == (len(result.points) and (~out).sum()) or less.points.shape[1] == 0
    assert_means(less)
    np.testing.assert_allclose(less.mean, result.source.data[~out].mean(axis=0), rtol=1e-5)
    if result.memberships is not None:
        assert (less.memberships.data[:, out] == 0).all()
    assert_means(less.split(0))
    assert not result.mask.any()


@pytest.mark.parametrize("kind", ["array", "signal", "file", "binned"])
def test_a_mask_may_come_in_many_ways(result, kind, tmp_path):
    out = np.zeros(SHAPE, dtype=bool)
    out[:4, :6] = True
    given = {
        "array": lambda: out,
        "signal": lambda: hs.signals.Signal2D(out),
        "file": lambda: tmp_path / "mask.npy",
        "binned": lambda: np.kron(out, np.ones((2, 2), dtype=np.uint8)) * 255,
    }[kind]
    np.save(tmp_path / "mask.npy", out)
    np.testing.assert_array_equal(result.exclude(given()).mask, out)


def test_the_recipe_repeats_every_edit(result, tmp_path):
    out = np.zeros(SHAPE, dtype=bool)
    out[5, 1:14] = True
    edited = result.split(1, n=2).exclude(out).relabel({0: 'the "matrix"', 3: "石英"}).merge([1, 2])
    edited = edited.edit("recolor", color_index=[4, 0, 9])
    assert [edit["do"] for edit in Recipe.from_toml(edited.recipe_text).edits] == [
        "split", "exclude", "relabel", "merge", "recolor",
    ]  # fmt: skip
    assert Recipe.from_toml(edited.recipe_text).to_toml() == edited.recipe_text
    folder = edited.save(tmp_path / "out")
    again = clustem.segment(signal(), folder / "recipe.toml")
    np.testing.assert_array_equal(again.labels.data, edited.labels.data)
    np.testing.assert_array_equal(again.centers.data, edited.centers.data)
    assert again.names == edited.names == {0: 'the "matrix"', 2: "石英"}
    assert again.color_index == edited.color_index == (4, 0, 9)
    assert again.recipe_text == edited.recipe_text
    assert [s.label for s in again.history] == [s.label for s in edited.history]
    assert max(len(step.label) for step in again.history) < 400  # masks are cut
    back = Segmentation.load(folder)
    assert back.names == edited.names
    assert back.color_index == edited.color_index
    report = (folder / "report.html").read_text(encoding="utf-8")
    for text in ("edits.split(cluster=1, n=2)", "edits.exclude(mask=", "石英"):
        assert text in report
    assert "the &#34;matrix&#34;" in report
    assert '"the ""matrix"""' in (folder / "scores.csv").read_text(encoding="utf-8")
    assert (folder / "centers" / "cluster_0_the-matrix.msa").is_file()


def test_a_loaded_result_can_be_edited_with_its_source(result, tmp_path):
    back = Segmentation.load(result.save(tmp_path / "out"))
    out = np.zeros(SHAPE, dtype=bool)
    out[:3] = True
    with pytest.raises(InputError, match="Pass source=signal"):
        back.exclude(out)
    np.testing.assert_array_equal(
        back.exclude(out, source=signal()).centers.data, result.exclude(out).centers.data
    )
    if result.points.shape[1]:
        parts = back.split(0, source=signal())
        np.testing.assert_array_equal(parts.labels.data, result.split(0).labels.data)
    else:
        with pytest.raises(InputError, match=r"rows that were clustered.*Run its recipe again"):
            back.split(0, source=signal())
    with pytest.raises(InputError, match=r"raw signal on \(13, 17\) is needed; got shape"):
        back.exclude(out, source=signal().inav[:5])


def test_undo_goes_back_step_by_step(result):
    edited = result.relabel({0: "a"}).merge([0, 1])
    assert edited.undo().names == {0: "a"}
    assert edited.undo().undo() is result
    with pytest.raises(InputError, match="edit of this session"):
        result.undo()


def test_stale_margins_are_dropped():
    found = clustem.segment(signal(), Recipe.from_toml(HARD))
    assert found.margin is not None
    assert found.merge([0, 1]).margin is None
    assert found.split(0).margin is None
    out = np.zeros(SHAPE, dtype=bool)
    out[0, 0] = True
    assert np.isnan(found.exclude(out).margin[0, 0])


@pytest.mark.parametrize(
    ("edit", "params", "error", "words"),
    [
        ("merge", {"clusters": [1, 7]}, UnknownNameError, "no cluster '7'"),
        ("merge", {"clusters": [1]}, InputError, "two clusters or more"),
        ("merge", {}, ParameterError, "merge needs clusters"),
        ("split", {"cluster": 5}, UnknownNameError, "no cluster '5'"),
        ("split", {"cluster": 2, "n": 1000}, InputError, "at most as many as it has members"),
        ("split", {"cluster": 0, "n": 1}, ParameterError, "at least 2"),
        ("relabel", {"names": {"9": "x"}}, UnknownNameError, "no cluster '9'"),
        ("relabel", {"names": {"x": "y"}}, ParameterError, "clusters' numbers"),
        ("recolor", {"color_index": [0, 1]}, ParameterError, "3 different places"),
        ("recolor", {"color_index": [0, 1, 1]}, ParameterError, "3 different places"),
        ("exclude", {"mask": np.zeros((17, 13), bool)}, InputError, "shape of the scan"),
        ("exclude", {"mask": np.ones(SHAPE, bool)}, InputError, "At least one position"),
        ("exclude", {"mask": "no.tif"}, InputError, "can be read"),
        ("mrege", {"clusters": [0, 1]}, UnknownNameError, "Did you mean 'merge'"),
        ("merge", {"cluster": [0, 1]}, UnknownNameError, "Did you mean 'clusters'"),
    ],
)
def test_refusals(result, edit, params, error, words):
    with pytest.raises(error, match=words) as refusal:
        result.edit(edit, **params)
    assert refusal.value.cure


@pytest.mark.parametrize("clusters", ["01", 1, [0.5, 1], ["a", "b"], [[0, 1], [1, 2]]])
def test_merge_refuses_what_are_no_numbers_of_clusters(result, clusters):
    with pytest.raises(ParameterError, match="clusters must be a list"):
        result.merge(clusters)


def test_merge_takes_any_collection(result):
    for clusters in ({0, 1}, (1, 0), np.array([0, 1]), iter([0, 1])):
        assert result.merge(clusters).n_clusters == result.n_clusters - 1


def test_names_are_taken_back_and_must_belong_to_clusters(result):
    assert result.relabel({0: "a", 1: "b"}).relabel({0: ""}).names == {1: "b"}
    named = result.relabel({0: "a"})
    for wrong in (["a"], 0, "a"):
        with pytest.raises(ParameterError, match="by the clusters' numbers; got"):
            named.relabel(wrong)
    assert named.names == {0: "a"}


def test_equal_members_cannot_be_split():
    data = np.zeros((4, 6, 5))
    data[:, 3:] = 9
    found = clustem.segment(
        hs.signals.Signal1D(data), Recipe.from_toml(HARD), settings={"cluster.n_clusters": 2}
    )
    with pytest.raises(InputError, match="different members"):
        found.split(0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[edit]]\ndo = "mrege"\nclusters = [0, 1]', "Did you mean 'merge'"),
        ('[[edit]]\ndo = "merge"\nclusters = "all"', "a list"),
        ('[edit]\ndo = "merge"', r"Write \[\[edit\]\]"),
        ("[[edit]]\nclusters = [0, 1]", "no edit ''"),
    ],
)
def test_refused_toml(text, words):
    with pytest.raises(InputError, match=words):
        Recipe.from_toml(HARD + text)


def test_other_settings_warn_about_edits_and_sweeps_refuse_them():
    recipe = Recipe.from_toml(HARD + '[[edit]]\ndo = "merge"\nclusters = [0, 1]\n')
    with pytest.warns(UserWarning, match="-s edit=false"):
        changed = recipe.with_settings({"cluster.n_clusters": 4})
    assert len(changed.edits) == 1
    assert recipe.with_settings({"cluster.n_clusters": 4, "edit": False}).edits == ()
    assert clustem.segment(signal(), recipe).n_clusters == 2
    with pytest.raises(ParameterError, match=r"without edits.*edit=false"):
        clustem.sweep(signal(), recipe, [2, 3])


def test_picked_rows_are_those_rows():
    data = np.random.default_rng(1).integers(0, 99, (50, 7))
    chosen = np.array([3, 4, 17, 30, 49])
    rows = PickedRows(Rows(data, block_bytes=200), chosen)
    np.testing.assert_array_equal(np.asarray(rows), data[chosen])
    np.testing.assert_array_equal(rows.take([4, 0, 4]), data[[49, 3, 49]])
    sums = {}
    for where, part in rows.map(lambda block, _: block.sum(axis=1), subset=np.array([1, 3])):
        sums |= dict(zip(where.tolist(), part.tolist(), strict=True))
    assert sums == {1: data[4].sum(), 3: data[30].sum()}


def test_clusters_of_an_intensity_stay_numbered_by_it():
    truth = np.zeros((8, 12), dtype=int)
    truth[:, 2:5], truth[:, 5:] = 1, 2
    bright = np.array([3.0, 400.0, 60.0])[truth]
    data = np.random.default_rng(0).poisson(bright[..., None] * np.ones(30))
    thick = hs.signals.Signal1D(data)
    thick.axes_manager[-1].units = "eV"
    text = "[describe.total_intensity]\n[cluster.KMeans]\nn_clusters = 3\n[mapping.clusters]\n"
    found = clustem.segment(thick, Recipe.from_toml(text))
    totals = found.source.data.sum(axis=-1)

    def falls(result):
        medians = [np.median(totals[result.labels.data == i]) for i in range(result.n_clusters)]
        return (np.diff(medians) < 0).all()

    assert falls(found)
    assert (np.diff(found.counts) > 0).any()
    assert falls(found.split(1))
    assert falls(found.merge([0, 1]))
