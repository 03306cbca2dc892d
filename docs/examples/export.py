"""
Figures for a paper, and data for other programs
================================================

*How do I get this into my paper, ImageJ, ParaView, DTSA-II, orix or pandas?*
"""

import tempfile
from pathlib import Path

import clustem
from clustem.report import Print, write_figures

# %%
# Figures at the width of a column.

sample = clustem.samples.eds(shape=(40, 48))
result = clustem.segment(sample.signal, "eds", n_clusters=4).relabel({0: "matrix"})
folder = Path(tempfile.mkdtemp())
(folder / "figures").mkdir()
for path in write_figures(result, folder / "figures", Print(width=85.0, dpi=300)):
    print(path.name)

# %%
# The result folder holds what other programs read.

result.save(folder / "result")
for path in sorted((folder / "result").iterdir()):
    print(path.name)

# %%
# .. list-table::
#    :header-rows: 1
#
#    * - program
#      - what it reads
#    * - ImageJ, Fiji, ParaView
#      - ``labels.tif`` (numbers, −1 = unassigned or excluded), ``memberships.tif``
#    * - DTSA-II, HyperSpy
#      - ``centers/*.msa``, ``centers.hspy``
#    * - pandas, R, Excel
#      - ``points.csv``: a line for each position; ``regions.csv``, ``scores.csv``
#    * - orix, pyxem
#      - ``labels.tif`` as an array: ``result.labels.data == 2`` chooses the positions of a phase

import pandas as pd

points = pd.read_csv(folder / "result" / "points.csv", comment="#")
print(points.head())

# %%
# In HyperSpy, the label map and the mean spectra are signals with axes and metadata.

print(result.labels)
print(result.centers)
result.plot()
