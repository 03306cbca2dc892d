"""Neighbours on the grid of a scan, as a sparse graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def grid_graph(mask: NDArray[np.bool_]) -> csr_array:
    """Return the graph of neighbours on a scan.

    Parameters
    ----------
    mask
        Boolean, shape of the scan (one axis or two), True = excluded: no neighbour of anything.

    Returns
    -------
    :
        Symmetric weights (n, n) of the n positions left in: 1 along rows and columns, 1/√2 along
        diagonals, 0 elsewhere.

    Examples
    --------
    >>> grid_graph(np.zeros((2, 2), dtype=bool)).toarray().round(2)[0]
    array([0.  , 1.  , 1.  , 0.71])
    """
    from scipy.sparse import csr_array
    from skimage.graph import pixel_graph

    distances, _ = pixel_graph(np.atleast_2d(~mask), connectivity=2)
    return csr_array((1 / distances.data, distances.indices, distances.indptr), distances.shape)
