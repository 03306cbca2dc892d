"""
Grains in a 4D-STEM scan
========================

*Which positions have the same diffraction pattern?*
"""

import clustem
from clustem.judge import verdict
from clustem.report import center_plot

# %%
# A simulated scan of four grains and a defect. The direct beam is masked: it holds most electrons,
# and what varies in it is thickness.

sample = clustem.samples.diffraction(shape=(32, 40))
result = clustem.segment(sample.signal, "diffraction")
print(verdict(result))
result.plot()

# %%
# The mean pattern of each cluster.

figure = center_plot(result)

# %%
# The same with the beam: now clusters follow the thickness.

with_beam = clustem.segment(
    sample.signal, "diffraction", n_clusters=5, settings={"prepare.beam_mask": False}
)
for name, found in {"beam masked": result, "with the beam": with_beam}.items():
    print(f"{name}: adjusted Rand index {clustem.compare(found, sample.labels).ari:.3f}")
with_beam.plot()

# %%
# Scans of 50 GB take the same call with the file's name; see :doc:`/large-data`.
