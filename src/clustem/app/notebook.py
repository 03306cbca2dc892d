"""A result in a notebook: its map, linked with what lies under the cursor."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from typing import Any

import numpy as np

from clustem.app.session.opened import Opened
from clustem.app.session.outcome import Outcome
from clustem.app.session.pictures import first_picture, mean_of
from clustem.app.web.serve import check_extra
from clustem.core import (
    InputError,
    PatchGrid,
    PlainSignal,
    Scan,
    Segmentation,
    Signal,
    like,
    title_of,
)
from clustem.recipes.recipe import Recipe

_HEIGHT = 440
"""Height of the view [px]."""
_HINT = "Move the mouse over the map; a click holds the cursor."


class View:
    """What a notebook shows of a result: see :func:`explore`.

    Parameters
    ----------
    outcome
        The result with its raw data.
    opened
        The scan or image that lies below the map.
    """

    def __init__(self, outcome: Outcome, opened: Opened) -> None:
        self._outcome, self._opened = outcome, opened

    def __repr__(self) -> str:
        return f"{self._outcome.result!r}: a notebook shows it; elsewhere, clustem serve does."

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        """Draw the view anew: each time that it is shown it has a cursor of its own."""
        if not _in_notebook():
            return {"text/plain": repr(self)}
        return self.layout()._repr_mimebundle_(include, exclude)

    def layout(self) -> Any:
        """Make figures and menus.

        Returns
        -------
        :
            A Panel layout.
        """
        import panel as pn
        from bokeh.events import Tap
        from bokeh.models.widgets.markups import Div

        from clustem.app.plots.map_plot import MapPlot
        from clustem.app.plots.plots import Theme
        from clustem.app.plots.scales import SCALES
        from clustem.app.plots.signal_plot import PatternPlot, SpectrumPlot
        from clustem.app.session.clouds import Selection
        from clustem.app.session.state import Explorer

        explorer = Explorer(None, lambda call: call())
        selection, theme = Selection(explorer), Theme()
        map_plot = MapPlot(explorer, selection, theme)
        signal_plot: SpectrumPlot | PatternPlot
        if self._outcome.raw.axes_manager.signal_dimension == 1:
            signal_plot = SpectrumPlot(explorer, selection, theme)
            figures = [signal_plot.figure]
        else:
            signal_plot = PatternPlot(explorer, selection, theme)
            figures = [signal_plot.here, signal_plot.center]
        self._show(explorer)
        full: dict[str, Any] = {"sizing_mode": "stretch_both", "margin": 0}
        layers = {text: value for value, text in map_plot.layers()}
        layer = _menu("Select", "Layer", options=layers, value="clusters", width=190)
        opacity = _menu(
            "FloatSlider", "Opacity", value=map_plot.opacity, start=0, end=1, step=0.05, width=150
        )
        scale = _menu("Select", "Scale", options=list(SCALES), value=signal_plot.scale, width=110)
        caption = Div(text=_caption(explorer), sizing_mode="stretch_width", name="caption")
        key = Div(text=_key(self._outcome.result), sizing_mode="stretch_width", name="key")
        wide: dict[str, Any] = {"sizing_mode": "stretch_width"}
        beside = pn.Column(
            pn.Row(scale, pn.pane.Bokeh(caption, **wide)),
            pn.Row(*(_pane(made) for made in figures), **full),
            **full,
        )
        beside.styles = {"flex": "6 1 0"}
        left = pn.Column(
            pn.Row(layer, opacity), _pane(map_plot.figure), pn.pane.Bokeh(key, **wide), **full
        )
        left.styles = {"flex": "5 1 0"}
        pointer = map_plot.figure.select_one({"name": "pointer"})
        view = _layout(pointer)(
            left, beside, height=_HEIGHT, sizing_mode="stretch_width",
            styles={"background": "#ffffff"},
        )  # fmt: skip

        def tell() -> None:
            caption.text = _caption(explorer)
            pn.io.push_notebook(view)

        def moved(attr: str, old: Any, new: Any) -> None:
            if pointer.document is not None:  # Panel lets go of it to take what the browser says
                pointer.document.hold("combine")
            map_plot._moved(attr, old, new)
            tell()

        layer.param.watch(lambda event: setattr(map_plot, "layer", event.new), "value")
        opacity.param.watch(lambda event: setattr(map_plot, "opacity", event.new), "value")
        scale.param.watch(lambda event: setattr(signal_plot, "scale", event.new), "value")
        for menu in (layer, opacity, scale):
            menu.param.watch(lambda _: tell(), "value")
        pointer.remove_on_change("data", map_plot._moved)
        pointer.on_change("data", moved)
        map_plot.figure.on_event(Tap, lambda _: tell())
        return view

    def _show(self, explorer: Any) -> None:
        """Make the result the present one of a session, with the cursor in the middle."""
        opened, result = self._opened, self._outcome.result
        file = explorer.file_of(opened, first_picture(opened))
        mean: Any = result.mean
        if mean is None and opened.kind != "image":
            mean = mean_of(opened)
        file.state |= {"outcome": self._outcome, "recipe": None, "mean": mean, "stale": False}
        explorer.restore(file)
        rows, columns = opened.frame.shape
        explorer.look(*opened.frame.middle(rows // 2, columns // 2))


def explore(result: Segmentation, source: Signal | None = None) -> View:
    """Show a map in a notebook, linked with the spectrum or pattern under the cursor.

    Parameters
    ----------
    result
        The clusters on their scan.
    source
        The raw signal, needed for a result loaded from disk.

    Returns
    -------
    :
        A view that a notebook shows as the last line of a cell. It speaks with its kernel through
        the notebook; no server is started.

    Raises
    ------
    InputError
        If the packages of ``clustem[app]`` are missing, the raw signal is, or the map has more
        than two axes.
    """
    check_extra()
    if result.mask.ndim not in (1, 2):
        raise InputError(
            "A map that is explored must have one or two axes",
            got=f"{result.mask.ndim}",
            cure="Explore one frame of it.",
        )
    raw: Signal = result._raw(source)
    recipe = result.recipe or Recipe("", "", "", "", {})
    grid = result.find(PatchGrid) if result.mask.ndim == 1 else None
    if grid is not None:
        below: Any = _image_of(grid, title_of(raw))
    elif raw.axes_manager.signal_dimension:
        below = raw
    else:  # the pixels of an image
        below = like(result.labels, np.asarray(raw.data))
    opened = Opened(Scan.of(below), title_of(raw))
    if _in_notebook():
        _load_panel()
    outcome = Outcome(replace(result, source=raw), raw if grid is None else below, recipe)
    return View(outcome, opened)


def _image_of(grid: PatchGrid, title: str) -> PlainSignal:
    """Return the image that patches were cut from."""
    axes: list[dict[str, Any]] = [
        {"name": name, "size": size, "scale": float(scale), "units": grid.image_units or None}
        for name, size, scale in zip("yx", grid.image.shape, grid.image_scale, strict=True)
    ]
    return PlainSignal(grid.image, axes=axes, metadata={"General": {"title": title}})


def _in_notebook() -> bool:
    """Whether a Jupyter kernel runs this."""
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    return getattr(get_ipython(), "kernel", None) is not None


def _load_panel() -> None:
    """Bring Panel's scripts into the notebook: each time, as the page may be a new one."""
    import panel as pn

    pn.extension(inline=True)  # nothing from the internet


