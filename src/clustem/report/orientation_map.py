"""Facets in the colors of their lattice's direction."""

from __future__ import annotations

import colorsys
from math import cos, pi, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import Projection, checked
from clustem.report._maps import BAR, context_images, draw_map, grey_limits, scale_bar
from clustem.report._scan import axes_of, frame_of
from clustem.report._sheet import INK, MUTED, SIZE, Sheet, styled
from clustem.reproject.orientations import LatticeDirections, orientations

_EDGE, _GAP, _TITLE, _MAP, _WHEEL = 1.5, 4.0, 4.5, 66.0, 24.0
_FILM = 0.93  # grey of background without an image
_ROW = 4.2
_LINES = 10  # facets that are listed


@checked
@styled
def orientation_map(projection: Projection) -> Any:
    """Draw the facets of an image colored by lattice direction, with outlines and a color wheel.

    Parameters
    ----------
    projection
        Clusters of an image described by ``describe.gabor``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide: the image with the facets' outlines,
        the orientation map, the wheel, and spacings and twin angles.

    Raises
    ------
    InputError
        If the clusters are not of an image's Gabor features.

    Notes
    -----
    The wheel goes round once in 180°, after which a lattice looks the same. Bars on the facets
    point along the lattice's direction.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> small = samples.particles(shape=(96, 96), diameter=5.0).signal
    >>> len(orientation_map(segment(small, "particles").projection).axes)  # image, map, wheel
    3
    """
    found = orientations(projection)
    axes = axes_of(projection.labels)[-2:]
    frame = frame_of(axes)
    images = context_images(projection, limit=1)
    height = min(_MAP / frame.aspect, 110.0)
    width = height * frame.aspect
    top = _EDGE + _TITLE
    second = _EDGE + (width + _GAP if images else 0)
    key = second + width + _GAP
    lines = _text(projection, found)
    paper = max(top + height + BAR, top + _WHEEL + 6 + _ROW * len(lines)) + _EDGE
    sheet = Sheet(key + 44.0, paper)
    labels = np.asarray(projection.labels.data)
    if images:
        _, image, its = images[0]
        low, high = grey_limits(image)
        ax = sheet.axes(_EDGE, top, width, height)
        draw_map(ax, image, its, cmap="gray", vmin=low, vmax=high)
        _outlines(ax, found, frame, "#ffd84d")
        sheet.text(_EDGE, top - 2.7, "Image and facet outlines")
        scale_bar(sheet, _EDGE, top + height, width, its)
    ax = sheet.axes(second, top, width, height)
    draw_map(ax, _painted(labels, found), frame)
    _outlines(ax, found, frame, INK)
    _bars(ax, found, frame)
    sheet.text(second, top - 2.7, "Lattice direction")
    if not images:
        scale_bar(sheet, second, top + height, width, frame)
    _wheel(sheet, key + 2, top)
    for i, line in enumerate(lines):
        color = INK if i in (0, len(lines) - 1 - len(found.twins)) else MUTED
        sheet.text(key, top + _WHEEL + 7 + i * _ROW, line, size=SIZE - 0.5, color=color)
    return sheet.figure


def direction_color(direction: float) -> tuple[float, float, float]:
    """Color of a direction [°] on a wheel of 180°."""
    return colorsys.hls_to_rgb(direction % 180 / 180, 0.56, 0.72)


def _painted(labels: NDArray[np.int16], found: LatticeDirections) -> NDArray[np.float64]:
    palette = np.full((len(found.background) + 1, 3), _FILM)  # the last is for -1
    for i in np.flatnonzero(~found.background):
        palette[i] = direction_color(float(found.directions[i]))
    return palette[labels]


def _outlines(ax: Any, found: LatticeDirections, frame: Any, color: str) -> None:
    rows = (np.arange(frame.shape[0]) + 0.5) * frame.height
    columns = (np.arange(frame.shape[1]) + 0.5) * frame.width
    for number in range(len(found.regions)):
        here = (found.region_map == number).astype(np.float32)
        ax.contour(columns, rows, here, levels=[0.5], colors=[color], linewidths=0.7)


def _bars(ax: Any, found: LatticeDirections, frame: Any) -> None:
    """Draw a bar along the direction on each facet that has room for it."""
    for region in found.regions:
        length = 0.22 * np.sqrt(region.pixels)
        if region.pixels < 0.004 * np.prod(frame.shape):
            continue
        turned = radians(float(found.directions[region.cluster]))
        row, column = region.center
        x = (column + 0.5 + length * cos(turned) * np.array([-1, 1])) * frame.width
        y = (row + 0.5 + length * sin(turned) * np.array([-1, 1])) * frame.height
        ax.plot(x, y, color="white", linewidth=1.6, solid_capstyle="round")


def _wheel(sheet: Sheet, left: float, top: float) -> None:
    ax = sheet.axes(left + 3, top + 2, _WHEEL, _WHEEL)
    side = 240
    row, column = np.indices((side, side)) - (side - 1) / 2
    angle = np.degrees(np.arctan2(row, column)) % 180
    radius = np.hypot(row, column) / (side / 2)
    lookup = np.array([direction_color(i) for i in range(180)])
    image = np.ones((side, side, 4))
    image[..., :3] = lookup[angle.astype(int) % 180]
    image[..., 3] = (radius <= 1) & (radius >= 0.5)
    ax.imshow(image)
    ax.axis("off")
    for degrees in range(0, 180, 30):
        turned = degrees * pi / 180
        x, y = cos(turned), sin(turned)
        middle = side / 2
        ax.text(
            middle * (1 + 1.2 * x), middle * (1 + 1.2 * y), f"{degrees}°",
            ha="center", va="center", size=SIZE - 1.5,
        )  # fmt: skip


def _text(projection: Projection, found: LatticeDirections) -> list[str]:
    spacings = sorted({f.spacing for several in found.fringes for f in several}, reverse=True)
    lines = [f"Spacings: {', '.join(f'{s:.3g}' for s in spacings)} {found.units}"]
    lines += [
        f"{projection.name_of(r.cluster)}: {r.area:.3g} {found.units}²"
        for r in found.regions[:_LINES]
    ]
    if len(found.regions) > _LINES:
        lines.append(f"and {len(found.regions) - _LINES} smaller regions")
    if found.twins:
        lines.append("Turn between neighbours:")
        lines += [
            f"{found.directions[i]:.0f}° / {found.directions[j]:.0f}°: {turn:.1f}°"
            for (i, j), turn in found.twins.items()
        ]
    return lines
