"""The trend over a scan that is there instead of groups: one number for each position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features, Segmentation, checked
from clustem.judge._borders import places_of
from clustem.judge._coherence import surface
from clustem.passes.rows import Rows

F64 = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SmoothTrend:
    """What changes most over a scan along a smooth surface.

    Attributes
    ----------
    fitted
        The surface, in standard deviations of itself, shape of the scan; NaN where excluded.
    measured
        The same number of each position by itself, which holds its noise.
    """

    fitted: F64
    measured: F64


@checked
def smooth_trend(segmentation: Segmentation) -> SmoothTrend | None:
    """Return the trend of a result whose verdict is "a trend, no groups".

    Parameters
    ----------
    segmentation
        Any result.

    Returns
    -------
    :
        The trend; None where groups or nothing were found, or the rows are not at hand.

    Notes
    -----
    A cubic surface over the scan is fitted to each feature, or, of spectra and patterns, to each
    channel's share of the intensity; these are weighted as counts are. The direction along which
    the surfaces vary most is the trend's.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> smooth_trend(example()) is None
    True
    """
    features = segmentation.features
    if features is None or len(features.scans) != 1 or features.mask.ndim != 2:
        return None
    evidence = [step.found.get("warranted") for step in segmentation.history]
    if not any(found and found.get("trend") == "smooth" for found in evidence):
        return None
    fitted, measured = _leading(features)
    scale = max(float(fitted.std()), np.finfo(np.float64).tiny)
    return SmoothTrend(
        fitted=features.on_scan(fitted / scale, fill=np.nan),
        measured=features.on_scan(measured / scale, fill=np.nan),
    )


def _leading(features: Features) -> tuple[F64, F64]:
    """Return the surface (n,), and what rows are along it (n,)."""
    rows, shares = Rows.of(features.rows), not features.names
    terms = surface(places_of(features, np.arange(len(rows))))
    totals = np.ones(len(rows))
    if shares:
        totals = np.maximum(_over(rows, lambda block: block.sum(axis=1, dtype=np.float64)), 0)
    scatter = (terms.T * totals) @ terms + 1e-9 * totals.sum() * np.eye(terms.shape[1])
    factor = np.linalg.cholesky(scatter)
    sums = np.zeros((terms.shape[1], rows.shape[1]))
    for part in rows.map(lambda block, where: terms[where].T @ block):
        sums += part[1]
    mean = sums[0] / totals.sum()  # the first term is 1 everywhere
    unit = np.sqrt(np.maximum(mean, mean.max() * 1e-9)) if shares else np.ones(len(mean))
    found = np.linalg.solve(factor, sums)[1:] / unit  # without what is constant
    left, values, right = np.linalg.svd(found, full_matrices=False)
    slopes = np.concatenate([[0.0], left[:, 0] * values[0]])
    fitted = terms @ np.linalg.solve(factor.T, slopes)
    along = _over(rows, lambda block: block @ (right[0] / unit))
    along = along / np.maximum(totals, np.finfo(np.float64).tiny)
    measured = np.where(totals > 0, along - mean @ (right[0] / unit), 0.0)
    return fitted, measured


def _over(rows: Rows, find: Callable[[NDArray[Any]], NDArray[Any]]) -> F64:
    """Find one number of each row (n,), block by block."""
    out = np.empty(len(rows))
    for where, found in rows.map(lambda block, _: find(block)):
        out[where] = found
    return out
