"""Results in a notebook: a map, linked with what lies under the cursor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from clustem.app.plots.signal_plot import PatternPlot, SpectrumPlot

_HEIGHT = 440
"""Height of the view [px]."""
_HINT = "Move the mouse over the map; a click holds the cursor."
_FULL: dict[str, Any] = {"sizing_mode": "stretch_both", "margin": 0}
_WIDE: dict[str, Any] = {"sizing_mode": "stretch_width"}


@dataclass(frozen=True)
class Part:
    """A result, and what a notebook shows below it.

    Parameters
    ----------
    outcome
        The result with its raw data.
    opened
        The scan or image that lies below the map.
    """

    outcome: Outcome
    opened: Opened

    @property
    def has_spectra(self) -> bool:
        """Whether spectra lie under the cursor, not patterns or values."""
        return bool(self.outcome.raw.axes_manager.signal_dimension == 1)


class View:
    """What a notebook shows of results: see :func:`explore`.

    Parameters
    ----------
    what
        One line about the results.
    parts
        Results by their names in a menu.
    menu
        Title of that menu.
    """

    def __init__(self, what: str, parts: Mapping[str, Part], menu: str) -> None:
        self._what, self._parts, self._menu = what, parts, menu

    def __repr__(self) -> str:
        return f"{self._what}: a notebook shows it; elsewhere, clustem serve does."

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
        return _Page(self._parts, self._menu).layout


class _Page:
    """Figures and menus of a view."""

    def __init__(self, parts: Mapping[str, Part], menu: str) -> None:
        from bokeh.events import Tap
        from bokeh.models.widgets.markups import Div

        from clustem.app.plots.map_plot import MapPlot
        from clustem.app.plots.plots import Theme
        from clustem.app.plots.signal_plot import PatternPlot, SpectrumPlot
        from clustem.app.session.clouds import Selection
        from clustem.app.session.state import Explorer

        self._parts, self._files = parts, dict[str, Any]()
        self._explorer = Explorer(None, lambda call: call())
        given = (self._explorer, Selection(self._explorer), Theme())
        self._map = MapPlot(*given, at_once=self._sent)
        kinds = {part.has_spectra for part in parts.values()}
        self._plots = {
            kind: SpectrumPlot(*given) if kind else PatternPlot(*given) for kind in kinds
        }
        self._rows = {kind: _row_of(plot) for kind, plot in self._plots.items()}
        self._caption = Div(**_WIDE, name="caption")
        self._key = Div(**_WIDE, name="key")
        self._make_menus(menu)
        self.layout = self._lay_out()
        self._show()
        self._map.figure.on_event(Tap, lambda _: self._tell())

    def _make_menus(self, menu: str) -> None:
        from clustem.app.plots.scales import SCALES

        self._name = _menu("Select", menu, options=list(self._parts), width=130)
        self._layer = _menu("Select", "Layer", options={"Clusters": self._map.layer}, width=140)
        self._opacity = _menu(
            "FloatSlider", "Opacity", value=self._map.opacity, start=0, end=1, step=0.05, width=90
        )
        self._scale = _menu("Select", "Scale", options=list(SCALES), width=110)
        self._name.param.watch(lambda _: self._show(), "value")
        self._layer.param.watch(lambda event: setattr(self._map, "layer", event.new), "value")
        self._opacity.param.watch(lambda event: setattr(self._map, "opacity", event.new), "value")
        self._scale.param.watch(lambda event: setattr(self._plot, "scale", event.new), "value")
        for made in (self._name, self._layer, self._opacity, self._scale):
            made.param.watch(lambda _: self._tell(), "value")

    def _lay_out(self) -> Any:
        import panel as pn

        menus = [self._name] if len(self._parts) > 1 else []
        left = pn.Column(
            pn.Row(*menus, self._layer, self._opacity),
            _pane(self._map.figure),
            pn.pane.Bokeh(self._key, **_WIDE),
            **_FULL,
        )
        right = pn.Column(
            pn.Row(self._scale, pn.pane.Bokeh(self._caption, **_WIDE)),
            *self._rows.values(),
            **_FULL,
        )
        left.styles, right.styles = {"flex": "5 1 0"}, {"flex": "6 1 0"}
        kind = _layout(self._map.figure.select_one({"name": "pointer"}))
        return kind(left, right, height=_HEIGHT, **_WIDE, styles={"background": "#ffffff"})

    @property
    def _part(self) -> Part:
        """What is shown."""
        return self._parts[self._name.value]

    @property
    def _plot(self) -> SpectrumPlot | PatternPlot:
        """What is drawn beside the map."""
        return self._plots[self._part.has_spectra]

    def _show(self) -> None:
        """Show the chosen result, with the cursor where it was, or in the middle of another map."""
        explorer, part = self._explorer, self._part
        before, cursor = explorer.opened, explorer.cursor
        explorer.restore(self._file())
        frame = part.opened.frame
        if before is None or before.frame != frame or cursor is None:
            cursor = frame.middle(frame.shape[0] // 2, frame.shape[1] // 2)
        explorer.look(*cursor)
        for kind, row in self._rows.items():
            row.visible = kind == part.has_spectra
        self._layer.options = {text: value for value, text in self._map.layers()}
        self._layer.value, self._scale.value = self._map.layer, self._plot.scale
        self._key.text, self._caption.text = _key(part.outcome.result), _caption(explorer)

    def _file(self) -> Any:
        """Return the chosen result as an open file of a session."""
        name, part = self._name.value, self._part
        if name not in self._files:
            opened = part.opened
            mean: Any = part.outcome.result.mean
            if mean is None and opened.kind != "image":
                mean = mean_of(opened)
            file = self._explorer.file_of(opened, first_picture(opened))
            file.state |= {"outcome": part.outcome, "recipe": None, "mean": mean, "stale": False}
            self._files[name] = file
        return self._files[name]

    @contextmanager
    def _sent(self, document: Any) -> Iterator[None]:
        """Send to the notebook what a move of the mouse changes; without this nothing is sent."""
        if document is not None:
            document.hold("combine")
        try:
            yield
            self._tell()
        finally:
            if document is not None:
                document.unhold()

    def _tell(self) -> None:
        import panel as pn

        self._caption.text = _caption(self._explorer)
        pn.io.push_notebook(self.layout)


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
    return _view(repr(result), {"": result}, {"": source}, "")


def explore_several(
    what: str, results: Mapping[str, Segmentation], sources: Sequence[Signal] | None, *, menu: str
) -> View:
    """Show several maps in a notebook, one at a time, each as :func:`explore` does.

    Parameters
    ----------
    what
        One line about them.
    results
        Results by their names in a menu.
    sources
        The raw signal of each, needed for results loaded from disk.
    menu
        Title of that menu.

    Returns
    -------
    :
        A view; another result with the same positions keeps the cursor.

    Raises
    ------
    InputError
        As :func:`explore`, or if there is not one signal for each result.
    """
    given: Sequence[Signal | None] = [None] * len(results) if sources is None else sources
    if len(given) != len(results):
        raise InputError(
            "There must be one raw signal for each map",
            got=f"{len(given)} signals, {len(results)} maps",
            cure="Pass them in the order of the maps.",
        )
    return _view(what, results, dict(zip(results, given, strict=True)), menu)


def _view(
    what: str,
    results: Mapping[str, Segmentation],
    sources: Mapping[str, Signal | None],
    menu: str,
) -> View:
    check_extra()
    parts = {name: _part(result, sources[name]) for name, result in results.items()}
    if _in_notebook():
        _load_panel()
    return View(what, parts, menu)


def _part(result: Segmentation, source: Signal | None) -> Part:
    """Find what lies below a map."""
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
    outcome = Outcome(replace(result, source=raw), raw if grid is None else below, recipe)
    return Part(outcome, opened)


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


def _row_of(plot: SpectrumPlot | PatternPlot) -> Any:
    """Lay the figures of a plot beside each other."""
    import panel as pn

    from clustem.app.plots.signal_plot import PatternPlot

    figures = [plot.here, plot.center] if isinstance(plot, PatternPlot) else [plot.figure]
    return pn.Row(*(_pane(made) for made in figures), **_FULL)


def _pane(made: Any) -> Any:
    """Wrap a figure; what it has to send, the page sends by itself."""
    import panel as pn

    return pn.pane.Bokeh(made, **_FULL, min_height=60, autodispatch=False)


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
