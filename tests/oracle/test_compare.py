"""Comparison of label maps against values worked out by hand."""

from importlib import import_module

import numpy as np
import pytest
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

import clustem
from clustem.core import InputError
from clustem.judge._agreement import agreement

A = np.array([[0, 0, 1], [1, 1, 2]])
B = np.array([[5, 5, 5], [3, 3, 4]])


def test_by_hand():
    found = clustem.compare(A, B)
    assert found.matching == {0: 5, 1: 3, 2: 4}
    assert found.accuracy == pytest.approx(5 / 6)
    assert found.precision == pytest.approx({3: 2 / 3, 4: 1.0, 5: 1.0})
    assert found.recall == pytest.approx({3: 1.0, 4: 1.0, 5: 2 / 3})
    assert found.macro_f1 == pytest.approx((0.8 + 1.0 + 0.8) / 3)
    np.testing.assert_allclose(found.confusion[:, 2], [200 / 3, 100 / 3, 0])
    # H(A|B) + H(B|A), each from the one split cluster of three
    assert found.vi == pytest.approx(2 * 0.5 * (np.log2(3) - 2 / 3))
    # pairs: 2 together in both; 4 and 4 together in each; 15 in all
    assert found.ari == pytest.approx((2 - 16 / 15) / (4 - 16 / 15))


@pytest.mark.parametrize("k", [2, 3])
def test_variation_of_information_is_that_of_the_definition(k):
    rng = np.random.default_rng(k)
    first = rng.integers(0, k, (9, 14))
    second = np.where(rng.random(first.shape) < 0.3, rng.integers(0, 5, first.shape), first)
    joint = np.zeros((k, 5))
    np.add.at(joint, (first.ravel(), second.ravel()), 1 / first.size)

    def entropy(p):
        return -sum(x * np.log2(x) for x in np.ravel(p) if x > 0)

    expected = 2 * entropy(joint) - entropy(joint.sum(axis=0)) - entropy(joint.sum(axis=1))
    assert clustem.compare(first, second).vi == pytest.approx(expected, rel=1e-12)
    assert agreement(first.ravel(), second.ravel()).vi == pytest.approx(expected, rel=1e-12)


def test_agreement_per_cluster_is_that_of_a_loop():
    rng = np.random.default_rng(6)
    first = rng.integers(-1, 4, 200)
    second = np.where(rng.random(200) < 0.3, rng.integers(-1, 5, 200), (first + 2) % 4)
    found = agreement(first, second)
    both = (first >= 0) & (second >= 0)
    for i in range(4):
        mine = both & (first == i)
        shares = [
            np.count_nonzero(mine & (second == j)) / np.count_nonzero(mine | (both & (second == j)))
            for j in range(5)
        ]
        assert found.jaccard[i] == pytest.approx(max(shares), rel=1e-12)
        assert (found.kept[mine] == (second[mine] == (i + 2) % 4)).all()
    assert not found.kept[~both].any()


@pytest.mark.parametrize(
    ("first", "second", "jaccard", "kept"),
    [
        ([0, 1, 1, -1], [1, 0, 0, 0], [1, 1], [True, True, True, False]),  # one of one position
        ([0, 0, 1, 2], [0, 0, 0, 0], [1 / 2, 1 / 4, 1 / 4], [True, True, False, False]),
        ([0, 1, 2, 3], [0, 0, 0, -1], [1 / 3, 1 / 3, 1 / 3, 0], [True, False, False, False]),
        ([0, 0, 0, 1], [2, 2, 0, 1], [2 / 3, 1], [True, True, False, True]),
    ],
)
def test_agreement_of_few_positions_by_hand(first, second, jaccard, kept):
    found = agreement(np.array(first), np.array(second))
    np.testing.assert_allclose(found.jaccard, jaccard)
    assert found.jaccard.shape == (len(jaccard),)
    assert found.kept.tolist() == kept


