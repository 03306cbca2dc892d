"""Sampled memberships, mixed positions, scatter in phases, held-out counts: against truth."""

import itertools
from dataclasses import replace
from math import lgamma

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from sklearn.metrics import adjusted_rand_score

import clustem
from clustem.cluster import MultinomialMixture
from clustem.cluster._neighbours import coloring, draw, marginals
from clustem.cluster.mixture._borders import borders_of, evidence, scattered
from clustem.cluster.mixture._counts import Fit, counts_of
from clustem.cluster.mixture._signals import Counted
from clustem.describe import patterns, spectra
from clustem.judge import choose_k, verdict
from clustem.labelmaps.grid_graph import grid_graph
from clustem.passes.rows import Rows
from clustem.passes.sparse import fill, sparse

RNG = np.random.default_rng(0)
SHAPES = RNG.dirichlet(np.full(40, 0.4), 3)


def grid(shape):
    return grid_graph(np.zeros(shape, dtype=bool))


def one_signal(mean):
    return (Counted(slice(0, len(mean)), mean, 1.0, shared_intensity=False),)


def discs(counts, seed=0, shape=(50, 60), thickness=True):
    """Discs of two phases in a third, with pixels that hold two of them, and their truth."""
    rng = np.random.default_rng(seed)
    fine = np.zeros((shape[0] * 4, shape[1] * 4), dtype=int)
    row, column = np.indices(fine.shape)
    for i in range(14):
        y, x, r = rng.uniform(0, fine.shape[0]), rng.uniform(0, fine.shape[1]), rng.uniform(20, 44)
        fine[(row - y) ** 2 + (column - x) ** 2 < r**2] = 1 + i % 2
    shares = np.stack([fine == k for k in range(3)], axis=-1).reshape(shape[0], 4, shape[1], 4, 3)
    shares = shares.mean(axis=(1, 3))
    waves = 1 + 0.6 * np.sin(np.arange(shape[1]) / 7) if thickness else 1.0
    mean = counts * (shares @ SHAPES) * np.reshape(waves, (1, -1, 1))
    return shares.argmax(axis=-1), rng.poisson(mean)


def calibration_error(memberships, truth):
    """Expected calibration error over 15 bins; clusters are matched by their largest overlap."""
    found = memberships.argmax(axis=1)
    orders = itertools.permutations(range(memberships.shape[1]))
    best = max(orders, key=lambda order: np.mean(np.array(order)[found] == truth))
    right, sure = np.array(best)[found] == truth, memberships.max(axis=1)
    bins = np.minimum((15 * sure).astype(int), 14)
    return sum(
        abs(right[bins == b].mean() - sure[bins == b].mean()) * np.mean(bins == b)
        for b in np.unique(bins)
    )


def test_marginals_are_those_of_all_labellings():
    graph, rng = grid((2, 3)), np.random.default_rng(1)
    values = rng.normal(0, 1.5, (6, 2))
    coupling, expected, total = 0.6, np.zeros((6, 2)), 0.0
    for labels in itertools.product(range(2), repeat=6):
        hot = np.eye(2)[list(labels)]
        weight = np.exp((hot * values).sum() + 0.5 * coupling * (hot * (graph @ hot)).sum())
        expected += weight * hot
        total += weight
    found = marginals(values, graph, coupling, values.argmax(axis=1), sweeps=40_000, seed=0)
    np.testing.assert_allclose(found, expected / total, atol=0.01)


def test_rows_that_no_neighbours_can_turn_are_not_drawn():
    shape = (9, 11)
    values = np.random.default_rng(8).normal(size=(99, 3)) * 40
    found = marginals(values, grid(shape), 0.7, values.argmax(axis=1), sweeps=20, seed=5)
    first, second = np.sort(values, axis=1)[:, [2, 1]].T
    certain = first - second > 4 * 0.7 + 31
    assert 0.2 < certain.mean() < 0.8
    np.testing.assert_array_equal(found[certain], np.eye(3)[values.argmax(axis=1)[certain]])
    np.testing.assert_allclose(found.sum(axis=1), 1)
    weak = values * 1e-3  # none is certain: nothing is left out
    drawn = marginals(weak, grid(shape), 0.7, weak.argmax(axis=1), sweeps=20, seed=5)
    assert (drawn.max(axis=1) < 1).all()


def test_marginals_are_the_same_with_any_number_of_threads(monkeypatch):
    shape = (90, 150)
    values = np.random.default_rng(2).normal(size=(np.prod(shape), 3))
    found = []
    for count in (1, 3):
        monkeypatch.setattr("clustem.cluster._neighbours.cores", lambda count=count: count)
        found.append(marginals(values, grid(shape), 0.7, values.argmax(axis=1), sweeps=8, seed=5))
    np.testing.assert_array_equal(*found)


