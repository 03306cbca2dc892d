"""Some rows, what the decoder makes of them, and what it leaves over."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from clustem.core import InputError, Segmentation, checked
from clustem.report.layout.maps import bare, grey_limits
from clustem.report.layout.sheet import DOUBLE, Sheet, styled
from clustem.report.layout.values import learned_of

_EDGE, _GAP, _LABEL = 1.5, 2.0, 20.0
_LABELS = ("Measured", "Drawn", "Difference")


@checked
@styled
def reconstructions(segmentation: Segmentation) -> Figure:
    """Draw some rows along the first latent coordinate beside what the decoder makes of them.

    Parameters
    ----------
    segmentation
        Clusters of ``reduce.vae``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide: rows as they are (turned and shifted back),
        as the decoder draws them, and the difference, on one scale each.

    Raises
    ------
    InputError
        If there was no autoencoder.

    Examples
    --------
    >>> from clustem.report.figures.example import example_learned
    >>> len(reconstructions(example_learned()).axes)
    9
    """
    known = learned_of(segmentation)
    if known.examples is None:
        raise InputError(
            "The figure needs some rows and what the decoder draws",
            got="none",
            cure="Run the recipe again.",
        )
    given, drawn = known.examples
    n, image = len(given), len(known.shape) == 2
    width = (DOUBLE - 2 * _EDGE - _LABEL - (n - 1) * _GAP) / n
    height = width * known.shape[0] / known.shape[1] if image else 24.0
    sheet = Sheet(DOUBLE, 3 * (height + _GAP) + 2 * _EDGE)
    rest = given - drawn
    far = max(float(np.quantile(np.abs(rest), 0.995)), 1e-30)
    common = grey_limits(np.concatenate([given, drawn]))
    scales = (common, common, (-far, far))
    for i, (rows, text, (low, high)) in enumerate(
        zip((given, drawn, rest), _LABELS, scales, strict=True)
    ):
        top = _EDGE + i * (height + _GAP)
        sheet.text(_EDGE, top + height / 2, text)
        for j, row in enumerate(rows):
            ax = sheet.axes(_EDGE + _LABEL + j * (width + _GAP), top, width, height)
            bare(ax)
            if image:
                shape = int(known.shape[0]), int(known.shape[1])
                cmap = "gray" if i < 2 else "RdBu_r"
                ax.imshow(row.reshape(shape), cmap=cmap, vmin=low, vmax=high, aspect="auto")
            else:
                ax.plot(row, color="#2f6fae", linewidth=0.5)
                ax.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))
    return sheet.figure
