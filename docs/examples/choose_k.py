"""
How many clusters?
==================

*Is it four phases or five, or none at all?*
"""

# %%
# The recipe asks by itself. One phase under a thickness wave has no structure, and the answer says
# so instead of drawing noise.
import hyperspy.api as hs
import numpy as np

import clustem
from clustem.judge import verdict

rng = np.random.default_rng(0)
wave = 1 + 0.5 * np.sin(np.arange(48) / 6)
spectrum = clustem.samples.eds(shape=(8, 8)).signal
shape = spectrum.data.sum(axis=(0, 1)) / spectrum.data.sum()
one_phase = hs.signals.Signal1D(
    rng.poisson(60 * wave[:, None, None] * np.ones((48, 40, 1)) * shape)
)
one_phase.set_signal_type("EDS_TEM")
result = clustem.segment(one_phase, "eds")
print(verdict(result))

# %%
# Several numbers in one run: what splits when k rises.

sample = clustem.samples.eds(shape=(40, 48), counts=110)
found = clustem.sweep(sample.signal, "eds", range(2, 6))
for k, clusters in found.items():
    print(
        k,
        [
            f"{share:.0%}"
            for share in np.bincount(clusters.labels.data.ravel()) / clusters.mask.size
        ],
    )

# %%
# Which cluster splits into which.

from clustem.judge import lineage
from clustem.report import lineage_plot

figure = lineage_plot(lineage(dict(found)))

# %%
# The evidence by itself, for any rows and any estimator.

from clustem import judge
from clustem.cluster import KMeans

rows = np.concatenate([rng.normal(size=(200, 3)), rng.normal([6, 0, 0], size=(150, 3))])
choice = judge.choose_k(rows, KMeans)
print(choice)
