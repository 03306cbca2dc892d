"""The colors of a result's clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.report.layout.colors import colors


def palette(segmentation: Segmentation) -> NDArray[np.float64]:
    """Colors (k, 4) of the clusters of a result, which keep them through edits, k and reruns."""
    return shades(segmentation.color_index)


def shades(color_index: Sequence[int]) -> NDArray[np.float64]:
    """Colors (k, 4) at some places of the palette."""
    places = np.array(color_index, dtype=np.intp)
    return colors(int(places.max(initial=-1)) + 1)[places]
