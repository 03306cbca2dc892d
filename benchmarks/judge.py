"""Everything that is said about k = 1 ... 10 of a large scan: time and memory by step.

Run: ``python benchmarks/judge.py [--size 512] [--components 5] [--most 10]``. Rows are drawn from
five phases on size × size positions. Done as a sweep does it, and more: k-means for each k (of one
sketch), all scores of each on all rows, ``choose_k`` with everything, stability by three ways, the
lineage over k, and the regions of the chosen one. Peak memory is that of the whole process, so it
only rises.
"""

import argparse
import resource
import time
import warnings
from contextlib import contextmanager

import numpy as np

from clustem.cluster import KMeans
from clustem.core import Clustering, Features
from clustem.judge import choose_k, lineage, regions, scores, stability


def peak():
    """Largest memory of this process so far [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


@contextmanager
def step(name):
    start = time.perf_counter()
    yield
    print(f"{name:34} {time.perf_counter() - start:7.1f} s   peak {peak():6.0f} MB", flush=True)


def scan(size, components, seed=0):
    """Features of five phases, disks and bands, with unit noise."""
    rng = np.random.default_rng(seed)
    row, column = np.indices((size, size)) / size
    truth = (row + 0.1 * np.sin(9 * column) > 0.6).astype(int)
    truth[column > 0.8] = 2
    for i in range(30):
        near = (row - rng.random()) ** 2 + (column - rng.random()) ** 2 < 0.003
        truth[near] = 3 + i % 2
    means = 6 * np.eye(5, components)
    rows = rng.normal(size=(size * size, components)) + means[truth.ravel()]
    return Features.of_scan(rows.astype(np.float32), None, np.zeros((size, size), dtype=bool))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--components", type=int, default=5)
    parser.add_argument("--most", type=int, default=10)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # more clusters than there are may not be certified
    start = time.perf_counter()
    print(f"{'imports':34} {'':9}   peak {peak():6.0f} MB")
    with step("the rows themselves"):
        features = scan(options.size, options.components)
    ks = range(1, options.most + 1)
    with step(f"k-means, k = 1 ... {options.most}"):
        sketch = KMeans(options.most).sketch(features.rows)
        found = {k: Clustering.from_estimator(KMeans(k).fit(sketch), features) for k in ks}
    with step("scores of each, all rows"):
        for clustering in found.values():
            scores(features, clustering)
    with step("choose_k, everything scored"):
        choice = choose_k(features, KMeans, ks)
    for by in ("reseed", "half", "bootstrap"):
        with step(f"stability, {by}"):
            stability(features, KMeans(choice.k), by=by)
    with step("lineage"):
        maps = {k: features.on_scan(one.labels, fill=-1) for k, one in found.items()}
        lineage(maps)
    with step("regions"):
        regions(maps[choice.k])
    print(choice.summary)
    print(f"{'all':34} {time.perf_counter() - start:7.1f} s   peak {peak():6.0f} MB")


if __name__ == "__main__":
    main()
