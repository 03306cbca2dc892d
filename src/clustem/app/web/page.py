"""The page: figures and forms of one session, put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import panel as pn
from bokeh.models import CustomJS
from panel.io.resources import LOCAL_DIST

from clustem.app import ASSETS
from clustem.app.forms.clusters import Clusters
from clustem.app.forms.export import ExportForm
from clustem.app.forms.header import Footer, Header
from clustem.app.forms.map_tools import Tools
from clustem.app.forms.opening import Opening
from clustem.app.forms.standing import Standing
from clustem.app.forms.steps import Steps
from clustem.app.plots.map_plot import MapPlot
from clustem.app.plots.plots import Theme
from clustem.app.session.clouds import Selection
from clustem.app.session.memory import give_back_later
from clustem.app.session.state import Explorer
from clustem.app.web.boxes import Template, bound, boxed
from clustem.app.web.figures import Figures
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


class Page:
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

    def __init__(self, settings: Settings, transfers: Transfers, *, lost: bool = False) -> None:
        self._document, self._seen = pn.state.curdoc, False
        self._loop = asyncio.get_running_loop()
        if self._document is not None:  # else styles come from a CDN where no HTML was asked for
            self._document.template_variables["dist_url"] = LOCAL_DIST
        self.explorer = Explorer(settings.root, self._post, settings.budget)
        self._transfers = transfers
        self._key = transfers.add(
            SessionFiles(self.explorer.temporary, settings.limit, self._received, self.close)
        )
        self._selection = Selection(self.explorer)
        self.theme = Theme()
        self._make_map()
        self._make_forms(settings)
        self._figures = Figures(self.explorer, self._selection, self.theme, self.tools)
        self._making = self._figures.make()
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
        """Note that the page is in a browser, and make the rest of it."""
        self._seen = True
        self._transfers.arrived()
        self._make_more()

    def _make_more(self) -> None:
        """Make one more part of the figures and let others have their turn."""
        if self._document is not None and next(self._making, self) is not self:
            self._document.add_next_tick_callback(self._make_more)

    def _make_all(self) -> None:
        """Make what is missing of the figures before anything is shown in them."""
        for _ in self._making:
            pass

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

    def _make_map(self) -> None:
        self.map = MapPlot(self.explorer, self._selection, self.theme)
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
        opening = Opening(explorer, f"upload/{self._key}", settings.limit)
        jobs = (explorer.jobs, ["status"])
        session = (explorer, ["opened", "recipe", "outcome", "stale", "files", "together"])
        self.forms = {
            "header": bound(explorer, self.header, "header", session, jobs),
            "opening": bound(explorer, opening, "left", (explorer, ["opened", "files"])),
            "export": bound(
                explorer, ExportForm(explorer, f"download/{self._key}"), "left",
                (explorer, ["outcome"]),
            ),
            "steps": bound(explorer, Steps(explorer), "left", (explorer, ["recipe"])),
            "tools": bound(
                explorer, self.tools, "tools", session,
                (explorer, ["cursor", "picture", "elements", "missed"]),
                (self.map, ["mode", "layer", "opacity"]), (selection, ["chosen"]),
            ),
            "standing": bound(explorer, Standing(explorer), "standing", (explorer, ["outcome"])),
            "clusters": bound(
                explorer, Clusters(explorer, selection), "clusters-form",
                (explorer, ["outcome", "reading", "can_undo"]),
            ),
            "footer": bound(
                explorer, Footer(explorer), "footer", jobs,
                (explorer, ["message", "misfit", "opened"]),
            ),
        }  # fmt: skip
        self.header.param.watch(lambda *_: self.theme.switch(dark=self.header.dark), "dark")
        self.header.param.watch(lambda *_: self._switch(), ["opening", "exporting"])
        explorer.param.watch(lambda *_: self._switch(), ["opened", "picture"])

    def _assembled(self) -> Any:
        forms = self.forms
        template = Template((ASSETS / "page.html").read_text(encoding="utf-8"))
        for name, asset in (("css", "page.css"), ("alive", "alive.js"), ("clean", "clean.js")):
            template.add_variable(name, (ASSETS / asset).read_text(encoding="utf-8"))
        left = pn.Column(
            forms["opening"], forms["export"], forms["steps"], sizing_mode="stretch_width"
        )
        self._map = boxed(self.map.figure)
        template.add_panel("header", forms["header"])
        template.add_panel("left", left)
        template.add_panel("tools", forms["tools"])
        template.add_panel("standing", forms["standing"])
        template.add_panel("map", self._map)
        template.add_panel("clusters", forms["clusters"])
        template.add_panel("signal", self._figures.signal)
        template.add_panel("tabs", self._figures.tabs)
        template.add_panel("footer", forms["footer"])
        return template

    # what changes the page itself

    def _switch(self) -> None:
        """Show the parts that belong to the present state."""
        self.forms["opening"].visible = self.header.opening
        self.forms["export"].visible = self.header.exporting
        explorer = self.explorer
        self._map.visible = explorer.opened is not None or explorer.picture is not None

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
                self._make_all()
                call()
            except Exception as error:  # noqa: BLE001  # the page must live on
                self.explorer.fail(error)

        def hand_over() -> None:
            with suppress(AttributeError, RuntimeError):  # destroyed just now
                document.add_next_tick_callback(safely)

        try:  # not from here: what other threads add while Panel collects changes can be lost
            self._loop.call_soon_threadsafe(hand_over)
        except RuntimeError:
            _LOG.debug("a message came after the server had stopped")

    def _received(self, path: Path, name: str) -> None:
        self._post(lambda: self.explorer.open_upload(path, name))
