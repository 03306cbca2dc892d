"""
One set of phases over many maps
================================

*Is phase 2 of this map phase 2 of that map?*
"""

import clustem

# %%
# Maps of one sample are clustered in one fit: the same clusters, numbers and colors in each.

maps = [clustem.samples.eds(shape=(36, 44), random_state=i).signal for i in range(3)]
study = clustem.segment(maps[:2], "eds", n_clusters=4)
figure = study.plot()

# %%
# Area shares with their 95 % intervals.

print(study.table())

# %%
# A new map gets the same phases without fitting. What none of them explains is counted, and drawn
# black.

new = study.apply(maps[2])
print(f"{100 * new.novel.mean():.1f} % of the positions are new")
new.plot()
