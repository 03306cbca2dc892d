"""How many rows there would be if none of them shared pixels."""

from __future__ import annotations

import numpy as np

from clustem.core import Features, PatchGrid
from clustem.judge._borders import places_of, spacing_of


def reach_of(features: Features) -> float:
    """Side of the square of pixels that a row depends on [px]; 0 where rows share nothing."""
    return max((info.reach for info in features.about or ()), default=0.0)


def independent(features: Features, count: int) -> float:
    """Return the share of some rows that would tell as much if no two of them shared pixels.

    Parameters
    ----------
    features
        Rows (n, D).
    count
        Number of rows that are looked at, drawn from them.

    Notes
    -----
    Patches and filters overlap: neighbouring rows hold the same noise, and lie in heaps between
    which there seem to be gaps. The sum of the correlations of a patch's noise with that of all
    others is its area over that of the cell of a position, so that numbers of rows scatter as if
    there were only as many as patches fit side by side.
    """
    reach = reach_of(features)
    if reach == 0 or not features.scans:
        return 1.0
    total = len(features.positions)
    cell = 1.0
    if features.find(PatchGrid) is not None and total > 1:
        cell = spacing_of(places_of(features, np.arange(total))) ** 2
    return float(min(1.0, total * cell / reach**2 / count))
