"""Estimators of more rows than are searched: the answer of a search in all of them."""

import resource
import sys
from dataclasses import replace
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score

from clustem.cluster import (
    FuzzyCMeans,
    GaussianMixture,
    GustafsonKessel,
    MultinomialMixture,
    PossibilisticCMeans,
)
from clustem.cluster.fuzzy import _course, _passes
from clustem.cluster.mixture import _course as _mixture
from clustem.cluster.mixture import _over_rows, gaussian_mixture
from clustem.core import (
    Features,
    InputError,
    NMFInfo,
    collecting,
    declaration_of,
    memory,
    recording,
)
from clustem.describe import spectra
from clustem.labelmaps.grid_graph import grid_graph
from clustem.passes import scratch
from clustem.passes.rows import Rows
from clustem.reduce import nmf, smooth

FUZZY = [FuzzyCMeans, GustafsonKessel, PossibilisticCMeans]


def clouds(n=6000, seed=0):
    rng = np.random.default_rng(seed)
    own = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    turns = np.linalg.qr(rng.normal(size=(3, 4, 4)))[0]
    middles = 4 * rng.normal(size=(3, 4))
    wide = rng.normal(size=(n, 4)) * [1.5, 1.0, 0.6, 0.4]
    return np.einsum("ni,nij->nj", wide, turns[own]) + middles[own], own


def matched(one, other):
    """Memberships of the other in the order of the first."""
    return other[:, linear_sum_assignment(-(one.T @ other))[1]]


@pytest.mark.parametrize("make", FUZZY)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_search_on_some_rows_ends_where_all_rows_do(make, seed, monkeypatch):
    X, _ = clouds(seed=seed)
    every = make(3, random_state=seed).fit(X)
    monkeypatch.setattr(_course, "_MANY", 2000)
    monkeypatch.setattr(_course, "_FEW", 1500)
    few = make(3, random_state=seed).fit(X)
    assert few.objective_ == pytest.approx(every.objective_, rel=1e-4)
    off = np.abs(every.memberships_ - matched(every.memberships_, few.memberships_))
    assert off.max() < 5e-3
    assert few.n_iter_ <= every.n_iter_ + 5


@pytest.mark.parametrize("make", FUZZY)
def test_mapped_rows_give_the_same_and_are_let_go(make, tmp_path, monkeypatch):
    X, _ = clouds()
    X = X.astype(np.float32)
    np.save(tmp_path / "rows.npy", X)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    released = []
    own = _passes.release
    monkeypatch.setattr(_passes, "_PART", 2**14)
    monkeypatch.setattr(_passes, "release", lambda part: (released.append(len(part)), own(part)))
    found = make(3).fit(mapped)
    assert (found.memberships_ == make(3).fit(X).memberships_).all()
    assert sum(released) >= len(X) * found.n_iter_


def test_values_that_are_not_finite_are_refused_in_parts(tmp_path):
    X, _ = clouds(500)
    X[77, 2] = np.nan
    np.save(tmp_path / "rows.npy", X)
    with pytest.raises(InputError, match="1 NaN and 0 inf in 1 of 500 rows"):
        FuzzyCMeans(3).fit(np.load(tmp_path / "rows.npy", mmap_mode="r"))


