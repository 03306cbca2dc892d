"""The kernels of fuzzy clustering, compiled and as plain Python, against loops."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clustem.cluster.fuzzy import _kernels as kernels
from clustem.cluster.fuzzy._passes import Frame, Space, State, readable

FORMS = ("compiled", "plain")


def form_of(kernel, form):
    return kernel if form == "compiled" else kernel.py_func


def squared(x, center, metric):
    return float((x - center) @ metric @ (x - center))


def loop_memberships(X, centers, metrics, m):
    """Shared memberships by the formula; a row on one center is its alone."""
    u = np.zeros((len(X), len(centers)))
    for n, x in enumerate(X):
        d2 = np.array([squared(x, c, A) for c, A in zip(centers, metrics, strict=True)])
        if 0 in d2:
            u[n] = (d2 == 0) / np.count_nonzero(d2 == 0)
        else:
            u[n] = [1 / sum((d / d2) ** (1 / (m - 1))) for d in d2]
    return u


def loop_typicalities(X, centers, eta, m):
    eye = np.eye(X.shape[1])
    return np.array(
        [
            [
                1 / (1 + (squared(x, c, eye) / e) ** (1 / (m - 1)))
                for c, e in zip(centers, eta, strict=True)
            ]
            for x in X
        ]
    )


@pytest.fixture(scope="module")
def few():
    """Rows of different widths along the axes, (67, 3)."""
    return np.random.default_rng(8).normal(size=(67, 3)) * [3, 1, 0.5]


class TestKernels:
    """Each kernel, compiled and as plain Python, against loops."""

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("m", [2.0, 1.4, 1.2, 3.0])
    @pytest.mark.parametrize("kind", ["round", "ellipsoids", "possibilistic", "turned"])
    def test_sums(self, few, form, m, kind):
        X = few[:41].copy()
        k, rng = 2, np.random.default_rng(0)
        basis, origin = np.empty((0, 3)), np.array([1.0, -2.0, 0.5])
        if kind == "turned":
            basis = rng.normal(size=(2, 3))
        Z = (X - origin) * 0.5 if kind != "turned" else (X - origin) @ basis.T
        r = Z.shape[1]
        centers = rng.normal(size=(1, k, r))
        centers[0, 1] = Z[7]
        factors = (
            np.empty((1, k, 0, 0)) if kind == "round" else np.triu(rng.normal(size=(1, k, r, r)))
        )
        eta = np.empty((1, 0))
        if kind == "possibilistic":
            factors, eta = np.empty((1, k, 0, 0)), np.array([[0.7, 2.1]])
        metrics = [np.eye(r)] * k if not factors.size else [f.T @ f for f in factors[0]]

        out = np.zeros((1, 3, k, kernels.width_of_sums(r, moments=True)))
        form_of(kernels.fuzzy_sums, form)(
            X, origin, 0.5, basis, centers, factors, eta, m, 17, 8, 0, 3, out
        )

        if kind == "possibilistic":
            u = loop_typicalities(Z, centers[0], eta[0], m)
        else:
            u = loop_memberships(Z, centers[0], metrics, m)
        for p, rows in enumerate((slice(0, 17), slice(17, 34), slice(34, 41))):
            for i in range(k):
                w, dz = u[rows, i] ** m, Z[rows] - centers[0, i]
                d2 = [squared(z, centers[0, i], metrics[i]) for z in Z[rows]]
                objective = w @ d2
                if kind == "possibilistic":
                    objective += eta[0, i] * sum((1 - u[rows, i]) ** m)
                second = (w[:, None, None] * dz[:, :, None] * dz[:, None, :]).sum(axis=0)
                expected = [w.sum(), objective, *(w @ dz), *second[np.triu_indices(r)]]
                assert_allclose(out[0, p, i], expected, rtol=1e-11, atol=1e-13)

    @pytest.mark.parametrize("form", FORMS)
    def test_blocks_by_themselves(self, form):
        z = np.array([[0.0, 3.0], [0.0, 4.0]])
        difference, y, d2 = np.empty((2, 2)), np.empty(2), np.empty((2, 2))
        distances = form_of(kernels.block_distances, form)
        distances(z, 2, np.zeros(2), np.empty((0, 0)), difference, y, d2[0])
        distances(z, 2, np.array([0.0, 4.0]), np.diag([2.0, 1.0]), difference, y, d2[1])
        assert_array_equal(d2, [[0, 25], [16, 36]])

        u, w = np.empty((2, 2)), np.empty((2, 2))
        form_of(kernels.shared_memberships, form)(d2, 2, 2.0, y, u, w)
        assert_allclose(u, [[1, 36 / 61], [0, 25 / 61]])
        assert_allclose(w, u**2)
        form_of(kernels.block_memberships, form)(d2, 2, np.empty(0), 2.0, y, u, w)
        assert_allclose(u[:, 1], [36 / 61, 25 / 61])
        form_of(kernels.typical_memberships, form)(d2, 2, np.array([25.0, 12.0]), 2.0, u, w)
        assert_allclose(u, [[1, 0.5], [12 / 28, 0.25]])
        form_of(kernels.nearest_ratios, form)(d2, 2, y, w)
        assert_allclose(w, [[1, 1], [0, 25 / 36]])

        for m, power in ((2.0, 1), (1.25, 4), (1.2, 5), (1.04, 25), (3.0, 0.5), (1.7, 1 / 0.7)):
            form_of(kernels.sharpened, form)(np.array([0.0, 0.3]), 2, m, y)
            assert_allclose(y, [0, 0.3**power], rtol=1e-12)
            form_of(kernels.fuzzified, form)(np.array([0.0, 0.3]), 2, m, y)
            assert_allclose(y, [0, 0.3**m], rtol=1e-12)

        sums = np.zeros(7)
        form_of(kernels.add_sums, form)(z, 2, u[0], u[0] ** 2, d2[0], 0.0, 2.0, y, sums)
        assert_allclose(sums, [1.25, 6.25, 0.75, 1, 2.25, 3, 4])

    @pytest.mark.parametrize("form", FORMS)
    def test_memberships_and_labels(self, few, form):
        centers = few[[3, 40, 60]]
        factors, eta = np.empty((3, 0, 0)), np.empty(0)
        u, labels = np.zeros((67, 3)), np.full(67, -1, dtype=np.int32)
        form_of(kernels.fuzzy_memberships, form)(
            few,
            np.zeros(3),
            1.0,
            np.empty((0, 3)),
            centers,
            factors,
            eta,
            2.0,
            16,
            5,
            60,
            u,
            labels,
        )
        expected = loop_memberships(few, centers, [np.eye(3)] * 3, 2.0)
        assert_allclose(u[5:60], expected[5:60], rtol=1e-12)
        assert_array_equal(labels[5:60], expected[5:60].argmax(axis=1))
        assert (labels[:5] == -1).all(), "rows outside the range are left alone"
        assert (labels[60:] == -1).all()

    @pytest.mark.parametrize("form", FORMS)
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_distances_of_seeds(self, few, form, dtype):
        X = few.astype(dtype)
        least = np.full(67, 9.0)
        form_of(kernels.lower_distances, form)(
            X, np.zeros(3), 1.0, np.empty((0, 3)), np.ones(3), 10, least
        )
        expected = np.minimum(9.0, ((X.astype(np.float64) - 1) ** 2).sum(axis=1))
        assert_allclose(least, expected, rtol=1e-13)

    def test_panels_and_threads_add_up(self):
        rng = np.random.default_rng(2)
        X = rng.normal(size=(3 * 4096 + 17, 3))
        state = State.euclidean(rng.normal(size=(2, 3, 3)))
        sums = Frame(X, Space.plain(X), 2.0).sums(state, moments=True)
        z = Space.plain(X).coordinates(X)
        for s in range(2):
            d2 = ((z[:, None] - state.centers[s]) ** 2).sum(axis=2)
            w = (1 / d2 / (1 / d2).sum(axis=1, keepdims=True)) ** 2
            assert_allclose(sums.weight[s], w.sum(axis=0), rtol=1e-12)
            assert_allclose(sums.objective[s], (w * d2).sum(axis=0), rtol=1e-12)
            means = (w.T @ z) / w.sum(axis=0)[:, None]
            assert_allclose(state.centers[s] + sums.shift[s], means, rtol=1e-9, atol=1e-12)
            for i in range(3):
                about = np.cov(z.T, aweights=w[:, i], ddof=0)
                assert_allclose(sums.covariance[s, i], about, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("dtype", "values", "expected"),
    [
        (np.uint8, [0, 255], np.float32),
        (np.int16, [-3, 9], np.float32),
        (np.int64, [-(2**24), 2**24], np.float32),
        (np.int64, [0, 2**24 + 1], np.float64),
        (np.uint64, [0, 2**40], np.float64),
        (np.float16, [0, 0.5], np.float32),
        (np.float32, [0, 0.1], np.float32),
        (np.float64, [0, 0.1], np.float64),
        (bool, [0, 1], np.float32),
    ],
)
def test_numbers_are_read_exactly(dtype, values, expected):
    X = np.array([values], dtype=dtype)
    out = readable(X)
    assert out.dtype == expected
    assert_array_equal(out.astype(np.float64), X.astype(np.float64))
    assert X.flags.writeable
    assert not out.flags.writeable
