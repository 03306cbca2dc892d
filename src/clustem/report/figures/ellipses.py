"""The clusters in the plane of the first two features, with the ellipse of each."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, checked
from clustem.report.figures._spectra import ink
from clustem.report.figures.scatter import axis_labels, label_axes, limits_of, sheet_with_key
from clustem.report.layout.maps import STRIPE
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import MUTED, SINGLE, styled

_LEFT, _EDGE, _TOP, _BELOW = 14.0, 2.0, 4.5, 11.0
_RADII = tuple(float(np.sqrt(-2 * np.log(1 - share))) for share in (0.5, 0.95))


@checked
@styled
def ellipses(segmentation: Segmentation) -> Figure:
    """Draw the first two features of all positions, with an ellipse of each cluster.

    Parameters
    ----------
    segmentation
        With ``points`` of at least two columns.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 89 mm wide.

    Raises
    ------
    InputError
        If the segmentation has fewer than two features.

    Notes
    -----
    Ellipses are of the normal distribution with mean and covariance of a cluster's members: they
    hold 50 % and 95 % of it. A cluster of fewer than three members has none.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> len(ellipses(example()).axes[0].patches)  # two clusters, two ellipses each
    4
    """
    from matplotlib.colors import to_rgba

    if segmentation.points.shape[1] < 2:
        raise InputError(
            "Ellipses need points with at least two features",
            got=segmentation.points.shape[1],
            cure="Put a reduction such as pca before the clustering.",
        )
    side = SINGLE - _LEFT - _EDGE
    sheet = sheet_with_key(segmentation, SINGLE, _TOP + side + _BELOW)
    ax = sheet.axes(_LEFT, _TOP, side, side)
    note = "ellipses: 50 % and 95 %"
    sheet.text(SINGLE - _EDGE, 2.0, note, ha="right", color=MUTED)
    labels = segmentation.labels.data[~segmentation.mask]
    points = segmentation.points[:, :2]
    inks = palette(segmentation)
    shades = np.vstack([inks, to_rgba(STRIPE)])[labels]
    order = np.random.default_rng(0).permutation(len(points))  # none hides another
    size = float(np.clip(4000 / len(points), 0.4, 7.0))
    x, y = points[order].T
    ax.scatter(x, y, s=size, c=shades[order], linewidths=0, alpha=0.75)
    reach = [np.transpose([limits_of(points[:, 0]), limits_of(points[:, 1])])]
    for i, color in enumerate(inks):
        members = points[labels == i].astype(np.float64)
        if len(members) > 2:
            half = _ellipse(ax, members, ink(color))
            reach.append(np.stack([members.mean(axis=0) - half, members.mean(axis=0) + half]))
    (left, low), (right, high) = np.min(reach, axis=(0, 1)), np.max(reach, axis=(0, 1))
    ax.set(xlim=(left, right), ylim=(low, high))
    names = axis_labels(segmentation)
    label_axes(ax, names[0], names[1])
    ax.spines[["top", "right"]].set_visible(False)
    return sheet.figure


def _ellipse(
    ax: Axes, members: NDArray[np.float64], color: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Draw both ellipses and the center; return half the size (2,) of the larger one."""
    from matplotlib.patches import Ellipse

    center = members.mean(axis=0)
    covariance = np.cov(members.T)
    values, vectors = np.linalg.eigh(covariance)
    axes = 2 * np.sqrt(np.maximum(values, 0))[::-1]
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    for radius, style in zip(_RADII, ("-", "--"), strict=True):
        width, height = radius * axes
        ax.add_patch(
            Ellipse(
                center, width, height, angle=angle, fill=False, edgecolor=color, linewidth=1.0,
                linestyle=style,
            )
        )  # fmt: skip
    ax.plot(*center, marker="+", color=color, ms=5, mew=1.0)
    half: NDArray[np.float64] = 1.05 * _RADII[-1] * np.sqrt(covariance.diagonal())
    return half
