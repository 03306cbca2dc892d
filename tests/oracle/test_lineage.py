"""Lineage over k, lasting colors and matching, against values worked out by hand."""

import itertools

import hyperspy.api as hs
import numpy as np
import pytest

import clustem
from clustem import Recipe, Segmentation
from clustem.core import InputError
from clustem.judge import lineage
from clustem.labelmaps.inheritance import inherited
from clustem.labelmaps.label_maps import (
    as_labels,
    binned,
    binning_between,
    matched,
    overlaps,
    packed,
    unpacked,
)
from clustem.report.figures.lineage_plot import lineage_plot
from clustem.report.figures.phase_map import phase_map
from clustem.report.page.save_result import save_sweep

RECIPE = "[describe.spectra]\n[cluster.KMeans]\nn_clusters = 2\n[mapping.clusters]\n"


def four_phases(seed=0):
    """Four phases of different size on 14 × 17 positions, the truth and the signal."""
    truth = np.zeros((14, 17), dtype=int)
    truth[:, 9:], truth[8:, 9:], truth[11:, :6] = 1, 2, 3
    means = np.full((4, 24), 4.0)
    for i in range(4):
        means[i, 6 * i : 6 * i + 6] += 9 + 2 * i
    rng = np.random.default_rng(seed)
    return truth, hs.signals.Signal1D(rng.poisson(means[truth]).astype(np.uint16))


@pytest.fixture(scope="module")
def swept():
    return clustem.sweep(four_phases()[1], Recipe.from_toml(RECIPE), [2, 3, 4, 5])


def test_splits_sizes_and_colors_by_hand():
    two = np.array([[0, 0, 0, 0, 1, 1, -1]])
    three = np.array([[2, 2, 0, 0, 1, 1, 1]])
    four = np.array([[0, 0, 1, 1, 1, 3, 2]])
    found = lineage({4: four, 2: two, 3: three})
    assert found.ks == (2, 3, 4)
    assert found.splits == {3: {0: (0, 2)}, 4: {1: (2, 3)}}
    np.testing.assert_array_equal(found.flows[3], [[2, 0, 2, 0], [0, 2, 0, 0], [0, 1, 0, 0]])
    assert found.parents[4].tolist() == [2, 0, 1, 1]
    np.testing.assert_allclose(found.purity[4], [1, 2 / 3, 1, 1])
    assert found.nesting == {3: 1.0, 4: 6 / 7}
    assert found.mixed == {3: (1,), 4: (1,)}
    # 0 and 2 of k = 3 both hold half of the old 0: the first keeps its color
    assert found.colors == {2: (0, 1), 3: (0, 1, 2), 4: (2, 0, 1, 3)}
    assert "1 splits into 2 and 3" in str(found)


def test_colors_persist_over_a_sweep_and_into_the_folders(swept, tmp_path):
    for (k, one), (_, other) in itertools.pairwise(swept.items()):
        counts = overlaps(one.labels.data, other.labels.data, (k, k + 1))[:-1, :-1]
        for i, j in matched(counts).items():
            assert one.color_index[i] == other.color_index[j]
        assert sorted(other.color_index) == list(range(k + 1))
    some = {k: swept[k] for k in (3, 4)}
    folder = save_sweep(some, tmp_path / "sweep", force=False)
    assert (folder / "lineage.png").stat().st_size > 10_000
    for k, result in some.items():
        assert Segmentation.load(folder / f"k{k:02d}").color_index == result.color_index


def test_a_cluster_has_one_color_in_lineage_and_map(swept):
    bars = [bar.get_facecolor()[:3] for bar in lineage_plot(lineage(swept)).axes[0].patches]
    for k, result in swept.items():
        drawn, bars = bars[:k], bars[k:]
        image = np.asarray(phase_map(result).axes[0].get_images()[0].get_array())
        labels = result.labels.data
        factor = len(image) // len(labels)
        for i, color in enumerate(drawn):
            row, column = np.argwhere(labels == i)[0] * factor
            np.testing.assert_allclose(image[row, column] / 255, color, atol=0.003)
    assert not bars


def test_the_recipe_of_a_sweep_gives_its_colors_again(swept):
    for result in swept.values():
        again = clustem.segment(four_phases()[1], Recipe.from_toml(result.recipe_text))
        np.testing.assert_array_equal(again.labels.data, result.labels.data)
        assert again.color_index == result.color_index


def test_a_rerun_takes_colors_and_names_of_an_old_result(swept):
    old = swept[4].edit("recolor", color_index=[7, 2, 0, 5]).relabel({1: "rutile", 3: "film"})
    again = clustem.segment(
        four_phases(1)[1], Recipe.from_toml(RECIPE), settings={"cluster.n_clusters": 5}
    )
    found = again.match(old, names=True)
    pairs = clustem.compare(old, again).matching
    for i, j in pairs.items():
        assert found.color_index[j] == old.color_index[i]
        if i in old.names:
            assert found.name_of(j) == old.names[i]
    assert len(set(found.color_index)) == 5
    assert again.color_index == tuple(range(5))
    coarse = clustem.segment(
        four_phases()[1],
        Recipe.from_toml(RECIPE),
        settings={"cluster.n_clusters": 4, "prepare.rebin.scan": 2},
    )
    assert set(coarse.match(old).color_index) == {7, 2, 0, 5}
    with pytest.raises(InputError, match="of the same scan"):
        again.match(clustem.segment(four_phases()[1].inav[:9], Recipe.from_toml(RECIPE)))


