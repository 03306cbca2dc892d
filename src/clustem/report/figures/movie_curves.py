"""Areas and directions of a movie's lattices against time."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import Signal
from clustem.mapping import Tracks
from clustem.report.figures._spectra import ink
from clustem.report.layout.colors import colors
from clustem.report.layout.extent import axes_of
from clustem.report.layout.maps import ROW
from clustem.report.layout.sheet import DOUBLE, Sheet, styled, width_of
from clustem.report.layout.units import pretty, with_units

_LEFT, _RIGHT, _TOP, _GAP, _BELOW = 16.0, 3.0, 2.5, 5.0, 10.5
_HEIGHT = 34.0
_FEW = 40  # frames up to which each is marked by a dot
_JUMP = 90.0  # a line that crosses 180° is broken there


@styled
def movie_curves(labels: Signal, tracks: Tracks) -> Figure:
    """Draw area and direction of each lattice against time, in the colors of the maps.

    Parameters
    ----------
    labels
        Signal (time | rows, columns) of label maps: its first axis gives the time.
    tracks
        What is known of the clusters.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide: areas, directions, and turns since each
        lattice's first frame. The background is left out.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from clustem.report.figures.example import example_tracks
    >>> figure = movie_curves(hs.signals.Signal2D(np.zeros((2, 4, 6), int)), example_tracks())
    >>> [ax.get_ylabel() for ax in figure.axes]
    ['Area (px²)', 'Direction (°)', 'Turn (°)']
    """
    time = axes_of(labels)[0]
    facets = np.flatnonzero(~tracks.background).tolist()
    names = [tracks.names[i] for i in facets]
    step = max(map(width_of, names), default=0.0) + 11
    width = DOUBLE - _LEFT - _RIGHT
    columns = max(1, int(width // step))
    bottom = _TOP + 3 * _HEIGHT + 2 * _GAP
    lines = -(-len(names) // columns)
    sheet = Sheet(DOUBLE, bottom + _BELOW + lines * ROW + 1.5)
    side = pretty(tracks.units) or "px"
    areas = np.where(tracks.pixels > 0, tracks.pixels * tracks.pixel_area, np.nan)
    panels = {
        f"Area ({side}²)": areas,
        "Direction (°)": tracks.directions,
        "Turn (°)": tracks.turns,
    }
    x = time.values if time.units else np.arange(float(len(time.values)))
    marker = "o" if len(x) <= _FEW else ""
    for row, (label, values) in enumerate(panels.items()):
        ax = sheet.axes(_LEFT, _TOP + row * (_HEIGHT + _GAP), width, _HEIGHT)
        for i in facets:
            color = ink(colors(i + 1)[i])
            line = _unwound(x, values[:, i]) if row == 1 else (x, values[:, i])
            ax.plot(*line, color=color, linewidth=1.0, marker=marker, ms=2.4)
        ax.set_ylabel(label)
        ax.yaxis.set_label_coords(-(_LEFT - 4.5) / width, 0.5)
        ax.tick_params(labelbottom=row == 2)
        ax.locator_params(axis="y", nbins=5)
        ax.spines[["top", "right"]].set_visible(False)
        if row == 0:
            ax.set_ylim(0, 1.12 * max(float(np.nanmax(areas[:, facets], initial=0)), 1e-12))
    ax.set_xlabel(with_units(time.name or "Time", time.units) if time.units else "Frame (number)")
    for n, i in enumerate(facets):
        left, y = _LEFT + (n % columns) * step, bottom + _BELOW + (n // columns) * ROW + 1.5
        sheet.box(left, y - 1.4, 4.2, 2.8, facecolor=colors(i + 1)[i], edgecolor="none")
        sheet.text(left + 5.6, y, names[n])
    return sheet.figure


def _unwound(
    x: NDArray[np.float64], directions: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Break a line where it goes round from 180° to 0°."""
    jumps = np.flatnonzero(np.abs(np.diff(directions)) > _JUMP) + 1
    return np.insert(x, jumps, np.nan), np.insert(directions, jumps, np.nan)