def test_neighbours_never_share_a_color():
    graph = grid_graph(np.random.default_rng(0).random((13, 17)) < 0.3)
    for color in (coloring, coloring.py_func):
        found = color(graph.indptr, graph.indices)
        rows, columns = graph.nonzero()
        assert (found[rows] != found[columns]).all()
        assert found.max() < 9


def test_draws_follow_their_probabilities():
    n = 20_000
    values = np.log(np.tile([0.2, 0.5, 0.3], (n, 1)))
    empty = np.zeros(n + 1, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0)
    labels, out = np.zeros(n, dtype=np.int64), np.zeros((n, 3))
    draw(values, *empty, labels, out, np.uint64(7), np.arange(n))
    np.testing.assert_allclose(np.bincount(labels) / n, [0.2, 0.5, 0.3], atol=0.01)
    few = np.arange(50)
    again, python = np.zeros(n, dtype=np.int64), np.zeros((n, 3))
    with np.errstate(over="ignore"):
        draw.py_func(values, *empty, again, python, np.uint64(7), few)
    np.testing.assert_array_equal(again[few], labels[few])


def test_scatter_is_the_dirichlet_multinomial():
    x = np.random.default_rng(3).poisson(2.5, (7, 6))
    x[0, 0] = 30
    shapes, mean = np.random.default_rng(4).dirichlet(np.ones(6), 2), np.full(6, 1 / 6)
    wide = np.array([3.0, 40.0])
    fit = Fit(shapes, np.ones((2, 1)), np.ones(2) / 2, np.full((7, 2), 0.5), wide[:, None])
    found = scattered(fit, counts_of(csr_array(x * 1.0), None, one_signal(mean)))
    for i, row in enumerate(x):
        for k in range(2):
            alpha = wide[k] * shapes[k]
            expected = lgamma(wide[k]) - lgamma(wide[k] + row.sum()) - row @ np.log(mean)
            expected += sum(lgamma(a + n) - lgamma(a) for a, n in zip(alpha, row, strict=True))
            assert found[i, k] == pytest.approx(expected, rel=1e-9)


def test_a_mixed_position_belongs_to_its_larger_part():
    truth, x = discs(400, thickness=False)
    signals = one_signal(x.reshape(-1, 40).sum(axis=0) / x.sum())
    graph, hot = grid(truth.shape), np.eye(3)[truth.ravel()]
    fit = Fit(SHAPES, np.ones((3, 1)), np.ones(3) / 3, hot)
    counts = counts_of(csr_array(x.reshape(-1, 40) * 1.0), graph, signals)
    alone = scattered(fit, counts).argmax(axis=1)
    mixed = evidence(fit, counts, borders_of(hot, graph)).argmax(axis=1)
    wrong = [np.mean(found != truth.ravel()) for found in (alone, mixed)]
    assert wrong[1] < 0.8 * wrong[0]
    assert not borders_of(np.eye(3)[np.zeros(truth.size, dtype=int)], graph)


@pytest.mark.parametrize(("counts", "least"), [(100, 0.95), (20, 0.9), (6, 0.8)])
@pytest.mark.parametrize("seed", [0, 1])
def test_maps_and_their_memberships_hold(counts, least, seed):
    truth, x = discs(counts, seed)
    found = MultinomialMixture(3, connectivity=grid(truth.shape)).fit(x.reshape(-1, 40))
    assert adjusted_rand_score(truth.ravel(), found.labels_) > least
    assert calibration_error(found.memberships_, truth.ravel()) < 0.03
    assert found.held_out_gain_ > 5 * found.held_out_error_


def phases_of_many_channels(counts, seed):
    """Four phases of 200 channels in large patches, and their truth."""
    rng, shape = np.random.default_rng(seed), (60, 72)
    truth = np.argmax([gaussian_filter(rng.normal(size=shape), 5) for _ in range(4)], axis=0)
    shapes = (rng.gamma(0.5, size=200) + 0.02) * np.exp(1.2 * rng.normal(size=(4, 200)))
    shapes /= shapes.sum(axis=1, keepdims=True)
    return truth.ravel(), rng.poisson(counts * shapes[truth]).reshape(-1, 200)


def test_shapes_of_few_counts_do_not_weaken_the_coupling():
    errors = []
    for seed in range(4):
        truth, rows = phases_of_many_channels(1, seed)
        found = MultinomialMixture(4, connectivity=grid((60, 72))).fit(rows)
        errors.append(calibration_error(found.memberships_, truth))
    assert np.mean(errors) < 0.035


