"""k-means against plain float64 loops and against scikit-learn."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.cluster import KMeans as Peer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from clustem.cluster import KMeans
from clustem.cluster.kmeans._sketch import Sketch
from clustem.core import InputError, ParameterError
from clustem.passes.rows import Rows
from clustem.passes.scaled_rows import ScaledRows
from clustem.passes.transform import RowTransform


def clouds(random, n, width, k, noise):
    return random.normal(size=(k, width))[random.integers(0, k, n)] + noise * random.normal(
        size=(n, width)
    )


def problems():
    """Twenty data sets (name, rows, k) of all kinds."""
    r = np.random.default_rng(8)
    poisson = r.poisson(3 * np.exp(clouds(r, 2600, 900, 5, 0.2).clip(-2, 1)))
    sparse = r.poisson(0.05 * np.exp(clouds(r, 2200, 1100, 4, 0.1).clip(-2, 2)))
    turn = 6 * r.random(700)
    unequal = [(1200, 0.0), (60, 2.0), (20, -3.0)]
    yield "clouds", clouds(r, 600, 4, 5, 0.5), 5
    yield "more clusters than clouds", clouds(r, 600, 4, 5, 0.5), 9
    yield "overlapping", clouds(r, 1500, 10, 6, 1.5), 6
    yield "low contrast", clouds(r, 1000, 2300, 4, 8.0), 4
    yield "low contrast, many rows", clouds(r, 3000, 800, 5, 5.0), 5
    yield "noise", r.normal(size=(800, 20)), 6
    yield "noise of many columns", r.normal(size=(2300, 950)), 4
    yield "uniform", r.random((1500, 2)), 8
    yield "duplicates", np.repeat(r.integers(0, 6, (40, 5)), 12, axis=0), 6
    yield "fewer rows than columns", clouds(r, 60, 3000, 3, 2.0), 3
    yield "one column", r.random((700, 1)), 6
    yield "constant rows", np.repeat(r.random((300, 1)), 8, axis=1), 4
    yield "huge offset", clouds(r, 500, 6, 4, 1.0) + 1e7, 4
    yield "huge offset, many columns", clouds(r, 2200, 1000, 4, 3.0) + 1e5, 4
    yield "counts", poisson.astype(np.uint8), 5
    yield "sparse counts", sparse.astype(np.uint16), 4
    yield "outliers", np.r_[clouds(r, 900, 8, 4, 0.5), 100 * r.normal(size=(5, 8))], 6
    yield "unequal", np.concatenate([0.3 * r.normal(size=(n, 3)) + at for n, at in unequal]), 3
    yield "a ring", np.c_[np.cos(turn), np.sin(turn)] + 0.1 * r.normal(size=(700, 2)), 7
    yield "float32", clouds(r, 2300, 1000, 7, 2.5).astype(np.float32), 7


PROBLEMS = {name: (rows, k) for name, rows, k in problems()}


def is_fixed_point(rows, labels, centers, weights=None):
    """Whether each row is nearest to its own center and each center the mean of its rows.

    In float64, one cluster after the other, without expanding a square.
    """
    x = np.asarray(rows, dtype=np.float64)
    weights = np.ones(len(x)) if weights is None else weights
    scale = max(np.ptp(x), 1e-300)
    distances = np.stack([((x - center) ** 2).sum(axis=1) for center in centers], axis=1)
    own = distances[np.arange(len(x)), labels]
    nearest = own - distances.min(axis=1) <= 1e-12 * (1 + own.max())
    if not nearest.all():
        return False
    for j, center in enumerate(centers):
        part = labels == j
        if weights[part].sum() > 0:
            mean = (x[part] * weights[part, None]).sum(axis=0) / weights[part].sum()
            if np.abs(mean - center).max() > 1e-9 * scale:
                return False
    return True


def inertia_of(rows, labels, centers):
    return float(((np.asarray(rows, dtype=np.float64) - centers[labels]) ** 2).sum())


@pytest.fixture(scope="module")
def solved():
    found = {}
    for name, (rows, k) in PROBLEMS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found[name] = KMeans(k).fit(rows)
    return found


@pytest.mark.parametrize("name", PROBLEMS)
def test_labels_are_a_fixed_point_in_the_full_space(solved, name):
    rows, found = PROBLEMS[name][0], solved[name]
    assert found.certified_
    assert is_fixed_point(rows, found.labels_, found.cluster_centers_)
    truth = inertia_of(rows, found.labels_, found.cluster_centers_)
    assert found.inertia_ == pytest.approx(truth, rel=1e-6)


def test_the_check_itself_sees_one_wrong_label_and_one_shifted_center(solved):
    rows, found = PROBLEMS["counts"][0], solved["counts"]
    labels, centers = found.labels_.copy(), found.cluster_centers_.copy()
    labels[17] = (labels[17] + 1) % 5
    assert not is_fixed_point(rows, labels, found.cluster_centers_)
    centers[2, 5] += 1e-6
    assert not is_fixed_point(rows, found.labels_, centers)


def test_inertia_is_that_of_scikit_learn_at_the_same_number_of_starts(solved):
    ratios = {}
    for name, (rows, k) in PROBLEMS.items():
        peer = Peer(k, n_init=10, random_state=0, tol=0).fit(rows.astype(np.float64))
        ratios[name] = solved[name].inertia_ / peer.inertia_ - 1
    assert max(ratios.values()) < 1e-3, ratios
    below = sum(ratio < -1e-9 for ratio in ratios.values())
    above = sum(ratio > 1e-9 for ratio in ratios.values())
    assert below >= above, ratios


@pytest.mark.parametrize("normalize", ["l2", "l1", "max", "zscore"])
@pytest.mark.parametrize("name", ["counts", "float32", "duplicates", "huge offset, many columns"])
def test_normalising_on_the_fly_is_normalising_first(name, normalize):
    rows, k = PROBLEMS[name]
    x = rows.astype(np.float64)
    if normalize == "zscore":
        x = x - x.mean(axis=1, keepdims=True)
    size = {
        "l2": np.linalg.norm(x, axis=1),
        "l1": np.abs(x).sum(axis=1),
        "max": np.abs(x).max(axis=1),
        "zscore": x.std(axis=1),
    }[normalize]
    x = x / np.where(size > 0, size, 1.0)[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(k, normalize=normalize).fit(rows)
    assert is_fixed_point(x, found.labels_, found.cluster_centers_)
    assert found.inertia_ == pytest.approx(
        inertia_of(x, found.labels_, found.cluster_centers_), rel=1e-6
    )


def test_patterns_that_differ_in_brightness_alone_are_alike_when_normalised():
    random = np.random.default_rng(2)
    shapes = random.random((3, 40)) * 20
    truth = random.integers(0, 3, 300)
    counts = random.poisson(shapes[truth] * random.uniform(2, 9, (300, 1)))
    shifted = counts + random.integers(0, 400, (300, 1))
    for rows, normalize in ((counts, "l2"), (counts, "l1"), (shifted, "zscore")):
        labels = KMeans(3, normalize=normalize).fit(rows).labels_
        assert adjusted_rand_score(truth, labels) == 1.0
        assert adjusted_rand_score(truth, KMeans(3).fit(rows).labels_) < 0.9


@pytest.mark.parametrize("normalize", [None, "l2", "zscore"])
def test_masked_columns_are_as_if_they_were_not_there(normalize):
    rows, k = PROBLEMS["counts"]
    mask = np.zeros((30, 30), dtype=bool)
    mask[9:17, 4:21] = True
    mask[0, 0] = mask[29, 29] = mask[3, ::2] = True
    found = KMeans(k, normalize=normalize, mask=mask).fit(rows)
    left = KMeans(k, normalize=normalize).fit(rows[:, ~mask.ravel()])
    assert_array_equal(found.labels_, left.labels_)
    kept = found.cluster_centers_[:, ~mask.ravel()]
    assert_allclose(kept, left.cluster_centers_, rtol=1e-12, atol=1e-12)
    assert (found.cluster_centers_[:, mask.ravel()] == 0).all()
    assert found.inertia_ == pytest.approx(left.inertia_)
    broken = rows.astype(np.float32)
    broken[:, mask.ravel()] = np.nan
    assert_array_equal(
        KMeans(k, normalize=normalize, mask=mask).fit(broken).predict(rows), found.labels_
    )


def test_rows_scaled_while_read_are_clustered_as_if_kmeans_scaled_them():
    rows, k = PROBLEMS["counts"]
    mask = np.arange(900) % 7 == 0
    scaled = ScaledRows(Rows(rows), RowTransform(900, normalize="l2", mask=mask))
    found, same = KMeans(k).fit(scaled), KMeans(k, normalize="l2", mask=mask).fit(rows)
    assert_array_equal(found.labels_, same.labels_)
    assert_array_equal(found.cluster_centers_, same.cluster_centers_[:, ~mask])
    assert_array_equal(found.predict(scaled), found.labels_)


@pytest.mark.parametrize("name", ["clouds", "counts"])
def test_weights_are_copies(name):
    rows, k = PROBLEMS[name]
    copies = np.random.default_rng(0).integers(0, 4, len(rows))
    found = KMeans(k).fit(rows, sample_weight=copies)
    again = KMeans(k).fit(np.repeat(rows, copies, axis=0))
    assert_array_equal(np.repeat(found.labels_, copies), again.labels_)
    assert_allclose(found.cluster_centers_, again.cluster_centers_, rtol=1e-10, atol=1e-10)
    assert found.inertia_ == pytest.approx(again.inertia_, rel=1e-6)
    assert is_fixed_point(rows, found.labels_, found.cluster_centers_, copies.astype(float))


@pytest.mark.parametrize("name", ["overlapping", "low contrast, many rows", "float32"])
def test_given_centers_are_where_it_starts(name):
    rows, k = PROBLEMS[name]
    start = rows[5 : 5 + k].astype(np.float64)
    found = KMeans(k, init=start).fit(rows)
    peer = Peer(k, init=start, n_init=1, tol=0).fit(rows.astype(np.float64))
    assert found.certified_
    assert len(found.inertia_per_start_) == 1
    assert is_fixed_point(rows, found.labels_, found.cluster_centers_)
    assert found.inertia_ == pytest.approx(peer.inertia_, rel=5e-3)
    again = KMeans(k, init=found.cluster_centers_).fit(rows)
    assert_array_equal(again.labels_, found.labels_)  # the numbers too
    assert again.n_iter_ == 2  # one to find the labels, one to see that they stay


def test_new_rows_go_to_the_nearest_center_and_distances_say_so():
    rows, k = PROBLEMS["counts"]
    found = KMeans(k, normalize="l2").fit(rows[:2000])
    new = rows[2000:] / np.linalg.norm(rows[2000:], axis=1)[:, None]
    distances = np.linalg.norm(new[:, None] - found.cluster_centers_, axis=2)
    assert_allclose(found.transform(rows[2000:]), distances, rtol=1e-9)
    assert_array_equal(found.predict(rows[2000:]), distances.argmin(axis=1))
    assert_array_equal(found.predict(rows[:2000]), found.labels_)
    assert -found.score(rows[:2000]) == pytest.approx(found.inertia_, rel=1e-6)


def test_a_sketch_serves_several_numbers_of_clusters():
    rows, _ = PROBLEMS["counts"]
    transform = RowTransform(900, normalize="l2")
    sketch = Sketch(rows, transform=transform, n_clusters=7)
    for k in (3, 5, 7):
        shared, own = KMeans(k, normalize="l2").fit(sketch), KMeans(k, normalize="l2").fit(rows)
        assert_array_equal(shared.labels_, own.labels_)
        assert shared.n_passes_ == own.n_passes_
    with pytest.raises(InputError, match="must have the normalisation"):
        KMeans(3).fit(sketch)


def test_several_numbers_of_clusters_share_their_passes(monkeypatch):
    rows, _ = PROBLEMS["counts"]
    read, make = [], Rows.map

    def counted(rows, function, **settings):
        for where, found in make(rows, function, **settings):
            read.append(len(where))
            yield where, found

    monkeypatch.setattr(Rows, "map", counted)
    found = KMeans(normalize="l2", random_state=3).fit_each(rows, [5, 2, 3, 7, 4])
    together = sum(read)
    assert list(found) == [2, 3, 4, 5, 7]
    assert together < 0.6 * sum(each.n_passes_ for each in found.values()) * len(rows)
    unit = rows / np.linalg.norm(rows, axis=1)[:, None]
    for k, each in found.items():
        assert each.certified_
        assert each.n_clusters == k
        means = np.stack([unit[each.labels_ == j].mean(axis=0) for j in range(k)])
        assert_allclose(each.cluster_centers_, means, rtol=1e-5, atol=1e-7)
        assert_array_equal(each.predict(rows), each.labels_)
        alone = KMeans(k, normalize="l2", random_state=3).fit(rows)
        assert each.inertia_ <= alone.inertia_ * 1.003
    with pytest.raises(ParameterError, match="Several fits need"):
        KMeans(init=np.zeros((2, 900))).fit_each(rows, [2])
    with pytest.raises(ParameterError, match="no number"):
        KMeans().fit_each(rows, [])


def test_what_is_left_in_doubt_is_read_and_no_more():
    """Clear clusters need the sample, the sketch, the sums, and then next to nothing."""
    rows, k = PROBLEMS["counts"]
    found = KMeans(k).fit(rows)
    assert found.n_passes_ < 2.5 + 768 / len(rows)
    assert found.n_iter_ >= 2
    assert found.inertia_per_start_.shape == (10,)
    assert found.inertia_per_start_.min() >= found.inertia_ * (1 - 1e-5)


def test_too_few_iterations_say_so():
    rows, k = PROBLEMS["low contrast, many rows"]
    with pytest.warns(ConvergenceWarning, match="not certified"):
        found = KMeans(k, max_iter=1).fit(rows)
    assert not found.certified_
    assert_array_equal(found.predict(rows), found.labels_)
    early = KMeans(k, tol=0.5).fit(rows)
    assert_array_equal(early.predict(rows), early.labels_)
    assert early.n_iter_ <= KMeans(k).fit(rows).n_iter_


def test_more_clusters_than_distinct_rows_say_so():
    rows = np.repeat(np.eye(3), 5, axis=0)
    with pytest.warns(ConvergenceWarning, match="Only 3 of 5 clusters"):
        found = KMeans(5).fit(rows)
    assert found.inertia_ == 0
    assert np.isfinite(found.cluster_centers_).all()


def test_nearly_all_rows_in_doubt_is_slow_but_right():
    """One far outlier makes float32 blind: every row is then decided in float64."""
    random = np.random.default_rng(4)
    rows = clouds(random, 3000, 800, 3, 0.5)
    rows[7] = 1e9
    found = KMeans(4).fit(rows)
    assert found.certified_
    assert np.bincount(found.labels_).min() == 1
    others = np.delete(np.arange(3000), 7)
    peer = Peer(3, n_init=10, random_state=0, tol=0).fit(rows[others])
    assert adjusted_rand_score(peer.labels_, found.labels_[others]) == 1.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mask": np.ones(20, bool)}, "leave at least one value"),
        ({"mask": np.zeros(19, bool)}, "20 values"),
        ({"mask": np.zeros(20)}, "must be boolean"),
        ({"init": np.ones((6, 19))}, r"shape \(6, 20\)"),
        ({"init": np.full((6, 20), np.nan)}, "finite centers"),
        ({"normalize": "l3"}, "'l2' or 'l1'"),
        ({"n_init": 0}, "at least 1"),
        ({"tol": -1.0}, "at least 0"),
        ({"threads": 0}, "at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    rows, k = PROBLEMS["noise"]
    with pytest.raises(InputError, match=words) as refusal:
        KMeans(k, **settings).fit(rows)
    assert refusal.value.cure


@pytest.mark.parametrize(
    "weights", [np.ones(799), -np.ones(800), np.full(800, np.nan), np.zeros(800)]
)
def test_impossible_weights_are_refused(weights):
    with pytest.raises(InputError, match="sample_weight"):
        KMeans(6).fit(PROBLEMS["noise"][0], sample_weight=weights)


def test_rows_of_another_width_and_too_many_clusters_are_refused():
    rows, k = PROBLEMS["noise"]
    found = KMeans(k).fit(Rows(rows))
    with pytest.raises(InputError, match="20 values"):
        found.predict(Rows(rows[:, :19]))
    with pytest.raises(ParameterError, match=r"number of rows \(5\)"):
        KMeans(6).fit(Rows(rows[:5]))


def test_rows_that_are_no_numbers_are_named():
    rows = PROBLEMS["float32"][0].copy()
    rows[1234, 7] = np.inf
    with pytest.raises(InputError, match="row 1234"):
        KMeans(3).fit(rows)


@pytest.mark.parametrize(("n", "width"), [(50, 3), (3000, 900)])
@pytest.mark.parametrize("value", [1e300, -1e200])
def test_values_beyond_all_measure_are_refused_not_turned_into_nan(n, width, value):
    rows = np.random.default_rng(0).normal(size=(n, width))
    rows[n // 2, 1] = value
    with pytest.raises(InputError, match=r"farther from the mean|differ by .* to 1e140") as refusal:
        KMeans(3).fit(rows)
    assert "broken value" in refusal.value.cure


@pytest.mark.parametrize("name", ["counts", "float32", "low contrast, many rows"])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_no_more_iterations_than_allowed(name):
    rows, k = PROBLEMS[name]
    needed = KMeans(k).fit(rows).n_iter_
    for most in (1, 2, 3, needed):
        found = KMeans(k, max_iter=most).fit(rows)
        assert 1 <= found.n_iter_ <= most
        own = np.square(rows - found.cluster_centers_[found.labels_]).sum()
        assert found.inertia_ == pytest.approx(own, rel=1e-4)
    assert KMeans(k, max_iter=1).fit(rows).n_iter_ == 1


def test_a_sketch_of_scaled_rows_serves_estimators_that_do_not_scale():
    rows, k = PROBLEMS["counts"]
    scaled = ScaledRows(Rows(rows), RowTransform(900, normalize="l2"))
    shared, own = KMeans(k).fit(Sketch(scaled)), KMeans(k).fit(scaled)
    assert_array_equal(shared.labels_, own.labels_)
    assert_array_equal(shared.cluster_centers_, own.cluster_centers_)


def test_progress_rises_to_one():
    shares = []
    KMeans(4, progress=shares.append).fit(PROBLEMS["low contrast, many rows"][0])
    assert shares[-1] == 1.0
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert shares == sorted(shares)


def test_distances_of_rows_close_to_a_center_keep_their_digits():
    rng = np.random.default_rng(0)
    rows = 1e4 + rng.normal(size=(60, 3)) * [1e3, 1.0, 1.0]
    rows[1] = rows[0] + [0.0, 1e-7, 0.0]
    found = KMeans(30).fit(rows)
    distances = np.linalg.norm(rows[:, None] - found.cluster_centers_, axis=2)
    assert distances.min() < 1e-6
    assert_allclose(found.transform(rows), distances, rtol=1e-6, atol=1e-10)
    assert list(found.get_feature_names_out()[:2]) == ["kmeans0", "kmeans1"]
    assert_allclose(KMeans(30).fit_transform(rows), found.transform(rows))
