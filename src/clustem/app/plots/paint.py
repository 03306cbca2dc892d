"""Colors of maps and clouds of points, as arrays that a browser draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.report.layout.palette import palette as palette_of
from clustem.report.layout.wheel import wheel_colors

UNASSIGNED, NOVEL = "#9a9a9a", "#111111"
U32 = NDArray[np.uint32]


def hex_colors(segmentation: Segmentation) -> list[str]:
    """Colors of the clusters, ``#rrggbb``."""
    return [to_hex(color) for color in palette_of(segmentation)]


def to_hex(color: Sequence[float] | NDArray[np.float64]) -> str:
    """Write a color (red, green, blue, ...), 0 ... 1.

    Examples
    --------
    >>> to_hex((1.0, 0.5, 0.0))
    '#ff8000'
    """
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in color[:3])


def wheel_palette(n: int = 256) -> tuple[str, ...]:
    """Colors of a circle, ``#rrggbb``, from one end of a turn to the other."""
    return tuple(to_hex(color) for color in wheel_colors(np.arange(n) / n))


def label_map(
    labels: NDArray[Any],
    mask: NDArray[np.bool_],
    colors: Sequence[str],
    novel: NDArray[np.bool_] | None = None,
) -> U32:
    """Color a label map; excluded pixels are clear, unassigned ones grey.

    Parameters
    ----------
    labels
        Integers (rows, columns), -1 = none.
    mask
        Boolean of the same shape, True = excluded.
    colors
        Of the clusters.
    novel
        Positions that no cluster explains, of the same shape; they are nearly black.
    """
    table = np.array([packed(color) for color in (*colors, UNASSIGNED)], dtype=np.uint32)
    image: U32 = table[labels]
    if novel is not None:
        image[novel] = packed(NOVEL)
    image[mask] = 0
    return image


def shade(image: U32, chosen: NDArray[np.bool_]) -> U32:
    """Let the chosen pixels stand out: all others turn pale."""
    out = image.copy()
    parts = out.view(np.uint8).reshape(*out.shape, 4)
    parts[~chosen, 3] //= 5
    return out


def packed(color: str, opacity: float = 1.0) -> int:
    """Pack ``#rrggbb`` as a browser's canvas wants it: bytes red, green, blue, opacity."""
    red, green, blue = bytes.fromhex(color.lstrip("#"))
    parts = np.array([red, green, blue, round(255 * opacity)], dtype=np.uint8)
    return int(parts.view(np.uint32)[0])


def cloud(
    points: NDArray[np.float64],
    labels: NDArray[Any],
    colors: Sequence[str],
    limits: tuple[float, float, float, float],
    shape: tuple[int, int],
    *,
    dot: int = 1,
) -> U32:
    """Draw very many points into an image.

    Parameters
    ----------
    points
        Positions (n, 2).
    labels
        Cluster of each, -1 = none.
    colors
        Of the clusters.
    limits
        Left, right, bottom and top of the image.
    shape
        Its rows and columns.
    dot
        Height and width of a dot [px].

    Returns
    -------
    :
        Image, first row at the bottom. Where points of several clusters share a pixel their colors
        mix by number; opacity grows with the logarithm of the number.

    Notes
    -----
    Two sums over all points a channel: a million points take some 60 ms.
    """
    left, right, bottom, top = limits
    rows, columns = shape
    column = np.floor((points[:, 0] - left) / (right - left) * columns)
    row = np.floor((points[:, 1] - bottom) / (top - bottom) * rows)
    if dot > 1:
        down, across = np.divmod(np.arange(dot * dot), dot)
        row, column = (np.add.outer(a, b).ravel() for a, b in ((down, row), (across, column)))
        labels = np.tile(labels, dot * dot)
    seen = (column >= 0) & (column < columns) & (row >= 0) & (row < rows)
    cell = (row[seen] * columns + column[seen]).astype(np.intp)
    table = np.array([list(bytes.fromhex(c.lstrip("#"))) for c in (*colors, UNASSIGNED)])
    shades = table[labels[seen]].astype(np.float64)
    size = rows * columns
    count = np.bincount(cell, minlength=size).astype(np.float64)
    out = np.zeros((size, 4), dtype=np.uint8)
    there = count > 0
    for channel in range(3):
        mixed = np.bincount(cell, shades[:, channel], minlength=size)
        out[there, channel] = np.rint(mixed[there] / count[there])
    strength = np.log1p(count[there]) / max(np.log1p(count.max(initial=1.0)), 1e-9)
    out[there, 3] = np.rint(255 * (0.5 + 0.5 * strength))
    return out.view(np.uint32).reshape(rows, columns)
