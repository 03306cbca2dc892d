"""Average the reduced rows of neighbours."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from clustem.core import Features, InputError, reduction
from clustem.core.memory import check_memory
from clustem.passes.rows import Rows


@reduction
def smooth(features: Features, *, sigma: Annotated[float, Gt(0), Le(20)] = 0.6) -> Features:
    """Replace each row by the Gaussian-weighted mean of its neighbours on the scan.

    Parameters
    ----------
    features
        Features of a scan, in memory, of few columns (as after ``pca``).
    sigma
        Width of the Gaussian [scan positions].

    Returns
    -------
    :
        Features of the same shape, float32.

    Raises
    ------
    InputError
        If a row is not finite, or the rows do not lie on one scan.

    Notes
    -----
    After a linear reduction this is the same as pooling the spectra, at a fraction of the cost.
    Edges and excluded positions count neither in the sum nor in the weight. At the default,
    a position keeps 44 % of the weight and its four nearest neighbours 11 % each.

    Examples
    --------
    >>> rows = np.zeros((5, 1)); rows[2] = 1
    >>> smooth(Features.of_scan(rows, None, np.zeros(5, bool))).rows.round(2).ravel()
    array([0.  , 0.17, 0.66, 0.17, 0.  ], dtype=float32)
    """
    from scipy.ndimage import gaussian_filter

    if len(features.scans) != 1:
        raise InputError(
            "Smoothing needs rows that know their places on one scan",
            got=f"rows of {len(features.scans)} scans",
            cure="Describe a scan, for example with clustem.describe.spectra(signal).",
        )
    n, width = features.rows.shape
    check_memory(32.0 * n * width, "Smoothing", cure="Use reduce.pca before it.")
    values = np.asarray(Rows.of(features.rows), dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError(
            "Smoothing needs finite rows", got="NaN or infinity", cure="Mask these positions."
        )
    scan = features.on_scan(values, fill=0.0)
    axes = tuple(range(features.mask.ndim))
    options = {"sigma": sigma, "mode": "constant", "truncate": 3.0}
    weight = gaussian_filter((~features.mask).astype(np.float64), **options)
    total = gaussian_filter(scan, axes=axes, **options)
    keep = ~features.mask
    rows = (total[keep] / weight[keep][:, None]).astype(np.float32)
    return features.with_rows(rows, names=features.names)
