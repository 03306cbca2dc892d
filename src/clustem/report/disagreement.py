"""Where two label maps of the same scan differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.judge.compare import compare
from clustem.model import InputError, Projection, checked
from clustem.report._maps import BAR, EXCLUDED, draw_map, scale_bar
from clustem.report._palette import shades
from clustem.report._placed import draw_placed, image_frame, is_placed
from clustem.report._scan import Frame, axes_of, frame_of
from clustem.report._sheet import DOUBLE, MUTED, SIZE, Sheet, fitted, styled

_EDGE, _GAP, _TITLE, _TALLEST = 1.5, 4.0, 5.5, 110.0
_AGREE = (0.90, 0.90, 0.90)


@checked
@styled
def disagreement(first: Any, second: Any, *, titles: tuple[str, str] = ("Found", "Truth")) -> Any:
    """Draw two label maps in matching colors, and the places where they differ.

    Parameters
    ----------
    first
        Projection, HyperSpy signal or integer array (rows, columns); negative = unassigned. The
        patches of an image are drawn where they lie in it.
    second
        HyperSpy signal or integer array of the same shape, or of one that is binned by whole
        factors; negative = not labelled.
    titles
        What to write above each.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide: both maps, and beside them the labels of the
        first where they differ. Grey: both agree; white: not labelled in both.

    Raises
    ------
    InputError
        If the shapes do not fit, or the labels are not of a map.

    Notes
    -----
    Numbers are matched by the largest total overlap, as ``compare`` does it.

    Examples
    --------
    >>> figure = disagreement(np.array([[0, 0, 1], [0, 1, 1]]), np.array([[1, 1, 0], [1, 1, 0]]))
    >>> [text.get_text() for text in figure.texts][:3]
    ['Found', 'Truth', 'Different: 16.67 %']
    """
    placed = isinstance(first, Projection) and is_placed(first)
    a, b = _array(first), _array(second)
    if a.shape != b.shape:
        a, b = (compare(x, y, binning="nearest").labels for x, y in ((a, b), (b, a)))
    if a.ndim != 2 and not placed:
        raise InputError(
            "Maps of disagreement need two-dimensional label maps",
            got=f"{a.ndim} axes",
            cure="Compare them by their scores only.",
        )
    found = compare(a, b)
    labelled = (a >= 0) & (b >= 0)
    alike = _renumbered(b, found.matching, int(a.max()) + 1)
    differ = labelled & (a != alike)
    hues = _hues(first, int(max(a.max(), alike.max())) + 1)
    frame = image_frame(first) if placed else _frame(first, a.shape)
    width = min((DOUBLE - 2 * _EDGE - 2 * _GAP) / 3, _TALLEST * frame.aspect)
    height = width / frame.aspect
    sheet = Sheet(DOUBLE, 2 * _EDGE + _TITLE + height + BAR)
    share = f"Different: {100 * differ.sum() / labelled.sum():.2f} %"
    for i, (labels, title) in enumerate(zip((a, alike, a), (*titles, share), strict=True)):
        left = _EDGE + i * (width + _GAP)
        sheet.text(left, _EDGE + 2.2, fitted(title, width))
        ax = sheet.axes(left, _EDGE + _TITLE, width, height)
        shown = np.ones(a.shape, dtype=bool) if i < 2 else differ
        if placed:
            drawn = _relabelled(first, np.where(shown, labels, -1), hues)
            draw_placed(ax, drawn, frame, width=width, few=i == 2)
        else:
            draw_map(ax, _painted(labels, hues, shown=shown, labelled=labelled), frame)
    scale_bar(sheet, _EDGE, _EDGE + _TITLE + height, width, frame)
    note = "grey: both agree" if not placed else "only where they differ"
    y = _EDGE + _TITLE + height + 2.0
    sheet.text(DOUBLE - _EDGE, y, note, ha="right", color=MUTED, size=SIZE - 1)
    return sheet.figure


def _array(labels: Any) -> NDArray[Any]:
    source = labels.labels if isinstance(labels, Projection) else labels
    return np.asarray(source.data if hasattr(source, "axes_manager") else source)


def _frame(labels: Any, shape: tuple[int, ...]) -> Frame:
    source = labels.labels if isinstance(labels, Projection) else labels
    if hasattr(source, "axes_manager"):
        known = frame_of(axes_of(source)[-2:])
        finer = known.shape[0] / shape[0], known.shape[1] / shape[1]
        return Frame(
            (shape[0], shape[1]), known.height * finer[0], known.width * finer[1], known.units
        )
    return Frame((shape[0], shape[1]), 1.0, 1.0, "px")


def _renumbered(labels: NDArray[Any], matching: dict[int, int], free: int) -> NDArray[np.int64]:
    """Give labels of the second map the numbers of their matches, others the next free ones."""
    number = {second: first for first, second in matching.items()}
    out = np.full(labels.shape, -1, dtype=np.int64)
    for label in np.unique(labels[labels >= 0]).tolist():
        if label not in number:
            number[label] = free
            free += 1
        out[labels == label] = number[label]
    return out


def _painted(
    labels: NDArray[Any],
    hues: tuple[int, ...],
    *,
    shown: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
) -> NDArray[np.float64]:
    from matplotlib.colors import to_rgb  # noqa: PLC0415  # 0.3 s

    lookup = np.vstack([shades(hues)[:, :3], to_rgb(EXCLUDED)])  # the last is for -1
    image: NDArray[np.float64] = lookup[np.where(labels < 0, -1, labels)]
    image[~shown & labelled] = _AGREE
    image[~labelled & ~shown] = to_rgb(EXCLUDED)
    return image


def _hues(first: Any, k: int) -> tuple[int, ...]:
    """Places in the palette: those that a result has, then the next free ones."""
    own = first.hues[:k] if isinstance(first, Projection) else ()
    free = [place for place in range(k + len(own)) if place not in own]
    return (*own, *free)[:k]


def _relabelled(first: Projection, labels: NDArray[Any], hues: tuple[int, ...]) -> Projection:
    """Give a projection other labels; patches without one are not drawn."""
    signal = first.labels.deepcopy()
    signal.data = labels.astype(np.int16)
    counts = np.zeros(len(hues), dtype=np.int64)
    mask = first.mask | (labels < 0)
    return replace(first, labels=signal, counts=counts, colors=hues, mask=mask)