def test_overdispersion_is_found_where_phases_vary():
    rng = np.random.default_rng(5)
    truth, _ = discs(1)
    shapes = np.stack([rng.dirichlet(60 * SHAPES[k] + 1e-6) for k in truth.ravel()])
    varied = rng.poisson(200 * shapes)
    plain = rng.poisson(200 * SHAPES[truth.ravel()])
    given = {"connectivity": grid(truth.shape), "n_init": 3}
    wide = MultinomialMixture(3, **given).fit(varied)
    assert wide.concentrations_ is not None
    assert np.median(wide.concentrations_) == pytest.approx(60, rel=0.6)
    assert adjusted_rand_score(truth.ravel(), wide.labels_) > 0.95
    assert MultinomialMixture(3, **given).fit(plain).concentrations_ is None


@pytest.mark.parametrize("counts", [100, 10, 2])
def test_one_phase_is_one_cluster_at_every_dose(counts):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        waves = 1 + 0.35 * np.sin(np.arange(1600) / 9 + seed)
        waves[:400] *= 1.5  # an interrupted scan
        x = rng.poisson(counts * waves[:, None] * SHAPES[0])

        def make(k):
            return MultinomialMixture(k, connectivity=grid((40, 40)))

        found = choose_k(x, make, range(1, 5), scored="chosen")
        assert found.k == 1
        assert "thickness or dose only" in found.reason


@pytest.mark.parametrize("counts", [100, 20])
def test_the_number_of_phases_is_found(counts):
    truth, x = discs(counts, seed=3)

    def make(k):
        return MultinomialMixture(k, connectivity=grid(truth.shape))

    found = choose_k(x.reshape(-1, 40), make, range(1, 7))
    assert found.k == 3
    assert 2 not in found.alternatives
    rise = np.diff(found.scores["held-out"])
    assert rise[1] > 5 * abs(rise[2:]).max()
    assert found.scores["held-out"][0] == 0
    assert "weakest gap" in found.scores


def signal_of(x):
    signal = hs.signals.Signal1D(x)
    signal.set_signal_type("EDS_TEM")
    signal.axes_manager[-1].scale, signal.axes_manager[-1].units = 0.1, "keV"
    signal.axes_manager[-1].offset = 0.2
    return signal


def test_the_verdict_comes_first():
    truth, x = discs(30, seed=4)
    good = clustem.segment(signal_of(x), "eds")
    assert good.n_clusters == 3
    said = verdict(good)
    assert said.structure
    assert said.warranted.startswith("3 clusters are")
    assert set(said.doubts) <= {said.warranted}
    assert said.alike == ()
    rng = np.random.default_rng(6)
    waves = 1 + 0.35 * np.sin(np.arange(60) / 9)
    one = signal_of(rng.poisson(30 * SHAPES[0] * np.ones((50, 1, 1)) * waves[:, None]))
    for k in (None, 3):
        found = verdict(clustem.segment(one, "eds", n_clusters=k))
        assert not found.structure
        assert "thickness or dose" in found.text
    flat = signal_of(rng.poisson(30 * SHAPES[0] * np.ones((50, 60, 1))))
    said = verdict(clustem.segment(flat, "eds", n_clusters=4)).text
    assert said.startswith("No structure at this dose")
    speckle = rng.permutation(truth.ravel()).reshape(truth.shape)
    with pytest.warns(UserWarning, match="in doubt"):  # neighbours say nothing of the noise
        random = clustem.segment(signal_of(rng.poisson(300 * SHAPES[speckle])), "eds", n_clusters=3)
    assert "as by chance" in verdict(random).text


def test_intensity_alone_is_said():
    rng = np.random.default_rng(7)
    thick = np.where(np.arange(60) < 30, 40, 120)[:, None] * SHAPES[0]
    signal = signal_of(rng.poisson(thick * np.ones((50, 1, 1))))
    found = clustem.segment(
        signal, "eds", n_clusters=2, settings={"cluster.intensity": "shared", "cluster.coupling": 1}
    )
    ((i, j, factor),) = verdict(found).alike
    assert {i, j} == {0, 1}
    assert max(factor, 1 / factor) == pytest.approx(3, rel=0.05)
    assert "one shape and differ by intensity" in verdict(found).text


def test_markers_lead_the_fit():
    truth, x = discs(30, seed=8)
    markers = np.zeros(truth.size, dtype=int)
    for k in (2, 1):
        markers[np.flatnonzero(truth.ravel() == k)[:12]] = 3 - k
    found = MultinomialMixture(3, connectivity=grid(truth.shape), markers=markers).fit(
        x.reshape(-1, 40)
    )
    assert adjusted_rand_score(truth.ravel(), found.labels_) > 0.9
    assert np.median(found.labels_[markers == 1]) == 0  # the first cluster is that of region 1
    assert np.median(found.labels_[markers == 2]) == 1


