"""Each compiled loop of k-means against plain numpy, compiled and as Python."""

from itertools import pairwise

import numba as nb
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clustem.cluster.kmeans import _batch as kmeans_batch
from clustem.cluster.kmeans import _kernels as kmeans_kernels
from clustem.cluster.kmeans import lloyd as kmeans_starts
from clustem.cluster.kmeans._full_space import (
    FullSpaceLloyd,
    _gaps,
    assign_block,
    gap_to_second,
    nearest,
)
from clustem.cluster.kmeans._sketch import RowReader, Sketch, _append_columns, _beginning
from clustem.cluster.kmeans._tiles import TILE_COLUMNS, TILE_ROWS, multiply_tile
from clustem.passes.transform import CHUNK, RowTransform, plain, row_scales

WIDTH = 2 * CHUNK + 77
DTYPES = [np.uint8, np.uint16, np.float32, np.float64]
both_ways = pytest.mark.parametrize("way", ["compiled", "python"])


def as_asked(kernel, way):
    return kernel if way == "compiled" else kernel.py_func


def block_of(dtype, n=7):
    random = np.random.default_rng(1)
    return (random.random((n, WIDTH)) * 250).astype(dtype)


def masked_transform(normalize="l2"):
    mask = np.zeros(WIDTH, bool)
    mask[[0, 5, 6, 7, CHUNK - 1, CHUNK, CHUNK + 1, WIDTH - 1]] = True
    mask[200:900:3] = True
    return RowTransform(WIDTH, normalize=normalize, mask=mask)


def centered(block, transform, origin):
    return transform.compact(transform.apply(block)) - origin


@pytest.fixture
def origin():
    return np.random.default_rng(2).random(masked_transform().n_kept).astype(np.float32) * 0.01


