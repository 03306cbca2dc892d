"""Which share of each map the clusters take, along a series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clustem.core import Segmentation
from clustem.judge.area_share import area_share
from clustem.report.figures._spectra import ink
from clustem.report.layout.maps import ROW, names_key
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, Sheet, styled
from clustem.report.layout.units import with_units

_LEFT, _RIGHT, _TOP, _BELOW, _HEIGHT = 14.0, 3.0, 2.5, 10.5, 62.0
_FEW = 40
"""Maps up to which each is marked by a dot."""


@styled
def area_shares(
    maps: Sequence[Segmentation], at: Sequence[float], along: tuple[str, str] = ("map", "")
) -> Figure:
    """Draw the area share of each cluster against the place of its map in a series.

    Parameters
    ----------
    maps
        Results with the same clusters.
    at
        Where each map stands: its number, time or tilt.
    along
        Name and unit of that.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide; bars are 95 % intervals
        (``judge.area_share``).

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> area_shares([example(), example()], [1, 2]).axes[0].get_ylabel()
    'Area share (%)'
    """
    key, lines = names_key(maps[0], DOUBLE - _LEFT - _RIGHT)
    sheet = Sheet(DOUBLE, _TOP + _HEIGHT + _BELOW + lines * ROW + 2)
    ax = sheet.axes(_LEFT, _TOP, DOUBLE - _LEFT - _RIGHT, _HEIGHT)
    found = 100 * np.array([area_share(one) for one in maps])  # (map, (share, low, high), cluster)
    shades, x = palette(maps[0]), np.asarray(at, dtype=np.float64)
    order = np.argsort(x, kind="stable")
    step = float(np.ptp(x)) / max(len(x) - 1, 1) or 1.0
    for i in range(maps[0].n_clusters):
        share, low, high = found[order, :, i].T
        beside = x[order] + (i - (maps[0].n_clusters - 1) / 2) * 0.03 * step
        ax.errorbar(
            beside,
            share,
            [share - low, high - share],
            color=ink(shades[i]),
            marker="o" if len(x) <= _FEW else "",
            ms=2.8,
            linewidth=0.9,
            elinewidth=0.6,
            capsize=0,
        )
    ax.set_ylabel("Area share (%)")
    ax.set_ylim(0, min(1.05 * float(found[:, 2].max()) + 1, 101))
    ax.spines[["top", "right"]].set_visible(False)
    name, unit = along
    ax.set_xlabel(with_units(name.capitalize(), unit) if unit else f"{name.capitalize()} (number)")
    if not unit:
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    key(sheet, _LEFT, _TOP + _HEIGHT + _BELOW + 1)
    return sheet.figure
