"""Figures in one theme, light or dark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

import panel as pn
from bokeh.events import SelectionGeometry
from bokeh.models import (
    Axis,
    ColumnDataSource,
    CustomJS,
    PanTool,
    Range1d,
    ResetTool,
    WheelZoomTool,
)
from bokeh.models.annotations import ColorBar, Legend, ScaleBar
from bokeh.models.annotations.dimensional import Metric, MetricLength
from bokeh.plotting import figure

from clustem.app import ASSETS
from clustem.app.session.frames import Frame

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
SIZE = "11px"
BAR_ROOM = 68
"""Width beside an image for a color bar, its title and labels [dots of the screen]: Bokeh measures
a bar before it has labels, and would let figures with the same bar differ."""
_AXIS_ROOM = 62
"""Width for an axis: were it to follow the labels, these would follow it, as the image fits."""
_FIT = (ASSETS / "fit.js").read_text(encoding="utf-8")
_INSIDE = (ASSETS / "scale_bar.js").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Inks:
    """Colors of lines and letters.

    Parameters
    ----------
    ink, muted, line, accent
        Of letters, of what is less important, of frames, and of what is chosen.
    """

    ink: str
    muted: str
    line: str
    accent: str


LIGHT = Inks("#1d2733", "#5c6875", "#d5dbe1", "#d6336c")
DARK = Inks("#e7ebef", "#a3adb8", "#3a434d", "#ff6b9d")


class Theme:
    """Makes figures and keeps all of them in the same colors, light or dark."""

    def __init__(self) -> None:
        self.inks = LIGHT
        self._figures: WeakSet[Any] = WeakSet()
        self._inked: list[tuple[Any, str, str]] = []

    def figure(self, *, tools: bool = True, **given: Any) -> Any:
        """Make a figure that fills the space it gets.

        Parameters
        ----------
        tools
            Whether it can be panned and zoomed.
        **given
            Of Bokeh's figure.
        """
        made = figure(
            **{
                "sizing_mode": "stretch_both",
                "min_width": 80,
                "min_height": 60,
                "toolbar_location": None,
                "tools": "",
                "output_backend": "canvas",
                "background_fill_color": None,
                "border_fill_color": None,
                "min_border": 4,
                **given,
            }
        )
        if tools:
            wheel = WheelZoomTool()
            made.add_tools(PanTool(), wheel, ResetTool())
            made.toolbar.active_scroll = wheel
        made.xgrid.grid_line_color = made.ygrid.grid_line_color = None
        self._figures.add(made)
        self.style(made)
        return made

    def ink(self, model: Any, attribute: str, role: str) -> None:
        """Keep an attribute of a model in one of the inks."""
        self._inked.append((model, attribute, role))
        setattr(model, attribute, getattr(self.inks, role))

    def switch(self, *, dark: bool) -> None:
        """Change the colors of all figures."""
        self.inks = DARK if dark else LIGHT
        for made in list(self._figures):
            self.style(made)
        for model, attribute, role in self._inked:
            setattr(model, attribute, getattr(self.inks, role))

    def style(self, made: Any) -> None:
        """Give a figure the present colors."""
        inks = self.inks
        made.outline_line_color = inks.line if made.outline_line_alpha else None
        made.title.update(
            text_color=inks.ink, text_font=FONT, text_font_size="12px", text_font_style="bold",
            standoff=4,
        )  # fmt: skip
        parts = [
            *made.left,
            *made.right,
            *made.above,
            *made.below,
            *made.center,
        ]  # select() is slow
        for axis in (part for part in parts if isinstance(part, Axis)):
            axis.update(
                axis_label_text_color=inks.ink, axis_label_text_font=FONT,
                axis_label_text_font_size=SIZE, axis_label_text_font_style="normal",
                axis_label_standoff=4, major_label_text_color=inks.muted,
                major_label_text_font=FONT, major_label_text_font_size="10px",
                axis_line_color=inks.line, major_tick_line_color=inks.line,
                minor_tick_line_color=None, major_tick_in=0,
            )  # fmt: skip
        for bar in (part for part in parts if isinstance(part, ColorBar)):
            bar.update(
                title_text_color=inks.ink, title_text_font=FONT, title_text_font_size="10px",
                title_text_font_style="normal", major_label_text_color=inks.muted,
                major_label_text_font=FONT, major_label_text_font_size="10px",
                background_fill_color=None, bar_line_color=None, major_tick_line_color=inks.line,
            )  # fmt: skip
        for legend in (part for part in parts if isinstance(part, Legend)):
            legend.update(
                label_text_color=inks.ink, label_text_font=FONT, label_text_font_size="10px",
                background_fill_alpha=0.0, border_line_color=None, spacing=0, padding=2,
                glyph_height=12, glyph_width=14, label_standoff=4,
            )  # fmt: skip


def image_figure(theme: Theme, *, axes: bool = True, **given: Any) -> Any:
    """Make a figure for images in their true proportions, row 0 on top.

    Parameters
    ----------
    theme
        Makes figures.
    axes
        Whether it has axes.
    **given
        Of ``Theme.figure``.
    """
    ranges = {"x_range": Range1d(start=0, end=1), "y_range": Range1d(start=1, end=0)}
    border = {"min_border": 4, "min_border_left": _AXIS_ROOM} if axes else {"min_border": 0}
    made = theme.figure(**{**border, **ranges, **given})
    made.axis.visible = axes
    if not axes:
        made.outline_line_alpha = 0.0
    fit = CustomJS(args={"figure": made}, code=_FIT)  # Bokeh's match_aspect leaves set ranges alone
    for name in ("tags", "inner_width", "inner_height"):
        made.js_on_change(name, fit)
    inside = CustomJS(args={"figure": made}, code=_INSIDE)
    made.js_on_change("center", inside)  # a bar that comes after the image
    made.js_on_change("tags", inside)  # an image that fills what the one before it did
    for range_ in (made.x_range, made.y_range):
        range_.js_on_change("end", inside)
    return made


def show_all(made: Any, frame: Frame, *, above: float = 0.0) -> None:
    """Show a whole frame in a figure for images, and some room above it, in heights of it."""
    height, width = frame.size
    top, left = frame.corner
    extent = left, left + width, top - above * height, top + height
    show_extent(made, extent, pixel=frame.step[1])


def show_extent(
    made: Any, extent: tuple[float, float, float, float], *, pixel: float | None = None
) -> None:
    """Show all between left, right, top and bottom in a figure for images.

    Parameters
    ----------
    made
        The figure.
    extent
        The four ends.
    pixel
        Width of an image's pixel that is to take whole dots of the screen, None for any.
    """
    made.tags = [float(end) for end in (*extent, *(() if pixel is None else (pixel,)))]


def fill(made: Any, extent: tuple[float, float, float, float]) -> None:
    """Show left, right, top and bottom over a whole figure for images, in any proportions."""
    left, right, top, bottom = (float(end) for end in extent)
    made.tags = []
    made.x_range.update(start=left, end=right, reset_start=left, reset_end=right)
    made.y_range.update(start=bottom, end=top, reset_start=bottom, reset_end=top)


def scale_bar(units: str) -> Any:
    """Make a scale bar that follows the zoom, on a plate that is readable on any picture."""
    if units in _METRIC:
        scale: Any = MetricLength(ticks=_TICKS, include=_METRIC)
    else:
        scale = Metric(base_unit=units, ticks=_TICKS, include=[units])
    made = ScaleBar(
        unit=units, dimensional=scale, orientation="horizontal", location="bottom_left",
        length_sizing="adaptive", bar_length=0.1, bar_length_units="percent",
        label_location="above",
        background_fill_color="#000000", background_fill_alpha=0.55, border_line_color=None,
        bar_line_color="#ffffff", bar_line_width=2, label_text_color="#ffffff",
        label_text_font=FONT, label_text_font_size="11px", label_standoff=2, padding=5, margin=6,
    )  # fmt: skip
    made.update(anchor="bottom_left")
    return made


def lay_scale_bar(made: Any, units: str, share: float = 0.15) -> None:
    """Lay a scale bar on a figure for images, in place of the one that it has.

    Parameters
    ----------
    made
        The figure.
    units
        Of its ranges; ``""`` for no bar.
    share
        Part of the image's width that the bar takes at least; at most 2.5 times that.
    """
    for old in [part for part in made.center if isinstance(part, ScaleBar)]:
        made.center.remove(old)
    if units:
        bar = scale_bar(units)
        bar.update(range=made.x_range, tags=[share])
        made.add_layout(bar)


_TICKS = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
_METRIC = ["pm", "nm", "µm", "mm"]


@contextmanager
def together(document: Any) -> Iterator[None]:
    """Send all changes of a page that are made inside a ``with`` in one message."""
    if document is None:
        yield
        return
    with pn.io.hold(document):  # Bokeh's own sends a message for each change
        yield


def outline_of(event: SelectionGeometry) -> tuple[list[float], list[float]] | None:
    """Return x and y of the corners of what was drawn; None while the mouse still moves."""
    shape: Any = event.geometry  # Bokeh's types do not tell one shape from another
    if not event.final or shape is None:
        return None
    if shape["type"] == "rect":
        x0, x1, y0, y1 = (float(shape[end]) for end in ("x0", "x1", "y0", "y1"))
        return [x0, x1, x1, x0], [y0, y0, y1, y1]
    return (list(shape["x"]), list(shape["y"])) if shape["type"] == "poly" else None


def image_source(image: Any, frame: Frame) -> dict[str, list[Any]]:
    """Lay an image on its frame, as the columns of a source."""
    height, width = frame.size
    return {
        "image": [image],
        "x": [frame.corner[1]],
        "y": [frame.corner[0]],
        "dw": [width],
        "dh": [height],
    }


def empty_image() -> Any:
    """Return a source for an image that is not there yet."""
    return ColumnDataSource({name: [] for name in ("image", "x", "y", "dw", "dh")})
