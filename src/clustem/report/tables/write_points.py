"""What was clustered and what came out, as a table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from clustem.core import Segmentation
from clustem.report.layout.extent import scan_axes
from clustem.report.layout.fringes import has_fringes

MOST = 2**24
"""Positions of the largest scan that gets a table: 500 MB of text and a minute."""

_BLOCK = 4096
"""Positions that are written at a time."""


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
    points = segmentation.points if not has_fringes(segmentation) else segmentation.points[:, :0]
    labels, soft = np.asarray(segmentation.labels.data), segmentation.memberships
    pages = np.empty((0, *kept.shape)) if soft is None else np.asarray(soft.data)
    titles = segmentation.feature_names
    names = ["y", "x"][-len(axes) :]
    names += [*titles, *(f"feature {i + 1}" for i in range(len(titles), points.shape[1]))]
    names = [*names[: len(axes) + points.shape[1]], "label"]
    names += [f"membership {i}" for i in range(len(pages))]
    formats = ["%.7g"] * (len(axes) + points.shape[1]) + ["%d"] + ["%.7g"] * len(pages)
    line = ",".join(formats) + "\n"
    rows = max(_BLOCK * len(kept) // max(kept.size, 1), 1)  # of the scan at a time
    done = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerow(names)
        for first in range(0, len(kept), rows):
            part = slice(first, first + rows)
            inside = kept[part]
            count = int(np.count_nonzero(inside))
            places = (axes[0].values[part], *(axis.values for axis in axes[1:]))
            columns = [where[inside] for where in np.meshgrid(*places, indexing="ij")]
            columns += [*points[done : done + count].T, labels[part][inside]]
            columns += [page[part][inside] for page in pages]
            table = np.column_stack([np.asarray(column, dtype=np.float64) for column in columns])
            file.write(line * count % tuple(table.ravel().tolist()))
            done += count
    return path
