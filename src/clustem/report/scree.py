"""How much each component explains."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from clustem.model import InputError, Projection, checked
from clustem.report._sheet import MUTED, SINGLE, SIZE, Sheet, styled

_BLUE, _PALE = "#2f6fae", "#9a9a9a"


@checked
@styled
def scree(projection: Projection, *, limit: Annotated[int, Ge(1)] = 30) -> Any:
    """Draw the share of the variance that each component explains, and which were kept.

    Parameters
    ----------
    projection
        With ``details["explained_variance_ratio"]``; ``"noise_floor"`` (share up to which a
        component may be noise) and ``"n_components"`` are drawn where they are known.
    limit
        Largest number of components to show.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 89 mm wide.

    Raises
    ------
    InputError
        If the projection does not know the explained variance.

    Examples
    --------
    >>> from clustem.report._example import example
    >>> scree(example()).axes[0].get_yscale()
    'log'
    """
    details = projection.details
    if "explained_variance_ratio" not in details:
        raise InputError(
            "A scree plot needs the explained variance of a reduction",
            got="a projection without details['explained_variance_ratio']",
            cure="Put a reduction such as pca before the clustering.",
        )
    percent = 100 * np.asarray(details["explained_variance_ratio"], dtype=float).ravel()[:limit]
    number = np.arange(1, len(percent) + 1)
    kept = int(details.get("n_components") or projection.points.shape[1])
    shown = percent > 0
    used = shown & (number <= kept)
    sheet = Sheet(SINGLE, 60)
    ax = sheet.axes(14, 3, SINGLE - 17, 47)
    ax.plot(number[shown], percent[shown], color=_PALE, linewidth=0.7, zorder=1)
    ax.plot(number[used], percent[used], "o", color=_BLUE, ms=4, label=f"kept: {used.sum()}")
    rest = shown & ~used
    ax.plot(number[rest], percent[rest], "o", mfc="white", mec=_PALE, mew=0.8, ms=3.5)
    floor = details.get("noise_floor")
    if floor is not None and np.isfinite(floor) and floor > 0:
        ax.axhline(100 * floor, color=MUTED, linewidth=0.7, linestyle=(0, (4, 2)))
        below = np.median(percent[-10:]) > 100 * floor  # keep clear of the dots at the right
        ax.annotate(
            "noise floor",
            (1, 100 * floor),
            xycoords=("axes fraction", "data"),
            xytext=(-3, -3 if below else 2),
            textcoords="offset points",
            ha="right",
            va="top" if below else "bottom",
            color=MUTED,
            size=SIZE - 1,
        )
    ax.set_yscale("log")
    _percent_axis(ax, percent[shown], None if floor is None else 100 * floor)
    ax.set(xlabel="Component (number)", ylabel="Explained variance (%)")
    ax.set_xticks(number if len(number) < 11 else [1, *range(5, len(number) + 1, 5)])
    ax.set_xlim(0.4, len(percent) + 0.6)
    ax.spines[["top", "right"]].set_visible(False)
    if used.any():
        ax.legend(frameon=False, loc="upper right", handletextpad=0.2, borderaxespad=0.2)
    return sheet.figure


def _percent_axis(ax: Any, percent: Any, floor: float | None) -> None:
    """Plain numbers, with at least a decade in view so that the axis has labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator  # noqa: PLC0415  # 0.3 s

    values = [*percent, floor] if floor else list(percent)
    low, high = (min(values), max(values)) if values else (1.0, 100.0)
    low, high = low / 1.6, high * 1.6
    if high / low < 20:
        low = high / 20
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5) if high / low < 300 else (1,)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(FuncFormatter(lambda *_: ""))
