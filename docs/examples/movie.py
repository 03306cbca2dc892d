"""
A movie of a turning crystal
============================

*Which lattice is which from frame to frame, and how does it turn?*
"""

import numpy as np

import clustem

# %%
# Four frames of a crystal that turns by three degrees each. A file with a stack of images goes the
# same way: ``clustem.segment_movie("growth.tif")``.

frames = [
    clustem.samples.particles(kind="crystal", shape=(96, 104), diameter=4.5, angle=angle)
    for angle in (10.0, 13.0, 16.0, 19.0)
]
stack = np.stack([frame.signal.data for frame in frames])

# %%
# Each frame starts from the last one's centers, and lattices that overlap and look alike keep their
# number and color.

import hyperspy.api as hs

movie = clustem.segment_movie(hs.signals.Signal2D(stack))
print(movie.table())
figure = movie.plot()
