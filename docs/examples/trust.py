"""
How sure is it?
===============

*Can I print this map in a paper?*
"""

import clustem
from clustem import judge

# %%
# A map of four minerals with three clusters: one of them must hold two phases. The verdict says so,
# and memberships of that cluster fall to the share of the largest group in it.

sample = clustem.samples.eds(shape=(48, 60))
few = clustem.segment(sample.signal, "eds", n_clusters=3)
print(judge.verdict(few))

# %%
# Regions that no cluster explains, at a false-alarm rate of 1 % for the map.

missed = judge.residuals(few)
print(missed.summary)
few.plot()

# %%
# Random halves of the positions, clustered by themselves, agree where clusters are real.

from clustem.cluster import MultinomialMixture

right = clustem.segment(sample.signal, "eds", n_clusters=4)
print(judge.stability(right.features, MultinomialMixture(4)))

# %%
# Where the truth is known: memberships against how often they are right.

found = judge.calibration(right, sample.labels)
for sure, right_as_often, count in zip(found.sure, found.right, found.counts, strict=True):
    print(f"{count} positions: membership {sure:.2f}, right in {right_as_often:.2f} of the cases")
