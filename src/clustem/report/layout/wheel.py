"""Colors of a circle: of angles, which begin again where they end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_SATURATION, _VALUE = 0.78, 0.88


def wheel_colors(turn: NDArray[np.float64]) -> NDArray[np.float64]:
    """Color shares of a turn.

    Parameters
    ----------
    turn
        Shares, 0 ... 1, any shape.

    Returns
    -------
    :
        Red, green and blue, 0 ... 1, of that shape and (3,).

    Examples
    --------
    >>> wheel_colors(np.array([0.0, 1 / 3])).round(2)
    array([[0.88, 0.19, 0.19],
           [0.19, 0.88, 0.19]])
    """
    from matplotlib.colors import hsv_to_rgb

    flat = np.stack([turn, np.full_like(turn, _SATURATION), np.full_like(turn, _VALUE)], axis=-1)
    found: NDArray[np.float64] = hsv_to_rgb(flat)
    return found


def wheel_image(side: int = 200) -> NDArray[np.float64]:
    """Draw a ring of these colors: image (side, side, 4), clear where the ring is not.

    Angles go from the columns' axis toward the rows' axis.
    """
    row, column = np.indices((side, side)) - (side - 1) / 2
    image = np.ones((side, side, 4))
    image[..., :3] = wheel_colors(np.arctan2(row, column) / (2 * np.pi) % 1)
    radius = np.hypot(row, column) / (side / 2)
    image[..., 3] = (radius <= 1) & (radius >= 0.5)
    return image
