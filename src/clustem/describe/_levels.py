"""Whether brightness falls in levels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def separation(values: NDArray[np.float64], n: int) -> float:
    """Return how far levels of brightness lie apart.

    Parameters
    ----------
    values
        Numbers of any shape.
    n
        Number of levels.

    Returns
    -------
    :
        Smallest distance of two levels in units of the scatter within levels, which are cut from
        each other by Otsu's thresholds. A normal distribution has 2.7 at most, a uniform one 3.5.
    """
    from skimage.filters import threshold_multiotsu

    flat = values.ravel()
    low, high = np.quantile(flat, (0.001, 0.999))
    flat = flat.clip(low, high)
    if low == high or len(np.unique(flat)) <= n:
        return 0.0
    level = np.digitize(flat, threshold_multiotsu(flat, n, nbins=200))
    counts = np.bincount(level, minlength=n)
    means = np.bincount(level, flat, n) / np.maximum(counts, 1)
    within = float(np.sqrt(((flat - means[level]) ** 2).mean()))
    return float(np.diff(means).min() / max(within, 1e-30)) if counts.all() else 0.0
