"""Figures as files, and the folder that they go to."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import OutputError
from clustem.report._html import Plate

Figure = tuple[str, str, str, Callable[[], Any]]
"""Name of the file, heading, caption, and what draws it."""

_MM = 25.4


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


def drawn(figures: Sequence[Figure], dpi: int) -> list[Plate]:
    """Draw the figures; while one is drawn the last one is compressed in another thread."""
    with ThreadPoolExecutor(1) as pool:
        jobs = []
        for name, heading, caption, draw in figures:
            figure = draw()
            figure.set_dpi(dpi)
            figure.canvas.draw()
            pixels = np.array(figure.canvas.buffer_rgba())[..., :3]  # paper is opaque
            width = figure.get_figwidth() * _MM
            jobs.append((name, heading, caption, pool.submit(_png, pixels, dpi), width))
        return [
            Plate(name, heading, caption, job.result(), width)
            for name, heading, caption, job, width in jobs
        ]


def _png(pixels: NDArray[np.uint8], dpi: int) -> bytes:
    """Compress an image; level 4 takes half the time of the usual 6 and is hardly larger."""
    from PIL import Image  # noqa: PLC0415  # comes with matplotlib

    buffer = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(buffer, format="PNG", compress_level=4, dpi=(dpi, dpi))
    return buffer.getvalue()
