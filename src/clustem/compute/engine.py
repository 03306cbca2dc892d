"""Who multiplies: numpy is the reference."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class Engine(Protocol):
    """The few operations that a pass does on a block of rows.

    Blocks go in from the host and results come out there, to be summed in float64.
    """

    name: str

    def gram(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``block.T @ block``, shape (D, D)."""
        ...

    def project(self, block: NDArray[Any], basis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``block @ basis`` for a basis (D, r), shape (rows, r)."""
        ...


class NumpyEngine:
    """Float32 products of one block at a time with numpy's BLAS.

    Examples
    --------
    >>> import numpy as np
    >>> NumpyEngine().project(np.array([[1, 2]], np.uint8), np.array([[1], [10]], np.float32))
    array([[21.]], dtype=float32)
    """

    name = "numpy"

    def gram(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``block.T @ block``, shape (D, D)."""
        return block.T @ block

    def project(self, block: NDArray[Any], basis: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``block @ basis`` for a basis (D, r), shape (rows, r)."""
        return np.asarray(block, dtype=np.float32) @ basis
