"""The number of clusters: known ones, none, what a map adds, and what is refused."""

import hyperspy.api as hs
import numpy as np
import pytest

from clustem.cluster import FuzzyCMeans, KMeans
from clustem.core import Features, InputError, Masks, ParameterError
from clustem.describe import patches, spectra
from clustem.judge import choose_k
from clustem.judge._borders import borders
from clustem.judge._coherence import coherent
from clustem.judge._gaps import SURE, gap_between
from clustem.judge._independence import independent
from clustem.judge._intensity import intensity
from clustem.judge._neighbourhoods import neighbourhoods
from clustem.judge._structure import _sphered, structure


def chosen(rows, ks=range(1, 8), make=KMeans, **options):
    options = {"scored": "chosen", "repeats": 1, **options}
    return choose_k(rows, make, ks, **options)


def blobs(seed, sizes, d=3, apart=6.0):
    rng = np.random.default_rng(seed)
    means = apart * np.stack([(np.arange(len(sizes)) >> i) & 1 for i in range(d)], axis=1)
    parts = [rng.normal(size=(n, d)) + mean for n, mean in zip(sizes, means, strict=True)]
    return rng.permutation(np.concatenate(parts))


@pytest.mark.parametrize("sizes", [(90, 140, 200, 60, 120), (900, 60)])
def test_known_numbers(sizes):
    found = chosen(blobs(0, sizes))
    assert found.k == len(sizes)
    assert found.structure
    assert found.confidence != "low"
    assert found.gaps[len(sizes)] > SURE


def test_shear_does_not_matter():
    rows = blobs(1, (150, 150, 150), d=2)
    assert chosen(rows @ [[1, 0], [4, 0.2]]).k == 3


@pytest.mark.parametrize("shape", ["normal", "box", "long", "skewed", "heavy"])
def test_one_cloud_of_any_shape_is_no_structure(shape):
    rng = np.random.default_rng(2)
    rows = {
        "normal": rng.normal(size=(400, 4)),
        "box": rng.uniform(size=(400, 4)),
        "long": rng.normal(size=(400, 4)) * [30, 1, 1, 1],
        "skewed": rng.gamma(2.0, size=(400, 4)),
        "heavy": rng.standard_t(5, size=(400, 4)),
    }[shape]
    found = chosen(rows, range(1, 6))
    assert found.k == 1
    assert not found.structure
    assert found.reason.startswith("no structure: ")


def test_values_around_zero_have_no_intensity():
    scan = hs.signals.Signal1D(np.random.default_rng(1).normal(size=(30, 31, 5)))
    assert chosen(spectra(scan), range(1, 5)).reason.startswith("no structure: ")


def test_all_scores_and_what_is_shown():
    done = []
    found = chosen(
        blobs(3, (80, 80, 80)), range(1, 5), scored="all", n_references=3, progress=done.append
    )
    names = {"inertia", "silhouette", "gap", "gap: error", "gap, along features", "weakest gap"}
    assert names < set(found.scores)
    assert np.isfinite(found.scores["gap"]).all()
    assert np.isnan(found.scores["silhouette"][0])
    assert found.scores["stability of halves"][2] > 0.99
    assert np.nanargmax(found.scores["silhouette"]) == 2
    assert done == sorted(done)
    assert done[-1] == 1
    assert "3*" in str(found)
    lines = found.to_csv().splitlines()
    assert len(lines) == 5
    assert lines[3].startswith("3,1,")


def test_number_beyond_those_tried_is_said():
    found = chosen(blobs(4, (90, 90, 90, 90)), [2, 3])
    assert found.k == 3
    assert found.confidence == "low"
    assert "4 groups" in found.reason
    assert "not among the numbers tried" in found.reason


def test_nothing_is_found_although_one_was_not_asked_for():
    found = chosen(np.random.default_rng(5).normal(size=(300, 2)), [2, 3, 4])
    assert found.k == 1
    assert not found.structure


def test_other_estimators_and_the_same_again():
    rows = blobs(6, (100, 100), d=2)
    one, two = (chosen(rows, range(1, 4), lambda k: FuzzyCMeans(max(k, 2))) for _ in range(2))
    assert one.k == 2
    assert str(one) == str(two)


def test_few_of_many_rows_are_enough():
    found = chosen(blobs(7, (20_000, 20_000, 5_000)), sample=900)
    assert found.k == 3
    assert (found.n_rows, found.n_used) == (45_000, 900)


