"""What tells clusters apart, marked on their centers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.judge.distinguishing import Mark, distinguishing
from clustem.report.layout.extent import axes_of
from clustem.report.layout.line_labels import line_at
from clustem.report.layout.sheet import MUTED, Sheet, fitted
from clustem.report.layout.units import significant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_CONTOUR = "#00a5b5"
_SPECK = 4
"""Pixels below which a part of a pattern is not outlined."""

_POINTER = [(0.0, 0.0), (-0.6, 1.0), (0.6, 1.0), (0.0, 0.0)]
"""Corners of a triangle that points down, its tip at the marked point."""


@dataclass(frozen=True)
class Channel:
    """A marked channel of a spectrum: where, its name, and whether there is more than elsewhere."""

    index: int
    position: float
    name: str
    more: bool


def marked_channels(segmentation: Segmentation, n: int) -> list[list[Channel]]:
    """List the channels that tell each cluster from the others, by rising position."""
    if not n or segmentation.n_clusters < 2:
        return [[] for _ in range(segmentation.n_clusters)]
    axis = axes_of(segmentation.centers)[-1]
    step = float(np.abs(np.diff(axis.values)).min()) if len(axis.values) > 1 else 1.0

    def named(mark: Mark) -> Channel:
        (index,), (position,) = mark.index, mark.position
        line = line_at(segmentation.centers, position, units=axis.units)
        digits = max(2, 1 + int(np.floor(np.log10(max(abs(position) / step, 1)))))
        name = f"{line} {significant(position, min(digits, 4))}".strip()
        return Channel(index, position, name, mark.difference > 0)

    found = distinguishing(segmentation, n=n).marks
    return [sorted(map(named, marks), key=lambda channel: channel.position) for marks in found]


def mark_spectrum(
    sheet: Sheet,
    ax: Axes,
    channels: list[Channel],
    spectrum: tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]],
    place: tuple[float, float, float] | None,
) -> None:
    """Point at channels of a spectrum, and name them.

    Parameters
    ----------
    sheet, ax
        The paper, and the spectrum's axes.
    channels
        What to mark.
    spectrum
        Energies, means, and color of the line.
    place
        Right end, height of the text and room for it [mm]; None where there is none.
    """
    x, mean, color = spectrum
    from matplotlib.path import Path

    pointer = Path(_POINTER, closed=True)
    shown = [channel for channel in channels if x[0] <= channel.position <= x[-1]]
    for channel in shown:
        height = float(np.interp(channel.position, x, mean))
        face = color if channel.more else "white"
        ax.scatter(
            channel.position, height, marker=pointer, s=45, facecolor=face, edgecolor=color,
            linewidth=0.6, clip_on=False, zorder=5,
        )  # fmt: skip
    if place is None:
        return
    parts = []
    for more, sign, word in ((True, "▼", "more"), (False, "▽", "less")):
        names = [channel.name for channel in shown if channel.more == more]
        if names:
            parts.append(f"{sign} {word} at {', '.join(names)}")
    right, y, room = place
    text = fitted("; ".join(parts), room) if parts else ""
    sheet.text(right - 1.0, y, text, ha="right", color=MUTED)


def outlines(segmentation: Segmentation, n: int) -> list[list[tuple[NDArray[np.bool_], bool]]]:
    """Per cluster, parts of its pattern that tell it from the others, and whether they are more."""
    from scipy.ndimage import label

    if not n or segmentation.n_clusters < 2:
        return [[] for _ in range(segmentation.n_clusters)]
    found = distinguishing(segmentation, n=n)
    out = []
    for marks, difference in zip(found.marks, found.difference, strict=True):
        parts = []
        for mark in marks:
            sign = np.sign(mark.difference)
            near, _ = label(sign * difference > 0.5 * abs(mark.difference))
            part = near == near[mark.index]
            if np.count_nonzero(part) >= _SPECK:
                parts.append((part, bool(sign > 0)))
        out.append(parts)
    return out


def outline(
    ax: Axes,
    parts: list[tuple[NDArray[np.bool_], bool]],
    extent: tuple[float, float, float, float],
) -> None:
    """Draw the borders of parts of a pattern: solid where there is more, dotted where less."""
    for part, more in parts:
        ax.contour(
            part.astype(float), extent=extent, origin="upper",
            levels=[0.5], colors=_CONTOUR, linewidths=0.7, linestyles="-" if more else ":",
        )  # fmt: skip
