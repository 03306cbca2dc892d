"""Confusion matrix of a label map against the truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clustem.judge.compare import Comparison
from clustem.model import InputError, checked
from clustem.report._sheet import INK, MUTED, SIZE, Sheet, fitted, styled

_CELL, _LEFT, _TOP, _EDGE = 12.0, 28.0, 9.0, 3.0


@checked
@styled
def confusion(comparison: Comparison, *, names: Sequence[str] = ()) -> Any:
    """Draw the confusion matrix of a comparison in %, with accuracy and F1.

    Parameters
    ----------
    comparison
        From ``compare(labels, truth)``.
    names
        Names of the true labels, by number; their numbers if empty.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``. Each row is a true label and adds up to 100 %; columns are
        the found clusters in the order of their matches, unmatched ones last.

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
    if max(len(found), len(true)) > 24:
        raise InputError(
            "A confusion matrix has room for 24 labels",
            got=max(len(found), len(true)),
            cure="Merge clusters first.",
        )
    partner = {second: first for first, second in comparison.matching.items()}
    order = [partner[label] for label in true if label in partner]
    order += [label for label in found if label not in order]
    shares = comparison.confusion.T[:, [found.index(label) for label in order]]
    size = min(_CELL, 150 / len(order))
    width, height = size * len(order), size * len(true)
    sheet = Sheet(max(_LEFT + width + 34, 70), _TOP + height + 22)
    ax = sheet.axes(_LEFT, _TOP, width, height)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=115, aspect="auto")
    for i, row in enumerate(shares):
        for j, share in enumerate(row):
            color = "white" if share > 60 else INK if share >= 0.05 else MUTED
            ax.text(j, i, f"{share:.1f}", ha="center", va="center", color=color, size=SIZE - 1)
    called = [names[i] if 0 <= i < len(names) else str(i) for i in true]
    ax.set_yticks(range(len(true)), [fitted(name, _LEFT - 7) for name in called])
    ax.set_xticks(range(len(order)), [str(label) for label in order])
    ax.set_xticks(np.arange(len(order) - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(len(true) - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="white", linewidth=0.8)
    ax.tick_params(which="both", length=0)
    ax.set_xlabel("found cluster")
    sheet.text(_EDGE, _TOP - 3, "truth, each row 100 %", color=MUTED, size=SIZE - 0.5)
    for j, head in enumerate(("precision", "F1 [%]")):
        place = _LEFT + width + 15 + 14 * j, _TOP - 3
        sheet.text(*place, head, color=MUTED, size=SIZE - 0.5, ha="right")
    precision, f1 = comparison.precision, comparison.f1
    for i, label in enumerate(true):
        for j, score in enumerate((precision[label], f1[label])):
            place = _LEFT + width + 14 + 13 * j, _TOP + (i + 0.5) * size
            sheet.text(*place, f"{100 * score:.1f}", size=SIZE - 0.5, ha="right")
    summary = f"Accuracy {100 * comparison.accuracy:.2f} %, F1 {100 * comparison.macro_f1:.2f} %"
    sheet.text(_EDGE, _TOP + height + 14, summary)
    sheet.text(_EDGE, _TOP + height + 18.5, f"adjusted Rand index {comparison.ari:.4f}")
    return sheet.figure