def test_a_layout_lists_the_kept_columns_in_order_and_in_chunks():
    transform = masked_transform()
    source, target, length, ptr = transform.layout
    columns = np.concatenate([np.arange(s, s + n) for s, n in zip(source, length, strict=True)])
    assert_array_equal(columns, np.flatnonzero(~transform.mask))
    assert_array_equal(target, np.cumsum(length) - length)
    for chunk in range(len(ptr) - 1):
        inside = slice(ptr[chunk], ptr[chunk + 1])
        assert (target[inside] // CHUNK == chunk).all()
        assert ((target[inside] + length[inside] - 1) // CHUNK == chunk).all()


@both_ways
@pytest.mark.parametrize("how", ["l2", "l1", "max", "zscore"])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_scales(way, how, dtype):
    block = block_of(dtype, 4)
    if dtype == np.float64:
        block -= 100.0
    block[2] = 0
    transform = masked_transform(how)
    scale, shift, finite = np.ones(4), np.zeros(4), np.ones(4, bool)
    number = ["l2", "l1", "max", "zscore"].index(how) + 1
    integer = dtype == np.uint8
    kernel = as_asked(row_scales, way)
    with np.errstate(invalid="raise"):
        kernel(block, transform.layout, number, integer, scale, shift, finite)
    kept = block[:, ~transform.mask].astype(float)
    out = kept * scale[:, None] + shift[:, None]
    assert finite.all()
    assert (out[2] == 0).all()
    rest = out[[0, 1, 3]]
    found = {
        "l2": np.linalg.norm(rest, axis=1),
        "l1": np.abs(rest).sum(axis=1),
        "max": np.abs(rest).max(axis=1),
        "zscore": rest.std(axis=1),
    }[how]
    assert_allclose(found, 1.0, rtol=1e-12)
    if how == "zscore":
        assert_allclose(rest.mean(axis=1), 0.0, atol=1e-13)
    else:
        assert (shift == 0).all()


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_norms_neither_vanish_nor_overflow(size):
    out = RowTransform(3, normalize="l2").apply(np.array([[3.0, 0.0, 4.0]]) * size)
    assert_allclose(out, [[0.6, 0.0, 0.8]], rtol=1e-12)


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u1", "i2", "u2", ">u2", "<i4", ">f4", "f2", "f8", "u8"]
)
def test_any_number_type_is_read_without_loss(dtype):
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    block = plain(values[:, ::-1])
    assert block.dtype in DTYPES
    assert block.flags.c_contiguous
    assert_array_equal(block, values[:, ::-1].astype(float))


def test_a_tile_is_a_matrix_product():
    @nb.njit
    def call(x, b, z):
        multiply_tile(x, 3, x.shape[1], b, 2 * TILE_COLUMNS, z, 5, z.shape[1], 40)

    random = np.random.default_rng(3)
    x = random.random((TILE_ROWS, 50), np.float32)
    b = random.random((50, TILE_COLUMNS), np.float32)
    z = random.random((TILE_ROWS, TILE_COLUMNS + 9), np.float32)
    expected = z.copy()
    expected[:, 5 : 5 + TILE_COLUMNS] += x[:, 3:43] @ b[2:42]
    call(x, b, z)
    assert_allclose(z, expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("narrow", [False, True])
def test_sketch_block(dtype, narrow, origin):
    block, transform = block_of(dtype, TILE_ROWS + 5), masked_transform()
    scale, shift = transform.scales(block)
    basis = np.random.default_rng(4).normal(size=(transform.n_kept, 2 * TILE_COLUMNS))
    panels = basis.astype(np.float32).reshape(-1, 2, TILE_COLUMNS).transpose(1, 0, 2).copy()
    z = np.zeros((2 * TILE_ROWS, 2 * TILE_COLUMNS), np.float32)
    squares = np.zeros(len(block))
    kmeans_kernels.sketch_block(
        block, narrow, scale, shift, origin, transform.layout, panels, z, squares
    )
    x = centered(block, transform, origin)
    assert_allclose(z[: len(block)], x @ basis, atol=2e-4)
    assert_allclose(squares, (x**2).sum(axis=1), rtol=1e-5)
    alone = np.zeros((TILE_ROWS, 2 * TILE_COLUMNS), np.float32)
    kmeans_kernels.sketch_block(
        block[9:10], narrow, scale[9:10], shift, origin, transform.layout, panels, alone, squares
    )
    assert_array_equal(alone[0], z[9])  # to the bit: a row does not feel the rows beside it


@both_ways
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_center_block(way, dtype, origin):
    block, transform = block_of(dtype), masked_transform("zscore")
    scale, shift = transform.scales(block)
    out, squares = np.empty((len(block), transform.n_kept)), np.zeros(len(block))
    kernel = as_asked(kmeans_kernels.center_block, way)
    kernel(block, scale, shift, origin, transform.layout, out, squares)
    x = centered(block, transform, origin)
    assert_allclose(out, x, atol=1e-12)
    assert_allclose(squares, (x**2).sum(axis=1))


@both_ways
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_add_sums(way, dtype):
    block, transform = block_of(dtype), masked_transform("zscore")
    scale, shift = transform.scales(block)
    cells, weights = np.array([0, 2, -1, 2, 0, 0, 2]), np.arange(1.0, 8.0)
    sums = np.ones((3, transform.n_kept))
    kernel = as_asked(kmeans_kernels.add_sums, way)
    order = np.argsort(cells)[1:]
    kernel(block, scale, shift, transform.layout, order, cells, weights, sums)
    x = centered(block, transform, 0.0)
    for cell in range(3):
        mine = cells == cell
        assert_allclose(sums[cell], 1 + weights[mine] @ x[mine], rtol=1e-10, atol=1e-10)


@both_ways
@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_dots_block(way, k, dtype, precision, origin):
    narrow = dtype == np.uint8
    block, transform = block_of(dtype, 3), masked_transform()
    scale, shift = transform.scales(block)
    centers = np.random.default_rng(5).normal(size=(k, transform.n_kept)).astype(precision)
    dots, squares = np.zeros((3, k)), np.zeros(3)
    kernel = as_asked(kmeans_kernels.dots_block, way)
    kernel(block, narrow, scale, shift, origin, transform.layout, centers, dots, squares)
    x = centered(block, transform, origin)
    blur = 1e-4 if narrow or precision == np.float32 else 1e-12
    assert_allclose(dots, x @ centers.T.astype(float), atol=blur)
    assert_allclose(squares, (x**2).sum(axis=1), rtol=1e-5)


@both_ways
def test_own_distances(way, origin):
    block, transform = block_of(np.uint16, 4), masked_transform()
    scale, shift = transform.scales(block)
    centers = np.random.default_rng(6).normal(size=(3, transform.n_kept))
    labels, out = np.array([2, 0, 2, 1]), np.zeros(4)
    kernel = as_asked(kmeans_kernels.own_distances, way)
    kernel(block, scale, shift, origin, transform.layout, labels, centers, out)
    x = centered(block, transform, origin)
    assert_allclose(out, ((x - centers[labels]) ** 2).sum(axis=1), rtol=1e-12)


@both_ways
def test_assign_certain_never_claims_what_is_not_so(way):
    """True distances stay within the bounds: each certain label is the true one."""
    random = np.random.default_rng(7)
    n, r, hidden, k = 300, 3, 4, 4
    full = random.normal(size=(n, r + hidden)) * [3, 2, 2, 0.3, 0.3, 0.3, 0.3]
    centers = random.normal(size=(k, r + hidden)) * [3, 2, 2, 0.3, 0.3, 0.3, 0.3]
    moved = centers + 0.2 * random.normal(size=centers.shape)
    z, rest = full[:, :r].copy(), full[:, r:]
    residual, norms = np.linalg.norm(rest, axis=1), np.linalg.norm(full, axis=1)
    known = rest @ centers[:, r:].T  # read when the centers were there
    step = moved[:, None, r:] - centers[:, None, r:]
    radius = np.linalg.norm(step - step.transpose(1, 0, 2), axis=2)[None]
    state = (np.full(n, -1, np.int32), np.full(n, -1.0), np.zeros(n), np.zeros(n))
    error = np.full(n, 1e-14)
    squares = (moved**2).sum(axis=1)
    arguments = (z, moved[:, :r].copy(), squares, residual, norms**2, error, known)
    epoch = np.zeros(n, np.int32)
    kernel = as_asked(kmeans_kernels.assign_certain, way)
    verdict = kernel(0, n, *arguments, epoch, radius, state, np.zeros(2))
    truth = ((full[:, None] - moved) ** 2).sum(axis=2)
    certain = verdict < 2
    assert 0.3 < certain.mean() < 1
    assert_array_equal(state[0][certain], truth.argmin(axis=1)[certain])
    second = np.partition(truth, 1, axis=1)
    assert (state[1][certain] <= (second[:, 1] - second[:, 0])[certain] + 1e-12).all()
    again = kernel(0, n, *arguments, epoch, radius, state, np.zeros(2))
    assert (again[certain] == 0).all()


@both_ways
@pytest.mark.parametrize("error", [1e-14, 1e-4])
def test_what_rounding_could_turn_is_not_certain(way, error):
    """A row that is nearer to a center by less than its rounding error stays in doubt."""
    centers = np.array([[-1.0, 0.0], [1.0, 0.0]])
    gaps = np.array([0.5, 2.0]) * error  # of a row's coordinate: 4 of it for squared distances
    z = np.column_stack([np.concatenate([gaps, 10 * gaps, [0.5]]), np.zeros(5)])
    n = len(z)
    state = (np.full(n, -1, np.int32), np.full(n, -1.0), np.zeros(n), np.zeros(n))
    kernel = as_asked(kmeans_kernels.assign_certain, way)
    verdict = kernel(
        0, n, z, centers, np.ones(2), np.zeros(n), (z**2).sum(axis=1), np.full(n, error),
        np.zeros((n, 2)), np.zeros(n, np.int32), np.zeros((1, 2, 2)), state, np.zeros(2),
    )  # fmt: skip
    # certain if the squared distances differ by more than 8 errors
    assert verdict.tolist() == [2, 2, 1, 1, 1]
    assert state[1][2:] == pytest.approx(4 * z[2:, 0] - 8 * error, abs=1e-15)


@both_ways
def test_a_row_is_looked_at_again_once_the_centers_moved_by_its_slack(way):
    """The labels given are wrong, which shows who was looked at."""
    z, centers = np.array([[3.0, 0.0]] * 6), np.array([[-1.0, 0.0], [1.0, 0.0]])
    slack = np.array([7.1, 6.9, 7.1, 6.9, 1.0, -1.0])
    since = np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])  # travel per unit of the norm, 2, and flat
    since_flat = np.array([4.0, 4.0, 0.0, 0.0, 5.0, 5.0])
    travel, norms = np.array([3.0, 5.0]), np.array([3.0, 3.0, 2.0, 2.0, 9.0, 9.0])
    state = (np.zeros(6, np.int32), slack.copy(), since, since_flat)
    kernel = as_asked(kmeans_kernels.assign_certain, way)
    verdict = kernel(
        0, 6, z, centers, np.ones(2), np.zeros(6), norms**2, np.full(6, 1e-14),
        np.zeros((6, 2)), np.zeros(6, np.int32), np.zeros((1, 2, 2)), state, travel,
    )  # fmt: skip
    looked = np.array([False, True, False, True, False, True])
    assert verdict.tolist() == looked.astype(int).tolist()
    assert state[0].tolist() == looked.astype(int).tolist()
    assert_array_equal(state[1][~looked], slack[~looked])
    assert state[1][looked] == pytest.approx(12.0)
    assert_array_equal(state[2], np.where(looked, 3.0, since))
    assert_array_equal(state[3], np.where(looked, 5.0, since_flat))


