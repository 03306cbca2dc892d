"""Gaussian mixtures of patches, against scikit-learn from the same start.

Run: ``python benchmarks/gaussian_mixture.py`` (about 2 minutes on 2 cores). Full covariances in
1600 dimensions: a fit of each in a process of its own, for time and memory, then steps of both in
turn, so that a busy machine slows both alike. Then the other covariances in 400 dimensions.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as Peer

K = 5
_STEPS = 2
_ROUNDS = 3
_SMALL = (6000, 20)


def simulated_rows(n: int, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Square patches, a lattice with five kinds of displaced columns and noise; and their kinds."""
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
        out[i] += rng.normal(0, 0.5, side * side)
    return out, kind


def soft(kind: np.ndarray) -> np.ndarray:
    """Memberships to start from: every row belongs to all components, so that steps change all."""
    return 0.7 * np.eye(K)[kind] + 0.3 / K


class Given(Peer):
    """scikit-learn's mixture from given memberships, with our ridge."""

    start: np.ndarray

    def _initialize_parameters(self, X, random_state, **_):  # noqa: ARG002  # its signature
        self._initialize(X, self.start.astype(X.dtype))


def theirs(X: np.ndarray, start: np.ndarray, steps: int, kind: str = "full"):
    ridge = 1e-6 * float(np.mean([X[:, j].var(dtype=np.float64) for j in range(X.shape[1])]))
    peer = Given(K, covariance_type=kind, tol=0.0, max_iter=steps, reg_covar=ridge)
    peer.start = start
    return peer.fit(X)


def ours(X: np.ndarray, start: np.ndarray, steps: int, kind: str = "full"):
    from clustem.cluster import GaussianMixture

    course = {"init": start, "tol": 0.0, "max_iter": steps, "shrinkage": 0.0}
    return GaussianMixture(K, covariance_type=kind, **course).fit(X)


WAYS = {"clustem": ours, "scikit-learn": theirs}