def test_gap_between_by_hand():
    empty = np.concatenate([np.arange(100.0), 150 + np.arange(100.0)])
    found = gap_between(empty, empty > 120)
    # 2 rows in the 52.98 between the outermost cuts, beside 98 in 97.02: 35.3 and 64.7 expected
    ratio = 2 * np.log(2 / 35.32) + 98 * np.log(98 / 64.68)
    assert found.score == pytest.approx(np.sqrt(2 * ratio), abs=1e-3)
    assert found.depth == pytest.approx(2 / 52.98 / (98 / 97.02))
    whole = np.arange(200.0)
    assert gap_between(whole, whole >= 100).strength < 1
    assert gap_between(-empty, empty > 120).score == pytest.approx(found.score)


def scan(seed=8, shape=(30, 37)):
    """Two phases and their border, 3 pixels wide: places, share of the second, noise."""
    rng = np.random.default_rng(seed)
    places = np.stack(np.indices(shape), axis=-1).reshape(-1, 2).astype(float)
    share = np.clip((places[:, 1] - 17) / 3, 0, 1)
    return places, share, rng.normal(0, 0.02, size=(len(places), 2))


def test_a_border_is_no_group_but_a_layer_of_its_own_is():
    places, share, noise = scan()
    labels = np.where(share == 0, 0, np.where(share == 1, 1, 2))
    mixed = np.outer(share, [1.0, 1.0]) + noise
    assert borders(mixed, labels, places) == [2]
    elsewhere = mixed + np.outer(labels == 2, [0.8, -0.8])
    assert borders(elsewhere, labels, places) == []
    mixed_anywhere = np.random.default_rng(0).permutation(len(labels))
    assert borders(mixed, labels, places[mixed_anywhere]) == []


