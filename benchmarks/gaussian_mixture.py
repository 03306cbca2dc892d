"""Gaussian mixture with full covariances in 1600 dimensions, against scikit-learn.

Run: ``python benchmarks/gaussian_mixture.py [--rows 14161] [--side 40]``. Both get the same
start and do the same number of steps; each runs in a process of its own.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning

K = 5
_LONG = 3
"""Steps of the longer of two courses: their difference is the time of a step."""


def simulated_rows(n: int, side: int) -> np.ndarray:
    """Square patches: a lattice with five kinds of displaced columns and noise."""
    rng = np.random.default_rng(0)
    kind = rng.choice(K, n, p=(0.3, 0.22, 0.18, 0.16, 0.14))
    row, column = np.mgrid[:side, :side] - (side - 1) / 2
    out = np.empty((n, side * side), dtype=np.float32)
    for i in range(n):
        y, x = rng.normal(0, 0.4, 2)
        angle = 2 * np.pi * kind[i] / K
        phase = 2 * np.pi * (row + y) / 13.3, 2 * np.pi * (column + x) / 13.3
        heavy = np.cos(phase[0]) + np.cos(phase[1])
        light = np.cos(phase[0] + 0.5 * np.sin(angle)) * np.cos(phase[1] + 0.5 * np.cos(angle))
        out[i] = (heavy + light + 0.02 * rng.normal() * column).ravel()
    out += rng.normal(0, 0.5, out.shape).astype(np.float32)
    return out


def ours(X: np.ndarray, iterations: int):
    from clustem.cluster import GaussianMixture  # noqa: PLC0415  # each process its own

    return GaussianMixture(K, n_init=1, tol=0.0, max_iter=iterations, shrinkage=0.0).fit(X)


def theirs(X: np.ndarray, iterations: int):
    from sklearn.mixture import GaussianMixture  # noqa: PLC0415

    from clustem.cluster import KMeans  # noqa: PLC0415

    class Peer(GaussianMixture):
        """Starts from our k-means, so that both go the same way."""

        def _initialize_parameters(self, X, random_state, **_):  # noqa: ARG002  # its signature
            seed = int(np.random.SeedSequence(0).generate_state(1)[0])
            labels = KMeans(K, n_init=10, random_state=seed).fit(X).labels_
            self._initialize(X, np.eye(K, dtype=X.dtype)[labels])

    # The same ridge as ours, in data units.
    ridge = 1e-6 * float(X.var(axis=0, dtype=np.float64).mean())
    return Peer(K, tol=0.0, max_iter=iterations, reg_covar=ridge).fit(X)


def one(who: str, kind: str, n: int, side: int) -> None:
    """Time some lengths of the same course, so that a step can be told from the start."""
    X = simulated_rows(n, side).astype(kind)
    fit = {"clustem": ours, "scikit-learn": theirs}[who]
    fit(X[:2000, :200], 1)  # compiled, loaded
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds, bound = {}, {}
    for iterations in (1, _LONG):
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = fit(X, iterations)
        seconds[iterations] = time.perf_counter() - begin
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of fits alone
        bound[iterations] = float(found.score(X[:: max(1, n // 2000)]))
    print(
        json.dumps(
            {
                "step": (seconds[_LONG] - seconds[1]) / (_LONG - 1),
                "total": seconds[_LONG],
                "bound": bound[_LONG],
                "input": X.nbytes / 1e6,
                "extra": (peak - before) / 1e3,
                "labels": found.predict(X[:2000]).tolist(),
            }
        )
    )


def main() -> None:
    from sklearn.metrics import adjusted_rand_score  # noqa: PLC0415

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=14161)
    parser.add_argument("--side", type=int, default=40, help="rows and columns of a patch")
    parser.add_argument("--one", nargs=2, metavar=("WHO", "DTYPE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        one(*options.one, options.rows, options.side)
        return
    print(f"{options.rows:,} x {options.side**2}, full covariances, k = {K}, {_LONG} steps")
    found = {}
    runs = [("clustem", "float32"), ("scikit-learn", "float64"), ("scikit-learn", "float32")]
    for who, kind in runs:
        command = [sys.executable, __file__, "--rows", str(options.rows)]
        command += ["--side", str(options.side), "--one", who, kind]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found[who, kind] = result = json.loads(text.splitlines()[-1])
        print(
            f"{who:13s} {kind}: {result['step']:7.2f} s a step, {result['total']:7.2f} s in all, "
            f"mean log-likelihood {result['bound']:.4f}, "
            f"memory {result['extra']:6.0f} MB beside {result['input']:.0f} MB of input"
        )
    mine = found.pop(("clustem", "float32"))
    for (_, kind), peer in found.items():
        print(
            f"against {kind}: {peer['step'] / mine['step']:.1f}x a step, "
            f"{peer['total'] / mine['total']:.1f}x in all, "
            f"{mine['extra'] / peer['extra']:.2f} of its memory "
            f"({(mine['extra'] + mine['input']) / (peer['extra'] + peer['input']):.2f} with input),"
            f" log-likelihood {abs(mine['bound'] / peer['bound'] - 1):.1e} apart, "
            f"labels ARI {adjusted_rand_score(mine['labels'], peer['labels']):.4f}"
        )


if __name__ == "__main__":
    main()
