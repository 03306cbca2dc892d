"""By which angle the motif of each position is turned."""

from __future__ import annotations

from math import cos, pi, sin

import numpy as np
from matplotlib.figure import Figure

from clustem.core import InputError, Segmentation, checked
from clustem.report.layout.maps import BAR, scale_bar
from clustem.report.layout.sheet import DOUBLE, Sheet, styled
from clustem.report.layout.values import draw_values, frame_for, learned_of
from clustem.report.layout.wheel import wheel_colors, wheel_image

_EDGE, _TITLE, _WHEEL, _KEY, _TALLEST = 1.5, 5.0, 21.0, 40.0, 110.0


@checked
@styled
def angle_map(segmentation: Segmentation) -> Figure:
    """Draw the angle of the motif at each position on a color wheel.

    Parameters
    ----------
    segmentation
        Clusters of ``reduce.vae`` where motifs are turned.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide. The wheel goes round once in the angle
        after which the motif looks the same.

    Raises
    ------
    InputError
        If motifs have no angle.

    Examples
    --------
    >>> from clustem.report.figures.example import example_learned
    >>> len(angle_map(example_learned()).axes)  # map and wheel
    2
    """
    known = learned_of(segmentation)
    if known.angle is None or known.fold is None or known.angle.shape != segmentation.mask.shape:
        raise InputError(
            "A map of angles needs motifs that are turned",
            got="an autoencoder without rotation",
            cure="Set rotation='any' of reduce.vae.",
        )
    frame = frame_for(segmentation)
    room = DOUBLE - 2 * _EDGE - _KEY
    width = min(room, _TALLEST * frame.aspect)
    height, top = width / frame.aspect, _EDGE + _TITLE
    sheet = Sheet(width + _KEY + 2 * _EDGE, top + max(height + BAR, _WHEEL + 14) + _EDGE)
    fold = np.maximum(known.fold, 1)
    hue = np.nan_to_num(known.angle) * fold / 360 % 1
    colors = np.ones((*hue.shape, 4))
    colors[..., :3] = wheel_colors(hue)
    colors[segmentation.mask] = 0
    ax = sheet.axes(_EDGE, top, width, height)
    draw_values(ax, segmentation, colors, frame)
    sheet.text(_EDGE, _EDGE + 2, "Angle of the motif")
    scale_bar(sheet, _EDGE, top + height, width, frame)
    folds, counts = np.unique(fold[~segmentation.mask], return_counts=True)
    _wheel(sheet, _EDGE + width + (_KEY - _WHEEL) / 2 + 1, top + 6, int(folds[counts.argmax()]))
    return sheet.figure


def _wheel(sheet: Sheet, left: float, top: float, fold: int) -> None:
    """Draw the wheel; its angles are those of the most frequent symmetry."""
    ax = sheet.axes(left, top, _WHEEL, _WHEEL)
    ax.imshow(wheel_image())
    ax.axis("off")
    for quarter in range(4):
        out = _WHEEL / 2 + 1.2
        x = left + _WHEEL / 2 + out * cos(quarter * pi / 2)
        y = top + _WHEEL / 2 + out * sin(quarter * pi / 2)
        ha = ("left", "center", "right", "center")[quarter]
        va = ("center", "top", "center", "bottom")[quarter]
        sheet.text(x, y, f"{90 * quarter / fold:g}°", ha=ha, va=va)
    text = "no symmetry" if fold == 1 else f"{fold} turns in a circle"
    sheet.text(left + _WHEEL / 2, top + _WHEEL + 5.5, text, ha="center")
