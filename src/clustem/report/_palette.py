"""The colors of a result's clusters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clustem.model import Projection
from clustem.report.colors import colors


def palette(projection: Projection) -> NDArray[np.float64]:
    """Colors (k, 4) of the clusters of a result, which keep them through edits, k and reruns."""
    return shades(projection.hues)


def shades(hues: Sequence[int]) -> NDArray[np.float64]:
    """Colors (k, 4) at some places of the palette."""
    places = np.array(hues, dtype=np.intp)
    return colors(int(places.max(initial=-1)) + 1)[places]