def test_channels_are_pooled_as_the_counts_ask():
    x = np.random.default_rng(9).poisson(0.02, (30, 40, 64))
    signal = signal_of(x)
    signal.axes_manager[-1].scale = 0.01
    hidden = np.arange(64) < 6
    features = spectra(signal, pool="auto", masks=clustem.core.Masks(signal=hidden))
    size = int(np.ceil(100 / x[..., 6:].sum(axis=(0, 1)).mean()))
    assert size == 5
    assert features.rows.shape == (1200, 12)  # 64 channels in fives, the first of which is left out
    np.testing.assert_array_equal(
        np.asarray(features.rows)[:, 0], x[..., 6:10].sum(axis=-1).ravel()
    )
    assert np.asarray(features.rows).sum() == x[..., 6:].sum()
    assert spectra(signal_of(100 * x), pool="auto").rows.shape == (1200, 64)


def test_pixels_are_pooled_in_squares():
    x = np.random.default_rng(10).poisson(0.05, (20, 20, 32, 32))
    scan = hs.signals.Signal2D(x)
    found = np.asarray(patterns(scan, pool="auto").rows)
    expected = x.reshape(400, 16, 2, 16, 2).sum(axis=(2, 4)).reshape(400, -1)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(clustem.core.InputError, match="without normalisation"):
        patterns(scan, pool=2, normalize="l2")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, ">u2"])
def test_sparse_rows_are_the_dense_ones(dtype):
    x = (np.random.default_rng(11).poisson(0.3, (9, 8, 11)) * 3).astype(dtype)
    found = sparse(Rows(x))
    np.testing.assert_array_equal(found.toarray(), x.reshape(-1, 11))
    assert found.nnz == np.count_nonzero(x)
    block = np.array([[0, 5], [7, 0]])
    columns, values = np.zeros(2, dtype=np.int32), np.zeros(2, dtype=int)
    fill.py_func(block, np.array([0, 1, 2]), columns, values)
    assert (columns.tolist(), values.tolist()) == ([1, 0], [5, 7])


def test_few_electrons_take_the_mixture_and_many_k_means():
    sample = clustem.samples.diffraction(shape=(20, 24))
    full = sample.signal
    few = full.deepcopy()
    share = 300 / full.data.sum(axis=(-1, -2)).mean()
    few.data = np.random.default_rng(12).binomial(full.data.astype(int), min(share, 1.0))
    runs = [clustem.segment(signal, "diffraction", n_clusters=4) for signal in (full, few)]
    names = [next(step.name for step in run.history if step.stage == "cluster") for run in runs]
    assert names == ["KMeans", "MultinomialMixture"]
    said = next(step.note for step in runs[1].history if step.stage == "cluster")
    assert "counts a position, fewer than 1000" in said
    kept = clustem.segment(few, "diffraction", n_clusters=4, settings={"cluster.n_init": 3})
    assert "KMeans" in [step.name for step in kept.history]  # that is what the user set
    again = clustem.segment(few, runs[1].recipe)
    np.testing.assert_array_equal(again.labels.data, runs[1].labels.data)


def test_a_replaced_concentration_stays_finite():
    wide, nothing = np.full((3, 1), 1e6), csr_array(np.zeros((2, 40)))
    fit = Fit(SHAPES, np.ones((3, 1)), np.ones(3) / 3, np.full((2, 3), 1 / 3), wide)
    counts = counts_of(nothing, None, one_signal(np.full(40, 1 / 40)))
    assert (scattered(replace(fit), counts) == 0).all()


@pytest.mark.parametrize("counts", [8, 60])
def test_the_fitted_rows_are_assigned_as_in_the_fit(counts):
    truth, data = discs(counts)
    rows, graph = data.reshape(truth.size, -1), grid(truth.shape)
    for given in ({"connectivity": graph}, {}):
        found = MultinomialMixture(3, **given).fit(rows)
        np.testing.assert_array_equal(found.assign(rows, **given), found.memberships_)


@pytest.mark.parametrize(("counts", "least"), [(8, 0.8), (60, 0.94)])
def test_another_scan_of_the_same_phases_is_assigned_as_by_its_own_fit(counts, least):
    truth, data = discs(counts)
    other, more = discs(1.5 * counts, seed=3, shape=(40, 70))
    graph = grid(other.shape)
    rows = more.reshape(other.size, -1)
    known = MultinomialMixture(3, connectivity=grid(truth.shape)).fit(data.reshape(truth.size, -1))
    own = MultinomialMixture(3, connectivity=graph).fit(rows)
    given = known.assign(rows, connectivity=graph).argmax(axis=1)
    score = adjusted_rand_score(other.ravel(), given)
    assert score > least
    assert score > adjusted_rand_score(other.ravel(), own.labels_) - 0.03
    alone = adjusted_rand_score(other.ravel(), known.predict(rows))
    assert score > alone
