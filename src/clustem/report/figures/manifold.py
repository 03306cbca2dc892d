"""What the decoder draws over the plane of the first two latent coordinates."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, checked
from clustem.report.layout.maps import bare, grey_limits
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import DOUBLE, Sheet, styled
from clustem.report.layout.values import learned_of

F32 = NDArray[np.float32]
_EDGE, _LABEL, _GAP, _HALF = 1.5, 11.0, 6.0, 82.0


@checked
@styled
def manifold(segmentation: Segmentation) -> Figure:
    """Draw the decoder's picture of a grid over the latent plane, and the rows in that plane.

    Parameters
    ----------
    segmentation
        Clusters of ``reduce.vae``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide: on the left images or spectra at their place,
        on the right the rows in the colors of their clusters, on the same axes.

    Raises
    ------
    InputError
        If there was no autoencoder.

    Examples
    --------
    >>> from clustem.report.figures.example import example_learned
    >>> len(manifold(example_learned()).axes)
    2
    """
    known = learned_of(segmentation)
    if known.manifold is None or known.manifold_at is None:
        raise InputError(
            "The figure needs what the decoder draws",
            got="none",
            cure="Run the recipe again.",
        )
    sheet = Sheet(DOUBLE, _HALF + _LABEL + 2 * _EDGE)
    across, down = known.manifold_at
    reach = [_ends(across), _ends(down[::-1])]
    left = _EDGE + _LABEL
    ax = sheet.axes(left, _EDGE, _HALF, _HALF)
    if len(known.shape) == 2:
        _images(ax, known.manifold, (int(known.shape[0]), int(known.shape[1])), reach)
    else:
        _curves(ax, known.manifold, across, down)
    other = sheet.axes(left + _HALF + _GAP, _EDGE, DOUBLE - left - _HALF - _GAP - _EDGE, _HALF)
    _rows(other, segmentation)
    names = segmentation.feature_names
    for one in (ax, other):
        bare(one)
        one.set(xlim=reach[0], ylim=reach[1])
        one.set_xticks(across[:: max((len(across) - 1) // 2, 1)])
        one.xaxis.set_major_formatter("{x:.1f}")
        one.set_xlabel(names[0] if names else "")
    ax.set_yticks(down[:: max((len(down) - 1) // 2, 1)])
    ax.yaxis.set_major_formatter("{x:.1f}")
    ax.set_ylabel(names[1] if len(names) > 1 else "")
    return sheet.figure


def _ends(lines: F32) -> tuple[float, float]:
    """Return the ends of an axis on which each line of the grid has a cell of its own."""
    half = max(float(lines[-1] - lines[0]) / max(len(lines) - 1, 1), 1e-6) / 2
    return float(lines[0]) - half, float(lines[-1]) + half


def _images(ax: Axes, drawn: F32, shape: tuple[int, int], reach: list[tuple[float, float]]) -> None:
    g = len(drawn)
    mosaic = drawn.reshape(g, g, *shape).transpose(0, 2, 1, 3).reshape(g * shape[0], g * shape[1])
    low, high = grey_limits(mosaic)
    extent = (*reach[0], *reach[1])
    ax.imshow(mosaic, extent=extent, aspect="auto", cmap="gray", vmin=low, vmax=high)


def _curves(ax: Axes, drawn: F32, across: F32, down: F32) -> None:
    wide, high = (abs(float(line[-1] - line[0])) / max(len(line) - 1, 1) for line in (across, down))
    low, top = float(drawn.min()), float(drawn.max())
    x = np.linspace(-0.45, 0.45, drawn.shape[-1]) * wide
    for i, y in enumerate(down):
        for j, at in enumerate(across):
            share = (drawn[i, j] - low) / max(top - low, 1e-30)
            ax.plot(at + x, y + high * (0.9 * share - 0.45), color="#2f6fae", linewidth=0.4)


def _rows(ax: Axes, segmentation: Segmentation) -> None:
    points = segmentation.points
    labels = np.asarray(segmentation.labels.data)[~segmentation.mask]
    colors = np.vstack([palette(segmentation), (0.7, 0.7, 0.7, 1.0)])[labels]
    y = points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
    size = float(np.clip(4000 / max(len(points), 1), 0.3, 6))
    ax.scatter(points[:, 0], y, s=size, c=colors, linewidths=0, rasterized=True)
