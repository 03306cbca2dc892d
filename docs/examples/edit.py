"""
Edit and name a map
===================

*Two clusters are one phase to me. Can I merge them and still reproduce the figure?*
"""

import clustem

# %%
# Edits are steps of the recipe: the saved recipe repeats them.

sample = clustem.samples.eds(shape=(40, 48))
result = clustem.segment(sample.signal, "eds", n_clusters=5)
edited = result.merge([3, 4]).relabel({0: "matrix", 1: "rutile"})
edited.plot()
print("\n".join(edited.recipe_text.splitlines()[-12:]))

# %%
# What changed, and back.

print(clustem.compare(edited, result))
print(edited.undo().n_clusters, "clusters")
