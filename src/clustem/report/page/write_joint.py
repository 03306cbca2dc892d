"""The overview of several signals of one scan: one page and its figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.report.figures.center_plot import center_plot
from clustem.report.figures.information import information
from clustem.report.figures.placements import placements
from clustem.report.figures.study_maps import study_maps
from clustem.report.layout.plates import Planned, checked_folder, drawn
from clustem.report.layout.sheet import styled
from clustem.report.page._html import joint_page


@styled
def write_joint(
    signals: Mapping[str, Segmentation],
    folder: str | Path,
    *,
    told: Mapping[str, float],
    together: float,
    entropy: float,
    sentence: str,
    images: Mapping[str, NDArray[np.float64]],
    common: str,
    links: Sequence[str],
    dpi: int = 200,
) -> list[Path]:
    """Write the overview of several signals with one map.

    Parameters
    ----------
    signals
        Results by the name of the signal.
    folder
        Existing, empty folder.
    told, together, entropy
        Information about the cluster of a position in each signal, in all of them, and what it
        takes to know it [bits].
    sentence
        The same in words.
    images
        Total intensity of each signal, where it is at hand.
    common
        Name of the signal whose positions are the common ones.
    links
        Where the report of each signal lies, seen from the folder.
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
    first = next(iter(signals.values()))
    figures = [Planned("map", "Map", "One map by all signals.", partial(study_maps, [first], [""]))]
    if told:
        figures.append(
            Planned(
                "information",
                "Who decided what",
                "What each signal by itself tells about the cluster of a position, without its "
                "neighbours; dashed: all that there is to know.",
                partial(information, told, together, entropy),
            )
        )
    if common in images and len(images) > 1:
        figures.append(
            Planned(
                "placements",
                "How the signals lie on each other",
                "Total intensities. Borders must meet; colored seams are a shift.",
                partial(placements, first, images, common),
            )
        )
    for name, one in signals.items():
        if one.centers.data.ndim > 1:
            figures.append(
                Planned(
                    f"centers_{name}",
                    f"Centers: {name}",
                    "Mean of each cluster in the colors of the map.",
                    partial(center_plot, one),
                )
            )
    (folder / "figures").mkdir()
    plates, files = drawn(figures, dpi), []
    for plate in plates:
        files.append(folder / "figures" / f"{plate.name}.png")
        files[-1].write_bytes(plate.png)
    files.append(folder / "report.html")
    files[-1].write_text(
        joint_page(signals, plates, sentence=sentence, links=links), encoding="utf-8"
    )
    return files
