"""The color of each cluster."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError

# Found by a search: each color lies as far as possible from those before it, from white, black and
# the greys of unassigned pixels, for full color vision, deuteranopia and protanopia alike, within
# the lightness and chroma that a press can print. The first few were set by eye.
_FIRST = (
    "2f6fae", "f0b13c", "8c2f45", "86d0a8", "cdb4f0", "5a6b1f", "e7d787", "782068",
    "8097ff", "df7868", "00409f", "976887", "8f8708", "609fb7", "b76870", "c79f50",
    "484818", "8f8fd7", "6868cf", "e7b7d7", "208f48", "cf5040", "d7df68", "b7e7a7",
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
    Up to 24, any two colors differ by more than 13 CIELAB units for readers with full color
    vision, deuteranopia or protanopia (up to 10: 23). Beyond 24 they only differ, by hue and
    lightness; figures then rely on the numbers of the clusters.

    Examples
    --------
    >>> colors(2).round(2)
    array([[0.18, 0.44, 0.68, 1.  ],
           [0.94, 0.69, 0.24, 1.  ]])
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
