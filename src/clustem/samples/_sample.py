"""What every simulated scan comes with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


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

    def labels_at(self, positions: ArrayLike) -> NDArray[np.int16]:
        """Return the label of the pixel nearest to each position.

        Parameters
        ----------
        positions
            Row and column [px], (n, 2), inside the image.
        """
        where = np.rint(np.asarray(positions)).astype(np.intp)
        return self.labels[where[:, 0], where[:, 1]]

    def truth_for(self, result: Any) -> NDArray[np.int16]:
        """Return the labels at the places that a result has labels for.

        Parameters
        ----------
        result
            Segmentation or projection; one of patches knows their ``positions`` in the image.

        Returns
        -------
        :
            Labels of the shape of the result's map.
        """
        positions = result.details.get("positions")
        if positions is None:
            return self.labels
        return self.labels_at(positions).reshape(result.mask.shape)
