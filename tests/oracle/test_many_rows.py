"""Estimators of more rows than are searched: the answer of a search in all of them."""

import resource
from pathlib import Path

import hyperspy.api as hs
import numpy as np
import pytest
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
from clustem.core import InputError, memory
from clustem.describe import spectra
from clustem.labelmaps.grid_graph import grid_graph
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
    monkeypatch.setattr(_mixture, "_FEW", 2700)
    monkeypatch.setattr(_mixture, "_PIECES", 3)
    few = GaussianMixture(3, **given).fit(X)
    assert few.coupling_ == every.coupling_
    assert adjusted_rand_score(few.labels_, every.labels_) > (0.98 if coupling else 0.95)
    assert few.lower_bound_ == pytest.approx(every.lower_bound_, abs=1e-3)
    assert adjusted_rand_score(few.labels_, truth) > (0.9 if coupling else 0.4)


def test_rows_at_random_where_there_are_no_neighbours(monkeypatch):
    X, own = clouds()
    monkeypatch.setattr(_mixture, "_MANY", 3000)
    monkeypatch.setattr(_mixture, "_FEW", 1000)
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


@pytest.mark.parametrize("step", [nmf, smooth])
def test_reductions_that_do_not_fit_are_refused(step, monkeypatch):
    features = spectra(hs.signals.Signal1D(np.ones((30, 40, 5))))
    assert step(features).rows.shape[0] == 1200
    monkeypatch.setattr("clustem.core.memory.free_memory", lambda: 1000.0)
    with pytest.raises(
        InputError, match=r"GB of memory; got 1e-06 GB that are free\. Use reduce.pca"
    ):
        step(features)


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
