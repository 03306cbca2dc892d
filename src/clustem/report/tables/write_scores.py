"""Sizes of the clusters and figures of merit, as a table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from clustem.core import Segmentation
from clustem.report.layout.extent import area_of, sizes


def write_scores(segmentation: Segmentation, path: str | Path) -> Path:
    """Write the size of each cluster and the scores of the whole.

    Parameters
    ----------
    segmentation
        The clusters on their scan.
    path
        File to write, usually ``scores.csv``.

    Returns
    -------
    :
        The path.

    Notes
    -----
    Columns: kind (cluster, unassigned, excluded, score), number, name, count (scan positions),
    fraction (of the positions that were not excluded), area in the squared units of the scan (if it
    is a calibrated map), value (of scores). Cells that mean nothing are empty.

    Examples
    --------
    >>> import tempfile
    >>> from clustem.report.figures.example import example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_scores(example(), folder + "/scores.csv").read_text())
    kind,number,name,count,fraction,area (nm²),value
    cluster,0,cluster 0,12,0.5,300,
    cluster,1,cluster 1,11,0.458333,275,
    unassigned,-1,unassigned,1,0.0416667,25,
    excluded,,excluded,0,,0,
    score,,converged,,,,1
    <BLANKLINE>
    """
    path = Path(path)
    pixel = area_of(segmentation)
    free = int(np.count_nonzero(segmentation.unassigned))
    out = int(np.count_nonzero(segmentation.mask))

    def area(count: int) -> str:
        return "" if pixel is None else f"{count * pixel[0]:.6g}"

    rows = [
        [
            "cluster",
            size.number,
            size.name,
            size.count,
            f"{size.fraction:.6g}",
            area(size.count),
            "",
        ]
        for size in sizes(segmentation)
    ]
    share = f"{segmentation.unassigned_fraction:.6g}"
    rows.append(["unassigned", -1, "unassigned", free, share, area(free), ""])
    rows.append(["excluded", "", "excluded", out, "", area(out), ""])
    for name, value in segmentation.scores.items():
        rows.append(["score", "", name, "", "", "", f"{float(value):.9g}"])
    header = f"area ({pixel[1]})" if pixel else "area"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["kind", "number", "name", "count", "fraction", header, "value"])
        writer.writerows(rows)
    return path
