"""What speaks against the map: residuals, what no cluster explains, calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, LinearColorMapper, Range1d
from bokeh.palettes import RdBu11

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.plots.plots import Theme, empty_image, image_figure, image_source, show_all
from clustem.app.session import misses
from clustem.app.session.clouds import Selection
from clustem.app.session.frames import Frame
from clustem.app.session.state import Explorer
from clustem.report.layout.extent import percent
from clustem.report.layout.units import pretty, significant, with_units

if TYPE_CHECKING:
    from clustem.judge.residuals import Candidate

_LISTED = 12
"""Most regions that are listed."""
_LEAST, _MOST = 6.0, 22.0
"""Diameters of the dots of a bin with few positions, and of one with all of them [px]."""


class Misses:
    """Form of what the map misses, and its figures.

    Parameters
    ----------
    explorer, selection
        The session, and what is chosen.
    theme
        Makes the figures.
    """

    def __init__(self, explorer: Explorer, selection: Selection, theme: Theme) -> None:
        self._explorer, self._selection = explorer, selection
        self._calibration = misses.calibration_of(explorer)
        self._shown = 0
        self._make_excess(theme)
        self._make_reliability(theme)
        explorer.param.watch(lambda *_: self._renew(), "outcome")
        explorer.param.watch(lambda *_: self._first(), "missed")

    def _make_excess(self, theme: Theme) -> None:
        ranges = {"x_range": Range1d(start=0, end=1), "y_range": Range1d(start=-1, end=1)}
        made = self.spectrum = theme.figure(**ranges, name="excess", tools=False)
        made.yaxis.axis_label = "Excess (% of the counts)"
        self._line = ColumnDataSource({"x": [], "y": []})
        line = made.line("x", "y", source=self._line, line_width=1.2)
        theme.ink(line.glyph, "line_color", "accent")
        self.pattern = image_figure(theme, name="excess-pattern", tools=False)
        self._image = empty_image()
        self._mapper = LinearColorMapper(palette=RdBu11, low=-1, high=1)
        self.pattern.image(source=self._image, color_mapper=self._mapper)

    def _make_reliability(self, theme: Theme) -> None:
        x, y = (Range1d(start=0, end=1.04) for _ in range(2))
        made = self.reliability = theme.figure(
            x_range=x, y_range=y, name="reliability", tools=False
        )
        made.xaxis.axis_label, made.yaxis.axis_label = "Largest membership", "Share that is right"
        diagonal = made.line([0, 1], [0, 1], line_dash=[4, 3])
        theme.ink(diagonal.glyph, "line_color", "muted")
        self._dots = ColumnDataSource({"x": [], "y": [], "size": []})
        dots = made.scatter("x", "y", size="size", source=self._dots, line_color=None)
        dots.glyph.fill_alpha = 0.7
        theme.ink(dots.glyph, "fill_color", "accent")

    def fields(self) -> list[Field]:
        """Describe the form; none where there is nothing to look for or to show."""
        outcome, missed = self._explorer.outcome, self._explorer.missed
        if outcome is None:
            return [fields.text("After a run.", style="faint")]
        found = [] if self._is_image else [
            fields.text("Counts that the clusters, and mixtures of them, leave unexplained.",
                        style="faint"),
            fields.button("look", "Look for them" if missed is None else "Look again",
                          style="small main" if missed is None else "small"),
        ]  # fmt: skip
        if missed is not None and not missed.candidates:
            found.append(fields.text("No region departs from its cluster.", key="none"))
        axes = outcome.result.centers.axes_manager.signal_axes  # none where a center is a number
        units = pretty(axes[0].units) if axes else ""
        for i, one in enumerate(() if missed is None else missed.candidates[:_LISTED]):
            found.append(
                fields.button(f"region/{i}", _title(i, one, units), style="small left",
                              pressed=i == self._shown,
                              tip="Mark it on the map and show its spectrum")
            )  # fmt: skip
        novel = outcome.result.novel
        if novel is not None:
            share = percent(float(novel[~outcome.result.mask].mean()))
            text = f"{share} of the positions are explained by no cluster of the applied result."
            found.append(fields.text(text, key="novel"))
            if novel.any():
                found.append(fields.button("novel", "Mark them", style="small"))
        if self._calibration is not None:
            text = f"Calibration error against the sample's truth: {self._calibration.error:.3f}"
            found.append(fields.text(text, key="calibration"))
        return found

    def handle(self, key: str, value: Any) -> None:  # noqa: ARG002  # every form has it
        """Do what a field asks for."""
        outcome, missed = self._explorer.outcome, self._explorer.missed
        if key == "look":
            misses.look(self._explorer)
        elif key.startswith("region/") and missed is not None:
            number = int(key.partition("/")[2])
            if 0 <= number < len(missed.candidates):
                self._shown = number
                self._draw(missed.candidates[number])
                self._explorer.param.trigger("missed")  # the pressed button is another
        elif key == "novel" and outcome is not None and outcome.result.novel is not None:
            self._selection.choose(np.ravel(outcome.result.novel))

    def _first(self) -> None:
        """Show the most certain region when they were found."""
        missed = self._explorer.missed
        if missed is None or not missed.candidates:
            self._line.data = {"x": [], "y": []}
            self._image.data = dict(empty_image().data)
            self._shown = 0
        elif not len(self._line.data["x"]) and not len(self._image.data["image"]):
            self._shown = 0
            self._draw(missed.candidates[0])

    def _draw(self, one: Candidate) -> None:
        """Draw the excess of a region, and choose its positions."""
        outcome = self._explorer.outcome
        if outcome is None:
            return
        self._selection.choose(one.mask.ravel())
        axes = outcome.result.centers.axes_manager.signal_axes
        excess = 100 * np.asarray(one.excess, dtype=np.float64)
        far = max(float(np.abs(excess).max()), 1e-6)
        if excess.ndim == 1:
            x = np.asarray(axes[0].axis, dtype=float)
            self._line.data = {"x": x, "y": excess}
            self.spectrum.x_range.update(start=x[0], end=x[-1])
            self.spectrum.y_range.update(start=1.05 * float(excess.min()) - 0.02 * far,
                                         end=1.1 * far)  # fmt: skip
            name = axes[0].name if isinstance(axes[0].name, str) else "Channel"
            self.spectrum.xaxis.axis_label = with_units(name, pretty(axes[0].units))
            return
        frame = Frame.of(list(axes[::-1]))
        self._mapper.update(low=-far, high=far)
        self._image.data = image_source(excess.astype(np.float32), frame)
        show_all(self.pattern, frame)

    def _renew(self) -> None:
        """Hold the memberships of another result against the truth."""
        found = self._calibration = misses.calibration_of(self._explorer)
        if found is None:
            self._dots.data = {"x": [], "y": [], "size": []}
            return
        share = np.sqrt(found.counts / found.counts.sum())
        size = _LEAST + (_MOST - _LEAST) * share
        self._dots.data = {"x": found.sure, "y": found.right, "size": size}

    @property
    def _is_image(self) -> bool:
        """Whether what is open has one value at each position: no shape to depart from."""
        return self._explorer.opened is not None and self._explorer.opened.kind == "image"

    @property
    def is_calibrated(self) -> bool:
        """Whether the truth is known, and how sure each position is."""
        return self._calibration is not None


def _title(i: int, one: Candidate, units: str) -> str:
    """Name a region: size, share, and where its excess is."""
    text = f"{i + 1}: {one.size} px, {100 * one.share:.0f} % of counts"
    if one.channels and len(one.channels[0].position) == 1:
        text += f", at {significant(one.channels[0].position[0])} {units}".rstrip()
    return text
