"""Frames of a movie above their label maps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import Signal
from clustem.mapping import Tracks
from clustem.report.layout.colors import colors
from clustem.report.layout.extent import Axis, axes_of, frame_of
from clustem.report.layout.maps import BAR, EXCLUDED, ROW, draw_map, grey_limits, scale_bar
from clustem.report.layout.sheet import DOUBLE, Sheet, fitted, styled, width_of

_EDGE, _GAP, _TITLE = 1.5, 2.0, 5.0
_ACROSS, _MOST, _WIDEST = 6, 12, 42.0


@styled
def movie_strip(
    labels: Signal, tracks: Tracks, *, images: Mapping[int, NDArray[Any]] | None = None
) -> Figure:
    """Draw frames of a movie in a strip, each above its label map in colors that stay.

    Parameters
    ----------
    labels
        Signal (time | rows, columns) of label maps.
    tracks
        What is known of the clusters.
    images
        Images of some frames, by their number: these frames are drawn, the first twelve of them.
        If None, evenly spaced label maps alone.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from clustem.report.figures.example import example_tracks
    >>> tracks = example_tracks()
    >>> len(movie_strip(hs.signals.Signal2D(np.zeros((2, 4, 6), dtype=int)), tracks).axes)
    2
    """
    time, *axes = axes_of(labels)
    frame = frame_of(axes)
    shown = sorted(images or strip_frames(len(time.values)))[:_MOST]
    across = min(len(shown), _ACROSS)
    width = min((DOUBLE - 2 * _EDGE + _GAP) / across - _GAP, _WIDEST)
    height = width / frame.aspect
    high = 2 if images else 1
    band = _TITLE + high * (height + _GAP)
    bands = -(-len(shown) // across)
    used = across * (width + _GAP) - _GAP
    total = max(used + 2 * _EDGE, 89.0)
    key_top = _EDGE + bands * band + BAR
    entries = list(zip(colors(len(tracks.names)), tracks.names, strict=True))
    step = max(width_of(name) for _, name in entries) + 11
    columns = max(1, int((total - 2 * _EDGE) // step))
    sheet = Sheet(total, key_top + -(-len(entries) // columns) * ROW + _EDGE)
    lookup = np.vstack([np.stack([c for c, _ in entries])[:, :3], _white()])
    for place, number in enumerate(shown):
        left = _EDGE + (place % across) * (width + _GAP)
        top = _EDGE + (place // across) * band
        sheet.text(left, top + 2.2, fitted(time_text(time, number), width))
        top += _TITLE
        if images:
            low, high_ = grey_limits(images[number])
            ax = sheet.axes(left, top, width, height)
            draw_map(ax, images[number], frame, cmap="gray", vmin=low, vmax=high_)
            top += height + _GAP
        map_ = np.asarray(labels.data[number])
        draw_map(sheet.axes(left, top, width, height), lookup[map_], frame)
    scale_bar(sheet, _EDGE, _EDGE + bands * band - _GAP, width, frame)
    for i, (color, name) in enumerate(entries):
        x, y = _EDGE + (i % columns) * step, key_top + (i // columns) * ROW + ROW / 2
        sheet.box(x, y - 1.4, 4.2, 2.8, facecolor=color, edgecolor="none")
        sheet.text(x + 5.6, y, name)
    return sheet.figure


def strip_frames(n_frames: int) -> list[int]:
    """Numbers of the frames to show, the first and the last included."""
    few = n_frames if n_frames <= _ACROSS else min(n_frames, _MOST)
    return [int(frame) for frame in np.unique(np.rint(np.linspace(0, n_frames - 1, few)))]


def time_text(time: Axis, number: int) -> str:
    """Time of a frame with its units, or its number where the time is not known."""
    if not time.units:
        return f"frame {number}"
    decimals = max(0, -math.floor(math.log10(time.scale) + 1e-9))
    return f"{time.values[number]:.{decimals}f} {time.units}"


def _white() -> NDArray[np.float64]:
    from matplotlib.colors import to_rgb

    return np.array([to_rgb(EXCLUDED)])
