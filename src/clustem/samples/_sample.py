"""What every simulated scan comes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sample:
    """A simulated scan or image and the truth about it.

    Attributes
    ----------
    signal
        HyperSpy signal, as a microscope would have recorded it.
    labels
        Number of the phase at each scan position (or image pixel), int16, array order;
        -1 where no phase dominates.
    names
        Names of the phases, by number.
    abundance
        Share of each phase at each position, float32 (rows, columns, phases), adding up to 1;
        None where positions do not mix.
    details
        What else is known, by name: arrays and plain values.
    """

    signal: Any
    labels: NDArray[np.int16]
    names: tuple[str, ...]
    abundance: NDArray[np.float32] | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_clusters(self) -> int:
        """Number of phases."""
        return len(self.names)
