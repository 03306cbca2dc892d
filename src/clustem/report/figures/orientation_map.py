"""Facets in the colors of their lattice's direction."""

from __future__ import annotations

import colorsys
from math import cos, pi, radians, sin

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import Segmentation, checked
from clustem.mapping.orientations import LatticeDirections, Region, orientations
from clustem.report.layout.extent import Frame, axes_of, frame_of
from clustem.report.layout.maps import BAR, context_images, draw_map, grey_limits, scale_bar
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, INK, MUTED, Sheet, fitted, styled
from clustem.report.layout.units import pretty, significant

_EDGE, _GAP, _TITLE, _TALLEST, _WHEEL = 1.5, 4.0, 4.5, 110.0, 21.0
_KEY = 33.0  # what the wheel and its degrees need
_FILM = 0.93  # grey of background without an image
_LONGEST = 0.08  # half a bar, as a share of the shorter side
_ROW = 4.4
_LINES = 16  # facets and turns that are listed
_TABLE, _TURNS = 122.0, 8.0  # where the list of turns begins, and its distance from the table
_COLUMNS = {"Facet": 0.0, "Direction": 50.0, "Spacings": 55.0, "Strength": 104.0, "Area": 121.0}


@checked
@styled
def orientation_map(segmentation: Segmentation) -> Figure:
    """Draw the facets of an image colored by lattice direction, with outlines and a color wheel.

    Parameters
    ----------
    segmentation
        Clusters of an image described by ``describe.gabor``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide: the image with the facets' outlines (where it
        is known), the orientation map, the wheel, and a table of directions, spacings, strengths
        and areas, beside it the turns between neighbours.

    Raises
    ------
    InputError
        If the clusters are not of an image's Gabor features.

    Notes
    -----
    Directions are those of the planes' normal, from the columns' axis (right) toward the rows'
    (down). The wheel goes round once in 180°, after which a lattice looks the same. Bars on the
    facets point along the lattice's direction. The table shows the color of each cluster beside
    that of its direction. Strength is the length of the mean response,
    relative to the strongest facet's.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> small = samples.particles(shape=(96, 96), diameter=5.0).signal
    >>> len(orientation_map(segment(small, "particles")).axes)  # image, map, wheel
    3
    """
    found = orientations(segmentation)
    frame = frame_of(axes_of(segmentation.labels)[-2:])
    images = context_images(segmentation, limit=1)
    room = DOUBLE - 2 * _EDGE - _KEY - _GAP
    room = (room - _GAP) / 2 if images else room
    height = min(room / frame.aspect, _TALLEST)
    width, top = height * frame.aspect, _EDGE + _TITLE
    facets = np.flatnonzero(~found.background)
    turns = list(found.twins.items())
    longest = max(len(facets), len(turns))
    lines = 1 + min(longest, _LINES) + (longest > _LINES)
    table = max(top + height + BAR, top + _KEY) + 3
    sheet = Sheet(DOUBLE, table + lines * _ROW + _EDGE)
    left = _EDGE
    if images:
        _, image, its = images[0]
        low, high = grey_limits(image)
        ax = sheet.axes(left, top, width, height)
        draw_map(ax, image, its, cmap="gray", vmin=low, vmax=high)
        outline(ax, found, frame, "#ffd84d")
        sheet.text(left, top - 2.7, "Image and facet outlines")
        scale_bar(sheet, left, top + height, width, its)
        left += width + _GAP
    ax = sheet.axes(left, top, width, height)
    draw_map(ax, _painted(segmentation, found), frame)
    outline(ax, found, frame, INK)
    _bars(ax, found, frame)
    sheet.text(left, top - 2.7, "Lattice direction")
    if not images:
        scale_bar(sheet, left, top + height, width, frame)
    wheel(sheet, left + width + _GAP + (_KEY - _WHEEL) / 2, top + 5)
    _table(sheet, segmentation, found, facets, table)
    _turns(sheet, segmentation, turns, table)
    return sheet.figure


def direction_color(direction: float) -> tuple[float, float, float]:
    """Color of a direction [°] on a wheel of 180°."""
    return colorsys.hls_to_rgb(direction % 180 / 180, 0.56, 0.72)


def outline(ax: Axes, found: LatticeDirections, frame: Frame, color: str) -> None:
    """Draw the outline of each region; those of one cluster, which never touch, at once."""
    from matplotlib.collections import LineCollection
    from skimage.measure import find_contours

    cluster_of = np.array([*(region.cluster for region in found.regions), -1])  # the last: none
    clusters = cluster_of[found.region_map]
    lines = []
    for cluster in np.unique(cluster_of[:-1]):
        for line in find_contours((clusters == cluster).astype(np.float32), 0.5):
            lines.append((line[:, ::-1] + 0.5) * (frame.width, frame.height))  # noqa: PERF401  # two loops
    ax.add_collection(LineCollection(lines, colors=color, linewidths=0.7), autolim=False)


def wheel(sheet: Sheet, left: float, top: float) -> None:
    """Draw the color wheel of directions into a square of 21 mm, degrees around it."""
    ax = sheet.axes(left, top, _WHEEL, _WHEEL)
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
    for degrees in range(0, 180, 45):
        turned = degrees * pi / 180
        out = _WHEEL / 2 + 1.2
        x, y = left + _WHEEL / 2 + out * cos(turned), top + _WHEEL / 2 + out * sin(turned)
        ha = {0: "left", 90: "center"}.get(degrees, "left" if degrees < 90 else "right")
        va = "center" if degrees == 0 else "top"
        sheet.text(x, y, f"{degrees}°", ha=ha, va=va)


