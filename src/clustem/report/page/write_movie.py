"""Everything a reader gets of a movie, in one folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Signal, Step
from clustem.mapping import Tracks
from clustem.report.figures.movie_curves import movie_curves
from clustem.report.figures.movie_strip import movie_strip
from clustem.report.layout.extent import axes_of
from clustem.report.layout.plates import Planned, checked_folder, drawn
from clustem.report.layout.sheet import styled
from clustem.report.layout.units import pretty
from clustem.report.page._html import movie_page
from clustem.report.tables.tiff import write_tiff

_HEAD = (
    "frame",
    "time",
    "number",
    "name",
    "pixels",
    "area",
    "direction (°)",
    "turn (°)",
    "strength",
)


@styled
def write_movie(
    labels: Signal,
    tracks: Tracks,
    folder: str | Path,
    *,
    images: Mapping[int, NDArray[Any]] | None = None,
    title: str = "",
    history: Sequence[Step] = (),
    scores: Mapping[str, float] | None = None,
    provenance: Mapping[str, object] | None = None,
    dpi: int = 200,
) -> list[Path]:
    """Write all files of a movie that was segmented frame by frame.

    Parameters
    ----------
    labels
        Signal (time | rows, columns) of label maps, int16.
    tracks
        What is known of the clusters.
    folder
        Existing, empty folder.
    images
        Images of some frames, by their number, for the strip.
    title
        Heading of the report.
    history, scores, provenance
        What was done, figures of merit, and more lines on where the data come from.
    dpi
        Resolution of the figures [dots per inch].

    Returns
    -------
    :
        The files: ``labels.tif`` (one page per frame), ``tracks.csv``, ``figures/*.png`` and
        ``report.html``.

    Raises
    ------
    OutputError
        If the folder does not exist or is not empty.

    Notes
    -----
    ``tracks.csv`` has one line for each cluster in each frame: areas in the squared units of the
    image, directions in degrees from the columns' axis toward the rows', and turns since the
    lattice's first frame, empty for background.

    Examples
    --------
    >>> import tempfile
    >>> import hyperspy.api as hs
    >>> from clustem.report.figures.example import example_tracks
    >>> labels = hs.signals.Signal2D(np.zeros((2, 4, 6), dtype=np.int16))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [file.name for file in write_movie(labels, example_tracks(), folder)]
    ['labels.tif', 'tracks.csv', 'movie_strip.png', 'movie_curves.png', 'report.html']
    """
    folder = Path(folder)
    checked_folder(folder)
    time, *axes = axes_of(labels)
    files = [write_tiff(folder / "labels.tif", labels.data, axes, title="labels", stack=time)]
    files.append(_table(labels, tracks, folder / "tracks.csv"))
    (folder / "figures").mkdir()
    plates = drawn(
        [
            Planned(
                "movie_strip",
                "Frames and their clusters",
                "Each color is one lattice in all frames.",
                partial(movie_strip, labels, tracks, images=images),
            ),
            Planned(
                "movie_curves",
                "Areas and directions against time",
                (
                    "Direction of each lattice, from right (0°) toward below (90°), and how far "
                    "it has turned since its first frame."
                ),
                partial(movie_curves, labels, tracks),
            ),
        ],
        dpi,
    )
    for plate in plates:
        files.append(folder / "figures" / f"{plate.name}.png")
        files[-1].write_bytes(plate.png)
    html = movie_page(
        labels,
        tracks,
        plates,
        title=title or "Movie",
        history=tuple(history),
        scores=scores or {},
        provenance=provenance or {},
    )
    files.append(folder / "report.html")
    files[-1].write_text(html, encoding="utf-8")
    return files


def _table(labels: Signal, tracks: Tracks, path: Path) -> Path:
    time = axes_of(labels)[0]
    side = pretty(tracks.units) or "px"
    head = list(_HEAD)
    head[1] = f"time ({time.units})" if time.units else "time"
    head[5] = f"area ({side}²)"
    pixels = tracks.pixels
    columns = {".3f": tracks.directions, ".4f": tracks.turns, ".5g": tracks.strength}
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        for frame, moment in enumerate(time.values):
            for i, name in enumerate(tracks.names):
                writer.writerow(
                    [
                        frame,
                        f"{moment:.7g}",
                        i,
                        name,
                        pixels[frame, i],
                        f"{pixels[frame, i] * tracks.pixel_area:.6g}",
                        *(_known(values[frame, i], form) for form, values in columns.items()),
                    ]
                )
    return path


def _known(value: float, form: str) -> str:
    return "" if np.isnan(value) else format(value, form)
