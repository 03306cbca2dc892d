"""Eigenvalues of symmetric matrices, also where LAPACK's fastest way gives up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


def eigh(matrices: NDArray[np.floating]) -> tuple[F64, F64]:
    """Return eigenvalues and eigenvectors as ``numpy.linalg.eigh`` does.

    Divide and conquer, which NumPy takes, sometimes does not converge for finite matrices most of
    whose eigenvalues are alike, such as the scatter of fewer rows than features. These are left to
    QR iterations.

    Parameters
    ----------
    matrices
        Symmetric, (..., r, r), finite.

    Returns
    -------
    :
        Values (..., r), rising, and vectors (..., r, r), in columns.

    Examples
    --------
    >>> eigh(np.diag([3.0, 2.0]))[0]
    array([2., 3.])
    """
    try:
        values, vectors = np.linalg.eigh(matrices)
    except np.linalg.LinAlgError:
        from scipy import linalg

        size = matrices.shape[-1]
        one_by_one = [linalg.eigh(one, driver="ev") for one in matrices.reshape(-1, size, size)]
        values, vectors = (np.stack(part) for part in zip(*one_by_one, strict=True))
        return values.reshape(matrices.shape[:-1]), vectors.reshape(matrices.shape)
    return values, vectors
