"""What groups of rows are on their scan: borders, trends, chance, or groups."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features, IntensityInfo
from clustem.judge._borders import borders, places_of
from clustem.judge._coherence import coherent, scattered, trend
from clustem.judge._finding import Finding
from clustem.judge._independence import reach_of
from clustem.judge._intensity import intensity
from clustem.judge._structure import structure

F64 = NDArray[np.float64]
_AGAIN = 6
"""Components that are tried beyond a trend, where groups might be one."""
_DEGREE = 5
"""Degree of the function of the intensity that groups may follow."""


def on_scan(found: Finding, features: Features, numbers: NDArray[np.intp], points: F64) -> Finding:
    """Look at the groups on the scan, where there is one.

    Parameters
    ----------
    found
        Groups of some rows.
    features
        The rows that they were drawn from.
    numbers, points
        Which rows they are (m,), and what they were grouped by (m, d).
    """
    if not features.scans:
        return found
    places, light = places_of(features, numbers), intensity(features, numbers)
    groups = found.found.groups
    found = replace(found, borders=borders(points, groups.labels, places))
    if found.groups > 1 and scattered(groups.labels, places):
        return replace(found, trend="chance")
    if light is None or reach_of(features) > 0:
        return found
    rank = features.find(IntensityInfo)  # the rows are intensities: they say nothing about it
    known = light.totals if light.spread > 0 and rank is None else None
    found = replace(found, spread=light.spread, leveled=light.leveled)
    if found.groups == 1:
        every = coherent(points, places)
        both = min(coherent(points, places, known), every), every
        smooth = not every and coherent(points, places, known, beyond=False) > 0
        return replace(found, directions=both, trend="smooth" if smooth else "")
    if groups.linked and places.shape[1] == 2:  # no gap is deep: look again
        same = np.zeros_like(places)
        tried: tuple[tuple[Literal["intensity", "smooth"], F64, F64 | None], ...] = (
            ("intensity", same, known),
            ("smooth", places, None),
            ("intensity", places, known),
        )
        for reason, where, other in tried:
            rest = points - trend(points, where, other, degree=_DEGREE)
            if structure(rest, _AGAIN, random_state=0).groups.size == 1:
                return replace(found, trend=reason)
    return found
