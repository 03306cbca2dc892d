"""Average the reduced rows of neighbours."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Le
from numpy.typing import NDArray

from clustem.core import Features, InputError, reduction
from clustem.passes.rows import Rows
from clustem.passes.scratch import scratch
from clustem.passes.storage import release

_BAND = 2**22
"""Numbers that are smoothed at a time."""
_TRUNCATE = 3.0
"""Where the Gaussian ends [standard deviations]."""


@reduction
def smooth(features: Features, *, sigma: Annotated[float, Gt(0), Le(20)] = 0.6) -> Features:
    """Replace each row by the Gaussian-weighted mean of its neighbours on the scan.

    Parameters
    ----------
    features
        Features of a scan, best of few columns (as after ``pca``).
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

    Some lines of the scan are read at a time, with those around them that the Gaussian reaches, so
    rows need not fit in memory; what is made of them lies in a temporary file beyond 1 GiB.

    Examples
    --------
    >>> rows = np.zeros((5, 1)); rows[2] = 1
    >>> smooth(Features.of_scan(rows, None, np.zeros(5, bool))).rows.round(2).ravel()
    array([0.  , 0.17, 0.66, 0.17, 0.  ], dtype=float32)
    """
    if len(features.scans) != 1:
        raise InputError(
            "Smoothing needs rows that know their places on one scan",
            got=f"rows of {len(features.scans)} scans",
            cure="Describe a scan, for example with clustem.describe.spectra(signal).",
        )
    rows, mask = Rows.of(features.rows), features.mask
    out = scratch(rows.shape, np.float32)
    line = prod(mask.shape[1:])
    first = np.concatenate([[0], np.cumsum(line - mask.reshape(len(mask), line).sum(axis=1))])
    reach = int(_TRUNCATE * sigma + 0.5)
    step = max(2 * reach, _BAND // max(line * rows.shape[1], 1), 1)
    for begin in range(0, len(mask), step):
        end = min(begin + step, len(mask))
        low, high = max(begin - reach, 0), min(end + reach, len(mask))
        if first[begin] == first[end]:
            continue
        values = rows.take(np.arange(first[low], first[high])).astype(np.float64)
        inside = slice(first[begin] - first[low], first[end] - first[low])
        out[first[begin] : first[end]] = _smoothed(values, mask[low:high], sigma)[inside]
        release(out)
    return features.with_rows(out, names=features.names)


def _smoothed(
    values: NDArray[np.float64], mask: NDArray[np.bool_], sigma: float
) -> NDArray[np.float64]:
    """Smooth the rows (n, D) of some lines of a scan."""
    from scipy.ndimage import gaussian_filter

    if not np.isfinite(values).all():
        raise InputError(
            "Smoothing needs finite rows", got="NaN or infinity", cure="Mask these positions."
        )
    keep = ~mask
    scan = np.zeros((*mask.shape, values.shape[1]))
    scan[keep] = values
    options: dict[str, Any] = {"sigma": sigma, "mode": "constant", "truncate": _TRUNCATE}
    weight = gaussian_filter(keep.astype(np.float64), **options)
    total = gaussian_filter(scan, axes=tuple(range(mask.ndim)), **options)
    return np.asarray(total[keep] / weight[keep][:, None])
