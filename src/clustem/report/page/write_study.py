"""The overview of a study: one page and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from clustem.core import Segmentation, Step
from clustem.report.figures.area_shares import area_shares
from clustem.report.figures.center_plot import center_plot
from clustem.report.figures.map_differences import map_differences
from clustem.report.figures.study_maps import study_maps
from clustem.report.figures.study_spectra import study_spectra
from clustem.report.layout.plates import Planned, checked_folder, drawn
from clustem.report.layout.sheet import styled
from clustem.report.page._html import study_page


@styled
def write_study(
    maps: Sequence[Segmentation],
    titles: Sequence[str],
    folder: str | Path,
    *,
    at: Sequence[float],
    along: tuple[str, str],
    links: Sequence[str],
    skipped: Mapping[str, str],
    history: Sequence[Step] = (),
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
        Where the report of each map lies, seen from the folder.
    skipped
        What could not be read, and why.
    history
        What was done for all maps together.
    dpi
        Resolution of the figures [dots per inch].

    Returns
    -------
    :
        The files: ``figures/*.png`` and ``report.html``.

    Raises
    ------
    OutputError
        If the folder does not exist or is not empty.
    """
    folder = Path(folder)
    checked_folder(folder)
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
    (folder / "figures").mkdir()
    plates, files = drawn(figures, dpi), []
    for plate in plates:
        files.append(folder / "figures" / f"{plate.name}.png")
        files[-1].write_bytes(plate.png)
    html = study_page(maps, titles, plates, links=links, skipped=skipped, history=history)
    files.append(folder / "report.html")
    files[-1].write_text(html, encoding="utf-8")
    return files
