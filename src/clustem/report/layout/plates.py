"""Figures as files, and the folder that they go to."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustem.core import OutputError
from clustem.report.layout.sheet import DOUBLE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MM = 25.4


@dataclass(frozen=True)
class Planned:
    """A figure to draw: its file's name, heading, caption, and what draws it."""

    name: str
    heading: str
    caption: str
    draw: Callable[[], Figure]


@dataclass(frozen=True)
class Plate:
    """A figure of the report: its file's name, heading, caption, PNG and width [mm]."""

    name: str
    heading: str
    caption: str
    png: bytes
    width: float

    @property
    def uri(self) -> str:
        """The image as part of the page."""
        return "data:image/png;base64," + base64.b64encode(self.png).decode()

    @property
    def percent(self) -> float:
        """Width on the page, as on paper."""
        return round(min(100.0, 100 * self.width / DOUBLE), 1)


def checked_folder(folder: Path) -> None:
    """Refuse a folder that is not there or not empty.

    Raises
    ------
    OutputError
        If so.
    """
    if not folder.is_dir():
        raise OutputError(
            "A report needs an existing folder", got=f"{folder}", cure="Make the folder first."
        )
    if any(folder.iterdir()):
        raise OutputError(
            "A report needs an empty folder", got=f"files in {folder}", cure="Use another folder."
        )


def drawn(figures: Sequence[Planned], dpi: int) -> list[Plate]:
    """Draw the figures; while one is drawn the last one is compressed in another thread."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    with ThreadPoolExecutor(1) as pool:
        jobs = []
        for planned in figures:
            figure = planned.draw()
            figure.set_dpi(dpi)
            canvas = FigureCanvasAgg(figure)
            canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib's
            drawing = np.array(canvas.buffer_rgba())  # type: ignore[no-untyped-call]  # too
            pixels = drawing[..., :3]  # paper is opaque
            jobs.append((planned, pool.submit(_png, pixels, dpi), figure.get_figwidth() * _MM))
        return [
            Plate(planned.name, planned.heading, planned.caption, job.result(), width)
            for planned, job, width in jobs
        ]


def _png(pixels: NDArray[np.uint8], dpi: int) -> bytes:
    """Compress an image; level 4 takes half the time of the usual 6 and is hardly larger."""
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(buffer, format="PNG", compress_level=4, dpi=(dpi, dpi))
    return buffer.getvalue()
