"""
Source 3: grains in 4D-STEM, with and without the beam
======================================================

A thesis of the University of Barcelona clusters diffraction patterns by k-means, and finds that a
mask over the transmitted beam brings out the orientation of the grains and a defect.
"""

import clustem
from clustem.report import side_by_side

# %%
# A simulated foil of four grains with a defect, 6000 electrons a pattern.

sample = clustem.samples.diffraction(shape=(40, 48))
masked = clustem.segment(sample.signal, "diffraction", n_clusters=5)
whole = clustem.segment(
    sample.signal, "diffraction", n_clusters=5, settings={"prepare.beam_mask": False}
)
figure = side_by_side({"beam masked": masked, "with the beam": whole})

# %%
# The mean pattern of each cluster, beam masked.

from clustem.report import center_plot

patterns = center_plot(masked)

# %%
# In numbers: with the beam, clusters are thickness.

for name, found in {"beam masked": masked, "with the beam": whole}.items():
    print(f"{name}: adjusted Rand index {clustem.compare(found, sample.labels).ari:.3f}")

# %%
# The source chose six clusters by eye. Here the number is asked for, and found.

print(clustem.judge.verdict(clustem.segment(sample.signal, "diffraction")))

# %%
# At 600 electrons a pattern the recipe takes a model of the counts by itself.

few = clustem.samples.diffraction(shape=(40, 48), counts=600.0)
found = clustem.segment(few.signal, "diffraction", n_clusters=5)
print(found.history[-2].name, f"{clustem.compare(found, few.labels).ari:.3f}")
