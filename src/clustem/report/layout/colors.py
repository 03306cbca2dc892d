"""The color of each cluster."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError

# Found by a search among colors of 3:1 contrast or more on white and on the dark page: the first
# eight differ most from each other, for full color vision and the three dichromacies alike, and
# from the greys of unassigned pixels; each later one as far as possible from all before it.
_FIRST = (
    "6090f8", "e87020", "107880", "886840", "a888b0", "8050d8", "d02080", "789878",
    "ff0058", "787860", "d060d0", "6878a8", "b06010", "309850", "a07078", "788090",
    "1860ff", "887838", "a05880", "48a820", "e800b0", "1078ff", "b08068", "787090",
)  # fmt: skip
_GOLDEN = 0.6180339887498949


def colors(k: int) -> NDArray[np.float64]:
    """Give the first k colors of the clusters.

    Cluster 3 has the same color whatever k is, so that maps can be compared by eye.

    Parameters
    ----------
    k
        Number of clusters, at least 0.

    Returns
    -------
    :
        Colors (k, 4): red, green, blue, opacity, 0 ... 1.

    Raises
    ------
    InputError
        If k is negative.

    Notes
    -----
    Any two of the first 8 differ by 12 or more in CIEDE2000, with full color vision, protanopia,
    deuteranopia or tritanopia; up to 24 by 4.5. All 24 have a contrast of 3:1 or more on white
    and on the dark page of the explorer. Beyond 24 they only differ, by hue and lightness; figures
    then rely on the numbers of the clusters.

    Examples
    --------
    >>> colors(2).round(2)
    array([[0.38, 0.56, 0.97, 1.  ],
           [0.91, 0.44, 0.13, 1.  ]])
    """
    if k < 0:
        raise InputError("The number of colors must be at least 0", got=k, cure="Ask for k >= 0.")
    first = [tuple(bytes.fromhex(code)) for code in _FIRST[:k]]
    out = np.ones((k, 4))
    out[: len(first), :3] = np.reshape(first, (-1, 3)) / 255
    for i in range(len(first), k):
        turn = i - len(first)
        out[i, :3] = colorsys.hls_to_rgb(turn * _GOLDEN % 1, (0.35, 0.55, 0.72)[turn % 3], 0.55)
    return out
