"""What every simulated scan comes with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustem.core import PatchGrid, Segmentation, Signal


@dataclass(frozen=True, eq=False, kw_only=True)
class Sample:
    """A simulated scan or image and the truth about it; each kind of sample knows more.

    Parameters
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
    """

    signal: Signal
    labels: NDArray[np.int16]
    names: tuple[str, ...]
    abundance: NDArray[np.float32] | None = None

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
        found: NDArray[np.int16] = self.labels[where[:, 0], where[:, 1]]
        return found

    def truth_for(self, result: Segmentation) -> NDArray[np.int16]:
        """Return the labels at the places that a result has labels for.

        Parameters
        ----------
        result
            Segmentation of the sample; one of patches knows where in the image they lie.

        Returns
        -------
        :
            Labels of the shape of the result's map.
        """
        grid = result.find(PatchGrid)
        if grid is None:
            return self.labels
        return self.labels_at(grid.positions).reshape(result.mask.shape)
