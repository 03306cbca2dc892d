"""
Phases by the shape of EELS spectra
===================================

*Where does the fine structure, or the edge, look different?*
"""

import clustem
from clustem.judge import verdict
from clustem.report import center_plot

# %%
# A simulated film with several core-loss shapes. The recipe ``eels-shape`` divides each spectrum by
# its total, so that thickness does not count, and clusters a few components.

sample = clustem.samples.eels(kind="core", shape=(36, 48))
result = clustem.segment(sample.signal, "eels-shape")
print(verdict(result))
result.plot()

# %%
# Mean spectra of each cluster.

figure = center_plot(result)

# %%
# Which channels tell a cluster from all others? ``judge.distinguishing`` finds them, the most
# significant first.

from clustem.judge import distinguishing

for number, marks in enumerate(distinguishing(result).marks):
    where = ", ".join(f"{mark.position[0]:.0f} eV ({mark.difference:+.2g})" for mark in marks)
    print(f"cluster {number}: {where}")
