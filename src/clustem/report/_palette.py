"""The colors of a result's clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.model import Projection
from clustem.report.colors import colors


def palette(projection: Projection) -> NDArray[np.float64]:
    """Colors (k, 4) of the clusters of a result, which keep them through edits, k and reruns."""
    hues = np.array(projection.hues, dtype=np.intp)
    return colors(int(hues.max(initial=-1)) + 1)[hues]