def peak_memory(*, again: bool = False) -> float:
    """Largest memory of this process so far [MB], or since the last call with ``again``."""
    if again:
        Path("/proc/self/clear_refs").write_text("5")
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1e3
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def one_fit(who: str, dtype: str, folder: Path) -> dict:
    """Time a fit and measure the memory that it adds to its input."""
    with np.load(folder / "rows.npz") as data:
        X, kind = data["X"].astype(dtype, copy=False), data["kind"]
    fit = WAYS[who]
    fit(X[:600, :150], soft(kind[:600]), 1)  # compiled, loaded
    before, begin = peak_memory(again=True), time.perf_counter()
    found = fit(X, soft(kind), _STEPS)
    seconds, peak = time.perf_counter() - begin, peak_memory()
    part = slice(None, None, max(1, len(X) // 2000))
    return {
        "seconds": seconds,
        "memory": peak - before,
        "input": X.nbytes / 1e6,
        "bound": float(found.score(X[part])),
        "labels": found.predict(X[part]).tolist(),
    }


def steps_in_turn(folder: Path) -> dict:
    """Time steps of both in turn: of ours such that change all, and such that change nothing."""
    from clustem.cluster.mixture._frame import prepare
    from clustem.cluster.mixture._steps import Steps
    from clustem.cluster.mixture._workers import workers
    from clustem.passes.rows import Rows

    with np.load(folder / "rows.npz") as data:
        X, kind = data["X"], data["kind"]
    hard = np.eye(K)[kind]
    peer = theirs(X[:, :200], hard, 1)  # loaded
    peer = Given(K, reg_covar=1e-6)
    peer._initialize(X, hard.astype(X.dtype))
    with workers() as pool:
        x, space = prepare(pool, Rows(X), share=1e-6, turned=True, start=hard)
        steps = Steps(x, space, "full", shrinkage=0.0)
        parts = steps.maximize(pool, hard)

    def active() -> None:
        nonlocal parts
        with workers() as pool:
            seen = steps.expect(pool, parts, kind)
            parts = steps.maximize(pool, seen.memberships)

    def quiet() -> None:
        nonlocal parts
        with workers() as pool:
            seen = steps.expect(pool, parts, kind)
            begin = time.perf_counter()
            parts = steps.maximize(pool, seen.memberships, parts)
            steps.expect(pool, parts, kind, seen)
            still.append(time.perf_counter() - begin)

    def peers() -> None:
        _, log_memberships = peer._e_step(X)
        peer._m_step(X, log_memberships)

    still: list[float] = []
    seconds: dict[str, list[float]] = {"clustem": [], "scikit-learn": []}
    for _ in range(_ROUNDS):
        for name, step in (("clustem", active), ("scikit-learn", peers)):
            begin = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - begin)
    quiet()
    return {**seconds, "still": still[-1]}


def small_steps(kind: str) -> tuple[float, float, float, float]:
    """Seconds of a step of ours and of theirs, in turn, their median ratio, and bounds apart."""
    X, kinds = simulated_rows(*_SMALL)
    start, few, many = soft(kinds), 1, 6
    ours(X, start, 1, kind)  # loaded
    spans: dict[str, list[float]] = {name: [] for name in WAYS}
    bound = {}
    for _ in range(_ROUNDS):
        for name, fit in WAYS.items():
            seconds = []
            for steps in (few, many):
                begin = time.perf_counter()
                found = fit(X, start, steps, kind)
                seconds.append(time.perf_counter() - begin)
            spans[name].append((seconds[1] - seconds[0]) / (many - few))
            bound[name] = found.score(X)
    mine, peer = spans.values()
    ratio = statistics.median(b / a for a, b in zip(mine, peer, strict=True))
    apart = abs(bound["clustem"] / bound["scikit-learn"] - 1)
    return statistics.median(mine), statistics.median(peer), ratio, apart


def child(arguments: list[str], script: list[str]) -> dict:
    command = [sys.executable, __file__, *arguments, "--child", *script]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(text.splitlines()[-1])


def full_covariances(rows: int, side: int, peers: list[str]) -> None:
    from sklearn.metrics import adjusted_rand_score

    print(f"full, {rows:,} x {side**2}, k = {K}, {_STEPS} steps from memberships 0.76, 0.06, ...")
    with tempfile.TemporaryDirectory() as folder:
        X, kind = simulated_rows(rows, side)
        np.savez(Path(folder) / "rows.npz", X=X, kind=kind)
        del X
        found = {}
        for who, dtype in [("clustem", peers[0]), *(("scikit-learn", dtype) for dtype in peers)]:
            found[who, dtype] = result = child([], ["fit", who, dtype, folder])
            print(
                f"  {who:12s} {dtype}: fit {result['seconds']:6.2f} s, mean log-likelihood "
                f"{result['bound']:.5f}, memory {result['memory']:.0f} MB beside "
                f"{result['input']:.0f} MB of input",
                flush=True,
            )
        mine = found.pop(("clustem", peers[0]))
        for (_, dtype), peer in found.items():
            print(
                f"  against {dtype}: fit {peer['seconds'] / mine['seconds']:.1f}x, "
                f"{mine['memory'] / peer['memory']:.2f} of its memory, log-likelihood "
                f"{abs(mine['bound'] / peer['bound'] - 1):.1e} apart, labels ARI "
                f"{adjusted_rand_score(mine['labels'], peer['labels']):.4f}"
            )
        step = child([], ["steps", folder])
    pairs = list(zip(step["clustem"], step["scikit-learn"], strict=True))
    print(
        f"  a step in which all is made anew: {statistics.median(step['clustem']):.2f} s and "
        f"{statistics.median(step['scikit-learn']):.2f} s, "
        f"{statistics.median(b / a for a, b in pairs):.1f}x "
        f"({', '.join(f'{b / a:.1f}' for a, b in pairs)}); "
        f"one in which no membership changes: {step['still']:.3f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=14161)
    parser.add_argument("--side", type=int, default=40, help="rows and columns of a patch")
    parser.add_argument("--double", action="store_true", help="peer in float64, too: 1 minute more")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    if options.child:
        what, *rest = options.child
        folder = Path(rest[-1])
        print(json.dumps(one_fit(*rest[:2], folder) if what == "fit" else steps_in_turn(folder)))
        return
    peers = ["float32", "float64"] if options.double else ["float32"]
    full_covariances(options.rows, options.side, peers)
    for kind in ("tied", "diag", "spherical"):
        mine, peer, ratio, apart = small_steps(kind)
        print(
            f"{kind}, {_SMALL[0]:,} x {_SMALL[1] ** 2}: {1e3 * mine:.1f} ms and {1e3 * peer:.1f} ms"
            f" a step, {ratio:.1f}x, log-likelihood {apart:.1e} apart"
        )


if __name__ == "__main__":
    main()
