"""
Source 4: patches around atom columns
=====================================

A chapter of a toolkit for autoencoders clusters patches of 40 × 40 pixels by a Gaussian mixture of
five components, in all 1600 dimensions and in the plane of two components, and asks which of the
two keeps the physics.
"""

import clustem
from clustem.report import split_views

# %%
# A simulated ferroelectric with domains, walls and a slow tilt of the sample.

sample = clustem.samples.domains(shape=(300, 360))
found = clustem.views(sample.signal, "domains", settings={"cluster.n_clusters": 5})
figure = split_views(found.full, found.plane)

# %%
# How far they agree, and which of them is right. A reduction to two components splits regions
# further where the tilt varies.

print(found.split)

# %%
# In numbers: the truth is known here at each patch.

for name, each in {"all dimensions": found.full, "two components": found.plane}.items():
    score = clustem.compare(each, sample.truth_for(each))
    print(f"{name}: adjusted Rand index {score.ari:.3f}")

# %%
# The default of the recipe: all dimensions, the mean patch of each cluster, and the patches in the
# plane of two components.

from clustem.report import center_plot, scatter

found.full.plot()
means = center_plot(found.full)
points = scatter(found.plane)

# %%
# The source's patches and number of clusters were chosen by eye; here the data are asked.

print(clustem.judge.verdict(clustem.segment(sample.signal, "domains")))