def _layout(pointer: Any) -> Any:
    """Return a kind of row that takes from the notebook what a user did, and nothing else.

    Panel's notebook sends back whatever it was sent, spectra and images included, and colors in a
    form that Bokeh refuses.
    """
    import panel as pn

    class Layout(pn.Row):
        def _on_msg(self, ref: str, manager: Any, msg: Any) -> None:
            content = msg.get("content", {})
            if "events" in content:
                content["events"] = [e for e in content["events"] if _is_a_users(e, pointer.id)]
            super()._on_msg(ref, manager, msg)

    return Layout


def _is_a_users(event: Any, pointer: str) -> bool:
    """Whether a message tells of the mouse or of a menu."""
    if event.get("kind") != "ModelChanged":
        return True
    if event["model"]["id"] == pointer:
        return bool(event["attr"] == "data")
    return event["attr"] in {"value", "value_throttled"}


def _menu(kind: str, title: str, **given: Any) -> Any:
    """Make a menu; what Panel calls its title changed from ``name`` to ``label``."""
    import panel as pn

    word = "label" if "label" in pn.widgets.Widget.param else "name"
    return getattr(pn.widgets, kind)(**{word: title}, **given)


def _pane(made: Any) -> Any:
    import panel as pn

    return pn.pane.Bokeh(made, sizing_mode="stretch_both", margin=0, min_height=60)


def _key(result: Segmentation) -> str:
    """Colors, names and shares of the clusters."""
    from clustem.app.plots.paint import UNASSIGNED, to_hex
    from clustem.report.layout.maps import key_entries

    style = "display:inline-block;width:.9em;height:.9em;margin-right:.3em;background:"
    parts = []
    for color, hatch, name, share in key_entries(result):
        shade = to_hex(color) if not isinstance(color, str) else UNASSIGNED if hatch else color
        parts.append(f'<span style="white-space:nowrap"><span style="{style}{shade}"></span>'
                     f"{escape(name)} {escape(share)}</span>")  # fmt: skip
    return " &ensp; ".join(parts)


def _caption(explorer: Any) -> str:
    """Where the cursor is, and in which cluster."""
    reading, outcome = explorer.reading, explorer.outcome
    if reading is None:
        return _HINT
    place = explorer.opened.frame.place(*explorer.cursor)
    if reading.label is None or reading.label < 0:
        return f"{place}: {'excluded' if reading.excluded else 'unassigned'}"
    text = f"{place}: <b>{escape(outcome.result.name_of(reading.label))}</b>"
    if reading.memberships is not None:
        text += f", membership {float(reading.memberships[reading.label]):.2f}"
    return text
