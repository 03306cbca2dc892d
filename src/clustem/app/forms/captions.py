"""Lines above and beside figures: what they show, and on which scale."""

from __future__ import annotations

from typing import Any

from clustem.app.forms import fields
from clustem.app.forms.fields import Field
from clustem.app.plots import scales
from clustem.app.plots.center_plot import GridPlot, SpectraPlot
from clustem.app.plots.cloud_plot import CloudPlot
from clustem.app.plots.signal_plot import PatternPlot, SpectrumPlot
from clustem.app.session.state import Explorer
from clustem.report.layout.line_labels import is_eds

_SCALES = [
    (scales.LINEAR, "linear", "Counts as they are"),
    (scales.ROOT, "√", "Square roots: the noise of counts is the same everywhere"),
    (scales.LOG, "log", "Logarithms"),
]


class Caption:
    """What the figure under the cursor shows, and how.

    Parameters
    ----------
    explorer
        The session.
    spectrum, pattern
        The two kinds of figures; one is shown.
    """

    def __init__(self, explorer: Explorer, spectrum: SpectrumPlot, pattern: PatternPlot) -> None:
        self._explorer, self._spectrum, self._pattern = explorer, spectrum, pattern

    @property
    def is_line(self) -> bool:
        """Whether what is under the cursor is a spectrum."""
        explorer = self._explorer
        signal = None if explorer.opened is None else explorer.opened.signal
        if explorer.outcome is not None and explorer.outcome.result.source is not None:
            signal = explorer.outcome.result.source
        return signal is None or signal.axes_manager.signal_dimension == 1

    def fields(self) -> list[Field]:
        """Describe the form."""
        if self._explorer.opened is None:
            return []
        plot = self._spectrum if self.is_line else self._pattern
        found: list[Field] = []
        if self.is_line:
            inks = {"muted": "var(--muted)", "accent": "var(--chosen)"}
            for i, (name, shade) in enumerate(self._spectrum.caption):
                color = inks.get(shade, shade)
                found.append({"is": "swatch", "key": f"swatch/{i}", "color": color, "label": name})
                found.append(fields.text(name, tag="span", key=f"name/{i}"))
        found.append(fields.text("", style="gap", tag="span", key="gap"))
        if is_eds(self._explorer.opened.signal):
            tip = "Elements whose X-ray lines are marked; each also has a map among the pictures"
            found.append(fields.elements("elements", self._explorer.elements, tip=tip))
        found.append(scale_field(plot.scale))
        return found

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        if key == "elements":
            self._explorer.toggle_element(str(value))
        elif key == "scale" and value in scales.SCALES:
            (self._spectrum if self.is_line else self._pattern).scale = value


class CloudForm:
    """Which coordinates of the data space are shown.

    Parameters
    ----------
    plot
        The figure.
    """

    def __init__(self, plot: CloudPlot) -> None:
        self._plot = plot

    def fields(self) -> list[Field]:
        """Describe the form."""
        names = [(i, name.partition(" (")[0]) for i, name in enumerate(self._plot.names())]
        if not names:
            return [fields.text("After a run, each position is a point here.", style="faint")]
        x, y = self._plot.axes
        found = [fields.text("Lasso points: they are marked on the map.", style="faint")]
        if self._plot.has_decoder:
            tip = "What the decoder draws at each place of the plane"
            found.append(fields.check("decoded", "decoded", self._plot.decoded, tip=tip))
        if len(names) > 2:
            found = [
                fields.choice("x", "x", names, x),
                fields.choice("y", "y", names, y),
                *found,
            ]
        return found

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        x, y = self._plot.axes
        if key == "decoded":
            self._plot.decoded = bool(value)
        elif isinstance(value, int) and 0 <= value < len(self._plot.names()):
            self._plot.axes = (value, y) if key == "x" else (x, value)


class CentersForm:
    """Scale of the centers.

    Parameters
    ----------
    explorer
        The session.
    spectra, images
        The two kinds of figures; one is shown.
    """

    def __init__(self, explorer: Explorer, spectra: SpectraPlot, images: GridPlot) -> None:
        self._explorer, self._spectra, self._images = explorer, spectra, images

    def fields(self) -> list[Field]:
        """Describe the form."""
        return [
            fields.text("Mean of the raw data of each cluster.", style="faint"),
            fields.text("", style="gap", key="gap"),
            scale_field(self._plot.scale),
        ]

    def handle(self, key: str, value: Any) -> None:
        """Do what a field asks for."""
        if key == "scale" and value in scales.SCALES:
            self._plot.scale = value

    @property
    def _plot(self) -> SpectraPlot | GridPlot:
        outcome = self._explorer.outcome
        is_grid = outcome is not None and outcome.result.centers.data.ndim == 3
        return self._images if is_grid else self._spectra


class DecoderNote:
    """What is said beside the drawings of a decoder."""

    def fields(self) -> list[Field]:
        """Describe the form."""
        beside = "Some positions, what the decoder makes of them, and what is left over."
        elsewhere = (
            "The data space shows its drawings over the latent plane; the second menu above the "
            "map has the angle of each motif and the width of each coordinate."
        )
        return [fields.text(beside, style="faint"), fields.text(elsewhere, style="faint")]

    def handle(self, key: str, value: Any) -> None:
        """Nothing can be changed here."""


def scale_field(scale: str) -> Field:
    """Return the field that chooses a scale of intensities."""
    return fields.radio("scale", "Scale of the intensities", _SCALES, scale)
