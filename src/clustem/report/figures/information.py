"""What each signal of a scan tells about the clusters."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from clustem.report.layout.sheet import FAINT, INK, SINGLE, Sheet, fitted, styled, width_of

_EDGE, _BAR, _BELOW, _NAMES = 2.0, 6.0, 10.0, 28.0


@styled
def information(told: Mapping[str, float], together: float, entropy: float) -> Figure:
    """Draw the information about the cluster of a position in each signal by itself, and in all.

    Parameters
    ----------
    told
        Information by the name of the signal [bits].
    together
        Of all signals [bits].
    entropy
        What it takes to say which cluster a position is of [bits].

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 89 mm wide.

    Examples
    --------
    >>> len(information({"eels": 0.7, "eds": 0.3}, 0.9, 1.5).axes)
    1
    """
    names = [*told, "all together"]
    values = [*told.values(), together]
    left = _EDGE + min(max(map(width_of, names)), _NAMES) + 3
    sheet = Sheet(SINGLE, _EDGE + _BAR * len(names) + _BELOW)
    ax = sheet.axes(left, _EDGE, SINGLE - left - 3, _BAR * len(names))
    shades = [FAINT] * len(told) + [INK]
    ax.barh(range(len(names)), values, color=shades, height=0.62, edgecolor=INK, linewidth=0.4)
    ax.axvline(entropy, color=INK, linewidth=0.8, linestyle=(0, (3, 2)))
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlim(0, 1.05 * max(entropy, *values, 1e-3))
    ax.set_yticks(range(len(names)), [fitted(name, _NAMES) for name in names])
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel("Information about the cluster (bits)")
    return sheet.figure
