"""The page: figures and forms of one session, put together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import panel as pn
import param
from bokeh.models import CustomJS

from clustem.app import ASSETS
from clustem.app.forms.captions import Caption, CentersForm, CloudForm, DecoderNote
from clustem.app.forms.clusters import Clusters
from clustem.app.forms.detector import DetectorPlot
from clustem.app.forms.export import ExportForm
from clustem.app.forms.fields import Field, View, radio, text
from clustem.app.forms.form import Form
from clustem.app.forms.header import Footer, Header
from clustem.app.forms.map_tools import DETECTOR, WINDOW, Tools
from clustem.app.forms.misses import Misses
from clustem.app.forms.opening import Opening
from clustem.app.forms.side_by_side import SideBySide
from clustem.app.forms.standing import Standing
from clustem.app.forms.steps import Steps
from clustem.app.forms.sweeping import Sweeping
from clustem.app.plots.center_plot import GridPlot, SpectraPlot
from clustem.app.plots.cloud_plot import CloudPlot
from clustem.app.plots.decoder_plot import DecoderPlot
from clustem.app.plots.lineage_plot import LineagePlot
from clustem.app.plots.map_plot import MapPlot
from clustem.app.plots.plots import Theme
from clustem.app.plots.signal_plot import PatternPlot, SpectrumPlot
from clustem.app.plots.study_plot import StudyPlot
from clustem.app.session.clouds import Selection
from clustem.app.session.live import Live
from clustem.app.session.memory import give_back_later
from clustem.app.session.state import Explorer
from clustem.app.web.boxes import Template, beside, boxed
from clustem.app.web.server import Settings
from clustem.app.web.transfers import SessionFiles, Transfers

_LOG = logging.getLogger(__name__)
_UNSEEN = 60_000
"""Time for a page to arrive in a browser [ms]."""
_MODE = """
lasso.active = mode.tags[0] === "choose" || mode.tags[0] === "exclude";
box.active = mode.tags[0] === "crop";
pan.active = mode.tags[0] === "look";
"""
_LOST = (
    "What was open here before is gone: the explorer was started again, or the page was closed for "
    "long."
)
_TABS = {
    "study": "All maps",
    "space": "Data space",
    "centers": "Centers",
    "memberships": "Memberships",
    "decoder": "Decoder",
    "misses": "Misses",
    "sweep": "Try k",
    "sides": "Side by side",
    "detector": "Detector",
}


class Page(param.Parameterized):
    """One visitor's page.

    Parameters
    ----------
    settings
        How the explorer is served.
    transfers
        Files of all sessions.
    lost
        Whether the browser had a session before, which is no longer there.
    """

    tab: param.Selector[str] = param.Selector(default="space", objects=list(_TABS))

    def __init__(self, settings: Settings, transfers: Transfers, *, lost: bool = False) -> None:
        super().__init__()
        self._document, self._seen, self._known = pn.state.curdoc, False, False
        self.explorer = Explorer(settings.root, self._post, settings.budget)
        self._transfers = transfers
        self._key = transfers.add(
            SessionFiles(self.explorer.temporary, settings.limit, self._received, self.close)
        )
        self._selection = Selection(self.explorer)
        self.theme = Theme()
        self._make_plots()
        self._make_forms(settings)
        self.template = self._assembled()
        self._switch()
        if self._document is not None:
            self._document.on_session_destroyed(lambda _: self.close())
        if lost:
            self.explorer.say("warning", _LOST)
        pn.state.onload(self._arrive)
        if self._document is not None:
            self._document.add_timeout_callback(self._forget_if_unseen, _UNSEEN)
        if settings.source:
            pn.state.onload(lambda: self.explorer.open_path(settings.source))

    def _arrive(self) -> None:
        """Note that the page is in a browser."""
        self._seen = True
        self._transfers.arrived()

    def _forget_if_unseen(self) -> None:
        """End a session whose page was fetched, but never shown."""
        context: Any = None if self._document is None else self._document.session_context
        if context is not None and not self._seen:
            context.session.request_expiration()

    def close(self) -> None:
        """End the session and delete its files."""
        self._document = None  # Bokeh has destroyed it: what threads have to say comes too late
        self._transfers.remove(self._key)
        self.explorer.close()
        give_back_later()

    # making

    def _make_plots(self) -> None:
        explorer, selection, theme = self.explorer, self._selection, self.theme
        self.map = MapPlot(explorer, selection, theme)
        self.spectrum = SpectrumPlot(explorer, selection, theme)
        self.pattern = PatternPlot(explorer, selection, theme)
        self.cloud = CloudPlot(explorer, selection, theme)
        self.spectra = SpectraPlot(explorer, theme)
        self.centers = GridPlot(explorer, theme, "centers")
        self.memberships = GridPlot(explorer, theme, "memberships")
        self.sweeping = Sweeping(explorer, theme)
        self.lineage = LineagePlot(explorer, theme)
        self.live = Live(explorer)
        self.sides = SideBySide(explorer, self.live, theme)
        self.detector = DetectorPlot(explorer, theme)
        self.study = StudyPlot(explorer, theme)
        self.decoder = DecoderPlot(explorer, theme)
        self.misses = Misses(explorer, selection, theme)
        tools = self.map.figure.toolbar.tools
        pan = next(tool for tool in tools if type(tool).__name__ == "PanTool")
        args = {"lasso": self.map.lasso, "box": self.map.box, "pan": pan}
        args["mode"] = self.map.figure.x_range
        self.map.figure.x_range.tags = ["look"]
        self.map.figure.x_range.js_on_change("tags", CustomJS(args=args, code=_MODE))
        self.map.param.watch(self._send_mode, "mode")

    def _make_forms(self, settings: Settings) -> None:
        explorer, selection = self.explorer, self._selection
        self.header = Header(explorer)
        self.tools = Tools(explorer, selection, self.map)
        self.opening = Opening(explorer, f"upload/{self._key}", settings.limit)
        self.clusters = Clusters(explorer, selection)
        self.export = ExportForm(explorer, f"download/{self._key}")
        self.caption = Caption(explorer, self.spectrum, self.pattern)
        jobs = (explorer.jobs, ["status"])
        session = (explorer, ["opened", "recipe", "outcome", "stale", "files", "together"])
        self.forms = {
            "header": self._bound(self.header, "header", session, jobs),
            "opening": self._bound(self.opening, "left", (explorer, ["opened", "files"])),
            "export": self._bound(self.export, "left", (explorer, ["outcome"])),
            "steps": self._bound(Steps(explorer), "left", (explorer, ["recipe"])),
            "tools": self._bound(
                self.tools, "tools", session,
                (explorer, ["cursor", "picture", "elements", "missed"]),
                (self.map, ["mode", "layer", "opacity"]), (selection, ["chosen"]),
            ),
            "standing": self._bound(Standing(explorer), "standing", (explorer, ["outcome"])),
            "clusters": self._bound(
                self.clusters, "clusters-form", (explorer, ["outcome", "reading", "can_undo"])
            ),
            "caption": self._bound(
                self.caption, "strip",
                (explorer, ["opened", "outcome", "reading", "mean", "elements"]),
                (selection, ["mean"]), (self.spectrum, ["scale"]), (self.pattern, ["scale"]),
            ),
            "tabs": self._bound(
                _Tabs(self), "tabs", (self, ["tab"]), (explorer, ["opened", "outcome", "study"])
            ),
            "cloud": self._bound(
                CloudForm(self.cloud), "strip", (selection, ["cloud"]),
                (self.cloud, ["axes", "decoded"]),
            ),
            "centers": self._bound(
                CentersForm(explorer, self.spectra, self.centers), "strip",
                (self.spectra, ["scale"]), (self.centers, ["scale"]), (explorer, ["outcome"]),
            ),
            "sweep": self._bound(
                self.sweeping, "side", (explorer, ["swept", "outcome", "choice"])
            ),
            "sides": self._bound(
                self.sides, "side", (explorer, ["opened", "recipe"]), (self.sides, ["settings"])
            ),
            "misses": self._bound(self.misses, "side", (explorer, ["outcome", "missed"])),
            "decoder": self._bound(DecoderNote(), "side", (explorer, ["outcome"])),
            "detector": self._bound(
                self.detector, "side", (explorer, ["opened", "mean"])
            ),
            "footer": self._bound(
                Footer(explorer), "footer", jobs, (explorer, ["message", "misfit", "opened"])
            ),
        }  # fmt: skip
        self.header.param.watch(lambda *_: self._recolor(), "dark")
        self.header.param.watch(lambda *_: self._switch(), ["opening", "exporting"])
        explorer.param.watch(
            lambda *_: self._switch(), ["opened", "outcome", "swept", "picture", "missed"]
        )
        explorer.param.watch(lambda *_: self._show_study(), "study")
        self.sweeping.param.watch(lambda *_: self._switch(), "view")
        selection.param.watch(lambda *_: self._switch(), "cloud")
        self.tools.param.watch(self._source, "source")
        self.detector.param.watch(lambda *_: self.tools.param.update(source=DETECTOR), "drawn")

    def _bound(
        self, view: View, look: str, *watched: tuple[param.Parameterized, list[str]]
    ) -> Form:
        """Make the form of a view; it is drawn again whenever something changes that it shows."""
        form = Form(self._guarded(view.handle), look=look, sizing_mode="stretch_width")

        def draw(*_: Any) -> None:
            form.draw(view.fields())

        for source, names in watched:
            source.param.watch(draw, names)
        if isinstance(view, param.Parameterized):
            view.param.watch(draw, [name for name in view.param if name != "name"])
        draw()
        return form

    def _guarded(self, handle: Callable[[str, Any], None]) -> Callable[[str, Any], None]:
        def safely(key: str, value: Any) -> None:
            try:
                handle(key, value)
            except Exception as error:  # noqa: BLE001  # whatever a browser sends, the page must go on
                self.explorer.fail(error)

        return safely

    def _assembled(self) -> Any:
        forms = self.forms
        template = Template((ASSETS / "page.html").read_text(encoding="utf-8"))
        for name, asset in (("css", "page.css"), ("alive", "alive.js"), ("clean", "clean.js")):
            template.add_variable(name, (ASSETS / asset).read_text(encoding="utf-8"))
        full = {"sizing_mode": "stretch_both", "margin": 0}
        self._signals = {
            "line": boxed(self.spectrum.figure),
            "pair": pn.Row(boxed(self.pattern.here), boxed(self.pattern.center), **full),
        }
        self._cloud = boxed(self.cloud.figure)
        signal = pn.Column(forms["caption"], *self._signals.values(), **full)
        signal.styles = {"flex": "5 1 0", "min-height": "0"}
        self._tabs = {
            "study": boxed(self.study.figure),
            "space": pn.Column(forms["cloud"], self._cloud, **full),
            "centers": pn.Column(
                forms["centers"], boxed(self.spectra.figure), boxed(self.centers.figure), **full
            ),
            "memberships": boxed(self.memberships.figure),
            "decoder": beside(
                pn.Column(forms["decoder"], self.decoder.wheel, margin=0), self.decoder.figure
            ),
            "misses": beside(
                forms["misses"], self.misses.spectrum, self.misses.pattern, self.misses.reliability
            ),
            "sweep": beside(forms["sweep"], self.sweeping.figure, self.lineage.figure),
            "sides": beside(forms["sides"], *self.sides.figures),
            "detector": beside(forms["detector"], self.detector.figure),
        }
        tabs = pn.Column(forms["tabs"], *self._tabs.values(), **full)
        tabs.styles = {"flex": "6 1 0", "min-height": "0"}
        template.add_panel("header", forms["header"])
        left = pn.Column(
            forms["opening"], forms["export"], forms["steps"], sizing_mode="stretch_width"
        )
        template.add_panel("left", left)
        template.add_panel("tools", forms["tools"])
        template.add_panel("standing", forms["standing"])
        self._map = boxed(self.map.figure)
        template.add_panel("map", self._map)
        template.add_panel("clusters", forms["clusters"])
        template.add_panel("signal", signal)
        template.add_panel("tabs", tabs)
        template.add_panel("footer", forms["footer"])
        self.param.watch(lambda *_: self._switch(), "tab")
        return template

    # what changes the page itself

    def tabs(self) -> dict[str, str]:
        """Tabs that make sense now: name and title."""
        opened, outcome = self.explorer.opened, self.explorer.outcome
        hidden = set()
        if opened is None or opened.kind != "patterns":
            hidden.add("detector")
        if self.explorer.study is None:
            hidden.add("study")
        if self.decoder.known is None:
            hidden.add("decoder")
        if outcome is None:
            hidden |= {"centers", "memberships", "misses"}
        elif outcome.result.memberships is None:
            hidden.add("memberships")
        if self.explorer.places is not None and self.explorer.places.scattered:
            hidden.add("memberships")
        return {name: title for name, title in _TABS.items() if name not in hidden}

    def _switch(self) -> None:
        """Show the parts that belong to the present state."""
        if self.tab not in self.tabs():
            self.tab = "space"
            return
        forms = self.forms
        forms["opening"].visible = self.header.opening
        forms["export"].visible = self.header.exporting
        there, line = self.explorer.opened is not None, self.caption.is_line
        self._map.visible = there or self.explorer.picture is not None
        self._signals["line"].visible = there and line
        self._signals["pair"].visible = there and not line
        self._cloud.visible = self._selection.cloud is not None
        spectra, grid = self._tabs["centers"][1], self._tabs["centers"][2]
        outcome = self.explorer.outcome
        is_grid = outcome is not None and outcome.result.centers.data.ndim == 3
        spectra.visible, grid.visible = not is_grid, is_grid
        swept, scores = bool(self.explorer.swept), self.sweeping.view == "scores"
        sweep = self._tabs["sweep"]
        sweep[1].visible, sweep[2].visible = swept and scores, swept and not scores
        missed = self.explorer.missed
        regions = missed is not None and len(missed.candidates) > 0
        _, excess, pattern, reliability = self._tabs["misses"]
        excess.visible, pattern.visible = regions and not is_grid, regions and is_grid
        reliability.visible = self.misses.is_calibrated
        self.decoder.wheel.visible = self.decoder.has_angles
        for name, part in self._tabs.items():
            part.visible = there and name == self.tab

    def _show_study(self) -> None:
        """Show all maps when a study is there."""
        if self.explorer.study is not None and not self._known:
            self.tab = "study"
        self._known = self.explorer.study is not None
        self._switch()

    def _recolor(self) -> None:
        self.theme.switch(dark=self.header.dark)

    def _source(self, *_: Any) -> None:
        self.spectrum.window = self.tools.source == WINDOW
        if self.tools.source == DETECTOR and self.tab != DETECTOR:
            self.tab = "detector"
            self.detector.handle("what", "detector")
            self.detector.handle("inner", self.detector.inner)

    def _send_mode(self, *_: Any) -> None:
        self.map.figure.x_range.tags = [self.map.mode]

    # threads

    def _post(self, call: Callable[[], None]) -> None:
        """Run a function on the page; nothing if the visitor has left."""
        document = self._document
        if document is None:
            return

        def safely() -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001  # the page must live on
                self.explorer.fail(error)

        try:
            document.add_next_tick_callback(safely)
        except (AttributeError, RuntimeError):  # destroyed just now, or the server has stopped
            _LOG.debug("a message came after the end")

    def _received(self, path: Path, name: str) -> None:
        self._post(lambda: self.explorer.open_upload(path, name))


class _Tabs:
    """The row of tabs."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def fields(self) -> list[Field]:
        if self._page.explorer.opened is None:
            return [text("Plots appear here.", style="faint")]
        return [radio("tab", "Plots", list(self._page.tabs().items()), self._page.tab)]

    def handle(self, key: str, value: Any) -> None:
        if key == "tab" and value in self._page.tabs():
            self._page.tab = value
