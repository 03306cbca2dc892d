"""Everything a reader gets, in one folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.judge.residuals import Residuals
from clustem.report.layout.plates import checked_folder, drawn
from clustem.report.layout.sheet import styled
from clustem.report.page._findings import default_title, unexplained
from clustem.report.page._html import page
from clustem.report.page.plan import plan, plan_beside, plan_residuals, plan_truth
from clustem.report.tables.write_centers import write_centers
from clustem.report.tables.write_labels import write_labels
from clustem.report.tables.write_memberships import write_memberships
from clustem.report.tables.write_points import MOST, write_points
from clustem.report.tables.write_regions import write_regions
from clustem.report.tables.write_scores import write_scores
from clustem.report.tables.write_thickness import write_thickness


@styled
def write_report(
    segmentation: Segmentation,
    folder: str | Path,
    *,
    title: str = "",
    provenance: Mapping[str, object] | None = None,
    beside: Mapping[str, Segmentation] | None = None,
    truth: NDArray[np.integer[Any]] | None = None,
    truth_names: Sequence[str] = (),
    residuals: bool = True,
    dpi: int = 200,
) -> list[Path]:
    """Write all files of a result, the figures and the report.

    Parameters
    ----------
    segmentation
        The clusters on their scan of one or two axes.
    folder
        Existing, empty folder.
    title
        Heading of the report; the name of the source's file if empty.
    provenance
        More lines for the report's section on where the data come from, for example the path of
        the input and its hash.
    beside
        Other results on the same scan, by title, whose maps are drawn beside this one's.
    truth, truth_names
        Labels that are known to be right, of the map's shape, negative where there are none, and
        their names by number: the report then shows the confusion matrix, and where the map is
        wrong.
    residuals
        Whether to look for what clusters of counts leave unexplained, which takes some seconds.
    dpi
        Resolution of the figures [dots per inch].

    Returns
    -------
    :
        The files: ``labels.tif``, ``memberships.tif`` (unless hard), ``centers.hspy``,
        ``centers/*.msa`` (spectra) or ``centers.tif`` (patterns), ``points.csv``, ``scores.csv``,
        ``regions.csv`` (maps), ``thickness.tif`` (where it is known), ``figures/*.png``,
        ``report.html``.

    Raises
    ------
    OutputError
        If the folder does not exist or is not empty.

    Notes
    -----
    ``report.html`` needs no other file and no network. Figures that need what the segmentation does
    not have (memberships, components, counts) are left out. Maps of more than 2048 positions along
    a side are drawn of every so many; ``points.csv`` is left out where the scan has more than 2^24
    positions, whose numbers ``labels.tif`` and ``memberships.tif`` hold.

    Examples
    --------
    >>> import tempfile
    >>> from clustem.report.figures.example import example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     len(write_report(example(), folder, title="Two phases"))
    15
    """
    folder = Path(folder)
    checked_folder(folder)
    files = [write_labels(segmentation, folder / "labels.tif")]
    if segmentation.memberships is not None:
        files.append(write_memberships(segmentation, folder / "memberships.tif"))
    files += write_centers(segmentation, folder)
    if segmentation.mask.size <= MOST:
        files.append(write_points(segmentation, folder / "points.csv"))
    files.append(write_scores(segmentation, folder / "scores.csv"))
    if segmentation.labels.data.ndim == 2:
        files.append(write_regions(segmentation, folder / "regions.csv"))
    if segmentation.thickness is not None:
        files.append(write_thickness(segmentation, folder / "thickness.tif"))
    (folder / "figures").mkdir()
    figures = [*plan(segmentation)]
    if truth is not None:
        figures += plan_truth(segmentation, truth, truth_names)
    figures += plan_beside(segmentation, beside or {})
    with ThreadPoolExecutor(1) as pool:  # compiled code in one thread, drawing in the other
        look: Callable[[Segmentation], Any] = unexplained if residuals else lambda _: None
        job = pool.submit(copy_context().run, look, segmentation)
        plates = drawn(figures, dpi)
        missed = job.result()
    if isinstance(missed, Residuals):
        plates += drawn([plan_residuals(segmentation, missed)], dpi)
    for plate in plates:
        files.append(folder / "figures" / f"{plate.name}.png")
        files[-1].write_bytes(plate.png)
    html = page(
        segmentation,
        plates,
        missed=missed,
        title=title or default_title(segmentation),
        provenance=provenance or {},
    )
    files.append(folder / "report.html")
    files[-1].write_text(html, encoding="utf-8")
    return files
