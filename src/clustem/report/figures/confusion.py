"""Confusion matrix of a label map against the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, checked
from clustem.judge.compare import Comparison
from clustem.report.layout.palette import shades
from clustem.report.layout.sheet import INK, MUTED, Sheet, fitted, styled, width_of

_CELL, _TOP, _EDGE, _BELOW, _SCORES = 12.0, 14.0, 3.0, 14.0, 34.0
_NAMES = 40.0  # names longer than this are cut [mm]
_MOST = 24


@checked
@styled
def confusion(
    comparison: Comparison, *, names: Sequence[str] = (), color_index: Sequence[int] | None = None
) -> Figure:
    """Draw the confusion matrix of a comparison in %, with accuracy and F1.

    Parameters
    ----------
    comparison
        From ``compare(labels, truth)``.
    names
        Names of the true labels, by number; their numbers if empty.
    color_index
        Place in the palette of each found cluster's color: a segmentation's ``color_index``; by
        number if None.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``. Each row is a true label and adds up to 100 %; columns are
        the found clusters, in the colors of their map and in the order of their matches,
        unmatched ones last.

    Raises
    ------
    InputError
        If there are more labels than a page has room for.

    Examples
    --------
    >>> from clustem.judge import compare
    >>> figure = confusion(compare(np.array([0, 0, 1, 1]), np.array([1, 1, 0, 1])))
    >>> [text.get_text() for text in figure.axes[0].texts][:2]
    ['100.0', '0.0']
    """
    found, true = comparison.rows.tolist(), comparison.columns.tolist()
    if max(len(found), len(true)) > _MOST:
        raise InputError(
            f"A confusion matrix has room for {_MOST} labels",
            got=max(len(found), len(true)),
            cure="Merge clusters first.",
        )
    partner = {second: first for first, second in comparison.matching.items()}
    order = [partner[label] for label in true if label in partner]
    order += [label for label in found if label not in order]
    shares = comparison.confusion.T[:, [found.index(label) for label in order]]
    called = [names[i] if 0 <= i < len(names) else str(i) for i in true]
    title = (
        f"Accuracy {100 * comparison.accuracy:.2f} %, macro F1 {100 * comparison.macro_f1:.2f} %"
    )
    left = _EDGE + min(max(map(width_of, (*called, "truth"))), _NAMES) + 2.5
    size = min(_CELL, 118 / len(order))
    width, height = size * len(order), max(size, 5.0) * len(true)
    sheet = Sheet(max(left + width + _SCORES, width_of(title) + 2 * _EDGE), _TOP + height + _BELOW)
    ax = sheet.axes(left, _TOP, width, height)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=115, aspect="auto")
    digits = 1 if size > 8.5 else 0
    for (i, j), share in np.ndenumerate(shares):
        color = "white" if share > 60 else INK if share >= 0.05 else MUTED
        ax.text(j, i, f"{share:.{digits}f}", ha="center", va="center", color=color)
    ax.set(xticks=[], yticks=[])
    ax.set_xticks(np.arange(len(order) - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(true) - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=0.8)
    ax.tick_params(which="both", length=0)
    sheet.text(_EDGE, 3.2, title)
    sheet.text(_EDGE, 7.4, f"adjusted Rand index {comparison.ari:.4f}", color=MUTED)
    palette = shades(range(max(order, default=0) + 1) if color_index is None else color_index)
    found_ones = [(label, palette[label]) for label in order]
    _edges(sheet, comparison, called, found_ones, (left, width, height))
    return sheet.figure


def _edges(
    sheet: Sheet,
    comparison: Comparison,
    called: list[str],
    found: list[tuple[int, NDArray[np.float64]]],
    box: tuple[float, float, float],
) -> None:
    """Write what stands around the matrix: true names, found clusters with their colors, scores."""
    left, width, height = box
    step, line = width / len(found), height / len(called)
    sheet.text(_EDGE, _TOP - 2.5, "truth", color=MUTED)
    for j, (label, color) in enumerate(found):
        x = left + (j + 0.5) * step
        sheet.box(x - 1.5, _TOP + height + 1.2, 3.0, 2.2, facecolor=color)
        sheet.text(x, _TOP + height + 5.6, str(label), ha="center")
    text = "found cluster; each row adds up to 100 %"
    sheet.text(left, _TOP + height + 10.4, text, color=MUTED)
    for j, head in enumerate(("precision", "F1")):
        place = left + width + 18 + 13 * j, _TOP - 2.5
        sheet.text(*place, head, color=MUTED, ha="right")
    for i, label in enumerate(comparison.columns.tolist()):
        y = _TOP + (i + 0.5) * line
        sheet.text(left - 1.5, y, fitted(called[i], _NAMES), ha="right")
        for j, score in enumerate((comparison.precision[label], comparison.f1[label])):
            place = left + width + 18 + 13 * j, y
            sheet.text(*place, f"{100 * score:.1f}", ha="right")
