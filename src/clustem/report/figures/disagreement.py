"""Where two label maps of the same scan differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, Signal, checked
from clustem.judge.compare import compare
from clustem.report.layout.extent import Frame, axes_of, frame_of
from clustem.report.layout.maps import BAR, EXCLUDED, draw_map, scale_bar
from clustem.report.layout.palette import numbers_beside, places_beside, shades
from clustem.report.layout.placed import draw_placed, image_frame, is_placed, patches_of
from clustem.report.layout.sheet import DOUBLE, MUTED, Sheet, fitted, styled

Labels = NDArray[np.integer[Any]]
"""Integers, negative where there are no labels."""
_EDGE, _GAP, _TITLE, _TALLEST = 1.5, 4.0, 5.5, 110.0
_AGREE = (0.90, 0.90, 0.90)


@checked
@styled
def disagreement(
    first: Segmentation | Signal | Labels,
    second: Segmentation | Signal | Labels,
    *,
    titles: tuple[str, str] = ("Found", "Truth"),
) -> Figure:
    """Draw two label maps in matching colors, and the places where they differ.

    Parameters
    ----------
    first
        Segmentation, HyperSpy signal or integer array (rows, columns); negative = unassigned. The
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
    placed = first if isinstance(first, Segmentation) and is_placed(first) else None
    a, b = label_array(first), label_array(second)
    if a.shape != b.shape:
        a, b = (compare(x, y, binning="nearest").labels for x, y in ((a, b), (b, a)))
    if a.ndim != 2 and placed is None:
        raise InputError(
            "Maps of disagreement need two-dimensional label maps",
            got=f"{a.ndim} axes",
            cure="Compare them by their scores only.",
        )
    found = compare(a, b)
    labelled = (a >= 0) & (b >= 0)
    number = numbers_beside(found.matching, _present(a), _present(b))
    alike = np.full(b.shape, -1, dtype=np.int64)
    for label, own in number.items():
        alike[b == label] = own
    differ = labelled & (a != alike)
    k = int(max(a.max(), alike.max())) + 1
    color_index = places_beside(first.color_index if isinstance(first, Segmentation) else (), k)
    frame = _frame(first, a.shape) if placed is None else image_frame(patches_of(placed))
    width = min((DOUBLE - 2 * _EDGE - 2 * _GAP) / 3, _TALLEST * frame.aspect)
    height = width / frame.aspect
    sheet = Sheet(DOUBLE, 2 * _EDGE + _TITLE + height + BAR)
    share = f"Different: {100 * differ.sum() / labelled.sum():.2f} %"
    for i, (labels, title) in enumerate(zip((a, alike, a), (*titles, share), strict=True)):
        left = _EDGE + i * (width + _GAP)
        sheet.text(left, _EDGE + 2.2, fitted(title, width))
        ax = sheet.axes(left, _EDGE + _TITLE, width, height)
        shown = np.ones(a.shape, dtype=bool) if i < 2 else differ
        if placed is not None:
            drawn = _relabelled(placed, np.where(shown, labels, -1), color_index)
            draw_placed(ax, drawn, frame, width=width, few=i == 2)
        else:
            draw_map(ax, _painted(labels, color_index, shown=shown, labelled=labelled), frame)
    scale_bar(sheet, _EDGE, _EDGE + _TITLE + height, width, frame)
    note = "grey: both agree" if placed is None else "only where they differ"
    y = _EDGE + _TITLE + height + 2.0
    sheet.text(DOUBLE - _EDGE, y, note, ha="right", color=MUTED)
    return sheet.figure


def label_array(labels: Segmentation | Signal | Labels) -> Labels:
    """Return labels as an array."""
    source = labels.labels if isinstance(labels, Segmentation) else labels
    return np.asarray(source.data if isinstance(source, Signal) else source)


def _frame(labels: Segmentation | Signal | Labels, shape: tuple[int, ...]) -> Frame:
    source = labels.labels if isinstance(labels, Segmentation) else labels
    if isinstance(source, Signal):
        known = frame_of(axes_of(source)[-2:])
        finer = known.shape[0] / shape[0], known.shape[1] / shape[1]
        return Frame(
            (shape[0], shape[1]), known.height * finer[0], known.width * finer[1], known.units
        )
    return Frame((shape[0], shape[1]), 1.0, 1.0, "px")


def _present(labels: Labels) -> list[int]:
    found: list[int] = np.unique(labels[labels >= 0]).tolist()
    return found


def _painted(
    labels: Labels,
    color_index: tuple[int, ...],
    *,
    shown: NDArray[np.bool_],
    labelled: NDArray[np.bool_],
) -> NDArray[np.float64]:
    from matplotlib.colors import to_rgb

    lookup = np.vstack([shades(color_index)[:, :3], to_rgb(EXCLUDED)])  # the last is for -1
    image: NDArray[np.float64] = lookup[np.where(labels < 0, -1, labels)]
    image[~shown & labelled] = _AGREE
    image[~labelled & ~shown] = to_rgb(EXCLUDED)
    return image


def _relabelled(first: Segmentation, labels: Labels, color_index: tuple[int, ...]) -> Segmentation:
    """Give a segmentation other labels; patches without one are not drawn."""
    signal = first.labels.deepcopy()
    signal.data = labels.astype(np.int16)
    counts = np.zeros(len(color_index), dtype=np.int64)
    mask = first.mask | (labels < 0)
    return replace(first, labels=signal, counts=counts, color_index=color_index, mask=mask)
