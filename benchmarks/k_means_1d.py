"""Clusters of single numbers: seconds and cost against scikit-learn's and Lloyd's with many starts.

Costs are relative to KMeans1D; below 1 would mean that a peer found a better one. Seconds are
medians of runs one after the other, after compilation.
"""

import statistics
import time
import warnings

ROUNDS, K, STARTS = 3, 10, 20


def values(n):
    """Log intensities of seven terraces, as many different ones as asked for."""
    import numpy as np

    rng = np.random.default_rng(0)
    terraces = np.repeat(rng.normal(0, 3, 7), n // 7 + 1)[:n]
    return rng.normal(terraces, 0.3)[:, None]


def cost(x, centers, p):
    import numpy as np

    return float((np.abs(x - np.ravel(centers)).min(axis=1) ** p).sum())


def ours(x, p):
    from clustem.cluster import KMeans1D

    found = KMeans1D(K, p=p).fit(x)
    return found.cluster_centers_, f"gap of at most {100 * found.gap_bound_:.2g} %"


def scikit_learn(x, _):
    from sklearn.cluster import KMeans

    return KMeans(K, n_init=10, random_state=0).fit(x).cluster_centers_, "squared distances"


def lloyd(x, p):
    """Lloyd's algorithm with medians, the best of some starts, as one would do for p <= 1."""
    import numpy as np

    rng = np.random.default_rng(0)
    best = (np.inf, None)
    for _ in range(STARTS):
        centers = np.sort(rng.choice(x[:, 0], K, replace=False))
        for _ in range(50):
            label = np.searchsorted((centers[1:] + centers[:-1]) / 2, x[:, 0])
            new = np.array(
                [
                    np.median(x[label == i]) if (label == i).any() else c
                    for i, c in enumerate(centers)
                ]
            )
            if np.array_equal(new, centers):
                break
            centers = new
        best = min(best, (cost(x, centers, p), centers), key=lambda pair: pair[0])
    return best[1], f"{STARTS} starts, medians"


def main():
    warnings.simplefilter("ignore")
    ours(values(100), 0.5), ours(values(100), 1.0), ours(values(100), 2.0)  # compile
    for n in (10_000, 1_000_000):
        x = values(n)
        for p in (0.5, 1.0, 2.0):
            print(f"{n} values, k = {K}, p = {p:g}")
            peers = [ours, scikit_learn] + [lloyd] * (n <= 10_000)
            reference = None
            for peer in peers:
                took = []
                for _ in range(ROUNDS if n <= 10_000 else 1):
                    start = time.perf_counter()
                    centers, note = peer(x, p)
                    took.append(time.perf_counter() - start)
                reached = cost(x, centers, p)
                reference = reference or reached
                name = peer.__name__.replace("_", "-")
                print(
                    f"  {name:14} {statistics.median(took):8.3f} s   cost {reached / reference:.4f}"
                    f"   {note}"
                )


if __name__ == "__main__":
    main()
