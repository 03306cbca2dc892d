"""k-means of a 4D-STEM scan: Clustem against its peers, time and peak memory, in one run.

    python benchmarks/kmeans.py                     the scan of 31,132 patterns, peers that are fast
    python benchmarks/kmeans.py --peers all         also faiss, dask-ml, scikit-learn (minutes)
    python benchmarks/kmeans.py --scan low          low contrast: Lloyd takes 60 and more iterations
    python benchmarks/kmeans.py --scan long         four times as long, opened lazily
    python benchmarks/kmeans.py --scan gabor        65,536 x 252 features instead of patterns

Every contender runs in a process of its own that has done its imports and a small fit before the
clock starts; the clock stops at labels and centers. Peers that are not installed are
named and left out: ``pip install scikit-learn-intelex faiss-cpu dask-ml`` brings them, also to an
environment of their own (``--peer-python``). Reads are how often the file was read.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba as nb
import numpy as np

SHAPES = {
    "grains": (181, 172, 144, 144),
    "low": (181, 172, 144, 144),
    "long": (724, 172, 144, 144),
    "gabor": (256, 256, 252),
}
K, STARTS = 6, 10
PEERS = {
    "fast": ["clustem", "clustem-lazy", "minibatch"],
    "none": ["clustem", "clustem-lazy"],
    "all": ["clustem", "clustem-lazy", "minibatch", "intelex", "faiss", "dask-ml", "sklearn"],
}
ELSEWHERE = {"intelex", "faiss", "dask-ml"}
"""Peers that may live in another environment."""
READ = [0]
"""Lines of the scan that were read lazily."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scan", choices=SHAPES, default="grains")
    parser.add_argument("--peers", default="fast", help="fast, all, none, or names with commas")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each; the median is shown")
    parser.add_argument("--file", type=Path, help="keep the simulated scan there and use it again")
    parser.add_argument(
        "--peer-python", default=sys.executable, help="interpreter that has faiss and sklearnex"
    )
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(run(args.run, args.file, args.scan)))
        return
    names = PEERS.get(args.peers) or args.peers.split(",")
    with tempfile.TemporaryDirectory() as folder:
        path = args.file or Path(folder) / f"{args.scan}.npy"
        if not path.exists():
            started = time.perf_counter()
            simulate(path, args.scan)
            print(f"simulated {path.name} in {time.perf_counter() - started:.0f} s")
        compare(names, path, args)


# ---------------------------------------------------------------------------- contenders


def run(name: str, path: Path, scan: str) -> dict[str, float]:
    """Fit once, in this process."""
    fit = globals()[name.replace("-", "_")]
    small = np.random.default_rng(0).integers(0, 9, (3000, 1000)).astype(np.load(path, "r").dtype)
    if scan != "gabor":
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "small.npy"
            np.save(file, small.reshape(60, 50, 25, 40))
            fit(file)
    idle = peak()
    spent = time.process_time()
    started = time.perf_counter()
    labels, facts = fit(path)
    seconds = time.perf_counter() - started
    spent = time.process_time() - spent
    facts |= {"seconds": seconds, "cpu": spent, "peak": peak(), "above": peak() - idle}
    if name.startswith("clustem"):
        facts["inertia"] = facts.pop("own")
    facts["check"] = checksum(labels)
    return facts


