"""Whether memberships are right as often as they say."""

from __future__ import annotations

from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from clustem.core import Segmentation, checked
from clustem.judge.calibration import calibration
from clustem.report.layout.sheet import SINGLE, Sheet, styled

_SIDE, _LEFT, _TOP, _BELOW = 60.0, 14.0, 6.0, 12.0
_LEAST, _MOST = 8.0, 160.0
"""Areas of the dots of a bin without positions and of one with all of them [points²]."""


@checked
@styled
def reliability(segmentation: Segmentation, truth: ArrayLike) -> Figure:
    """Draw how often positions are right against how sure they are.

    Parameters
    ----------
    segmentation
        A result with memberships.
    truth
        Labels of the map's shape that are known to be right, negative where there are none.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 89 mm wide: a dot for each tenth of the largest membership,
        its area by the number of positions; dashed where both are the same.

    Raises
    ------
    InputError
        If there are no memberships, or the truth has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from clustem.report.figures.example import example
    >>> figure = reliability(example(), (np.arange(24).reshape(4, 6) % 6 > 2).astype(int))
    >>> figure.axes[0].get_title(loc="left")
    'Expected calibration error 0.148'
    """
    found = calibration(segmentation, truth)
    sheet = Sheet(SINGLE, _TOP + _SIDE + _BELOW)
    ax = sheet.axes(_LEFT, _TOP, _SIDE, _SIDE)
    ax.plot([0, 1], [0, 1], "--", color="#9a9a9a", lw=0.8)
    area = _LEAST + (_MOST - _LEAST) * found.counts / found.counts.sum()
    ax.scatter(found.sure, found.right, s=area, alpha=0.7, clip_on=False)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal")
    ax.set_xlabel("Largest membership")
    ax.set_ylabel("Share that is right")
    ax.set_title(f"Expected calibration error {found.error:.3f}", loc="left", pad=3)
    return sheet.figure
