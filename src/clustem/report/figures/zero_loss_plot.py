"""The zero-loss peak of each cluster, and where it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, checked
from clustem.eels.zero_loss_model import ZeroLossModel
from clustem.report.figures._spectra import ink
from clustem.report.layout.palette import shades
from clustem.report.layout.sheet import DOUBLE, INK, MUTED, Sheet, fitted, styled

_LEFT, _RIGHT, _TOP, _BELOW, _GAP = 14.0, 2.0, 11.5, 10.5, 3.0
_NAME, _ENERGIES = 4.5, 27.0
"""Height of a panel's heading, and width of what it says of energies [mm]."""

_HEIGHT = 44.0
_Limits = tuple[tuple[float, float], tuple[float, float]]
_BAND, _REGION = "#9a9a9a", "#eef0f2"


@checked
@styled
def zero_loss_plot(
    model: ZeroLossModel,
    *,
    names: Mapping[int, str] | None = None,
    color_index: Sequence[int] | None = None,
) -> Figure:
    """Draw each cluster's median spectrum and the model of its zero-loss peak, logarithmically.

    Parameters
    ----------
    model
        A fitted ``eels.ZeroLossModel``.
    names
        Names of clusters, by number.
    color_index
        Place in the palette of each cluster's color (k,): a segmentation's ``color_index``; by
        number if None.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide, a panel for each cluster that has a model of
        its own.

    Raises
    ------
    InputError
        If the model is not fitted.

    Notes
    -----
    The line is the median of the ensemble, the grey band holds 68 % of it. Region II, from E_I to
    E_II, is shaded.

    Examples
    --------
    >>> from clustem.eels import ZeroLossModel
    >>> from clustem.samples import eels
    >>> wedge = eels(shape=(8, 30), jitter=0.0)
    >>> model = ZeroLossModel(n_replicas=8, n_epochs=50).fit(wedge.signal, wedge.labels)
    >>> [ax.get_yscale() for ax in zero_loss_plot(model).axes]
    ['log', 'log', 'log', 'log', 'log']
    """
    if not hasattr(model, "weights_"):
        raise InputError(
            "A plot of the zero-loss peak needs a fitted model",
            got=type(model).__name__,
            cure="Fit it first: ZeroLossModel().fit(signal, segmentation).",
        )
    shown = np.flatnonzero(model.source_ == np.arange(len(model.source_)))
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    width = (DOUBLE - _LEFT - _RIGHT - (columns - 1) * _GAP) / columns
    pitch = _HEIGHT + _GAP + _NAME
    sheet = Sheet(DOUBLE, _TOP + rows * pitch - _GAP - _NAME + _BELOW)
    limits = _limits(model, shown)
    palette = shades(range(len(model.source_)) if color_index is None else color_index)
    for i, k in enumerate(shown):
        row, column = divmod(i, columns)
        place = _LEFT + column * (width + _GAP), _TOP + row * pitch
        ax = sheet.axes(*place, width, _HEIGHT)
        _panel(ax, model, int(k), palette[k], limits)
        name = (names or {}).get(int(k), f"cluster {k}")
        sheet.box(place[0], place[1] - 3.5, 3.2, 2.4, facecolor=palette[k], edgecolor="none")
        sheet.text(place[0] + 4.5, place[1] - 2.3, fitted(name, width - 5 - _ENERGIES))
        last = i + columns >= len(shown)
        ax.tick_params(labelleft=column == 0, labelbottom=last)
        if last:
            ax.set_xlabel("Energy loss (eV)")
        if column == 0:
            ax.set_ylabel("Intensity (counts)")
    _key(sheet)
    return sheet.figure


def _limits(model: ZeroLossModel, shown: NDArray[np.intp]) -> _Limits:
    energy = model.energy_
    first = max(float(energy[0]), -3 * float(model.fwhm_[shown].max()))
    last = min(float(energy[-1]), 1.15 * float(model.cutoff_[shown].max()))
    return (first, last), (0.5, 3 * float(model.spectra_[shown].max()))


def _panel(
    ax: Axes, model: ZeroLossModel, k: int, color: NDArray[np.float64], limits: _Limits
) -> None:
    (first, last), heights = limits
    energy, onset, cutoff = model.energy_, model.onset_[k], model.cutoff_[k]
    ax.axvspan(onset, cutoff, color=_REGION, lw=0, zorder=0)
    spectrum = model.spectra_[k]
    ax.plot(energy, np.where(spectrum > 0, spectrum, np.nan), color=ink(color), lw=1.0)
    fine = np.linspace(max(first, -onset), cutoff, 400)
    band = model.predict(fine)
    ax.fill_between(fine, band.low[k], band.high[k], color=_BAND, alpha=0.55, lw=0)
    ax.plot(fine, band.median[k], color=INK, lw=0.8)
    ax.set_yscale("log")
    ax.set(xlim=(first, last), ylim=heights)
    for at in (onset, cutoff):
        ax.axvline(at, color=MUTED, lw=0.6, ls=(0, (4, 2)))
    ax.annotate(
        rf"$E_\mathrm{{I}}$ {onset:.3g}, $E_\mathrm{{II}}$ {cutoff:.3g} eV",
        (1, 1),
        xycoords="axes fraction",
        xytext=(0, 3.5),
        textcoords="offset points",
        color=MUTED,
        ha="right",
    )


def _key(sheet: Sheet) -> None:
    y = 2.8
    sheet.line([_LEFT, _LEFT + 6], [y, y], color="#2f6fae", linewidth=1.0)
    sheet.text(_LEFT + 7.5, y, "median spectrum, in the cluster's color")
    left = _LEFT + 68
    sheet.box(left, y - 1.2, 6, 2.4, facecolor=_BAND, alpha=0.55, edgecolor="none")
    sheet.line([left, left + 6], [y, y], linewidth=0.8)
    sheet.text(left + 7.5, y, "zero-loss peak and its 68 % band")
    left += 62
    sheet.box(left, y - 1.2, 6, 2.4, facecolor=_REGION, edgecolor="none")
    sheet.text(left + 7.5, y, "region II")
