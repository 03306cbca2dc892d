"""The total intensity of the source at the rows of features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features, Signal
from clustem.passes.rows import Rows

F64 = NDArray[np.float64]
_BLOCK = 2**22
"""Values that are read at a time."""
_ALIKE = 1e-4
_NEGATIVE = 0.02
"""Share of negative totals above which they are no intensities."""


@dataclass(frozen=True)
class Intensity:
    """Total intensity of a scan's positions.

    Parameters
    ----------
    totals
        Of each row (m,).
    counted
        Whether they are counts.
    """

    totals: F64
    counted: bool

    @property
    def leveled(self) -> bool:
        """Whether the source was normalised: all totals are alike, which counts never are."""
        mean = float(self.totals.mean())
        return not self.counted and mean > 0 and float(np.ptp(self.totals)) < _ALIKE * mean

    @property
    def spread(self) -> float:
        """Relative spread, counting noise left out; 0 where values lie around zero."""
        mean = float(self.totals.mean())
        if not mean > 0 or np.mean(self.totals < 0) > _NEGATIVE:
            return 0.0
        noise = 1 / mean if self.counted else 0.0
        return float(np.sqrt(max(self.totals.var() / mean**2 - noise, 0.0)))


def intensity(features: Features, numbers: NDArray[np.intp]) -> Intensity | None:
    """Sum the source's signal over its channels at some rows; None where rows are no scan's."""
    source = features.source
    manager = getattr(source, "axes_manager", None)
    if manager is None or not features.shape or manager.navigation_shape[::-1] != features.shape:
        return None
    return intensity_of(source, features.positions[numbers])


def intensity_of(
    source: Signal, positions: NDArray[np.intp], hidden: NDArray[np.bool_] | None = None
) -> Intensity:
    """Sum a scan at some positions, flat indices, over the channels that are not hidden."""
    raw = Rows(source.data, row_ndim=source.axes_manager.signal_dimension)
    kept = slice(None) if hidden is None else ~hidden.ravel()
    step = max(1, _BLOCK // max(raw.shape[1], 1))
    parts = [
        raw.take(positions[i : i + step])[:, kept].sum(axis=1, dtype=np.float64)
        for i in range(0, len(positions), step)
    ]
    return Intensity(np.concatenate(parts), source.data.dtype.kind in "bui")
