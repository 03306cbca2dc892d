"""How surely each position lies where it does in the latent space."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from clustem.core import InputError, Segmentation, checked
from clustem.report.layout.maps import BAR, CMAP, color_bar, scale_bar
from clustem.report.layout.sheet import DOUBLE, Sheet, packed, styled
from clustem.report.layout.values import draw_values, frame_for, learned_of

_EDGE, _GAP, _TITLE, _BAR_ROOM, _MOST = 1.5, 4.0, 5.0, 16.0, 4


@checked
@styled
def width_map(segmentation: Segmentation) -> Figure:
    """Draw the standard deviation of the posterior of the first latent coordinates.

    Parameters
    ----------
    segmentation
        Clusters of ``reduce.vae``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, at most 183 mm wide, with up to 4 maps. That of the prior is
        1: a position with such a width says nothing.

    Raises
    ------
    InputError
        If there was no autoencoder.

    Examples
    --------
    >>> from clustem.report.figures.example import example_learned
    >>> len(width_map(example_learned()).axes)  # with color bars
    4
    """
    known = learned_of(segmentation)
    if known.width.shape[:-1] != segmentation.mask.shape:
        raise InputError(
            "A map of widths needs an autoencoder of these positions",
            got="one of several scans",
            cure="Run the recipe on one scan.",
        )
    frame, n = frame_for(segmentation), min(known.n_components, _MOST)
    columns, width = packed(
        frame.aspect, n, width=DOUBLE - 2 * _EDGE, gap=(_GAP + _BAR_ROOM, _TITLE + BAR),
        limit=150, most=66,
    )  # fmt: skip
    height, pitch = width / frame.aspect, max(width + _BAR_ROOM, 34.0) + _GAP
    lines = -(-n // columns)
    sheet = Sheet(columns * pitch + 2 * _EDGE, lines * (height + _TITLE + BAR) + 2 * _EDGE)
    for i in range(n):
        values = np.ma.masked_invalid(known.width[..., i])
        left, top = _EDGE + i % columns * pitch, _EDGE + i // columns * (height + _TITLE + BAR)
        ax = sheet.axes(left, top + _TITLE, width, height)
        high = max(float(np.quantile(values.compressed(), 0.995)), 1e-3)
        drawn = draw_values(ax, segmentation, values, frame, cmap=CMAP, vmin=0.0, vmax=1.02 * high)
        sheet.text(left, top + 2, segmentation.feature_names[i])
        box = (left + width + 2.0, top + _TITLE, min(height, 45.0))
        color_bar(sheet, drawn, box, label="Width")
    scale_bar(sheet, _EDGE, _EDGE + _TITLE + height, width, frame)
    return sheet.figure