def _painted(segmentation: Segmentation, found: LatticeDirections) -> NDArray[np.float64]:
    lookup = np.full((segmentation.n_clusters + 1, 3), _FILM)  # the last is for -1
    for i in np.flatnonzero(~found.background):
        lookup[i] = direction_color(float(found.directions[i]))
    image: NDArray[np.float64] = lookup[np.asarray(segmentation.labels.data)]
    return image


def _bars(ax: Axes, found: LatticeDirections, frame: Frame) -> None:
    """Draw a bar along the direction where each facet is widest, if it has room for it."""
    for number, region in enumerate(found.regions):
        if region.pixels < 0.004 * np.prod(frame.shape):
            continue
        row, column, reach = _widest(found.region_map, number, region)
        length = min(0.6 * reach, 0.24 * np.sqrt(region.pixels), _LONGEST * min(frame.shape))
        turned = radians(float(found.directions[region.cluster]))
        x = (column + 0.5 + length * cos(turned) * np.array([-1, 1])) * frame.width
        y = (row + 0.5 + length * sin(turned) * np.array([-1, 1])) * frame.height
        ax.plot(x, y, color="white", linewidth=1.6, solid_capstyle="round")


def _widest(
    region_map: NDArray[np.int32], number: int, region: Region
) -> tuple[float, float, float]:
    """Return row and column of the point that is deepest inside a region, and how deep [px]."""
    from scipy.ndimage import distance_transform_edt

    here = region_map == number
    rows, columns = (np.flatnonzero(here.any(axis=axis)) for axis in (1, 0))
    here = here[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    inside = distance_transform_edt(np.pad(here, 1))[1:-1, 1:-1]
    deep = np.argwhere(inside >= 0.98 * inside.max()) + np.array([rows[0], columns[0]])
    row, column = deep[np.hypot(*(deep - region.center).T).argmin()]
    return float(row), float(column), float(inside.max())


def _table(
    sheet: Sheet,
    segmentation: Segmentation,
    found: LatticeDirections,
    facets: NDArray[np.intp],
    top: float,
) -> None:
    """List what is known of each facet."""
    areas = np.bincount(
        [region.cluster for region in found.regions],
        [region.area for region in found.regions],
        minlength=segmentation.n_clusters,
    )
    units = pretty(found.units) or "px"
    heads = {"Spacings": f"Spacings ({units})", "Strength": "Strength", "Area": f"Area ({units}²)"}
    for head, x in _COLUMNS.items():
        ha = "left" if head in ("Facet", "Spacings") else "right"
        text = heads.get(head, head)
        sheet.text(_EDGE + x, top + 1.5, text, ha=ha, color=MUTED)
    strongest = float(found.strength.max())
    own = palette(segmentation)
    for line, i in enumerate(facets[:_LINES], start=1):
        y = top + 1.5 + line * _ROW
        spacings = sorted({f.spacing for f in found.fringes[i]}, reverse=True)
        texts = {
            "Direction": f"{found.directions[i]:.1f}°",
            "Spacings": fitted(", ".join(significant(s) for s in spacings), 35),
            "Strength": f"{100 * found.strength[i] / strongest:.0f} %",
            "Area": significant(areas[i]),
        }
        sheet.box(_EDGE, y - 1.2, 2.4, 2.4, facecolor=own[i], edgecolor="none")
        color = direction_color(float(found.directions[i]))
        sheet.box(_EDGE + 2.8, y - 1.2, 2.4, 2.4, facecolor=color, edgecolor="none")
        sheet.text(_EDGE + 6.4, y, fitted(segmentation.name_of(int(i)), 28))
        for head, text in texts.items():
            ha = "left" if head == "Spacings" else "right"
            sheet.text(_EDGE + _COLUMNS[head], y, text, ha=ha)
    _rest(sheet, len(facets), _EDGE, top)


def _turns(
    sheet: Sheet, segmentation: Segmentation, turns: list[tuple[tuple[int, int], float]], top: float
) -> None:
    """List the angles between neighbours, each as the colors of both."""
    if not turns:
        return
    left = _TABLE + _TURNS
    sheet.text(left, top + 1.5, "Turn between neighbours", color=MUTED)
    own = palette(segmentation)
    for line, ((i, j), turn) in enumerate(turns[:_LINES], start=1):
        y = top + 1.5 + line * _ROW
        for step, cluster in enumerate((i, j)):
            x = left + 3.0 * step
            sheet.box(x, y - 1.2, 2.4, 2.4, facecolor=own[cluster], edgecolor="none")
        sheet.text(left + 18, y, f"{turn:.1f}°", ha="right")
    _rest(sheet, len(turns), left, top)


def _rest(sheet: Sheet, number: int, left: float, top: float) -> None:
    """Say how many lines of a list are left out."""
    if number > _LINES:
        y = top + 1.5 + (_LINES + 1) * _ROW
        sheet.text(left, y, f"and {number - _LINES} more", color=MUTED)
