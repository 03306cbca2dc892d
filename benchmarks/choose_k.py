"""How often the number of clusters is found exactly, beside what others recommend.

Run: ``python benchmarks/choose_k.py [--seed 0] [--peers/--no-peers] [--samples/--no-samples]
[--every n]``.
Simulated cases whose number of clusters is known, and the samples of all recipes. Every method
gets the same rows (4096 at most; others their first 64 principal components, where there are more
features), is asked for 1 ... 10, and answers with one number; HyperSpy's silhouette with a list of
peaks, any of which counts.
"""

import argparse
import collections
import itertools
import resource
import time
import warnings

import hyperspy.api as hs
import numpy as np
import sklearn.cluster
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score
from sklearn.mixture import GaussianMixture

from clustem.cluster import KMeans
from clustem.core import Features, registry
from clustem.judge import choose_k, gap
from clustem.passes.rows import Rows
from clustem.recipes import Recipe
from clustem.recipes._run import Run
from clustem.recipes.open_scan import open_scan

KS = range(1, 11)
MOST_ROWS, MOST_FEATURES = 4096, 64
SEPARATIONS = {"touching": 4.0, "apart": 6.0, "far": 10.0}
KINDS = ("round", "sheared", "slanted", "unequal", "unequal, sheared")
CLOUDS = ("round", "sheared", "box", "heavy tails", "skewed", "line")
OTHERS = ("box", "heavy tails", "skewed")


def centers(rng, k, dims, apart):
    """Place k points in a heap, neighbours ``apart`` or a little more."""
    out = [np.zeros(dims)]
    while len(out) < k:
        step = rng.normal(size=dims)
        point = out[rng.integers(len(out))] + step / np.linalg.norm(step) * apart * rng.uniform(
            1, 1.4
        )
        if all(np.linalg.norm(point - other) >= apart for other in out):
            out.append(point)
    return np.array(out)


