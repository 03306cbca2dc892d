"""How much each component explains."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, PCAInfo, Segmentation, checked
from clustem.report.layout.sheet import MUTED, SINGLE, Sheet, styled

_BLUE, _PALE = "#2f6fae", "#9a9a9a"


@checked
@styled
def scree(segmentation: Segmentation, *, limit: Annotated[int, Ge(1)] = 30) -> Figure:
    """Draw the share of the variance that each component explains, and which were kept.

    Parameters
    ----------
    segmentation
        Clusters of principal components.
    limit
        Largest number of components to show.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 89 mm wide.

    Raises
    ------
    InputError
        If there was no PCA.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> scree(example()).axes[0].get_yscale()
    'log'
    """
    known = segmentation.find(PCAInfo)
    if known is None:
        raise InputError(
            "A scree plot needs the explained variance of a reduction",
            got="clusters of features without one",
            cure="Put a reduction such as pca before the clustering.",
        )
    percent = 100 * np.asarray(known.explained_variance_ratio, dtype=float)[:limit]
    number = np.arange(1, len(percent) + 1)
    shown = percent > 0
    used = shown & (number <= known.n_components)
    sheet = Sheet(SINGLE, 60)
    ax = sheet.axes(14, 3, SINGLE - 17, 47)
    ax.plot(number[shown], percent[shown], color=_PALE, linewidth=0.7, zorder=1)
    ax.plot(number[used], percent[used], "o", color=_BLUE, ms=4, label=f"kept: {used.sum()}")
    rest = shown & ~used
    ax.plot(number[rest], percent[rest], "o", mfc="white", mec=_PALE, mew=0.8, ms=3.5)
    floor = 100 * known.noise_floor
    if 0 < floor < np.inf:
        ax.axhline(floor, color=MUTED, linewidth=0.7, linestyle=(0, (4, 2)))
        below = np.median(percent[-10:]) > floor  # keep clear of the dots at the right
        ax.annotate(
            "noise floor",
            (1, floor),
            xycoords=("axes fraction", "data"),
            xytext=(-3, -3 if below else 2),
            textcoords="offset points",
            ha="right",
            va="top" if below else "bottom",
            color=MUTED,
        )
    ax.set_yscale("log")
    _percent_axis(ax, percent[shown], floor)
    ax.set(xlabel="Component (number)", ylabel="Explained variance (%)")
    ax.set_xticks(number if len(number) < 11 else [1, *range(5, len(number) + 1, 5)])
    ax.set_xlim(0.4, len(percent) + 0.6)
    ax.spines[["top", "right"]].set_visible(False)
    if used.any():
        ax.legend(frameon=False, loc="upper right", handletextpad=0.2, borderaxespad=0.2)
    return sheet.figure


def _percent_axis(ax: Axes, percent: NDArray[np.float64], floor: float) -> None:
    """Plain numbers, with at least a decade in view so that the axis has labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    values = [*percent, floor] if floor else list(percent)
    low, high = (min(values), max(values)) if values else (1.0, 100.0)
    low, high = low / 1.6, high * 1.6
    if high / low < 20:
        low = high / 20
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if high / low < 300 else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
