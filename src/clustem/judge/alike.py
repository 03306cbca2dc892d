"""Which clusters differ by a factor only: thickness or dose, not composition."""

from __future__ import annotations

import numpy as np

from clustem.core import FilterBank, PatchGrid, Segmentation, checked

_DIFFERENT = 4.0
"""Standard deviations from which on two shapes differ."""


@checked
def alike(segmentation: Segmentation) -> tuple[tuple[int, int, float], ...]:
    """Find clusters whose spectra or patterns have the same shape within their errors.

    Parameters
    ----------
    segmentation
        Any result.

    Returns
    -------
    :
        ``(i, j, factor)``, j < i: the center of i is the factor times that of j. None for images.

    Notes
    -----
    Two shapes differ if ``Σ (a - f b)² / var`` over the channels, with f the ratio of their totals,
    exceeds the number of channels by 4 standard deviations.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> alike(example())
    ()
    """
    images = segmentation.find(PatchGrid) is not None or segmentation.find(FilterBank) is not None
    k = segmentation.n_clusters
    if images or segmentation.standard_error is None or k == 1:
        return ()
    hidden = segmentation.signal_mask
    centers, errors = (
        np.asarray(signal.data, dtype=np.float64).reshape(k, -1)
        for signal in (segmentation.centers, segmentation.standard_error)
    )
    if hidden is not None and hidden.size == centers.shape[1]:
        centers, errors = centers[:, ~hidden.ravel()], errors[:, ~hidden.ravel()]
    if centers.shape[1] < 2:  # one number has no shape
        return ()
    totals = centers.sum(axis=1)
    found = []
    for i in range(k):
        for j in range(i):
            if totals[i] <= 0 or totals[j] <= 0:
                continue
            factor = totals[i] / totals[j]
            variance = errors[i] ** 2 + factor**2 * errors[j] ** 2
            known = variance > 0
            square = (centers[i] - factor * centers[j])[known] ** 2 / variance[known]
            if square.sum() < len(square) + _DIFFERENT * np.sqrt(2 * max(len(square), 1)):
                found.append((i, j, float(factor)))
    return tuple(found)
