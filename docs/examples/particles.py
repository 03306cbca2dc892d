"""
Particles without a lattice
===========================

*How many particles are there, how large, and how round?*
"""

import pandas as pd

import clustem
from clustem.judge import regions

# %%
# Nanoparticles on an uneven support, some of them touching. The recipe ``texture`` takes the uneven
# support and the noise out, clusters brightness (gradient and Hessian where that does not suffice),
# and cuts touching particles apart.

sample = clustem.samples.support(shape=(256, 320), n_particles=20)
result = clustem.segment(sample.signal, "texture")
result.plot()

# %%
# Their sizes, from the regions of the map.

found = regions(result)
particles = pd.DataFrame(found.of(1))
print(particles[["area", "diameter", "circularity"]].describe().round(2))
