"""
Facets and twins in an atomic-resolution image
==============================================

*Which parts of my particle have the same lattice, and by which angle are they turned?*
"""

import clustem
from clustem.report import orientation_map

# %%
# A simulated decahedron: five twins around one axis.

sample = clustem.samples.particles(shape=(200, 200), diameter=10.0)
result = clustem.segment(sample.signal, "particles")
result.plot()

# %%
# Directions of the lattice, and the angles between neighbours; 70.5° between {111} planes.

figure = orientation_map(result)

# %%
# An image that shows no lattice is refused, with the recipe that fits.

grains = clustem.samples.support(shape=(160, 200), n_particles=6)
try:
    clustem.segment(grains.signal, "particles")
except clustem.core.ClustemError as error:
    print(error)
