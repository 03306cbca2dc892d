"""How the clusters of two label maps overlap, neither of them the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from clustem.core import InputError, checked
from clustem.judge.compare import Comparison
from clustem.report.layout.palette import numbers_beside, places_beside, shades
from clustem.report.layout.sheet import INK, MUTED, Sheet, styled, width_of

_CELL, _TOP, _LEFT, _BELOW, _EDGE = 12.0, 20.0, 16.0, 8.0, 3.0
_WIDEST, _MOST = 118.0, 24


@checked
@styled
def agreement(
    comparison: Comparison,
    *,
    color_index: Sequence[int] | None = None,
    titles: tuple[str, str] = ("A", "B"),
) -> Figure:
    """Draw which share of each cluster of a map B lies in which cluster of a map A.

    Parameters
    ----------
    comparison
        From ``compare(a, b)``.
    color_index
        Place in the palette of each cluster's color of A; by number if None. Clusters of B have
        the color of their match, others one that A has not.
    titles
        Names of the two maps.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``: rows are clusters of A, columns those of B in the order of
        their matches, and each column adds up to 100 %, as on the command line.

    Raises
    ------
    InputError
        If there are more labels than a page has room for.

    Examples
    --------
    >>> from clustem.judge import compare
    >>> figure = agreement(compare(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1])))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['66.7', '0.0', '33.3', '100.0']
    """
    rows, columns = comparison.rows.tolist(), comparison.columns.tolist()
    if max(len(rows), len(columns)) > _MOST:
        raise InputError(
            f"A matrix of overlaps has room for {_MOST} labels",
            got=max(len(rows), len(columns)),
            cure="Merge clusters first.",
        )
    partner = comparison.matching
    order = [partner[label] for label in rows if label in partner]
    order += [label for label in columns if label not in order]
    shares = comparison.confusion[:, [columns.index(label) for label in order]]
    same = f"{100 * comparison.accuracy:.2f} % of the positions lie in matched clusters"
    size = min(_CELL, _WIDEST / len(order))
    width, height = size * len(order), max(size, 5.0) * len(rows)
    note = f"adjusted Rand index {comparison.ari:.4f}; each column adds up to 100 %"
    widest = max(_LEFT + width, width_of(same), width_of(note))
    sheet = Sheet(widest + 2 * _EDGE, _TOP + height + _BELOW)
    ax = sheet.axes(_LEFT, _TOP, width, height)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=115, aspect="auto")
    digits = 1 if size > 8.5 else 0
    for (i, j), share in np.ndenumerate(shares):
        color = "white" if share > 60 else INK if share >= 0.05 else MUTED
        ax.text(j, i, f"{share:.{digits}f}", ha="center", va="center", color=color)
    ax.set(xticks=[], yticks=[])
    sheet.text(_EDGE, 3.2, same)
    sheet.text(_EDGE, 7.4, note, color=MUTED)
    number = numbers_beside(partner, rows, columns)
    n_colors = max(*rows, *number.values(), -1) + 1
    palette = shades(places_beside(() if color_index is None else color_index, n_colors))
    ys = _TOP + (np.arange(len(rows)) + 0.5) * height / max(len(rows), 1)
    for y, label in zip(ys.tolist(), rows, strict=True):
        sheet.box(_LEFT - 5.2, y - 1.1, 3.0, 2.2, facecolor=palette[label])
        sheet.text(_LEFT - 6.4, y, f"{titles[0]} {label}", ha="right")
    for j, label in enumerate(order):
        x = _LEFT + (j + 0.5) * size
        sheet.box(x - 1.5, _TOP - 3.6, 3.0, 2.2, facecolor=palette[number[label]])
        text = f"{titles[1]} {label}" if size > 7 else str(label)
        sheet.text(x, _TOP - 6.4, text, ha="center")
    return sheet.figure
