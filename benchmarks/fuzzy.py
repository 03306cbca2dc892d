"""Gustafson-Kessel and fuzzy c-means against scikit-cmeans, on as many rows as an EDS map has.

Run: ``python benchmarks/fuzzy.py [--starts 20] [--max-iter 300]``. The peer is optional:
``pip install scikit-cmeans``. ``--rows 1000000 --columns 5`` runs ours alone on so many rows, with
all starts on some of them and, for comparison, on all.
"""

import argparse
import time
import tracemalloc
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score

from clustem.cluster import FuzzyCMeans, GustafsonKessel, PossibilisticCMeans

K = 4


def simulated_rows() -> np.ndarray:
    """Three principal components of 23,712 spectra: four slanted clouds and mixed pixels."""
    rng = np.random.default_rng(0)
    sizes = (11000, 6500, 3400, 1400)
    centers = np.array([[-4.0, 0, 0], [5, -4, 1], [3, 6, -2], [0, 3, 6]])
    clouds = [
        rng.normal(size=(size, 3)) * [2.2, 0.9, 0.6] @ np.linalg.qr(rng.normal(size=(3, 3)))[0] + c
        for size, c in zip(sizes, centers, strict=True)
    ]
    share = rng.random((23712 - sum(sizes), 1))
    ends = rng.integers(0, 4, (len(share), 2))
    mixed = share * centers[ends[:, 0]] + (1 - share) * centers[ends[:, 1]]
    return np.concatenate([*clouds, mixed + rng.normal(size=mixed.shape) * 0.7])


def objective(X: np.ndarray, memberships: np.ndarray, *, ellipsoids: bool) -> float:
    """J at the best memberships for the clusters that ``memberships`` (n, k) make."""
    d2 = np.empty_like(memberships)
    for i, w in enumerate((memberships**2).T):
        center = w @ X / w.sum()
        metric = np.eye(3)
        if ellipsoids:
            F = (w[:, None] * (X - center)).T @ (X - center) / w.sum()
            metric = np.linalg.det(F) ** (1 / 3) * np.linalg.inv(F)
        d2[:, i] = np.einsum("na,ab,nb->n", X - center, metric, X - center)
    return float((1 / (1 / d2).sum(axis=1)).sum())


def timed(work):
    begin = time.perf_counter()
    result = work()
    return result, time.perf_counter() - begin


def peak(work) -> float:
    """Largest memory allocated meanwhile [MB]."""
    tracemalloc.start()
    work()
    size = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return size


def peer_of(kind: str):
    """Return the peer's class, counting its passes; None if it is not installed."""
    np.infty = np.inf  # noqa: NPY201  # it was written for NumPy 1
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its docstrings' escapes
            from skcmeans.algorithms import GustafsonKesselMixin, Probabilistic
    except ImportError:
        return None
    bases = (GustafsonKesselMixin, Probabilistic) if kind == "GustafsonKessel" else (Probabilistic,)

    class Peer(*bases):
        passes = 0

        def update(self, x):
            type(self).passes += 1
            super().update(x)

    return Peer


