"""
Source 2: fuzzy phases of an EDS map
====================================

A notebook of the University of Glasgow crops a map, reduces scaled spectra to three components,
clusters them by Gustafson-Kessel, and leaves positions below a membership of one half unassigned.
"""

import numpy as np

import clustem

# %%
# The same steps are the recipe ``eds-fuzzy``.

sample = clustem.samples.eds(shape=(76, 78))
fuzzy = clustem.segment(sample.signal, "eds-fuzzy", n_clusters=4)
fuzzy.plot()

# %%
# Positions of mixed phases are unassigned: 5.7 % in the source's map.

print(f"{100 * fuzzy.unassigned_fraction:.1f} % unassigned")

# %%
# The components that are clustered, with the clusters' ellipses; the memberships; and the mean raw
# spectra of positions with more than one half.

from clustem.report import center_plot, membership_maps, scatter

points = scatter(fuzzy)
memberships = membership_maps(fuzzy)
means = center_plot(fuzzy)

# %%
# From the same rows, the clusterer here ends at a lower objective than the source's library, 84 to
# 125 times faster (``benchmarks/fuzzy.py``).
#
# Both recipes at falling dose. Components of few counts hold noise; a model of the counts does not
# need them.

for counts in (110.0, 22.0, 5.5):
    few = clustem.samples.eds(shape=(76, 78), counts=counts)
    line = [f"{counts:5g} counts"]
    for recipe in ("eds-fuzzy", "eds"):
        found = clustem.segment(few.signal, recipe, n_clusters=4)
        line.append(f"{recipe} {clustem.compare(found, few.labels).ari:.2f}")
    print(", ".join(line))

# %%
# Memberships sum to one; the position of the largest doubt:

doubt = fuzzy.memberships.data.max(axis=0)
row, column = np.unravel_index(doubt.argmin(), doubt.shape)
print(f"row {row}, column {column}: membership {doubt.min():.2f}")