def sizes(kind, k, large):
    """Rows of each cluster: equal, or falling to 1/50 of the largest."""
    if kind.startswith("unequal") and k > 1:
        share = 50.0 ** (-np.arange(k) / (k - 1))
        return np.round(share * 50 * (60 if large else 20)).astype(int)
    return np.full(k, (2000 if large else 500) // k)


def rotation(rng, dims):
    return np.linalg.qr(rng.normal(size=(dims, dims)))[0]


def noise(rng, kind, shape):
    """Rows of one cluster, variance 1 along each axis."""
    if kind == "box":
        return rng.uniform(-1, 1, shape) * np.sqrt(3)
    if kind == "heavy tails":
        return rng.standard_t(5, shape) * np.sqrt(3 / 5)
    if kind == "skewed":
        return (rng.gamma(2.0, 1.0, shape) - 2) / np.sqrt(2)
    out = rng.normal(size=shape)
    if kind == "line":
        out[:, 0] = rng.uniform(-20, 20, shape[0])
    return out


def simulated(rng, kind, k, dims, apart, *, large):
    """Rows (n, dims) of k clusters whose nearest neighbours are ``apart`` standard deviations."""
    middle, shapes = centers(rng, k, dims, apart), [np.eye(dims)] * k
    if kind == "slanted":
        turns = [rotation(rng, dims) for _ in range(k)]
        shapes = [q * np.exp(rng.uniform(-0.55, 0.55, dims)) @ q.T for q in turns]
        nearest = np.inf
        for i, j in itertools.combinations(range(k), 2):
            line = middle[i] - middle[j]
            length = np.linalg.norm(line)
            widths = [np.linalg.norm(shape @ line) / length for shape in (shapes[i], shapes[j])]
            nearest = min(nearest, length / np.mean(widths))
        middle = middle * (apart / nearest if k > 1 else 1)
    parts = zip(middle, shapes, sizes(kind, k, large), strict=True)
    rows = np.concatenate([c + noise(rng, kind, (n, dims)) @ s for c, s, n in parts])
    if kind.endswith("sheared"):
        stretched = rotation(rng, dims) * np.exp(rng.uniform(-1, 1, dims))
        rows = rows @ (stretched @ rotation(rng, dims))
    return rng.permutation(rows)[:MOST_ROWS]


def cases(seed):
    """Yield group, name, true k and rows."""
    made = []
    for kind, dims in itertools.product(KINDS, (3, 30)):
        for k, name in itertools.product(range(2, 11), SEPARATIONS):
            # each k at each overlap, at one of two sizes
            made.append((f"{kind}, {dims}-D", kind, k, dims, name, (k + len(name)) % 2 == 0))
    for kind, dims in itertools.product(CLOUDS, (3, 30)):
        made += [("k = 1", kind, 1, dims, "far", large) for large in (False, True, True)]
    for kind, dims, k in itertools.product(OTHERS, (3, 30), (2, 5, 8)):
        made += [(f"other shapes, {dims}-D", kind, k, dims, "apart", k != 5)]
    for number, (group, kind, k, dims, name, large) in enumerate(made):
        rng = np.random.default_rng([seed, number])
        rows = simulated(rng, kind, k, dims, SEPARATIONS[name], large=large)
        yield group, f"{kind} k={k} {dims}-D {name} n={len(rows)}", k, rows, name


def tables():
    """Yield the features that each recipe clusters, of its own sample."""
    samples = registry("samples")
    for name in Recipe.names():
        if name not in samples:
            continue
        sample, recipe = samples[name].step(), Recipe.named(name)
        run = Run(open_scan(recipe, sample.signal))
        run.steps(recipe, ("prepare", "describe", "reduce"), None)
        yield name, sample.n_clusters, run.needed_features()


def ours(features):
    found = choose_k(features, KMeans, KS, scored="chosen", repeats=1)
    return found.k, found.confidence


def published_gap(features):
    return gap(features, None, KS, n_references=10, sample=2048).k


def hyperspy(metric):
    def answer(rows):
        signal = hs.signals.Signal1D(rows)
        return signal.estimate_number_of_clusters(
            "signal", max_clusters=KS[-1], metric=metric, show_progressbar=False,
            **({} if metric == "gap" else {"n_init": 3}),
        )  # fmt: skip

    return answer


def silhouette(rows):
    labels = {
        k: sklearn.cluster.KMeans(k, n_init=3, random_state=0).fit_predict(rows)
        for k in KS
        if k > 1
    }
    return max(labels, key=lambda k: silhouette_score(rows, labels[k]))


def bayes(rows):
    """Gaussian mixtures of scikit-learn by the Bayesian criterion, full and tied."""
    fits = [
        GaussianMixture(k, covariance_type=kind, random_state=0).fit(rows)
        for k, kind in itertools.product(KS, ("full", "tied"))
    ]
    return min(fits, key=lambda fit: fit.bic(rows)).n_components


PEERS = {
    "HyperSpy gap": hyperspy("gap"),
    "HyperSpy silhouette": hyperspy("silhouette"),
    "HyperSpy elbow": hyperspy("elbow"),
    "silhouette": silhouette,
    "mixture BIC": bayes,
}


def right(answer, k):
    return k in answer if isinstance(answer, list) else int(answer) == k


class Tally:
    """Shares of exact answers by method and group."""

    def __init__(self):
        self.found = collections.defaultdict(lambda: collections.defaultdict(list))

    def add(self, method, groups, ok):
        """Count one answer in several groups."""
        for group in groups:
            self.found[group][method].append(ok)

    def show(self, methods):
        """Print shares, one line per group."""
        print(f"{'share of exact k [%]':28} {'cases':>5} " + " ".join(f"{m:>19}" for m in methods))
        for group, by in self.found.items():
            shares = " ".join(f"{100 * np.mean(by[m]) if by[m] else np.nan:19.0f}" for m in methods)
            print(f"{group:28} {len(by['clustem']):5d} {shares}")


def judged(tally, peers, case, features):
    """Ask all methods; return how long ours took."""
    groups, name, k = case
    start = time.perf_counter()
    answer, confidence = ours(features)
    seconds = time.perf_counter() - start
    tally.add("clustem", [*groups, f"confidence {confidence}"], right(answer, k))
    every = Rows.of(Features.of(features).rows)
    few = min(len(every), MOST_ROWS)
    numbers = np.random.default_rng(0).choice(len(every), few, replace=False)
    rows = every.take(np.sort(numbers)).astype(float)
    if rows.shape[1] > MOST_FEATURES:
        rows = PCA(MOST_FEATURES, random_state=0).fit_transform(rows)
    tally.add("gap, published", groups, right(published_gap(rows), k))
    for method in peers:
        tally.add(method, groups, right(PEERS[method](rows), k))
    if not right(answer, k):
        print(f"  missed: {name}: {answer} ({confidence} confidence, {seconds:.1f} s)", flush=True)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="take one in n simulated cases only")
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--samples", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    # every n-th in a random order: their order has periods
    order = np.random.default_rng(options.seed).permutation(1000)
    peers, tally, seconds = list(PEERS) if options.peers else [], Tally(), []
    for number, (group, name, k, rows, apart) in enumerate(cases(options.seed)):
        if order[number] % options.every:
            continue
        groups = ["all", "simulated", group] + [apart] * (k > 1)
        seconds.append(judged(tally, peers, (groups, name, k), rows))
    if options.samples:
        for name, k, features in tables():
            groups = ["all", "samples of the recipes"]
            judged(tally, peers, (groups, f"sample of {name}, k={k}", k), features)
    tally.show(["clustem", *peers, "gap, published"])
    print(f"clustem: {np.median(seconds):.1f} s median a case, {max(seconds):.1f} s at most")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")


if __name__ == "__main__":
    main()