def compare(make, X, *, starts: int, max_iter: int) -> None:
    kind, ellipsoids = make.__name__, make is GustafsonKessel
    print(f"-- {kind}: {X.shape[0]:,} x {X.shape[1]}, k = {K}, {starts} starts, float64")
    Peer = peer_of(kind)
    tol, peer = 1e-8, None
    if Peer is None:
        print("scikit-cmeans is not installed (pip install scikit-cmeans): no ratio")
    else:
        # As an int its seed would make all starts equal.
        peer = Peer(K, n_init=starts, max_iter=max_iter, random_state=np.random.RandomState(0))
        finals, peer_seconds = timed(lambda: peer.fit(X))
        tol = peer.tol / min(finals)
        print(
            f"stopping: scikit-cmeans when its objective changes by less than {peer.tol:g}, "
            f"that is {tol:.1e} of it; ours when J falls by at most {tol:.1e} of it"
        )
    ours = make(K, n_init=starts, tol=tol, max_iter=max_iter)
    _, first = timed(lambda: ours.fit(X))
    seconds = np.median([timed(lambda: ours.fit(X))[1] for _ in range(3)])
    passes = all_passes(make, X, starts=starts, tol=tol, max_iter=max_iter)
    describe("clustem", seconds, passes, objective(X, ours.memberships_, ellipsoids=ellipsoids))
    print(f"   (first call, compiled or read from the cache: {first:.2f} s)")
    memory = peak(lambda: make(K, n_init=starts, tol=tol, max_iter=3).fit(X))
    if peer is not None:
        theirs = objective(X, peer.memberships, ellipsoids=ellipsoids)
        describe("scikit-cmeans", peer_seconds, Peer.passes, theirs)
        per_pass = (peer_seconds / Peer.passes) / (seconds / passes)
        same = adjusted_rand_score(peer.memberships.argmax(axis=1), ours.labels_)
        print(
            f"ratio: {peer_seconds / seconds:.0f}x the speed ({per_pass:.0f}x per pass); "
            f"labels agree to ARI {same:.3f}"
        )
        peer.n_init, peer.max_iter = 1, 3
        theirs = peak(lambda: peer.fit(X))
        print(f"peak memory: clustem {memory:.1f} MB, scikit-cmeans {theirs:.1f} MB")
    else:
        print(f"peak memory: clustem {memory:.1f} MB")


def all_passes(make, X, *, starts: int, tol: float, max_iter: int) -> int:
    """Count the passes over all rows of all starts."""
    from clustem.cluster.fuzzy._passes import Frame

    count, original = 0, Frame.sums

    def counted(self, state, **kwargs):
        nonlocal count
        count += len(state.centers)
        return original(self, state, **kwargs)

    Frame.sums = counted
    try:
        make(K, n_init=starts, tol=tol, max_iter=max_iter).fit(X)
    finally:
        Frame.sums = original
    return count


def describe(name: str, seconds: float, passes: int, value: float) -> None:
    print(f"{name:14s} {seconds:8.2f} s {passes:6d} passes   J = {value:.4f}")


def many(n: int, columns: int) -> None:
    """Fit many rows: seconds, objective, and labels that differ from a search in all rows."""
    from clustem.cluster.fuzzy import _course

    rng = np.random.default_rng(0)
    own = rng.choice(K, n, p=(0.45, 0.3, 0.15, 0.1))
    turns = np.linalg.qr(rng.normal(size=(K, columns, columns)))[0]
    wide = rng.normal(size=(n, columns)) * np.linspace(2.2, 0.6, columns)
    X = np.einsum("ni,nij->nj", wide, turns[own]) + 3 * rng.normal(size=(K, columns))[own]
    for make in (GustafsonKessel, FuzzyCMeans, PossibilisticCMeans):
        make(K).fit(X[:2000])  # compiles
        found, labels = [], []
        for limit in (_course._MANY, n):
            _course._MANY, usual = limit, _course._MANY
            model, seconds = timed(lambda make=make: make(K).fit(X))
            _course._MANY = usual
            found.append(f"{seconds:.1f} s (J = {model.objective_:.8g})")
            labels.append(model.labels_)
        same = adjusted_rand_score(*labels)
        print(f"{make.__name__}, {n:,} x {columns}: {found[0]}; all starts on all rows {found[1]};")
        print(f"   labels agree to ARI {same:.6f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--max-iter", type=int, default=300)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--columns", type=int, default=5)
    options = parser.parse_args()
    if options.rows:
        many(options.rows, options.columns)
        return
    X = simulated_rows()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for make in (GustafsonKessel, FuzzyCMeans):
            compare(make, X, starts=options.starts, max_iter=options.max_iter)


if __name__ == "__main__":
    main()
