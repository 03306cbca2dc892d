"""Which maps of a study differ most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from clustem.core import Segmentation
from clustem.judge.area_share import area_share
from clustem.report.layout.maps import CMAP, color_bar
from clustem.report.layout.sheet import SINGLE, Sheet, fitted, styled, width_of

_EDGE, _BAR, _NAMES, _FEW = 1.5, 16.0, 30.0, 24


@styled
def map_differences(maps: Sequence[Segmentation], titles: Sequence[str]) -> Figure:
    """Draw how much the area shares of any two maps differ.

    Parameters
    ----------
    maps
        Results with the same clusters.
    titles
        Name of each.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 89 mm wide: the total variation, half of the sum of the
        absolute differences of the shares: 0 for equal maps, 100 % for maps without a common
        cluster.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> len(map_differences([example(), example()], ["one", "two"]).axes)
    2
    """
    shares = np.array([area_share(one)[0] for one in maps])
    apart = 50 * np.abs(shares[:, None] - shares).sum(axis=2)
    named = len(maps) <= _FEW
    left = _EDGE + (min(max(map(width_of, titles)), _NAMES) + 2 if named else 8)
    side = SINGLE - left - _BAR
    sheet = Sheet(SINGLE, _EDGE + side + 9)
    ax = sheet.axes(left, _EDGE, side, side)
    drawn = ax.imshow(apart, cmap=CMAP, vmin=0, vmax=max(float(apart.max()), 1e-9))
    ax.set_xticks([])
    ax.set_yticks(range(len(maps)) if named else [])
    if named:
        short = [fitted(title, _NAMES) for title in titles]
        if len(set(short)) < len(short):  # what tells them apart is at their ends
            short = [fitted(f"{i}: {title}", _NAMES) for i, title in enumerate(titles, 1)]
        ax.set_yticklabels(short)
    ax.tick_params(length=0)
    ax.set_xlabel("Map, in the same order")
    color_bar(sheet, drawn, (left + side + 3, _EDGE, side), label="Difference of area shares (%)")
    return sheet.figure