def test_gaps_are_distances_rounded_up():
    vectors = np.random.default_rng(3).normal(size=(5, 40))
    vectors[4] = vectors[1]
    true = np.sqrt(((vectors[:, None] - vectors) ** 2).sum(axis=2))
    gaps = _gaps(vectors)
    assert (gaps >= true).all()
    assert_allclose(gaps, true, rtol=1e-10, atol=1e-5)


def test_the_gap_to_the_second_lowest_score():
    assert gap_to_second(np.array([[3.0], [4.0]])).tolist() == [np.inf, np.inf]
    assert gap_to_second(np.array([[3.0, 1.0], [4.0, 4.0]])).tolist() == [2.0, 0.0]
    assert gap_to_second(np.array([[3.0, 9.0, 7.0], [4.0, 1.0, 3.0]])).tolist() == [4.0, 2.0]


def test_of_equally_near_centers_the_old_one_stays():
    squares, norms = np.array([1.0, 1.0, 4.0]), np.ones(4)
    dots = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.5, 0.5 - 1e-9, 0.0], [0.0, 0.0, 3.0]])
    assert nearest(squares, dots, norms).tolist() == [0, 0, 0, 2]
    before = np.array([-1, 1, 1, 2], dtype=np.int32)
    assert nearest(squares, dots, norms, before).tolist() == [0, 1, 0, 2]
    blurred = dots - [[0.0, 1e-15, 0.0]]  # less than rounding
    assert nearest(squares, blurred, norms, before).tolist() == [0, 1, 0, 2]