@pytest.mark.parametrize("coupling", [0.0, "auto"])
def test_a_mixture_of_many_rows_is_that_of_all_starts(coupling, monkeypatch):
    rng = np.random.default_rng(3)
    truth = (np.indices((70, 90)) // 18).sum(axis=0).ravel() % 3
    X = np.eye(3)[truth] * 1.6 + rng.normal(size=(truth.size, 3))
    graph = grid_graph(np.zeros((70, 90), dtype=bool))
    given = {"covariance_type": "tied", "coupling": coupling, "connectivity": graph}
    every = GaussianMixture(3, **given).fit(X)
    monkeypatch.setattr(_mixture, "_MANY", 3000)
    monkeypatch.setattr(_mixture, "FEW", 2700)
    monkeypatch.setattr(_mixture, "PIECES", 3)
    few = GaussianMixture(3, **given).fit(X)
    assert few.coupling_ == every.coupling_
    assert adjusted_rand_score(few.labels_, every.labels_) > (0.98 if coupling else 0.95)
    assert few.lower_bound_ == pytest.approx(every.lower_bound_, abs=1e-3)
    assert adjusted_rand_score(few.labels_, truth) > (0.9 if coupling else 0.4)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
@pytest.mark.parametrize("given", [False, True])
def test_rows_that_are_not_kept_give_the_same_mixture(kind, given, tmp_path, monkeypatch):
    X, own = clouds(seed=4)
    X = (100 + 3 * X).astype(np.float32)
    more = {"init": np.eye(3)[own]} if given else {}
    kept = GaussianMixture(3, covariance_type=kind, tol=1e-7, **more).fit(X)
    np.save(tmp_path / "rows.npy", X)
    rows = Rows(np.load(tmp_path / "rows.npy", mmap_mode="r"), block_bytes=2**14)
    monkeypatch.setattr(gaussian_mixture, "_LARGE", 0)
    found = GaussianMixture(3, covariance_type=kind, tol=1e-7, **more).fit(rows)
    off = 1e-6 if given else 2e-3  # other starts end elsewhere within the tolerance
    np.testing.assert_allclose(found.memberships_, kept.memberships_, atol=off)
    np.testing.assert_allclose(found.cluster_centers_, kept.cluster_centers_, rtol=1e-4)
    np.testing.assert_allclose(found.covariances_, kept.covariances_, rtol=3e-3, atol=3e-3)
    assert found.lower_bound_ == pytest.approx(kept.lower_bound_, abs=1e-6)
    assert found.bic_ == pytest.approx(kept.bic_, rel=1e-6)
    np.testing.assert_allclose(found.predict_proba(X), found.memberships_, atol=1e-6)


def test_a_step_over_rows_is_the_step_in_memory(monkeypatch):
    """Of one step from the same start there is nothing but rounding."""
    X, own = clouds(seed=5)
    start = np.eye(3)[own] * 0.8 + 0.2 / 3
    for kind in ("full", "tied", "diag", "spherical"):
        given = {"covariance_type": kind, "init": start, "max_iter": 2, "tol": 0.0}
        with collecting():  # two steps do not suffice
            kept = GaussianMixture(3, **given).fit(X)
            with monkeypatch.context() as patch:
                patch.setattr(gaussian_mixture, "_LARGE", 0)
                found = GaussianMixture(3, **given).fit(Rows(X, block_bytes=2**12))
        np.testing.assert_allclose(found.memberships_, kept.memberships_, atol=1e-9)
        np.testing.assert_allclose(found.covariances_, kept.covariances_, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(found.weights_, kept.weights_, rtol=1e-10)
        assert found.n_iter_ == kept.n_iter_ == 2


def test_more_than_128_dimensions_are_read_again_too(monkeypatch):
    rng = np.random.default_rng(6)
    X = rng.normal(size=(900, 150)) + 3 * np.eye(150)[:3].repeat(300, axis=0)
    start = np.eye(3).repeat(300, axis=0)
    kept = GaussianMixture(3, covariance_type="full", init=start).fit(X)
    monkeypatch.setattr(gaussian_mixture, "_LARGE", 0)
    found = GaussianMixture(3, covariance_type="full", init=start).fit(Rows(X, block_bytes=2**16))
    np.testing.assert_allclose(found.memberships_, kept.memberships_, atol=1e-3)
    np.testing.assert_allclose(found.covariances_, kept.covariances_, atol=1e-3)


@pytest.mark.parametrize("coupling", [1.0, "auto"])
def test_neighbours_of_rows_that_are_not_kept(coupling, monkeypatch):
    mask = np.zeros((60, 50), dtype=bool)
    mask[:3, 10:40] = mask[30:40, 30] = mask[50] = True
    truth = ((np.indices(mask.shape) // 16).sum(axis=0) % 3)[~mask]
    rng = np.random.default_rng(3)
    X = np.eye(3)[truth] * 1.6 + rng.normal(size=(truth.size, 3))
    given = {"covariance_type": "tied", "coupling": coupling, "tol": 1e-6}
    kept = GaussianMixture(3, connectivity=grid_graph(mask), **given).fit(X)
    same = GaussianMixture(3, connectivity=mask, **given).fit(X)
    np.testing.assert_array_equal(same.memberships_, kept.memberships_)
    monkeypatch.setattr(gaussian_mixture, "_LARGE", 0)
    monkeypatch.setattr(_over_rows, "_BAND", 3 * 50 * 13)
    found = GaussianMixture(3, connectivity=mask, **given).fit(X)
    assert found.coupling_ == kept.coupling_
    np.testing.assert_allclose(
        found.memberships_, matched(found.memberships_, kept.memberships_), atol=0.02
    )
    assert found.lower_bound_ == pytest.approx(kept.lower_bound_, abs=2e-4)
    again = found.assign(X, connectivity=mask)
    np.testing.assert_array_equal(again, found.memberships_)
    monkeypatch.setattr(_over_rows, "_BAND", 2**22)  # all lines at once
    np.testing.assert_allclose(found.assign(X, connectivity=mask), again, atol=2e-3)
    assert adjusted_rand_score(found.labels_, truth) > 0.9


def test_lines_of_a_scan_and_their_neighbours():
    mask = np.random.default_rng(0).random((23, 9)) < 0.2
    mask[4] = True
    graph, grid = grid_graph(mask), _over_rows.Grid(mask)
    numbers, near = grid.some(60, 3)
    assert len(numbers) == near.shape[0] < graph.shape[0]
    assert (near - graph[numbers][:, numbers]).nnz == 0
    whole, every = grid.some(10**6, 3)
    assert len(whole) == graph.shape[0]
    assert (every - graph).nnz == 0
    seen = []
    for here, inside, part in grid.bands(10**6, 2):
        rows = np.arange(here.start, here.stop)
        assert (part - graph[rows][:, rows]).nnz == 0
        seen += rows[inside].tolist()
    assert seen == list(range(graph.shape[0]))


def test_rows_at_random_where_there_are_no_neighbours(monkeypatch):
    X, own = clouds()
    monkeypatch.setattr(_mixture, "_MANY", 3000)
    monkeypatch.setattr(_mixture, "FEW", 1000)
    found = GaussianMixture(3, covariance_type="full").fit(X)
    assert adjusted_rand_score(found.labels_, own) > 0.95
    some = _mixture.some_rows(6000, {"init": "k-means", "markers": None, "random_state": 0}, None)
    assert len(np.unique(some)) == 1000


@pytest.mark.parametrize("make", [*FUZZY, GaussianMixture, MultinomialMixture])
def test_what_does_not_fit_in_memory_is_refused_with_the_number(make, monkeypatch):
    monkeypatch.setattr("clustem.core.memory.free_memory", lambda: 1000.0)
    X = np.rint(np.abs(clouds(2000)[0]))
    with pytest.raises(InputError, match=r"GB of memory; got 1e-06 GB that are free\. Use KMeans"):
        make(3).fit(X)


def test_a_reduction_that_does_not_fit_is_refused(monkeypatch):
    features = spectra(hs.signals.Signal1D(np.ones((30, 40, 5))))
    assert nmf(features).rows.shape[0] == 1200
    monkeypatch.setattr("clustem.core.memory.free_memory", lambda: 1000.0)
    with pytest.raises(
        InputError, match=r"GB of memory; got 1e-06 GB that are free\. Use reduce.pca"
    ):
        nmf(features)


@pytest.mark.parametrize(("rank", "width"), [(3, 40), (6, 25)])
def test_factors_of_rows_that_are_read_again_are_scikit_learns(rank, width, tmp_path, monkeypatch):
    rng = np.random.default_rng(rank)
    shapes = rng.gamma(0.5, size=(rank, width))
    X = rng.poisson(rng.gamma(1.0, size=(700, rank)) @ shapes * 8).astype(np.uint8)
    np.save(tmp_path / "rows.npy", X)
    rows = Rows(np.load(tmp_path / "rows.npy", mmap_mode="r"), block_bytes=2**13)
    whole = nmf(Features(X), n_components=rank)
    with recording() as said:
        monkeypatch.setattr(sys.modules["clustem.reduce.nmf"], "_LARGE", 0)
        found = nmf(Features(rows), n_components=rank)
    one, other = (each.find(NMFInfo).factors for each in (found, whole))
    np.testing.assert_allclose(one, other, atol=2e-3 * other.max())
    np.testing.assert_allclose(found.rows, whole.rows, atol=2e-3 * whole.rows.max())
    assert said.found["n_iter"] > 3
    residual = [np.linalg.norm(X - each.rows @ f) for each, f in ((found, one), (whole, other))]
    assert residual[0] == pytest.approx(residual[1], rel=1e-5)
    with collecting():
        short = nmf(Features(rows), n_components=rank, max_iter=2)
        monkeypatch.setattr(sys.modules["clustem.reduce.nmf"], "_LARGE", 2**30)
        same = nmf(Features(X), n_components=rank, max_iter=2)
    np.testing.assert_allclose(short.rows, same.rows, atol=1e-4 * same.rows.max())


def test_known_factors_on_rows_that_are_read_again(monkeypatch):
    X = np.random.default_rng(2).poisson(5.0, (300, 12))
    whole = nmf(Features(X), n_components=2)
    known = declaration_of(nmf).again(Features(X), whole.find(NMFInfo)).rows
    monkeypatch.setattr(sys.modules["clustem.reduce.nmf"], "_LARGE", 0)
    found = (
        declaration_of(nmf).again(Features(Rows(X, block_bytes=2**11)), whole.find(NMFInfo)).rows
    )
    np.testing.assert_allclose(found, known, atol=1e-2 * known.max())


@pytest.mark.parametrize("shape", [(40, 30), (1, 500), (300,)])
@pytest.mark.parametrize("sigma", [0.6, 2.5])
def test_lines_are_smoothed_as_the_whole_scan_is(shape, sigma, monkeypatch):
    rng = np.random.default_rng(1)
    mask = rng.random(shape) < 0.15
    mask[10:14] = True
    features = Features.of_scan(rng.normal(size=(np.count_nonzero(~mask), 3)), None, mask)
    whole = smooth(features, sigma=sigma)
    scan = features.on_scan(features.rows, fill=0.0)
    given = {"sigma": (sigma,) * mask.ndim + (0,), "mode": "constant", "truncate": 3.0}
    weight = gaussian_filter((~mask).astype(float)[..., None], **given)
    wanted = (gaussian_filter(scan, **given) / np.where(weight, weight, 1))[~mask]
    np.testing.assert_allclose(whole.rows, wanted, rtol=1e-6)
    monkeypatch.setattr(sys.modules["clustem.reduce.smooth"], "_BAND", 1)
    monkeypatch.setattr(scratch, "_IN_MEMORY", 1)
    found = smooth(replace(features, rows=Rows(features.rows, block_bytes=2**10)), sigma=sigma)
    assert isinstance(found.rows, np.memmap)
    np.testing.assert_array_equal(found.rows, whole.rows)


def test_free_memory_heeds_the_limit_of_the_address_space():
    free = memory.free_memory()
    assert 1e6 < free < 1e16
    limit = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (pages + 3 * 10**8, limit[1]))
    try:
        assert memory.free_memory() == pytest.approx(3e8, rel=0.05)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limit)
