"""
Source 1: EELS pooling and thickness clusters
=============================================

EELSfitter pools spectra with their neighbours, clusters positions by their total intensity, and
learns a zero-loss peak for each cluster. The same on a simulated wedge, and what differs, in
numbers.
"""

import numpy as np

import clustem
from clustem.cluster import KMeans, KMeans1D

# %%
# Positions are clustered by the logarithm of their total. The source minimises the sum of square
# roots of distances (p = 1/2), and says that its algorithm finds the least; its code runs
# k-means, which is p = 2 and stops where it stops. ``KMeans1D`` finds the proven least for any p.

sample = clustem.samples.eels(shape=(32, 48))
totals = np.log(sample.signal.data.sum(axis=-1)).reshape(-1, 1)


def cost(labels):
    """Least cost at p = 1/2 of a partition: the best center of a cluster is one of its values."""
    found = 0.0
    for k in np.unique(labels):
        own = totals[labels == k, 0]
        found += np.sqrt(np.abs(own[:, None] - own)).sum(axis=0).min()
    return found


exact = KMeans1D(10, p=0.5).fit(totals)
lloyd = KMeans(10).fit(totals)
print(f"cost at p = 1/2: proven least {cost(exact.labels_):.2f}, k-means {cost(lloyd.labels_):.2f}")

# %%
# The recipe does it with pooling, and shows that the result does not hinge on the window.

wedge = clustem.segment(sample.signal, "eels", n_clusters=5, settings={"eels.zero_loss": False})
wedge.plot()
print(clustem.recipes.pooling_check(sample.signal, radii=(0.5, 1.5, 3.0)))

# %%
# The clusters on the histogram of the totals.

from clustem.report import intensity_histogram

histogram = intensity_histogram(wedge)

# %%
# The zero-loss peak of each cluster with its 68 % band, and what is left. The source trains its
# networks one by one; here all are one batch, 340 times faster (``benchmarks/zero_loss.py``).

from clustem.eels import ZeroLossModel, thickness
from clustem.report import thickness_map, zero_loss_plot

model = ZeroLossModel(n_replicas=15).fit(wedge.source, wedge)
fits = zero_loss_plot(model)

# %%
# Thickness against the truth of the simulation: median error of t/λ.

found = thickness(wedge.source, model)
maps = thickness_map(found)
thick = sample.thickness > 0.2
error = np.abs(found.relative.data / sample.thickness - 1)[thick]
print(f"median error of t/λ: {100 * np.median(error):.1f} %")