def test_what_is_kept_of_rows_that_were_read_is_certain():
    """A row stays until the centers moved by its slack: at most its gap to the second center."""
    random = np.random.default_rng(6)
    rows = (random.normal(size=(300, 60)) * 0.97 ** np.arange(60)).astype(np.float32)
    lloyd = FullSpaceLloyd(Sketch(rows), np.ones(300), 4)
    centers = random.normal(size=(4, 60))
    lloyd.start_from_centers(centers)
    scale = lloyd.sketch.reader.read(rows, np.arange(300))[1][:, None]
    x = rows * scale - lloyd.sketch.centering.origin
    apart = ((x[:, None] - centers) ** 2).sum(axis=2)
    second, some = np.sort(apart, axis=1), np.arange(0, 300, 2)
    lloyd._remember(some, apart.argmin(axis=1)[some].astype(np.int32), (x @ centers.T)[some])
    gap = (second[:, 1] - second[:, 0])[some]
    rounding = 8 * lloyd.sketch.error32[some] * np.sqrt((centers**2).sum(axis=1).max())
    assert_allclose(gap - lloyd._slack[some], rounding, rtol=1e-3)
    assert (lloyd._slack[1::2] <= 0).all()
    assert (lloyd._epoch[some] == 1).all(), "after one move, from nowhere"
    held = lloyd.sketch.z.astype(np.float64) @ lloyd._near.T.astype(np.float64)
    assert_allclose((lloyd._known + held)[some], (x @ centers.T)[some], atol=1e-4)


