"""Connected regions and borders of the clusters, as a table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

from annotated_types import Ge

from clustem.core import Segmentation, checked
from clustem.judge.regions import regions
from clustem.report.layout.units import pretty


@checked
def write_regions(
    segmentation: Segmentation, path: str | Path, *, min_size: Annotated[int, Ge(1)] = 1
) -> Path:
    """Write size, place and shape of each region, and the length of each border.

    Parameters
    ----------
    segmentation
        The clusters on their scan of two axes.
    path
        File to write, usually ``regions.csv``.
    min_size
        Regions with fewer positions are left out.

    Returns
    -------
    :
        The path.

    Raises
    ------
    InputError
        If the scan has not two axes.

    Notes
    -----
    Lines of kind region, the largest first: cluster, name, positions, area, row and column of the
    center [px], diameter of the circle of the same area, long and short axis, circularity. Lines
    of kind border: cluster, name, neighbour, neighbour's name, length. Units are in the header.

    Examples
    --------
    >>> import tempfile
    >>> from clustem.report.figures.example import example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_regions(example(), folder + "/regions.csv").read_text().splitlines()[1])
    region,0,cluster 0,12,300,1.5,1,19.5441,22.3607,16.3299,1,,,
    """
    path = Path(path)
    found = regions(segmentation, min_size=min_size)
    units = pretty(found.units) or "px"
    header = ["kind", "cluster", "name", "positions", f"area ({units}²)", "row", "column"]
    header += [f"diameter ({units})", f"long axis ({units})", f"short axis ({units})"]
    header += ["circularity"]
    header += ["neighbour", "neighbour name", f"length ({units})"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for region in found.regions:
            numbers = (
                region.area,
                *region.center,
                region.diameter,
                *region.axes,
                region.circularity,
            )
            name = segmentation.name_of(region.cluster)
            written = [f"{value:.6g}" for value in numbers]
            writer.writerow(["region", region.cluster, name, region.pixels, *written, "", "", ""])
        for (i, j), length in found.borders.items():
            names = segmentation.name_of(i), segmentation.name_of(j)
            blank = [""] * 8
            writer.writerow(["border", i, names[0], *blank, j, names[1], f"{length:.6g}"])
    return path
