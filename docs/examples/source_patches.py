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
# The default of the recipe, all dimensions.

found.full.plot()