def test_only_rows_between_centers_are_read_in_float64(monkeypatch):
    asked, dots = [], RowReader.dots

    def spy(reader, block, scale, shift, centers):
        asked.append((centers.dtype.name, len(block)))
        return dots(reader, block, scale, shift, centers)

    monkeypatch.setattr(RowReader, "dots", spy)
    centers = np.random.default_rng(7).normal(size=(2, 60)).astype(np.float32).astype(np.float64)
    shares = np.array([0.0, 0.2, 0.5, 0.9, 1.0])[:, None]
    rows = ((1 - shares) * centers[0] + shares * centers[1]).astype(np.float32)
    sketch = Sketch(rows)
    scale = sketch.reader.read(rows, np.arange(5))[1][:1]
    less = centers * scale - sketch.centering.origin
    squares, old = (less**2).sum(axis=1), np.array([0, 0, 1, 1, 1], dtype=np.int32)
    given = (np.full(5, 1e-4), np.ones(5), old, rows, np.arange(5))
    labels = assign_block(sketch.reader, sketch.z.dtype, less, squares, *given).rows[0]
    assert labels[[0, 1, 3, 4]].tolist() == [0, 0, 1, 1]
    assert asked == [("float32", 5), ("float64", 1)]


def test_how_far_centers_moved_is_accounted_for():
    """All that a row remembers is bounded by these: how far any pair moved, and its squares."""
    random = np.random.default_rng(5)
    rows = (random.normal(size=(300, 60)) * 0.97 ** np.arange(60)).astype(np.float32)
    lloyd = FullSpaceLloyd(Sketch(rows), np.ones(300), 4)
    places = [random.normal(size=(4, 60)) for _ in range(3)]
    lloyd.start_from_centers(places[0])
    for old, new in pairwise(places):
        travel, moved = lloyd._travel.copy(), lloyd._moved[-1]
        held = [lloyd.sketch.lift(lloyd.sketch.coordinates(place)) for place in (old, new)]
        lloyd._update_centers(new)
        step, change = new - old, (new**2).sum(axis=1) - (old**2).sum(axis=1)
        apart = np.sqrt(((step[:, None] - step) ** 2).sum(axis=2))
        assert_allclose(lloyd._travel - travel, [2 * apart.max(), np.ptp(change)], rtol=1e-9)
        rest = (new - held[1]) - (old - held[0])
        apart = np.sqrt(((rest[:, None] - rest) ** 2).sum(axis=2))
        assert_allclose(lloyd._moved[-1] - moved, apart, rtol=1e-6, atol=1e-5)


@both_ways
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lloyd_in_the_sketch(way, dtype):
    random = np.random.default_rng(8)
    z = random.normal(size=(160, 5)).astype(dtype)
    weights = random.integers(0, 3, 160).astype(float)
    centers, labels = z[:6].astype(float), np.zeros(160, np.int32)
    slow = centers.copy()
    inertia, count, converged = as_asked(kmeans_starts.iterate, way)(
        z, weights, centers, labels, 300, 0.0
    )
    for _ in range(count + 1):
        nearest = ((z[:, None] - slow) ** 2).sum(axis=2).argmin(axis=1)
        slow = np.stack(
            [np.average(z[nearest == j], axis=0, weights=weights[nearest == j]) for j in range(6)]
        )
    assert converged
    assert count > 3
    assert_array_equal(labels, nearest)
    assert_allclose(centers, slow, rtol=1e-5)
    assert inertia == pytest.approx(weights @ ((z - slow[nearest]) ** 2).sum(axis=1), rel=1e-5)


