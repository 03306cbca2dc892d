"""
Domains around atom columns
===========================

*Where do atom columns shift in another direction?*
"""

import clustem
from clustem.judge import verdict
from clustem.report import scatter

# %%
# A simulated ferroelectric: atom columns are displaced in different directions in each domain.
# Patches around the columns are clustered by a Gaussian mixture.

sample = clustem.samples.domains(shape=(240, 300))
result = clustem.segment(sample.signal, "domains", n_clusters=4)
print(verdict(result))
result.plot()

# %%
# The patches in the plane of their first components.

figure = scatter(result)

# %%
# The same patches in all dimensions, and in the plane of two components: do they agree?

from clustem.report import split_views

found = clustem.views(sample.signal, "domains", settings={"cluster.n_clusters": 4})
print(found.split)
another = split_views(found.full, found.plane)
