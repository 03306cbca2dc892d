"""What was clustered and what came out, as a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.report.layout.extent import scan_axes
from clustem.report.layout.fringes import has_fringes

_BLOCK = 4096


def write_points(segmentation: Segmentation, path: str | Path) -> Path:
    """Write a table with one line per scan position that was not excluded.

    Parameters
    ----------
    segmentation
        The clusters on their scan.
    path
        File to write, usually ``points.csv``.

    Returns
    -------
    :
        The path.

    Notes
    -----
    Columns: y and x in the units of the scan's axes (a line scan has only x), the clustered
    features (but for fringes: one column per filter would be many), label (−1 = unassigned), and
    one membership per cluster where there are any.
    Numbers have 7 digits. ParaView opens the file and draws it with the filter "Table To Points".

    Examples
    --------
    >>> import tempfile
    >>> from clustem.report.figures.example import example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     lines = write_points(example(), folder + "/points.csv").read_text().splitlines()
    >>> lines[:2]
    ['y,x,PC 1,PC 2,label,membership 0,membership 1', '0,0,0.9,0,0,0.9,0']
    """
    path = Path(path)
    axes = scan_axes(segmentation)
    kept = ~segmentation.mask
    grid = np.meshgrid(*(axis.values for axis in axes), indexing="ij")
    names = ["y", "x"][-len(axes) :]
    columns: list[NDArray[Any]] = [where[kept] for where in grid]
    points = segmentation.points if not has_fringes(segmentation) else segmentation.points[:, :0]
    for i in range(points.shape[1]):
        named = segmentation.feature_names[i : i + 1] or (f"feature {i + 1}",)
        names.append(named[0])
        columns.append(points[:, i])
    names.append("label")
    columns.append(segmentation.labels.data[kept])
    formats = ["%.7g"] * (len(columns) - 1) + ["%d"]
    if segmentation.memberships is not None:
        names += [f"membership {i}" for i in range(segmentation.n_clusters)]
        columns += [page[kept] for page in segmentation.memberships.data]
        formats += ["%.7g"] * segmentation.n_clusters
    table = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
    line = ",".join(formats) + "\n"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(names)
        for start in range(0, len(table), _BLOCK):
            block = table[start : start + _BLOCK]
            file.write(line * len(block) % tuple(block.ravel().tolist()))
    return path
