"""
Two detectors on one scan
=========================

*EDS sees one thing, EELS another: which map is right?*
"""

import clustem

# %%
# A simulated scan of three phases: EELS tells A from B and C, EDS tells C from A and B.

sample = clustem.samples.joint(shape=(40, 48))
alone = {
    "eels": clustem.segment(sample.signals["eels"], "eels-shape", n_clusters=3),
    "eds": clustem.segment(sample.signals["eds"], "eds", n_clusters=3),
}
both = clustem.segment(dict(sample.signals), "joint", n_clusters=3)
for name, found in {**alone, "both": both.first}.items():
    print(f"{name}: adjusted Rand index {clustem.compare(found, sample.labels).ari:.2f}")

# %%
# One map, and what each signal tells about the cluster of a position.

print(both.sentence)
figure = both.plot()
