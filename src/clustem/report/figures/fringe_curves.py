"""Center responses of an image's lattice fringes: strength against direction."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import FilterBank, Segmentation
from clustem.mapping.orientations import Fringe, LatticeDirections, orientations
from clustem.report.figures._spectra import ink, quantity
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, INK, MUTED, Sheet, fitted
from clustem.report.layout.units import significant

F64 = NDArray[np.float64]
_LEFT, _RIGHT, _TITLE, _GAP, _BELOW, _KEY = 13.0, 2.5, 6.0, 5.0, 10.5, 5.0
_PER_LINE = 6  # entries of the key
_STYLES = ("-", "--", "-.", ":")
_LIGHTEST = 0.65  # how far the last of many spacings fades; with dashes less is enough
_DASHED = 0.3
_SAME = 8.0  # a maximum this near the lattice's direction is the one that names it [°]


def fringe_curves(segmentation: Segmentation, filters: FilterBank) -> Figure:
    """Draw each cluster's response against direction, one line per spacing, maxima marked.

    Parameters
    ----------
    segmentation
        Its centers are responses to lattice fringes.
    filters
        From ``filters_of(segmentation)``.
    """
    found = orientations(segmentation)
    k = segmentation.n_clusters
    columns = k if k <= 3 else 2 if k == 4 else 3 if k <= 9 else 4
    rows = -(-k // columns)
    total = DOUBLE if columns > 1 else 100.0
    width = (total - _LEFT - _RIGHT + _GAP) / columns - _GAP
    height = float(np.clip(200 / rows - _TITLE, 8.0, 32.0 if columns > 2 else 40.0))
    spacings = filters.wavelengths * filters.pixel_size
    lines = -(-len(spacings) // _PER_LINE) if len(spacings) > 1 else 0
    bottom = rows * (height + _TITLE)
    sheet = Sheet(total, bottom + _BELOW + lines * _KEY + 1.5)
    responses = np.asarray(segmentation.centers.data, dtype=np.float64)
    top = 1.3 * max(float(responses.max()), 1e-12)
    for i, color in enumerate(palette(segmentation)):
        left = _LEFT + (i % columns) * (width + _GAP)
        above = (i // columns) * (height + _TITLE)
        sheet.box(left, above + 2.2, 3.0, 2.4, facecolor=color, edgecolor="none")
        sheet.text(left + 4.2, above + 3.5, fitted(segmentation.name_of(i), width - 4.2))
        ax = sheet.axes(left, above + _TITLE, width, height)
        _curves(ax, responses[i], filters.orientations, ink(color))
        if not found.background[i]:
            _mark(ax, found, i, top)
        _axes(ax, top, first=i % columns == 0, last=i + columns >= k, narrow=width < 45)
    middle = (_TITLE + bottom) / 2
    sheet.text(2.2, middle, quantity(segmentation.centers), rotation=90, ha="center")
    across = _LEFT + (total - _LEFT - _RIGHT) / 2
    sheet.text(across, bottom + 7.0, "Direction of the planes' normal (°)", ha="center")
    if lines:
        _key(sheet, spacings, found.units, top=bottom + _BELOW + 1.5)
    return sheet.figure


def _curves(ax: Axes, response: F64, angles: F64, color: F64) -> None:
    """Draw the lines of one cluster, closed at 180°, where a lattice looks as at 0°."""
    x = np.append(angles, 180.0)
    for style, curve in zip(_line_styles(len(response), color), response, strict=True):
        ax.plot(x, np.append(curve, curve[0]), linewidth=1.0, **style)


def _line_styles(n: int, color: F64) -> list[dict[str, Any]]:
    """Give each spacing a shade, and where there are few also a dash."""
    few = n <= len(_STYLES)
    fade = np.linspace(0, _DASHED if few else _LIGHTEST, n) if n > 1 else np.zeros(1)
    shades = [np.append(color[:3] + (1 - color[:3]) * t, 1.0) for t in fade]
    dashes = _STYLES if few else ("-",) * n
    return [{"color": c, "linestyle": s} for c, s in zip(shades, dashes, strict=False)]


def _mark(ax: Axes, found: LatticeDirections, cluster: int, top: float) -> None:
    """Mark the maxima, and the lattice's direction with its spacing."""
    fringes = found.fringes[cluster]
    for fringe in fringes:
        ax.plot(
            fringe.direction,
            fringe.strength,
            "o",
            ms=2.6,
            mfc="white",
            mec=INK,
            mew=0.6,
            clip_on=False,
        )
    direction = float(found.directions[cluster])
    named = _named(fringes, direction)
    text = f"{direction:.0f}°"
    if named is not None:
        text += f", {significant(named.spacing)} {found.units}"
    ax.axvline(direction, color=MUTED, linewidth=0.7, linestyle=(0, (3, 2)))
    right = direction > 90
    ax.annotate(
        text, (direction, 0.985 * top), xytext=(-2.5 if right else 2.5, 0),
        textcoords="offset points", ha="right" if right else "left", va="top",
    )  # fmt: skip


def _named(fringes: tuple[Fringe, ...], direction: float) -> Fringe | None:
    """Return the maximum at the lattice's direction, the nearest one if there is any."""

    def away(fringe: Fringe) -> float:
        turn = abs(fringe.direction - direction) % 180
        return min(turn, 180 - turn)

    nearest = min(fringes, key=away, default=None)
    return nearest if nearest is not None and away(nearest) <= _SAME else None


def _axes(ax: Axes, top: float, *, first: bool, last: bool, narrow: bool) -> None:
    ax.set(xlim=(0, 180), ylim=(0, top))
    ax.set_xticks((0, 90, 180) if narrow else (0, 45, 90, 135, 180))
    ax.locator_params(axis="y", nbins=3)
    ax.tick_params(labelleft=first, labelbottom=last)
    ax.spines[["top", "right"]].set_visible(False)


def _key(sheet: Sheet, spacings: F64, units: str, *, top: float) -> None:
    """Say which line belongs to which spacing."""
    grey = np.array([0.2, 0.2, 0.2, 1.0])
    step = (sheet.width - _LEFT - _RIGHT) / min(len(spacings), _PER_LINE)
    for i, style in enumerate(_line_styles(len(spacings), grey)):
        left = _LEFT + (i % _PER_LINE) * min(step, 34.0)
        y = top + (i // _PER_LINE) * _KEY
        sheet.line((left, left + 8), (y, y), linewidth=1.0, **style)
        sheet.text(left + 9.5, y, f"{significant(spacings[i])} {units}")
