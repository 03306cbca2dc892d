"""Rings around the direct beam."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import ParameterError
from clustem.physics.detector import Units


def outer_radius(
    distance: NDArray[np.float64], inner: float, outer: float | None, unit: str
) -> float:
    """Return the outer radius: as given, else that of the largest circle on the detector.

    Raises
    ------
    ParameterError
        If it is not beyond the inner one.
    """
    edges = (distance[0], distance[-1], distance[:, 0], distance[:, -1])
    found = min(float(edge.min()) for edge in edges) if outer is None else outer
    if found <= inner:
        raise ParameterError(
            f"inner must be smaller than the outer radius ({found:g} [{unit}])",
            got=f"{inner:g}",
            cure="Give an outer radius beyond it, or check units and center.",
        )
    return found


def unit_name(signal: Any, units: Units) -> str:
    """Name of a unit, for the names of columns."""
    return str(signal.axes_manager.signal_axes[0].units) if units == "axis" else units
