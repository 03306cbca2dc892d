"""The overview of a study: one page and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from clustem.core import Segmentation, Signal, Step
from clustem.mapping import Tracks
from clustem.report.figures.area_shares import area_shares
from clustem.report.figures.center_plot import center_plot
from clustem.report.figures.map_differences import map_differences
from clustem.report.figures.movie_curves import movie_curves
from clustem.report.figures.movie_strip import movie_strip
from clustem.report.figures.study_maps import study_maps
from clustem.report.figures.study_spectra import study_spectra
from clustem.report.layout.extent import axes_of
from clustem.report.layout.plates import Planned, checked_folder, drawn
from clustem.report.layout.sheet import styled
from clustem.report.page._html import study_page
from clustem.report.tables.tiff import write_tiff


@styled
def write_study(
    maps: Sequence[Segmentation],
    titles: Sequence[str],
    folder: str | Path,
    *,
    at: Sequence[float],
    along: tuple[str, str],
    links: Mapping[str, str],
    skipped: Mapping[str, str],
    history: Sequence[Step] = (),
    labels: Signal | None = None,
    tracks: Tracks | None = None,
    dpi: int = 200,
) -> list[Path]:
    """Write the overview of several maps with the same clusters.

    Parameters
    ----------
    maps, titles
        Results and their names.
    folder
        Existing, empty folder.
    at, along
        Where each map stands in a series, and name and unit of that.
    links
        Where the report of each map lies, seen from the folder, by the name of its folder; empty
        where it has none.
    skipped
        What could not be read, and why.
    history
        What was done for all maps together.
    labels
        Label maps of all (map | row, column), if they have one shape.
    tracks
        Sizes, directions and turns of lattices, if these are followed; with labels.
    dpi
        Resolution of the figures [dots per inch].

    Returns
    -------
    :
        The files: ``labels.tif`` with one page for each map, if there are labels;
        ``figures/*.png`` and ``report.html``.

    Raises
    ------
    OutputError
        If the folder does not exist or is not empty.
    """
    folder = Path(folder)
    checked_folder(folder)
    files = []
    if labels is not None and labels.data.ndim == 3:
        place, *axes = axes_of(labels)
        pages = np.ascontiguousarray(labels.data)
        files.append(write_tiff(folder / "labels.tif", pages, axes, title="labels", stack=place))
    if labels is not None and tracks is not None:
        figures = _of_lattices(maps, labels, tracks)
    else:
        figures = _of_maps(maps, titles, at, along)
    (folder / "figures").mkdir()
    plates = drawn(figures, dpi)
    for plate in plates:
        files.append(folder / "figures" / f"{plate.name}.png")
        files[-1].write_bytes(plate.png)
    html = study_page(
        maps,
        titles,
        plates,
        links=[(t, link) for t, link in zip(titles, links.values(), strict=True) if link],
        skipped=skipped,
        history=history,
        followed=None if labels is None or tracks is None else (labels, tracks),
    )
    files.append(folder / "report.html")
    files[-1].write_text(html, encoding="utf-8")
    return files


def _of_maps(
    maps: Sequence[Segmentation],
    titles: Sequence[str],
    at: Sequence[float],
    along: tuple[str, str],
) -> list[Planned]:
    """List the figures of maps with the clusters of one fit."""
    figures = [
        Planned(
            "maps",
            "Maps",
            "All maps at one scale; a color is one cluster in all of them.",
            partial(study_maps, maps, titles),
        )
    ]
    if len(maps) > 1:
        figures += [
            Planned(
                "area_shares",
                "Area shares",
                "Share of the positions of each map that a cluster takes. Bars: 95 % intervals "
                "from the scatter of 5 × 5 blocks of the map.",
                partial(area_shares, maps, at, along),
            ),
            Planned(
                "map_differences",
                "Which maps differ most",
                "Half of the sum of the absolute differences of the area shares of two maps.",
                partial(map_differences, maps, titles),
            ),
        ]
    if maps[0].centers.data.ndim == 2:
        figures.append(
            Planned(
                "spectra",
                "Spectra of each map over each other",
                "Each divided by its sum, the first map darkest. A line beside the others is "
                "absorption, a drift of the axis, or another composition.",
                partial(study_spectra, maps),
            )
        )
    elif maps[0].centers.data.ndim == 3:
        figures.append(
            Planned("centers", "Centers", f"Those of {titles[0]}.", partial(center_plot, maps[0]))
        )
    return figures


def _of_lattices(maps: Sequence[Segmentation], labels: Signal, tracks: Tracks) -> list[Planned]:
    """List the figures of frames whose lattices are followed."""
    images = {t: one.context[0].data for t, one in enumerate(maps) if one.context}
    return [
        Planned(
            "movie_strip",
            "Frames and their clusters",
            "Each color is one lattice in all frames.",
            partial(movie_strip, labels, tracks, images=images),
        ),
        Planned(
            "movie_curves",
            "Areas and directions against time",
            "Direction of each lattice, from right (0°) toward below (90°), and how far it has "
            "turned since its first frame.",
            partial(movie_curves, labels, tracks),
        ),
    ]
