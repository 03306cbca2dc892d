"""
Phases in an EDS map
====================

*Which phases are in my map, where, and what are they made of?*
"""

import clustem

# %%
# A simulated map of four minerals, 110 X-rays in a spectrum. Of a file of your own, write the name
# instead of the signal: ``clustem.segment("map.bcf", "eds")``.

sample = clustem.samples.eds(shape=(60, 76), counts=110)
result = clustem.segment(sample.signal, "eds")
print(result)

# %%
# The number of clusters was not given: counts that the fit does not see say which number explains
# them best. The verdict is one sentence, and comes before the map.

from clustem.judge import verdict

print(verdict(result))
result.plot()

# %%
# Mean spectra, with the X-ray lines that they show. They are means of the raw counts, whatever was
# done before clustering.

from clustem.report import center_plot

figure = center_plot(result)

# %%
# How sure is it? A membership is a probability: of the positions with .9, nine of ten are right.
# Here the truth is known, so it can be counted.

import numpy as np

known = sample.labels >= 0
memberships = result.memberships.data.max(axis=0)
found = clustem.compare(result, np.where(known, sample.labels, -1))
print(f"adjusted Rand index {found.ari:.3f}, mean membership {memberships[known].mean():.3f}")

# %%
# A hundredth of the dose: the same recipe, with nothing changed.

few = clustem.samples.eds(shape=(60, 76), counts=5.5)
again = clustem.segment(few.signal, "eds")
print(verdict(again))
again.plot()

# %%
# Name the phases and keep the result. The folder holds a report, maps as TIFF, spectra as MSA and
# HyperSpy files, a table of positions, the recipe, and what is needed to apply the phases to other
# maps.

import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp()) / "result"
result.relabel({0: "matrix"}).save(folder)
print(*sorted(path.name for path in folder.iterdir()))
