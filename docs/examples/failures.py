"""
Where does each method fail?
============================

*Which clusterer do I take, and when is it wrong?*
"""

import warnings

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from clustem.cluster import (
    FuzzyCMeans,
    GaussianMixture,
    GustafsonKessel,
    KMeans,
    KMeans1D,
    MultinomialMixture,
    PossibilisticCMeans,
)

# %%
# Rows in a plane, as components of spectra or patterns are. Each scene has groups that are easy to
# see, and one thing that a method may not expect.

rng = np.random.default_rng(0)


def blob(center, n, widths=(1, 1)):
    return rng.normal(center, widths, (n, 2))


def ring(radius, n):
    turn = rng.uniform(0, 2 * np.pi, n)
    return radius * np.column_stack([np.cos(turn), np.sin(turn)]) + rng.normal(0, 0.3, (n, 2))


ROUND = [blob((0, 0), 300), blob((8, 0), 300), blob((4, 7), 300)]
SCENES = {
    "three round groups": ROUND,
    "5 % outliers": [*ROUND, rng.uniform(-40, 40, (45, 2))],
    "1000 rows and 20": [blob((0, 0), 1000), blob((7, 0), 20)],
    "long and parallel": [blob((0, 0), 300, (8, 1)), blob((0, 6), 300, (8, 1))],
    "narrow and wide": [blob((0, 0), 300, (0.5, 0.5)), blob((8, 0), 300, (4, 4))],
    "two rings": [ring(3, 300), ring(8, 300)],
    "a ray each (thickness)": [
        rng.uniform(1, 5, (300, 1)) * (2, 1.2) + blob((0, 0), 300, (0.1, 0.1)),
        rng.uniform(1, 5, (300, 1)) * (1.2, 2) + blob((0, 0), 300, (0.1, 0.1)),
    ],
}
METHODS = {
    "KMeans": KMeans,
    "FuzzyCMeans": FuzzyCMeans,
    "PossibilisticCMeans": PossibilisticCMeans,
    "GustafsonKessel": GustafsonKessel,
    "GaussianMixture": GaussianMixture,
}
found = {}
for scene, groups in SCENES.items():
    k = 3 if scene in ("three round groups", "5 % outliers") else 2
    rows, truth = np.concatenate(groups), np.repeat(np.arange(len(groups)), [*map(len, groups)])
    real = truth < k  # outliers belong to no group
    for name, method in METHODS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            labels = method(n_clusters=k).fit(rows).labels_
        found.setdefault(name, {})[scene] = adjusted_rand_score(truth[real], labels[real])

# %%
# Agreement with the truth (adjusted Rand index: 1 all right, 0 by chance), each given the right
# number of clusters.

pd.DataFrame(found).round(2)

# %%
# **KMeans** cuts space half-way between centers: long and unequally wide groups are cut in the
# wrong place, a few outliers take a center, and a ray is cut across, that is, thickness becomes a
# cluster: divide rows by their total or norm (``normalize="l2"``), or take ``MultinomialMixture``
# for counts.
#
# **FuzzyCMeans** cuts in the same places with soft borders, is not led astray by outliers, and
# loses small groups: every cluster wants a like share. Its memberships are no probabilities: they
# depend on m.
#
# **PossibilisticCMeans** judges each cluster by itself; two of them may fall on the same group.
# Its use is to see what belongs to none.
#
# **GustafsonKessel** takes long groups of any direction, but of one volume each: a small or narrow
# group beside a large one is not found. In many dimensions or few rows it needs ``shrinkage``.
#
# **GaussianMixture** takes unlike sizes and widths, and small groups. It begins with k-means, and
# stays there where long groups lie side by side or outliers took a center; a ring or a tail is no
# Gaussian.
#
# None of them tells rings apart: ``judge.choose_k`` says that bent groups are there.

# %%
# A rare group is found or lost by its distance. The share of its rows that have a cluster of their
# own, of 20 beside 1000:

lost = {}
for distance in (4, 5, 6, 8):
    rows = np.concatenate([rng.normal(size=(1000, 3)), rng.normal([distance, 0, 0], 1, (20, 3))])
    for name, method in METHODS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            labels = method(n_clusters=2).fit(rows).labels_
        own = np.bincount(labels[1000:]).argmax()
        most = np.mean(labels[1000:] == own)
        mine = np.sum(labels == own) < 40  # else it is part of a larger cluster
        lost.setdefault(name, {})[f"{distance} σ"] = most if mine else 0.0
pd.DataFrame(lost).round(2)

# %%
# Counts: spectra of 60 channels of two phases whose shapes differ by a tenth, thickness varies
# five-fold. A mixture of multinomials asks for the shape alone, and for the neighbours on the
# scan; other methods see noise when counts are few.

from sklearn.decomposition import PCA

from clustem.labelmaps.grid_graph import grid_graph

shape = (40, 50)
channels = np.arange(60)
first = np.exp(-(((channels - 20) / 6) ** 2)) + 0.5
second = np.exp(-(((channels - 26) / 6) ** 2)) + 0.5
truth = (np.indices(shape).sum(axis=0) > 44).astype(int)
expected = np.stack([first / first.sum(), second / second.sum()])[truth]
thickness = np.linspace(0.4, 2.0, shape[1])[None, :, None]
graph = grid_graph(np.zeros(shape, dtype=bool))
found = {}
for counts in (1000, 100, 20, 5):
    scan = rng.poisson(counts * thickness * expected).reshape(-1, 60)
    scaled = (scan - scan.mean(axis=0)) / np.sqrt(scan.mean(axis=0))
    components = PCA(3, random_state=0).fit_transform(scaled)
    share = scan / np.maximum(scan.sum(axis=1, keepdims=True), 1)
    labels = {
        "KMeans of counts": KMeans(2).fit(scan).labels_,
        "KMeans of shares": KMeans(2).fit(share).labels_,
        "GaussianMixture of components": GaussianMixture(2).fit(components).labels_,
        "MultinomialMixture alone": MultinomialMixture(2).fit(scan).labels_,
        "with neighbours": MultinomialMixture(2, connectivity=graph).fit(scan).labels_,
    }
    for name, each in labels.items():
        found.setdefault(name, {})[f"{counts} counts"] = adjusted_rand_score(truth.ravel(), each)
pd.DataFrame(found).round(2)

# %%
# **MultinomialMixture** needs counts. Values that a detector's gain has scaled are refused, or
# turned to counts by ``prepare.counts`` where the noise of neighbours shows the gain.

from clustem.core import ClustemError

try:
    MultinomialMixture(2).fit(scan * 7.3 + 0.4)
except ClustemError as error:
    print(error)

# %%
# **KMeans1D** is at the proven least of its cost, for one column only: two columns are refused. It
# cuts a wedge into steps that are not there, as any clustering of one smooth number does.

wedge = np.log(np.linspace(1, 5, 500))
print(KMeans1D(5).fit(wedge.reshape(-1, 1)).labels_[::50])
