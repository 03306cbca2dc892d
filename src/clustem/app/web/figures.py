"""Figures beside the map: those of the signal and those in tabs, with their forms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import panel as pn
import param

from clustem.app.forms.captions import Caption, CentersForm, CloudForm, DecoderNote
from clustem.app.forms.detector import DetectorPlot
from clustem.app.forms.fields import Field, radio, text
from clustem.app.forms.form import Form
from clustem.app.forms.map_tools import DETECTOR, WINDOW, Tools
from clustem.app.forms.misses import Misses
from clustem.app.forms.side_by_side import SideBySide
from clustem.app.forms.sweeping import Sweeping
from clustem.app.plots.center_plot import GridPlot, SpectraPlot
from clustem.app.plots.cloud_plot import CloudPlot
from clustem.app.plots.decoder_plot import DecoderPlot
from clustem.app.plots.lineage_plot import LineagePlot
from clustem.app.plots.plots import Theme
from clustem.app.plots.signal_plot import PatternPlot, SpectrumPlot
from clustem.app.plots.study_plot import StudyPlot
from clustem.app.session.clouds import Selection
from clustem.app.session.live import Live
from clustem.app.session.state import Explorer
from clustem.app.web.boxes import beside, bound, boxed

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
_FULL = {"sizing_mode": "stretch_both", "margin": 0}


class Figures(param.Parameterized):
    """All figures of a page but the map.

    They take longer to make than the rest of the page, so that it arrives without them: they are
    made by :meth:`make`, and a tab joins the page when it is first shown.

    Parameters
    ----------
    explorer
        State of the session.
    selection
        What is marked in the data space and on the map.
    theme
        Light or dark.
    tools
        Form above the map.
    """

    tab: param.Selector[str] = param.Selector(default="space", objects=list(_TABS))

    def __init__(
        self, explorer: Explorer, selection: Selection, theme: Theme, tools: Tools
    ) -> None:
        super().__init__()
        self._explorer, self._selection, self._theme = explorer, selection, theme
        self._tools, self._known = tools, False
        self.signal = pn.Column(**_FULL, styles={"flex": "5 1 0", "min-height": "0"})
        row = bound(explorer, self, "tabs", (explorer, ["opened", "outcome", "study"]))
        self.tabs = pn.Column(row, **_FULL, styles={"flex": "6 1 0", "min-height": "0"})

    def make(self) -> Iterator[None]:
        """Make the figures, a part in each step."""
        explorer, selection, theme = self._explorer, self._selection, self._theme
        self.spectrum = SpectrumPlot(explorer, selection, theme)
        yield
        self.pattern = PatternPlot(explorer, selection, theme)
        self.cloud = CloudPlot(explorer, selection, theme)
        yield
        self.spectra = SpectraPlot(explorer, theme)
        self.centers = GridPlot(explorer, theme, "centers")
        yield
        self.memberships = GridPlot(explorer, theme, "memberships")
        self.sweeping = Sweeping(explorer, theme)
        self.lineage = LineagePlot(explorer, theme)
        yield
        self.sides = SideBySide(explorer, Live(explorer), theme)
        yield
        self.detector = DetectorPlot(explorer, theme)
        self.study = StudyPlot(explorer, theme)
        yield
        self.decoder = DecoderPlot(explorer, theme)
        yield
        self.misses = Misses(explorer, selection, theme)
        yield
        self._assemble()
        self._watch()

    def _assemble(self) -> None:
        forms = self._forms()
        self._signals = {
            "line": boxed(self.spectrum.figure),
            "pair": pn.Row(boxed(self.pattern.here), boxed(self.pattern.center), **_FULL),
        }
        self._cloud = boxed(self.cloud.figure)
        self._parts = {
            "study": boxed(self.study.figure),
            "space": pn.Column(forms["cloud"], self._cloud, **_FULL),
            "centers": pn.Column(
                forms["centers"], boxed(self.spectra.figure), boxed(self.centers.figure), **_FULL
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
        self.switch()  # all is hidden: it joins the page as such
        self.signal.objects = [forms["caption"], *self._signals.values()]
        self.tabs.append(self._parts["space"])

    def _forms(self) -> dict[str, Form]:
        explorer, selection = self._explorer, self._selection
        self._caption = Caption(explorer, self.spectrum, self.pattern)
        outcome = (explorer, ["outcome"])
        return {
            "caption": bound(
                explorer, self._caption, "strip",
                (explorer, ["opened", "outcome", "reading", "mean", "elements"]),
                (selection, ["mean"]), (self.spectrum, ["scale"]), (self.pattern, ["scale"]),
            ),
            "cloud": bound(
                explorer, CloudForm(self.cloud), "strip", (selection, ["cloud"]),
                (self.cloud, ["axes", "decoded"]),
            ),
            "centers": bound(
                explorer, CentersForm(explorer, self.spectra, self.centers), "strip",
                (self.spectra, ["scale"]), (self.centers, ["scale"]), outcome,
            ),
            "sweep": bound(
                explorer, self.sweeping, "side", (explorer, ["swept", "outcome", "choice"])
            ),
            "sides": bound(
                explorer, self.sides, "side", (explorer, ["opened", "recipe"])
            ),
            "misses": bound(explorer, self.misses, "side", (explorer, ["outcome", "missed"])),
            "decoder": bound(explorer, DecoderNote(), "side", outcome),
            "detector": bound(explorer, self.detector, "side", (explorer, ["opened", "mean"])),
        }  # fmt: skip

    def _watch(self) -> None:
        explorer, tools = self._explorer, self._tools
        explorer.param.watch(
            lambda *_: self.switch(), ["opened", "outcome", "swept", "picture", "missed"]
        )
        explorer.param.watch(lambda *_: self._show_study(), "study")
        self.sweeping.param.watch(lambda *_: self.switch(), "view")
        self._selection.param.watch(lambda *_: self.switch(), "cloud")
        tools.param.watch(self._source, "source")
        self.detector.param.watch(lambda *_: tools.param.update(source=DETECTOR), "drawn")
        self.param.watch(lambda *_: self.switch(), "tab")

    # the row of tabs

    def fields(self) -> list[Field]:
        """Describe the row of tabs."""
        if self._explorer.opened is None:
            return [text("Plots appear here.", style="faint")]
        return [radio("tab", "Plots", list(self._titles().items()), self.tab)]

    def handle(self, key: str, value: Any) -> None:
        """Show another tab."""
        if key == "tab" and value in self._titles():
            self.tab = value

    def _titles(self) -> dict[str, str]:
        """Tabs that make sense now: name and title."""
        opened, outcome = self._explorer.opened, self._explorer.outcome
        hidden = set()
        if opened is None or opened.kind != "patterns":
            hidden.add("detector")
        if self._explorer.study is None:
            hidden.add("study")
        if self.decoder.known is None:
            hidden.add("decoder")
        if outcome is None:
            hidden |= {"centers", "memberships", "misses"}
        elif outcome.result.memberships is None:
            hidden.add("memberships")
        if not self.misses.fields():
            hidden.add("misses")
        if self._explorer.places is not None and self._explorer.places.scattered:
            hidden.add("memberships")
        return {name: title for name, title in _TABS.items() if name not in hidden}

    # what is shown

    def switch(self) -> None:
        """Show the parts that belong to the present state."""
        if self.tab not in self._titles():
            self.tab = "space"
            return
        there, line = self._explorer.opened is not None, self._caption.is_line
        self._signals["line"].visible = there and line
        self._signals["pair"].visible = there and not line
        self._cloud.visible = self._selection.cloud is not None
        spectra, grid = self._parts["centers"][1], self._parts["centers"][2]
        outcome = self._explorer.outcome
        is_grid = outcome is not None and outcome.result.centers.data.ndim == 3
        spectra.visible, grid.visible = not is_grid, is_grid
        swept, scores = bool(self._explorer.swept), self.sweeping.view == "scores"
        sweep = self._parts["sweep"]
        sweep[1].visible, sweep[2].visible = swept and scores, swept and not scores
        missed = self._explorer.missed
        regions = missed is not None and len(missed.candidates) > 0
        _, excess, pattern, reliability = self._parts["misses"]
        excess.visible, pattern.visible = regions and not is_grid, regions and is_grid
        reliability.visible = self.misses.is_calibrated
        self.decoder.wheel.visible = self.decoder.has_angles
        for name, part in self._parts.items():
            part.visible = there and name == self.tab
            if part.visible and part not in self.tabs.objects:
                self.tabs.append(part)

    def _show_study(self) -> None:
        """Show all maps when a study is there."""
        if self._explorer.study is not None and not self._known:
            self.tab = "study"
        self._known = self._explorer.study is not None
        self.switch()

    def _source(self, *_: Any) -> None:
        source = self._tools.source
        self.spectrum.window = source == WINDOW
        if source == DETECTOR and self.tab != "detector":
            self.tab = "detector"
            self.detector.handle("what", "detector")
            self.detector.handle("inner", self.detector.inner)
