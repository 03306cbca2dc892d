"""Maps of all open files at one scale, to click."""

from __future__ import annotations

from typing import Any

import numpy as np
from bokeh.core.properties import value
from bokeh.events import Tap
from bokeh.models import ColumnDataSource
from bokeh.models.annotations import LabelSet

from clustem.app.plots.paint import hex_colors, label_map
from clustem.app.plots.plots import FONT, Theme, image_figure, lay_scale_bar, show_extent
from clustem.app.session import files
from clustem.app.session.frames import Frame
from clustem.app.session.outcome import Outcome
from clustem.app.session.probe import Places
from clustem.app.session.state import Explorer

_WIDE = 1.5
"""Width of the page's space over its height."""
_GAP, _TITLE = 0.03, 0.07
"""Space between maps, and above each for its name [larger side of all]."""


class StudyPlot:
    """Figure of the maps of a study.

    Parameters
    ----------
    explorer
        The session.
    theme
        Makes the figure.
    """

    def __init__(self, explorer: Explorer, theme: Theme) -> None:
        self._explorer = explorer
        self._units = ""
        made = self.figure = image_figure(theme, axes=False, name="study")
        self._maps = ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh")})
        made.image_rgba(source=self._maps)
        self._edges = ColumnDataSource({name: [] for name in ("left", "right", "top", "bottom")})
        edge = made.quad(
            "left", "right", "top", "bottom", source=self._edges, fill_color=None, line_width=2
        )
        theme.ink(edge.glyph, "line_color", "accent")
        self._titles = ColumnDataSource({"x": [], "y": [], "text": []})
        titles = LabelSet(
            x="x", y="y", text="text", source=self._titles, text_font=value(FONT),
            text_font_size="11px", text_baseline="bottom", y_offset=2,
        )  # fmt: skip
        theme.ink(titles, "text_color", "ink")
        made.add_layout(titles)
        self._places: list[tuple[float, float, Frame]] = []
        made.on_event(Tap, self._tapped)
        explorer.param.watch(lambda *_: self.draw(), ["study", "opened"])

    def draw(self) -> None:
        """Draw all maps, that of the shown file in a frame."""
        study, explorer = self._explorer.study, self._explorer
        outcomes = [
            explorer.outcome if file is explorer.file else file.outcome for file in explorer.files
        ]
        if study is None or len(outcomes) != len(study) or None in outcomes:
            self._places = []
            for source in (self._maps, self._edges, self._titles):
                source.data = {name: [] for name in source.data}
            return
        drawn = [_drawn(outcome) for outcome in outcomes if outcome is not None]
        frames = [frame for _, frame in drawn]
        if len({frame.units for frame in frames}) > 1:  # no common scale
            frames = [Frame(frame.shape) for frame in frames]
        corners, extent = laid_out([frame.size for frame in frames])
        self._places = [(x, y, frame) for (x, y), frame in zip(corners, frames, strict=True)]
        self._maps.data = {
            "image": [image for image, _ in drawn],
            "x": [x for x, _ in corners], "y": [y for _, y in corners],
            "dw": [frame.size[1] for frame in frames], "dh": [frame.size[0] for frame in frames],
        }  # fmt: skip
        self._titles.data = {
            "x": [x for x, _ in corners], "y": [y for _, y in corners], "text": list(study.titles),
        }  # fmt: skip
        at = explorer.files.index(explorer.file) if explorer.file in explorer.files else 0
        (x, y), (height, width) = corners[at], frames[at].size
        self._edges.data = {"left": [x], "right": [x + width], "top": [y], "bottom": [y + height]}
        show_extent(self.figure, extent)
        if self._units != frames[0].units:
            self._units = frames[0].units
            lay_scale_bar(self.figure, self._units)

    def _tapped(self, event: Tap) -> None:
        """Show the file of a map, and what lies where it was clicked."""
        if event.x is None or event.y is None:
            return
        for number, (x, y, frame) in enumerate(self._places):
            height, width = frame.size
            across, down = (event.x - x) / width, (event.y - y) / height
            if 0 <= across < 1 and 0 <= down < 1:
                files.show(self._explorer, number)
                places = self._explorer.places
                if places is not None:
                    (top, left), (high, wide) = places.frame.corner, places.frame.size
                    self._explorer.look(left + across * wide, top + down * high)
                return


def laid_out(
    sizes: list[tuple[float, float]],
) -> tuple[list[tuple[float, float]], tuple[float, float, float, float]]:
    """Lay boxes in rows so that all fill a page best.

    Parameters
    ----------
    sizes
        Height and width of each box.

    Returns
    -------
    :
        Left and upper corner of each; left, right, top and bottom of all, names included.

    Examples
    --------
    >>> corners, extent = laid_out([(1.0, 1.0)] * 6)
    >>> len({y for _, y in corners}), len({x for x, _ in corners})
    (2, 3)
    """
    best: tuple[float, list[tuple[float, float]], tuple[float, float, float, float]] | None = None
    for columns in range(1, len(sizes) + 1):
        corners, y, right = [], 0.0, 0.0
        unit = max(max(size) for size in sizes) * columns
        gap, title = _GAP * unit, _TITLE * unit
        for first in range(0, len(sizes), columns):
            row, x = sizes[first : first + columns], 0.0
            y += title
            for _, width in row:
                corners.append((x, y))
                right = max(right, x + width)
                x += width + gap
            y += max(height for height, _ in row) + gap
        scale = min(_WIDE / right, 1 / y)
        if best is None or scale > best[0]:
            best = scale, corners, (0.0, right, 0.0, y)
    if best is None:
        return [], (0.0, 1.0, 0.0, 1.0)
    return best[1], best[2]


def _drawn(outcome: Outcome) -> tuple[Any, Frame]:
    """Paint a map; patches of an image as they lie in it."""
    places, result = Places(outcome), outcome.result
    shades = hex_colors(result)
    if not places.scattered:
        labels, mask = np.atleast_2d(result.labels.data), np.atleast_2d(result.mask)
        novel = None if result.novel is None else np.atleast_2d(result.novel)
        return label_map(labels, mask, shades, novel), places.frame
    size = max(min(places.frame.shape) // 120, 1)
    shape = tuple(-(-side // size) for side in places.frame.shape)
    frame = Frame(
        (shape[0], shape[1]), places.frame.corner,
        (places.frame.step[0] * size, places.frame.step[1] * size), places.frame.units,
    )  # fmt: skip
    near = places.entries(frame.middles()).reshape(frame.shape)
    return label_map(result.labels.data[near], result.mask[near], shades), frame