def test_starts_side_by_side_go_as_each_alone():
    random = np.random.default_rng(9)
    rows = random.normal(size=(500, 100)).astype(np.float32)
    sketch = Sketch(np.tile(rows, (50, 1))[:25000])
    weights = random.integers(1, 3, 25000).astype(float)
    centers = np.stack([sketch.z[random.choice(500, 7, replace=False)] for _ in range(5)])
    together = kmeans_batch.lloyd_batch(sketch.z, weights, centers.astype(float), max_iter=200)
    for start, alone in zip(centers, together, strict=True):
        slow = kmeans_starts.lloyd(sketch.z, weights, start.astype(float), max_iter=200)
        assert alone.converged
        assert (alone.labels == slow.labels).mean() > 0.999
        assert alone.inertia == pytest.approx(slow.inertia, rel=1e-5)
        one = kmeans_batch.lloyd_batch(sketch.z, weights, start[None].astype(float), max_iter=200)[
            0
        ]
        assert_array_equal(one.labels, alone.labels)


@both_ways
def test_k_means_plus_plus_takes_far_rows(way):
    z = np.repeat(np.array([[0.0, 0.0], [10.0, 0.0], [0.0, 20.0]]), 30, axis=0)
    z += 0.01 * np.random.default_rng(0).normal(size=z.shape)
    weights = np.ones(90)
    weights[40] = 0.0
    choose = as_asked(kmeans_starts.choose, way)
    for seed in range(20):
        chosen = np.empty(3, np.int64)
        choose(z, weights, np.random.default_rng(seed).random((3, 3)), chosen)
        assert sorted(chosen // 30) == [0, 1, 2]
        assert 40 not in chosen


@both_ways
def test_a_swap_frees_a_center_that_is_not_missed(way):
    z = np.array([[0.0], [0.2], [9.0], [9.1], [50.0], [51.0]])
    labels, centers = np.array([0, 1, 2, 2, 2, 2], np.int32), np.array([[0.0], [0.2], [29.8]])
    row, cluster = as_asked(kmeans_starts.best_swap, way)(z, np.ones(6), labels, centers, 0.99)
    assert row == 5
    assert cluster in (0, 1)
    start = kmeans_starts.Start(labels, centers, 1e9, 1, converged=True)
    better = kmeans_starts.swap(z, np.ones(6), start, np.array([0.99]), max_iter=50)
    assert better.inertia == pytest.approx(0.02 + 0.005 + 0.5)


@both_ways
def test_an_empty_cluster_gets_the_farthest_row(way):
    z = np.array([[0.0], [1.0], [8.0]])
    labels, near = np.zeros(3, np.int32), np.array([[3.0], [70.0]])
    sums, counts = np.array([[9.0], [0.0]]), np.array([3.0, 0.0])
    bounds = np.zeros(3), np.zeros(3)
    as_asked(kmeans_starts.relocate_empty_clusters, way)(
        z, np.ones(3), labels, sums, counts, *bounds, near
    )
    assert_array_equal(labels, [0, 0, 1])
    assert_array_equal(counts, [2, 1])
    assert_array_equal(sums, [[1], [8]])


@pytest.mark.parametrize("n", [1, 5, 1000])
def test_columns_are_appended_in_place(n, monkeypatch):
    monkeypatch.setattr("clustem.cluster.kmeans._sketch._AT_A_TIME", 7)
    random = np.random.default_rng(n)
    room, first, more = np.empty((n, 8)), random.random((n, 4)), random.random((n, 3))
    array = _beginning(room, 4)
    array[:] = first
    assert_array_equal(_append_columns(room, array, more), np.hstack([first, more]))