def test_a_middle_phase_as_wide_as_its_neighbours_counts():
    places, _, noise = scan()
    labels = np.array([0, 2, 1])[np.minimum(places[:, 1] // 13, 2).astype(int)]
    share = np.array([0.0, 1.0, 0.5])[labels]
    assert borders(np.outer(share, [1.0, 1.0]) + noise, labels, places) == []


def test_directions_of_phases_that_mix():
    places, _, _ = scan()
    rng = np.random.default_rng(9)
    row, column = places.T / 6
    waves = np.stack([np.sin(row * 2) * np.cos(column), np.cos(row) * np.sin(2 * column)], axis=1)
    noise = rng.normal(0, 0.5, size=(len(places), 5))
    turn = rng.normal(size=(2, 5))
    assert coherent(noise, places) == 0
    assert coherent(waves[:, :1] @ turn[:1] + noise, places) == 1
    assert coherent(waves @ turn + noise, places) == 2
    assert coherent(waves @ turn + noise, places, waves @ [1.0, 2.0]) == 1
    smooth = np.stack([row**2 - column, row * column**2], axis=1)
    assert coherent(smooth @ turn + noise, places) == 0


def core_and_shell(seed=10, shape=(39, 41)):
    """Count what five particles, their shells and the support below give, one upon the other."""
    rng = np.random.default_rng(seed)
    row, column = np.indices(shape)
    core, shell = np.zeros(shape), np.zeros(shape)
    for r, c in ((8, 9), (9, 31), (29, 12), (30, 33), (19, 21)):
        away = (row - r) ** 2 + (column - c) ** 2
        inner = np.maximum(1 - away / 36, 0) ** 1.5
        core += inner
        shell += np.maximum(1 - away / 110, 0) ** 1.5 - inner / 3
    means = np.full((3, 24), 0.2)
    means[0, :6], means[1, 8:13], means[2, 16:22] = 12, 20, 30
    thickness = np.stack([np.ones(shape), shell, core], axis=-1)
    return hs.signals.Signal1D(rng.poisson(thickness @ means).astype(np.uint16))


def test_phases_without_a_gap_are_told_by_their_map():
    data = spectra(core_and_shell())
    found = chosen(data, range(1, 5))
    assert found.confidence == "low"
    assert found.k == 2  # the third direction goes along with the intensity
    assert found.alternatives == (1, 3)
    assert "phases that mix" in found.reason


def test_intensity_of_lazy_and_masked_sources():
    signal = core_and_shell()
    mask = signal.data.sum(axis=-1) < 60
    data = spectra(signal.as_lazy(), masks=Masks(scan=mask))
    numbers = np.array([0, 5, 17])
    found = intensity(data, numbers)
    np.testing.assert_allclose(found.totals, signal.data.sum(axis=-1)[~mask][numbers])
    assert found.counted
    line = Features.of_scan(np.ones((4, 2)), None, np.zeros(4, dtype=bool))
    assert intensity(line, numbers) is None


def test_refusals():
    rows = np.random.default_rng(11).normal(size=(40, 2))
    with pytest.raises(ParameterError, match=r"number of rows \(40\).*got 1 ... 41.*larger region"):
        chosen(rows, range(1, 42))
    for ks in ([0, 1], [1.5, 2], [True, 3], []):
        with pytest.raises(ParameterError, match=r"ks must be numbers.*range\(1, 11\)"):
            chosen(rows, ks)
    for ks in ("2:5", 5):
        with pytest.raises(ParameterError, match=r"ks must be several numbers"):
            chosen(rows, ks)
    with pytest.raises(ParameterError, match=r"make must be a function.*; got KMeans"):
        chosen(rows, make=KMeans(3))
    with pytest.raises(InputError, match=r"At least 2 rows must differ.*40 equal rows.*lost"):
        chosen(np.ones((40, 2)))
    with pytest.raises(InputError, match=r"finite.*NaN or inf in 1 of 40 rows"):
        chosen(np.where(np.arange(80).reshape(40, 2) == 5, np.inf, rows))
    with pytest.raises(ParameterError, match="sample"):
        chosen(rows, sample=10)


def test_an_array_needs_no_scan():
    rows = blobs(12, (120, 90, 60))
    of_array = choose_k(rows, KMeans, range(1, 5), n_references=2, repeats=1)
    of_features = choose_k(Features(rows), KMeans, range(1, 5), n_references=2, repeats=1)
    assert of_array.k == 3
    assert str(of_array) == str(of_features)
    assert chosen(rows.tolist(), range(1, 5)).summary == of_array.summary
    with pytest.raises(ParameterError, match=r"features must be Features or an array; got 3\."):
        choose_k(3, KMeans)


def test_choices_can_be_compared_and_hashed():
    one, two = (chosen(blobs(13, (60, 60)), range(1, 4)) for _ in range(2))
    assert one != two  # arrays inside: each is only itself
    assert one in {one, two}


def rings(rng, n):
    """Rows of two rings, one around the other."""
    angle, outer = rng.uniform(0, 2 * np.pi, n), np.arange(n) % 2
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return circle * (4 + 6 * outer)[:, None] + 0.4 * rng.normal(size=(n, 2))


def test_rings_are_no_single_group():
    rows = rings(np.random.default_rng(0), 1000)
    assert neighbourhoods(rows).size == 2
    found = chosen(rows)
    assert (found.k, found.confidence) != (1, "high")
    assert 2 in {found.k, *found.alternatives}
    assert "region" in found.reason


@pytest.mark.parametrize("shape", ["normal", "box", "ring", "long"])
def test_one_piece_is_one_region(shape):
    for seed in range(4):
        rng = np.random.default_rng([seed, 5])
        rows = {
            "normal": rng.normal(size=(600, 3)),
            "box": rng.uniform(size=(600, 2)),
            "ring": rings(rng, 1200)[::2],
            "long": rng.normal(size=(600, 2)) * [1, 0.2],
        }[shape]
        assert neighbourhoods(rows).size == 1


def test_odd_shapes_are_not_certain_to_be_one_group():
    """One normal distribution is certain; a cloud of another shape is not without its like."""
    rng = np.random.default_rng(3)
    assert chosen(rng.normal(size=(600, 3))).confidence == "high"
    assert chosen(rng.uniform(size=(600, 3))).confidence != "high"


@pytest.mark.parametrize("seed", range(3))
def test_a_small_group_that_touches_a_large_one_counts(seed):
    """At 4 standard deviations 60 of 3060 rows show no gap, yet they have a place of their own."""
    rng = np.random.default_rng([seed, 8])
    rows = rng.normal(size=(3060, 3))
    rows[3000:, 0] += 4.2
    found = chosen(rows)
    assert found.k == 2
    assert found.confidence == "low"  # no gap is seen


def test_the_sentence_says_whether_k_is_warranted():
    found = chosen(blobs(0, (150, 150, 150)))
    assert found.sentence(3).startswith("3 clusters are warranted (high confidence): 3 groups")
    assert found.sentence(2).startswith("2 clusters are not what the data show: 3 clusters (high")
    none = chosen(np.random.default_rng(1).normal(size=(600, 3)))
    assert none.sentence(1).startswith("1 cluster is warranted (high confidence): no structure")
    few = chosen(blobs(0, (12, 12)), range(1, 4))
    assert few.confidence == "low"
    assert few.sentence(7).startswith("Whether there are 7 clusters the data do not tell")


def test_groups_here_and_there_on_a_scan_are_noise():
    rng = np.random.default_rng(4)
    rows = rng.normal(size=(30, 31, 3)) + 8 * (rng.random((30, 31, 1)) < 0.4)
    apart = chosen(spectra(hs.signals.Signal1D(rows)), range(1, 5))
    assert (apart.k, apart.trend) == (1, "chance")
    assert "as by chance" in apart.reason
    flat = rows.reshape(-1, 3)
    together = flat[(flat.mean(axis=1) > 4).argsort(kind="stable")].reshape(rows.shape)
    assert chosen(spectra(hs.signals.Signal1D(together)), range(1, 5)).k == 2


def test_a_smooth_change_over_the_scan_is_a_trend():
    row, column = np.indices((32, 36)) / 36
    share = (row + column) / 2
    shapes = np.repeat(np.eye(2), 2, axis=1) * 40 + 20
    mean = (1 - share)[..., None] * shapes[0] + share[..., None] * shapes[1]
    rng = np.random.default_rng(6)
    scan = hs.signals.Signal1D(mean + 2 * rng.normal(size=mean.shape))
    found = chosen(spectra(scan), range(1, 6))
    assert found.k == 1
    assert found.reason.startswith("a trend, no groups")
    assert found.trend == "smooth"


@pytest.mark.parametrize("seed", range(3))
def test_groups_with_gaps_are_none_the_less_groups_if_they_follow_the_intensity(seed):
    """Three layers in 20 dimensions, where neighbours see no valley, brighter one by one."""
    rng = np.random.default_rng(seed)
    layer = np.repeat([0, 1, 2], [18, 12, 19])[:, None] * np.ones(6, dtype=int)
    shapes = 100 + 7 * rng.normal(size=(3, 20)) + np.array([[0.0], [8.0], [16.0]])
    scan = hs.signals.Signal1D(shapes[layer] + 4 * rng.normal(size=(49, 6, 20)))
    found = chosen(spectra(scan), range(1, 6))
    assert (found.k, found.trend) == (3, "")


def test_main_groups_where_there_are_more_groups_than_can_be_taken():
    """Three groups far apart, each in two parts."""
    rng, which = np.random.default_rng(0), np.arange(360) % 6
    rows = 60 * np.eye(3)[which % 3] + 7.0 * (which[:, None] // 3) + rng.normal(size=(360, 3))
    found = chosen(rows, range(1, 5))
    assert (found.k, found.confidence) == (3, "medium")
    assert "weaker ones within them" in found.reason
    assert chosen(rows, range(1, 8)).k == 6


def test_windows_that_overlap_count_as_so_many_as_fit_side_by_side():
    image = np.random.default_rng(1).normal(size=(90, 110))
    windows = patches(hs.signals.Signal2D(image), size=24, step=2)
    n = len(windows.positions)
    assert independent(windows, n) == pytest.approx((2 / 24) ** 2)
    assert independent(windows, n // 144) == 1  # so few of them seldom overlap
    assert independent(spectra(hs.signals.Signal1D(np.ones((30, 31, 5)))), 930) == 1
    rows = blobs(0, (300, 300), d=2, apart=5.0)
    every, few = (structure(rows, 3, random_state=0, share=share) for share in (1, 0.1))
    assert few.groups.course[2] == pytest.approx(every.groups.course[2] * np.sqrt(0.1))
    assert (every.rows, few.rows) == (600, 60)


def test_few_rows_of_many_columns_are_turned_as_any_others():
    rows = np.random.default_rng(0).normal(size=(30, 50))
    sphered, units = _sphered(rows)
    np.testing.assert_allclose(sphered.T @ sphered / 30, np.eye(29), atol=1e-10)
    centered = rows - rows.mean(axis=0)
    back = sphered @ units
    np.testing.assert_allclose(back @ back.T, centered @ centered.T, atol=1e-9)
