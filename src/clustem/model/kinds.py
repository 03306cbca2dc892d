"""What a preparation step returns: the recipe runner reads these from the return annotation."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

Geometry = Annotated[Any, "geometry"]
"""A signal with another shape, axes or calibration; its counts are still raw counts."""

Values = Annotated[Any, "values"]
"""A signal of the same shape with other values: centers still come from the raw one."""

ScanMask = Annotated[NDArray[np.bool_], "scan mask"]
"""Boolean, shape of the scan in array order, True = excluded."""

SignalMask = Annotated[NDArray[np.bool_], "signal mask"]
"""Boolean, shape of one spectrum or pattern in array order, True = excluded."""
