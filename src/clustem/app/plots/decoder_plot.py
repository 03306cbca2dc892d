"""What an autoencoder draws: some rows beside its drawings of them, and the wheel of angles."""

from __future__ import annotations

import numpy as np
from bokeh.core.properties import value
from bokeh.models import ColumnDataSource, LinearColorMapper, MultiLine, Range1d
from bokeh.models.annotations import LabelSet
from bokeh.palettes import Greys256, RdBu11
from numpy.typing import NDArray

from clustem.app.plots.plots import FONT, Theme, image_figure, show_extent
from clustem.app.session.layers import layer, layers_of
from clustem.app.session.state import Explorer
from clustem.core import Segmentation, VAEInfo
from clustem.report.layout.wheel import wheel_image

F64 = NDArray[np.float64]
_ROWS = ("Measured", "Drawn", "Difference")
_GAP = 0.1
"""Space between images [of their width]."""
_HIGH = 0.8
"""Height of a spectrum's box [of its width]."""
_SIDE = 96
"""Rows and columns of the wheel [px]."""


class DecoderPlot:
    """Figures of what the decoder draws, and of the colors of angles.

    Parameters
    ----------
    explorer
        The session.
    theme
        Makes the figures.
    """

    def __init__(self, explorer: Explorer, theme: Theme) -> None:
        self._explorer = explorer
        made = self.figure = image_figure(theme, axes=False, name="decoder", tools=False)
        columns = ("image", "x", "y", "dw", "dh")
        self._images = [ColumnDataSource({name: [] for name in columns}) for _ in range(2)]
        self._mappers = [LinearColorMapper(palette=Greys256), LinearColorMapper(palette=RdBu11)]
        for source, mapper in zip(self._images, self._mappers, strict=True):
            made.image(source=source, color_mapper=mapper)
        self._lines = ColumnDataSource({"xs": [], "ys": []})
        lines = made.add_glyph(self._lines, MultiLine(xs="xs", ys="ys", line_width=1))
        theme.ink(lines.glyph, "line_color", "ink")
        self._names = ColumnDataSource({"x": [], "y": [], "text": []})
        names = LabelSet(
            x="x", y="y", text="text", source=self._names, text_font=value(FONT),
            text_font_size="11px", text_align="right", text_baseline="middle", x_offset=-6,
        )  # fmt: skip
        theme.ink(names, "text_color", "ink")
        made.add_layout(names)
        self._make_wheel(theme)
        explorer.param.watch(lambda *_: self.draw(), "outcome")

    def _make_wheel(self, theme: Theme) -> None:
        made = self.wheel = theme.figure(
            x_range=Range1d(start=-0.7 * _SIDE, end=1.7 * _SIDE),
            y_range=Range1d(start=1.5 * _SIDE, end=-0.5 * _SIDE),
            name="wheel", tools=False, sizing_mode="fixed", width=168, height=140,
        )  # fmt: skip
        made.axis.visible, made.outline_line_alpha = False, 0.0
        ring = np.ascontiguousarray(np.rint(255 * wheel_image(_SIDE)).astype(np.uint8))
        image = ring.view(np.uint32)[..., 0]
        made.image_rgba([image], x=0, y=0, dw=_SIDE, dh=_SIDE)
        half, near, far = _SIDE / 2, -0.1 * _SIDE, 1.1 * _SIDE
        self._quarters = []
        for x, y, align, baseline in (
            (far, half, "left", "middle"), (half, far, "center", "top"),
            (near, half, "right", "middle"), (half, near, "center", "bottom"),
        ):  # fmt: skip
            source = ColumnDataSource({"x": [x], "y": [y], "text": [""]})
            words = made.text(
                "x", "y", text="text", source=source, text_align=align, text_baseline=baseline,
                text_font=value(FONT), text_font_size="11px",
            )  # fmt: skip
            theme.ink(words.glyph, "text_color", "ink")
            self._quarters.append(source)

    @property
    def known(self) -> VAEInfo | None:
        """What the autoencoder of the present result knows, None without one."""
        outcome = self._explorer.outcome
        found = None if outcome is None else outcome.result.find(VAEInfo)
        return found if found is not None and found.examples is not None else None

    @property
    def has_angles(self) -> bool:
        """Whether motifs are turned."""
        outcome = self._explorer.outcome
        return outcome is not None and "angle" in layers_of(outcome.result, None)

    def draw(self) -> None:
        """Draw rows along the first latent coordinate."""
        known, outcome = self.known, self._explorer.outcome
        for source in (*self._images, self._lines, self._names):
            source.data = {name: [] for name in source.data}
        if known is None or known.examples is None or outcome is None:
            return
        given, drawn = known.examples
        parts = [given, drawn, given - drawn]
        n, is_image = len(given), len(known.shape) == 2
        high = float(known.shape[0]) / float(known.shape[1]) if is_image else _HIGH
        x: F64 = np.arange(n, dtype=np.float64) * (1 + _GAP)
        y: F64 = np.arange(3, dtype=np.float64) * (high + _GAP)
        if is_image:
            self._draw_images(parts, (int(known.shape[0]), int(known.shape[1])), x, y, high)
        else:
            self._draw_lines(parts, x, y, high)
        self._names.data = {"x": [0.0] * 3, "y": list(y + high / 2), "text": list(_ROWS)}
        show_extent(self.figure, (-0.22 * float(x[-1] + 1), float(x[-1]) + 1 + _GAP, -_GAP,
                                  float(y[-1]) + high + _GAP))  # fmt: skip
        if self.has_angles:
            self._say_angles(outcome.result)

    def _draw_images(
        self,
        parts: list[NDArray[np.float32]],
        shape: tuple[int, int],
        x: F64,
        y: F64,
        high: float,
    ) -> None:
        n = len(x)
        far = max(float(np.quantile(np.abs(parts[2]), 0.995)), 1e-30)
        both = np.concatenate(parts[:2])
        low, top = (float(level) for level in np.quantile(both, (0.005, 0.995)))
        self._mappers[0].update(low=low, high=max(top, low + 1e-30))
        self._mappers[1].update(low=-far, high=far)
        for source, rows in zip(self._images, ((0, 1), (2,)), strict=True):
            source.data = {
                "image": [np.asarray(one).reshape(shape) for i in rows for one in parts[i]],
                "x": [at for _ in rows for at in x], "y": [at for i in rows for at in [y[i]] * n],
                "dw": [1.0] * (n * len(rows)), "dh": [high] * (n * len(rows)),
            }  # fmt: skip

    def _draw_lines(
        self,
        parts: list[NDArray[np.float32]],
        x: F64,
        y: F64,
        high: float,
    ) -> None:
        top = max(float(np.max(parts[:2])), 1e-30)
        across = np.linspace(0.0, 1.0, parts[0].shape[-1])
        xs = [across + at for _ in parts for at in x]
        ys = [
            place + high * (base - 0.9 * np.asarray(row) / top)
            for part, place, base in zip(parts, y, (0.95, 0.95, 0.5), strict=True)
            for row in part
        ]
        self._lines.data = {"xs": xs, "ys": ys}

    def _say_angles(self, result: Segmentation) -> None:
        """Name four angles on the wheel: it goes round once where the motif looks the same."""
        once = layer(result, None, "angle").limits[1]
        for quarter, source in enumerate(self._quarters):
            source.patch({"text": [(0, f"{once * quarter / 4:g}°")]})
