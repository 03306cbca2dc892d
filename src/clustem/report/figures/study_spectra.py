"""The spectra of one cluster in all maps of a study, over each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from clustem.core import InputError, Segmentation
from clustem.report.figures._spectra import ink
from clustem.report.layout.extent import axes_of
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, MUTED, Sheet, fitted, styled
from clustem.report.layout.units import with_units

_LEFT, _RIGHT, _TOP, _BELOW = 14.0, 2.0, 2.0, 10.5
_LEAST = 4
"""Positions of a cluster in a map below which its spectrum there is left out."""
_SHOWN = 0.999
"""Share of all counts up to which the axis reaches."""


@styled
def study_spectra(maps: Sequence[Segmentation]) -> Figure:
    """Draw the mean spectrum of each cluster in each map, each divided by its sum.

    Parameters
    ----------
    maps
        Results with the same clusters, whose centers are spectra on one energy axis.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide: one row for each cluster, on a scale of square
        roots; the darkest line is that of the first map. What differs between maps, such as
        absorption or a drift of the energy axis, shows as a line beside the others.

    Raises
    ------
    InputError
        If the centers are no spectra, or of several axes.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> len(study_spectra([example(), example()]).axes) == example().n_clusters
    True
    """
    shapes = {one.centers.data.shape for one in maps}
    if len(shapes) != 1 or len(next(iter(shapes))) != 2:
        raise InputError(
            "Spectra over each other need centers on one energy axis",
            got=", ".join(map(str, sorted(shapes))),
            cure="Draw the centers of each map: study[i].centers.",
        )
    first = maps[0]
    axis = axes_of(first.centers)[-1]
    means = np.array([one.centers.data for one in maps], dtype=np.float64)
    totals = np.abs(means).sum(axis=2, keepdims=True)
    parts = np.divide(means, totals, out=np.zeros_like(means), where=totals > 0)
    mean = np.abs(parts).mean(axis=(0, 1))
    end = int(np.searchsorted(np.cumsum(mean), _SHOWN * mean.sum())) + 1
    k = first.n_clusters
    row = float(np.clip(130 / k, 9, max(24, 42 / k)))
    width = DOUBLE - _LEFT - _RIGHT
    sheet = Sheet(DOUBLE, _TOP + k * row + _BELOW)
    shades = palette(first)
    for i in range(k):
        ax = sheet.axes(_LEFT, _TOP + i * row, width, row)
        for j, one in enumerate(maps):
            if one.counts[i] < _LEAST:
                continue
            light = 0.75 * j / max(len(maps) - 1, 1)
            color = ink(shades[i])[:3] * (1 - light) + light
            values = parts[j, i, :end]
            shown = np.sign(values) * np.sqrt(np.abs(values))
            ax.plot(axis.values[:end], shown, color=color, linewidth=0.6, zorder=-j)
        ax.set(xlim=axis.values[[0, end - 1]], yticks=[])
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(labelbottom=i == k - 1, bottom=i == k - 1)
        name = fitted(first.name_of(i), 40)
        sheet.text(DOUBLE - _RIGHT - 1, _TOP + i * row + 2.5, name, ha="right", color=MUTED)
    sheet.figure.axes[-1].set_xlabel(with_units(axis.name or "Energy", axis.units))
    middle = 1 - (_TOP + k * row / 2) / sheet.height
    sheet.figure.text(
        5 / DOUBLE, middle, "√ (share of the sum)", rotation=90, va="center", ha="center"
    )
    return sheet.figure