def peak() -> float:
    """Peak resident memory [MB], mapped files included."""
    status = Path("/proc/self/status")
    if status.exists():  # the other one also counts what the parent process had
        return float(status.read_text().split("VmHWM:")[1].split()[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def checksum(labels: np.ndarray) -> list[int]:
    return sorted(np.bincount(labels).tolist())


def open_rows(path: Path, *, lazy: bool = False):
    from clustem.passes.rows import Rows

    data = np.load(path, mmap_mode="r")
    if lazy:
        import dask.array as da

        chunks = (normalize_sizes(data.shape[0], 4), *data.shape[1:])
        data = da.map_blocks(some_lines, path, chunks=chunks, dtype=data.dtype)
    return Rows(data, row_ndim=data.ndim - 2)


def normalize_sizes(total: int, size: int) -> tuple[int, ...]:
    return tuple(min(size, total - start) for start in range(0, total, size))


def some_lines(path: Path, block_info: dict | None = None) -> np.ndarray:
    """Open the file for one chunk, as file readers do."""
    first, last = block_info[None]["array-location"][0]
    READ[0] += last - first
    return np.load(path, mmap_mode="r")[first:last]


def clustem(path: Path, *, lazy: bool = False):
    from clustem.cluster import KMeans

    rows = open_rows(path, lazy=lazy)
    norm = "l2" if len(rows.row_shape) == 2 else None
    found = KMeans(K, n_init=STARTS, normalize=norm).fit(rows)
    facts = {
        "own": found.inertia_,
        "n_iter": found.n_iter_,
        "passes": found.n_passes_,
        "certified": found.certified_,
    }
    return found.labels_, facts


def clustem_lazy(path: Path):
    return clustem(path, lazy=True)


def normalized(path: Path) -> np.ndarray:
    from sklearn.preprocessing import normalize

    data = np.load(path, mmap_mode="r")
    rows = data.reshape(-1, int(np.prod(data.shape[2:])))
    rows = rows.astype(np.float32)
    return normalize(rows, copy=False) if data.ndim == 4 else rows


def sklearn(path: Path):
    from sklearn.cluster import KMeans

    found = KMeans(K, n_init=STARTS, random_state=0).fit(normalized(path))
    return found.labels_, {"inertia": float(found.inertia_), "n_iter": found.n_iter_}


def minibatch(path: Path):
    from sklearn.cluster import MiniBatchKMeans

    found = MiniBatchKMeans(K, n_init=STARTS, random_state=0).fit(normalized(path))
    return found.labels_, {"inertia": float(found.inertia_), "n_iter": found.n_iter_}


def intelex(path: Path):
    from sklearnex.cluster import KMeans

    found = KMeans(K, n_init=STARTS, random_state=0).fit(normalized(path))
    return found.labels_, {"inertia": float(found.inertia_), "n_iter": found.n_iter_}


def faiss(path: Path):
    import faiss as library

    rows = normalized(path)
    found = library.Kmeans(
        rows.shape[1], K, niter=20, nredo=STARTS, seed=0, max_points_per_centroid=len(rows)
    )
    found.train(rows)
    distances, labels = found.index.search(rows, 1)
    return labels.ravel(), {"inertia": float(distances.sum()), "n_iter": 20}


def dask_ml(path: Path):
    import dask.array as da
    from dask_ml.cluster import KMeans

    data = np.load(path, mmap_mode="r")
    chunks = (normalize_sizes(data.shape[0], 32), *data.shape[1:])
    lazy = da.map_blocks(some_lines, path, chunks=chunks, dtype=data.dtype)
    rows = lazy.reshape(-1, int(np.prod(data.shape[2:]))).astype(np.float32)
    if data.ndim == 4:
        rows = rows / da.sqrt((rows**2).sum(axis=1, keepdims=True))
    READ[0] = 0
    found = KMeans(K, random_state=0).fit(rows)  # one start, its default
    facts = {"inertia": float(found.inertia_), "n_iter": found.n_iter_}
    return np.asarray(found.labels_), facts | {"passes": READ[0] / data.shape[0]}


# ---------------------------------------------------------------------------- the features


def compare(names: list[str], path: Path, args: argparse.Namespace) -> None:
    scan, repeat = args.scan, args.repeat
    results: dict[str, list[dict[str, float]]] = {}
    for turn in range(repeat):
        for name in names:
            if turn and name in {"sklearn", *ELSEWHERE}:
                continue  # minutes each: once
            python = args.peer_python if name in ELSEWHERE else sys.executable
            command = [python, __file__, "--run", name, "--file", str(path), "--scan", scan]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                if not turn:
                    print(f"{name:14s} left out: {done.stderr.strip().splitlines()[-1]}")
                continue
            results.setdefault(name, []).append(json.loads(done.stdout.splitlines()[-1]))
    ours = median(results["clustem"], "seconds") if "clustem" in results else None
    shape = np.load(path, mmap_mode="r").shape
    size = path.stat().st_size / 1e6
    print(f"\n{scan} {shape}, {size:.0f} MB, k = {K}, {STARTS} starts, {os.cpu_count()} cores")
    print(
        "contender        wall s   cpu s   ratio  peak MB  above MB      inertia  iterations  reads"
    )
    for name, runs in results.items():
        seconds = median(runs, "seconds")
        ratio = seconds / ours if ours else float("nan")
        print(
            f"{name:14s} {seconds:8.2f} {median(runs, 'cpu'):7.2f} {ratio:6.1f}x"
            f" {median(runs, 'peak'):8.0f} {median(runs, 'above'):9.0f}"
            f" {runs[0]['inertia']:12.6g} {runs[0]['n_iter']:8.0f}"
            f"     {runs[0].get('passes', 1.0):7.2f}"
            + ("  certified" if runs[0].get("certified") else "")
        )
    if ours:
        floor(path, ours)


def median(runs: list[dict[str, float]], key: str) -> float:
    return float(np.median([run[key] for run in runs]))


def floor(path: Path, ours: float, r: int = 32) -> None:
    """Print what three passes over the bytes and 2 n D (r + 2 k) operations cost here."""
    data = np.load(path, mmap_mode="r")
    n, width = data.shape[0] * data.shape[1], int(np.prod(data.shape[2:]))
    rows = data.reshape(n, width)
    touch = min(
        _timed(lambda: [_read(rows[i : i + 200]) for i in range(0, n, 200)]) for _ in (1, 2)
    )
    a = np.random.default_rng(0).random((1500, 1500), dtype=np.float32)
    rate = 2 * 1500**3 / min(_timed(lambda: a @ a) for _ in range(5))
    flops = 2 * n * width * (r + 2 * K)
    arithmetic, bytes_ = flops / rate, 3 * touch / (os.cpu_count() or 1)
    print(
        f"floor: three passes over the bytes {bytes_:.2f} s, {flops / 1e9:.0f} Gflop at the "
        f"machine's {rate / 1e9:.0f} Gflop/s {arithmetic:.2f} s, together "
        f"{bytes_ + arithmetic:.2f} s; Clustem takes {ours / (bytes_ + arithmetic):.1f} times that"
    )


def _timed(function) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def _read(block: np.ndarray) -> int:
    return int(block.ravel().view(np.uint8)[: block.nbytes // 8 * 8].view(np.uint64).max())


# ---------------------------------------------------------------------------- the scans


def simulate(path: Path, scan: str) -> None:
    """Write a scan with known grains to a .npy file."""
    shape = SHAPES[scan]
    random = np.random.default_rng(3)
    if scan == "gabor":
        out = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        out[:] = gabor_like(random, shape)
        return
    seeds = random.random((40, 2)) * shape[:2]
    classes = np.concatenate([np.arange(K), random.integers(0, K, 40 - K)])
    y, x = np.indices(shape[:2])
    distance = np.hypot(y - seeds[:, 0, None, None], x - seeds[:, 1, None, None])
    first = classes[distance.argmin(axis=0)]
    thickness = 0.7 + 0.6 * y / shape[0] + 0.1 * np.sin(x / 15)
    bank = np.stack([pattern(angle, shape[2:]) for angle in np.linspace(0, 50, K)])
    if scan == "low":
        mean = bank.mean(axis=0)
        bank = (0.97 * mean + 0.03 * bank) * 0.25
        thickness = 0.97 + 0.03 * thickness
    levels = np.clip(np.round(np.sqrt(bank) * 15), 0, 239).astype(np.uint8)
    out = np.lib.format.open_memmap(path, "w+", np.uint8, shape)
    features = quantiles()
    for row in range(shape[0]):
        out[row] = expose(levels, first[row], thickness[row], features, row + 1)
    out.flush()


def pattern(angle: float, shape: tuple[int, int]) -> np.ndarray:
    """Mean counts of one orientation: direct beam, spots of a rotated lattice, background."""
    qy, qx = (np.indices(shape).T - np.array(shape) / 2).T
    turn = np.deg2rad(angle)
    a = 19.0 * np.array([np.cos(turn), np.sin(turn)])
    b = 16.0 * np.array([-np.sin(turn + 0.2), np.cos(turn + 0.2)])
    out = 1.5 * np.exp(-np.hypot(qy, qx) / 30) + 0.3
    for h in range(-4, 5):
        for k in range(-4, 5):
            centre = h * a + k * b
            height = 220.0 if h == k == 0 else 60.0 * np.exp(-np.hypot(*centre) / 25)
            out += height * np.exp(-0.5 * ((qy - centre[0]) ** 2 + (qx - centre[1]) ** 2) / 2.5)
    return out.astype(np.float32)


def quantiles() -> np.ndarray:
    """Poisson quantiles of 256 means (level / 15)^2, for 12 random bits."""
    from scipy.stats import poisson

    means = (np.arange(256) / 15.0) ** 2
    points = (np.arange(4096) + 0.5) / 4096
    return np.minimum(poisson.ppf(points, means[:, None]), 255).astype(np.uint8)


@nb.njit
def expose(levels, classes, thickness, features, seed):
    """Draw counts of one line of patterns."""
    height, width = levels.shape[1:]
    out = np.empty((len(classes), height, width), np.uint8)
    state = np.uint64(seed) * np.uint64(0x9E3779B97F4A7C15)
    for i in range(len(classes)):
        scale = np.sqrt(thickness[i])
        for y in range(height):
            for x in range(width):
                state ^= state << np.uint64(13)
                state ^= state >> np.uint64(7)
                state ^= state << np.uint64(17)
                level = min(int(levels[classes[i], y, x] * scale + 0.5), 255)
                out[i, y, x] = features[level, state >> np.uint64(52)]
    return out


def gabor_like(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Correlated positive features of facets: 36 orientations x 7 wavelengths."""
    y, x = np.indices(shape[:2]) - 128
    facet = (np.arctan2(y, x) / (2 * np.pi) * 5 + 2.5).astype(int) % 5
    facet[np.hypot(y, x) > 100] = 5
    theta = np.arange(36)[:, None] * 5.0
    wave = np.arange(7)[None]
    bank = [
        np.exp(-((np.abs((theta - 36 * f + 90) % 180 - 90) / 12) ** 2) - ((wave - 3) / 1.5) ** 2)
        for f in range(5)
    ]
    bank = np.stack([*bank, np.full((36, 7), 0.15)]).reshape(6, -1)
    mix = random.standard_normal((20, 252)) * np.exp(-np.arange(20) / 5)[:, None] * 0.4
    texture = random.standard_normal((*shape[:2], 20)) @ mix
    out = bank[facet] + texture + 0.1 * random.standard_normal(shape)
    return np.abs(out).astype(np.float32)


if __name__ == "__main__":
    main()
