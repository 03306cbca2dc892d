"""How thick the specimen is at each position, and how sure that is."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, checked
from clustem.eels.thickness import ThicknessMaps
from clustem.report.layout.extent import Axis, axes_of, frame_of
from clustem.report.layout.maps import BAR, CMAP, color_bar, draw_map, scale_bar
from clustem.report.layout.sheet import DOUBLE, Sheet, packed, styled
from clustem.report.layout.units import with_units

_EDGE, _GAP, _TITLE, _BAR_ROOM = 1.5, 4.0, 5.0, 16.0
_LABELS = {"relative": "Thickness t/λ", "absolute": "Thickness (nm)"}


@checked
@styled
def thickness_map(
    maps: Segmentation | ThicknessMaps, *, quantity: Literal["relative", "absolute"] = "relative"
) -> Figure:
    """Draw the thickness, and beside it its uncertainty.

    Parameters
    ----------
    maps
        What ``eels.thickness`` returned; or a result that ``eels.zero_loss`` has added to.
    quantity
        ``"relative"``: t/λ; ``"absolute"``: in nm.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``; for a line scan, a curve with its band.

    Raises
    ------
    InputError
        If the scan has more than two axes, or the absolute thickness is not known.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> some = hs.signals.Signal2D(np.linspace(0.1, 0.9, 24).reshape(4, 6))
    >>> len(thickness_map(ThicknessMaps(some, some * 0.02, None, None)).axes)  # with color bars
    4
    """
    axes, value, error = _known(maps, quantity)
    if len(axes) not in (1, 2):
        raise InputError(
            "A thickness map has one or two scan axes",
            got=f"{len(axes)} axes",
            cure="Take one scan of the series.",
        )
    label = _LABELS[quantity]
    if len(axes) == 1:
        return _curve(axes[0], value, error, label)
    frame = frame_of(axes)
    room = DOUBLE - 2 * _EDGE - 2 * _BAR_ROOM
    columns, width = packed(
        frame.aspect, 2, width=room, gap=(_GAP, _TITLE + BAR), limit=100, most=70
    )
    height, pitch = width / frame.aspect, max(width + _BAR_ROOM, 48.0) + _GAP
    rows = 2 // columns
    sheet = Sheet(columns * pitch + 2 * _EDGE, rows * (height + _TITLE + BAR) + 2 * _EDGE)
    panels = (
        (value, label, CMAP),
        (error, "Uncertainty (half of the 68 % band)", "magma"),
    )
    for i, (image, title, cmap) in enumerate(panels):
        left = _EDGE + (i % columns) * pitch
        top = _EDGE + (i // columns) * (height + _TITLE + BAR)
        shown = np.ma.masked_invalid(image)
        high = float(np.quantile(shown.compressed(), 0.995)) if shown.count() else 1.0
        drawn = draw_map(
            sheet.axes(left, top + _TITLE, width, height),
            shown,
            frame,
            cmap=cmap,
            vmin=0,
            vmax=max(high, 1e-12),
        )
        sheet.text(left, top + 2, title)
        clipped = bool(shown.count()) and float(shown.max()) > high
        place = left + width + 2.0, top + _TITLE, min(height, 45.0)
        color_bar(sheet, drawn, place, label="", clipped=clipped)
    scale_bar(sheet, _EDGE, _EDGE + _TITLE + height, width, frame)
    return sheet.figure


def _known(
    maps: Segmentation | ThicknessMaps, quantity: str
) -> tuple[list[Axis], NDArray[Any], NDArray[Any]]:
    """Return the scan's axes, a thickness and its uncertainty."""
    holder = maps.thickness if isinstance(maps, Segmentation) else maps
    value, error = getattr(holder, quantity, None), getattr(holder, f"{quantity}_error", None)
    if value is None or error is None:
        history = maps.history if isinstance(maps, Segmentation) else []
        ran = next((step.note for step in history if step.name == "zero_loss"), None)
        cure = "Run eels.zero_loss, which needs PyTorch." if ran is None else f"It ran, with {ran}"
        if quantity == "absolute":
            cure = "Give eels.thickness or eels.zero_loss the density."
        raise InputError(
            f"The {quantity} thickness must be known to be drawn",
            got="t/λ only" if quantity == "absolute" else "a result without it",
            cure=cure,
        )
    if isinstance(maps, Segmentation):
        return axes_of(maps.labels), value, error
    return axes_of(value), value.data, error.data


def _curve(axis: Axis, value: NDArray[Any], error: NDArray[Any], label: str) -> Figure:
    sheet = Sheet(DOUBLE, 56)
    ax = sheet.axes(14, 4, DOUBLE - 18, 40)
    ax.fill_between(axis.values, value - error, value + error, color="#9a9a9a", alpha=0.5, lw=0)
    ax.plot(axis.values, value)
    ax.set_ylabel(label)
    ax.set_ylim(bottom=0)
    ax.set_xlabel(with_units(axis.name or "Position", axis.units, fallback="px"))
    return sheet.figure