def test_lineage_plot_shows_every_cluster(swept):
    found = lineage(dict(swept.items()))
    figure = lineage_plot(found)
    texts = [text.get_text() for text in figure.texts]
    assert texts[:4] == ["k = 2", "k = 3", "k = 4", "k = 5"]
    assert sum(text.isdigit() for text in texts) == 2 + 3 + 4 + 5
    with pytest.raises(InputError, match="2 to 24 numbers"):
        lineage_plot(lineage({2: swept[2].labels.data}))


def test_lineage_refuses_other_shapes():
    with pytest.raises(InputError, match="one shape"):
        lineage({2: np.zeros((2, 3), int), 3: np.zeros((3, 2), int)})
    with pytest.raises(InputError, match=r"one shape.*got none"):
        lineage({})


def test_majority_vote_is_that_of_a_loop():
    rng = np.random.default_rng(4)
    labels = rng.integers(-2, 4, (11, 13))
    found = binned(labels, (2, 3))
    assert found.shape == (5, 4)
    for i, j in np.ndindex(5, 4):
        block = labels[2 * i : 2 * i + 2, 3 * j : 3 * j + 3].ravel()
        votes = {label: int((block == label).sum()) for label in range(4)}
        votes[-1] = int((block < 0).sum())
        best = max(votes.values())
        winners = [label for label in (0, 1, 2, 3, -1) if votes[label] == best]
        assert found[i, j] == winners[0]


@pytest.mark.parametrize(
    ("fine", "coarse", "factors"),
    [
        ((10, 12), (5, 4), (2, 3)),
        ((11, 13), (5, 4), (2, 3)),
        ((10, 12), (10, 12), (1, 1)),
        ((10, 12), (20, 4), None),
        ((10, 12), (7, 12), None),
        ((10, 12), (10,), None),
    ],
)
def test_binning_factors(fine, coarse, factors):
    assert binning_between(fine, coarse) == factors


def test_compare_brings_binned_maps_together(tmp_path):
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 3, (6, 5))
    fine = np.kron(coarse, np.ones((3, 2), int))
    noisy = fine.copy()
    noisy[::3, ::2] = (noisy[::3, ::2] + 1) % 3  # one of six: outvoted
    found = clustem.compare(np.pad(noisy, ((0, 2), (0, 1))), coarse)
    assert found.accuracy == 1
    assert found.note == "first map binned 3 × 2 by majority vote"
    assert found.note in str(found)
    near = clustem.compare(coarse, noisy, binning="nearest")
    assert near.accuracy == pytest.approx(5 / 6)
    assert near.note == "the other map repeated 3 × 2 on the second one"
    np.testing.assert_array_equal(near.disagreement == 1, noisy != fine)
    np.save(tmp_path / "fine.npy", fine)
    hs.signals.Signal2D(coarse).save(tmp_path / "coarse.hspy")
    assert clustem.compare(tmp_path / "fine.npy", tmp_path / "coarse.hspy").ari == 1
    with pytest.raises(InputError, match=r"binned by whole factors; got \(18, 10\) and \(7, 5\)"):
        clustem.compare(fine, np.zeros((7, 5), int))
    (tmp_path / "map.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"can be read: .*\.tif.*the type \.png"):
        clustem.compare(fine, tmp_path / "map.png")


def test_matching_is_the_best_of_all():
    rng = np.random.default_rng(1)
    for shape in [(3, 3), (2, 4), (4, 2)]:
        counts = rng.integers(1, 50, shape)
        best = 0
        p, q = shape
        if p <= q:
            best = max(
                sum(counts[i, c[i]] for i in range(p)) for c in itertools.permutations(range(q), p)
            )
        else:
            best = max(
                sum(counts[c[j], j] for j in range(q)) for c in itertools.permutations(range(p), q)
            )
        assert sum(counts[i, j] for i, j in matched(counts).items()) == best


def test_new_clusters_take_free_colors():
    assert inherited({0: 2, 3: 0}, (5, 1, 0, 2), 4) == (2, 0, 5, 1)
    assert len(set(inherited({}, (0, 1), 6))) == 6


@pytest.mark.parametrize("low", [-1, 0, -200, -40_000])
def test_a_label_map_as_text(low):
    labels = np.arange(6).reshape(2, 3) + low
    np.testing.assert_array_equal(unpacked(packed(labels)), labels)
    np.testing.assert_array_equal(as_labels(packed(labels)), labels)


def test_a_changed_text_is_refused():
    text = packed(np.eye(9, dtype=int))
    for broken in (text[:-6], text.replace("9x9", "9x8"), "labels:1x2"):
        with pytest.raises(InputError, match="as it was written"):
            unpacked(broken)