def test_positions_that_differ_are_marked():
    found = clustem.compare(np.where(A == 2, -1, A), B)
    assert found.disagreement.tolist() == [[0, 0, 1], [0, 0, -1]]


def test_maps_of_other_binning_are_brought_together_in_two_ways():
    fine = np.array([[0, 1, 2, 2], [1, 1, 2, 0], [3, 3, 0, 1], [3, 0, 1, 1]])
    coarse = np.array([[1, 2], [3, 1]])
    most = clustem.compare(fine, coarse)
    assert most.labels.tolist() == [[1, 2], [3, 1]]
    assert most.ari == 1
    each = clustem.compare(fine, coarse, binning="nearest")
    assert each.labels.tolist() == fine.tolist()
    assert each.truth.tolist() == coarse.repeat(2, axis=0).repeat(2, axis=1).tolist()
    swapped = clustem.compare(coarse, fine, binning="nearest")
    assert swapped.truth.tolist() == fine.tolist()


def test_numbers_do_not_matter_and_unassigned_is_left_out():
    c = np.where(A == 2, -1, A)
    found = clustem.compare(c, (A + 1) % 3)
    assert found.ari == 1
    assert found.vi == 0
    assert found.compared == pytest.approx(5 / 6)


def test_more_clusters_than_truth():
    found = clustem.compare(np.arange(6).reshape(2, 3), A)
    assert len(found.matching) == 3
    assert found.accuracy == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (A, B.T, "same shape"),
        (A, B.astype(float), "integers"),
        (A, np.full_like(B, -1), "labelled in both"),
    ],
)
def test_refusals(first, second, message):
    with pytest.raises(InputError, match=message):
        clustem.compare(first, second)


def test_figures_per_label_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    truth = rng.integers(-1, 4, (9, 13))
    labels = np.where(rng.random(truth.shape) < 0.4, rng.integers(-1, 6, truth.shape), truth)
    found = clustem.compare(labels, truth)
    both = (labels >= 0) & (truth >= 0)
    back = {second: first for first, second in found.matching.items()}
    right = {label: both & (truth == label) & (labels == back[label]) for label in range(4)}
    assert found.accuracy == pytest.approx(sum(r.sum() for r in right.values()) / both.sum())
    for label, hits in right.items():
        of_label = (both & (labels == back[label])).sum(), (both & (truth == label)).sum()
        assert found.precision[label] == pytest.approx(hits.sum() / of_label[0])
        assert found.recall[label] == pytest.approx(hits.sum() / of_label[1])
        assert found.f1[label] == pytest.approx(2 * hits.sum() / sum(of_label))
    one = clustem.compare(np.zeros_like(A), A)
    assert one.precision == {0: 0.0, 1: 0.5, 2: 0.0}  # 0 and 2 have no partner
    assert one.recall == {0: 0.0, 1: 1.0, 2: 0.0}
    assert one.f1 == pytest.approx({0: 0.0, 1: 2 / 3, 2: 0.0})


@pytest.mark.parametrize("size", [1, 5, 4096])
def test_parts_of_maps_add_up(size, monkeypatch):
    rng = np.random.default_rng(3)
    first = rng.integers(-1, 4, (13, 17))
    second = np.where(rng.random(first.shape) < 0.6, first * 10**12, rng.integers(-1, 3))
    monkeypatch.setattr(import_module("clustem.judge.compare"), "_PART", size)
    found = clustem.compare(first, second)
    both = (first >= 0) & (second >= 0)
    assert found.ami == pytest.approx(adjusted_mutual_info_score(second[both], first[both]))
    assert found.ari == pytest.approx(adjusted_rand_score(second[both], first[both]))
    assert found.counts.sum() == both.sum()
    assert found.compared == pytest.approx(both.mean())
    wrong = [
        found.matching.get(int(a), -1) != b for a, b in zip(first[both], second[both], strict=True)
    ]
    np.testing.assert_array_equal(found.disagreement[both], wrong)
    assert (found.disagreement[~both] == -1).all()
