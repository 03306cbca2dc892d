"""The scores over k, and the number of clusters that they recommend."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.judge.choose_k import KChoice
from clustem.report.layout.sheet import DOUBLE, MUTED, Sheet, styled

F64 = NDArray[np.float64]
_COLUMNS, _EDGE, _LEFT, _ABOVE = 3, 1.5, 14.0, 7.5
_WIDTH, _HEIGHT, _BELOW = 45.0, 30.0, 11.0
_LINE = 4.2  # height of a line of text [mm]
_CHARACTERS = 125  # of a line of text that fits
_FIRST, _SECOND, _CHOSEN = "#2f6fae", "#9a9a9a", "#c2492b"
_PANELS = (
    ("Held-out log-likelihood", "Gain per 1000 counts", ("held-out",)),
    ("Weakest gap", "Strength", ("weakest gap",)),
    ("Gap statistic", "Gap", ("gap", "gap, along features")),
    ("Silhouette", "Silhouette", ("silhouette", "simplified silhouette")),
    ("Stability", "Adjusted Rand index", ("stability of halves", "stability of starts")),
    ("Davies–Bouldin (small is good)", "Index", ("Davies-Bouldin",)),
    ("Inertia", "Inertia (% of the first)", ("inertia",)),
)
_NAMES = {
    "gap": "principal axes",
    "gap, along features": "features",
    "silhouette": "to rows",
    "simplified silhouette": "to means",
    "stability of halves": "halves",
    "stability of starts": "other seeds",
}


@styled
def k_choice(choice: KChoice) -> Figure:
    """Draw the scores over k with the recommended number of clusters marked.

    Parameters
    ----------
    choice
        From ``judge.choose_k``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide: the choice in words, and panels.

    Examples
    --------
    >>> from clustem.cluster import KMeans
    >>> from clustem.judge import choose_k
    >>> rows = np.random.default_rng(0).normal(size=(200, 2)) + 9 * (np.arange(200) % 2)[:, None]
    >>> figure = k_choice(choose_k(rows, KMeans, range(1, 4)))
    >>> [ax.get_title() for ax in figure.axes][:2]
    ['Weakest gap', 'Gap statistic']
    """
    text = textwrap.wrap(choice.summary, _CHARACTERS)
    top = _EDGE + _LINE * len(text)
    known = {name for name, values in choice.scores.items() if np.isfinite(values).any()}
    panels = [panel for panel in _PANELS if known.intersection(panel[2])]
    n_rows = -(-len(panels) // _COLUMNS)
    sheet = Sheet(DOUBLE, top + n_rows * (_ABOVE + _HEIGHT + _BELOW))
    for i, line in enumerate(text):
        sheet.text(_EDGE, _EDGE + _LINE * (i + 0.5), line)
    for i, (title, label, names) in enumerate(panels):
        row, column = divmod(i, _COLUMNS)
        left = _LEFT + column * (_WIDTH + _LEFT + 1.5)
        ax = sheet.axes(left, top + _ABOVE + row * (_ABOVE + _HEIGHT + _BELOW), _WIDTH, _HEIGHT)
        ax.set_title(title, pad=4)
        ax.set(xlabel="Number of clusters k", ylabel=label)
        _draw(ax, choice, names)
    return sheet.figure


def _draw(ax: Axes, choice: KChoice, names: tuple[str, ...]) -> None:
    ks = np.array(choice.ks)
    for name, color in zip(names, (_FIRST, _SECOND), strict=False):
        values = choice.scores.get(name, np.full(len(ks), np.nan))
        error = choice.scores.get(f"{name}: error")
        if name == "inertia":
            values = 100 * values / (values[0] or 1.0)
        elif name == "held-out":
            values, error = 1000 * values, None if error is None else 1000 * error
        known = np.isfinite(values)
        ax.errorbar(
            ks[known],
            values[known],
            None if error is None else error[known],
            color=color,
            marker="o",
            ms=2.6,
            linewidth=0.8,
            elinewidth=0.7,
            capsize=1.2,
            label=_NAMES.get(name),
        )
        here = known & (ks == choice.k)
        ax.plot(ks[here], values[here], "o", color=_CHOSEN, ms=4.5, zorder=5)
    if names == ("weakest gap",):
        ax.axhline(KChoice.gap_threshold, color=MUTED, linewidth=0.7, linestyle=(0, (4, 2)))
        top = max(ax.get_ylim()[1], 1.5 * KChoice.gap_threshold)
        ax.set_ylim(0, top)
        ax.annotate(
            "a gap", (1, KChoice.gap_threshold), xycoords=("axes fraction", "data"),
            xytext=(-1, 2), textcoords="offset points", ha="right", color=MUTED,
        )  # fmt: skip
    if len(names) > 1:
        low, high = ax.get_ylim()
        ax.set_ylim(low, high + 0.3 * (high - low))  # room for the legend
        tight = {"handlelength": 1.2, "columnspacing": 0.8, "handletextpad": 0.4}
        plain = {"edgecolor": "none", "framealpha": 0.9}
        ax.legend(ncols=2, loc="upper right", **tight, **plain)
    ax.axvline(choice.k, color=_CHOSEN, linewidth=0.6, alpha=0.6, zorder=0)
    ax.set_xlim(min(ks[0], choice.k) - 0.5, max(ks[-1], choice.k) + 0.5)
    ax.set_xticks(ks if len(ks) <= 12 else ks[:: -(-len(ks) // 10)])
    ax.locator_params(axis="y", nbins=5)
    ax.spines[["top", "right"]].set_visible(False)
