"""The noise of values that a detector measured, from neighbouring positions."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError
from clustem.core.eigh import eigh

F64 = NDArray[np.float64]
_PAIRS = 5000
"""Pairs of neighbours that the noise is estimated from, at most."""
_FLAT = 1e-6
"""Least variance of a direction that is kept, relative to that of the widest one."""


def noise_of(values: F64, graph: Any) -> tuple[F64, F64, float]:
    """Estimate the noise of values, and measure them in its units.

    Parameters
    ----------
    values
        Values (n, d).
    graph
        Weights between neighbouring positions, sparse (n, n).

    Returns
    -------
    :
        Their mean (d,), what turns values less their mean so that the noise has unit covariance
        (d, r), and the largest variance of the turned values.

    Raises
    ------
    InputError
        If there are no neighbours to compare.

    Notes
    -----
    The noise is half the covariance of differences between neighbours. Borders between phases are
    left out by the minimum covariance determinant (P. Rousseeuw, K. Van Driessen, Technometrics 41
    (1999) 212). Directions in which values hardly vary are left out.
    """
    from sklearn.covariance import MinCovDet

    center = values.mean(axis=0)
    centered = values - center
    spread, axes = eigh(centered.T @ centered / len(values))
    kept = spread > _FLAT * max(float(spread.max()), np.finfo(np.float64).tiny)
    if not kept.any():
        return center, np.zeros((values.shape[1], 1)), 1.0
    if graph is None or not graph.nnz:
        raise InputError(
            "Values need neighbours, whose differences tell the noise",
            got="none",
            cure="Give connectivity, or counts.",
        )
    axes = axes[:, kept] / np.sqrt(spread[kept])
    found = graph.tocoo()
    first, second = found.coords
    upper = np.flatnonzero(first < second)
    if len(upper) > _PAIRS:
        upper = np.sort(np.random.default_rng(0).choice(upper, _PAIRS, replace=False))
    turned = centered @ axes
    differences = (turned[first[upper]] - turned[second[upper]]) / np.sqrt(2)
    share = None if len(differences) > 4 * axes.shape[1] else 1.0
    noise = (
        MinCovDet(assume_centered=True, support_fraction=share, random_state=0)
        .fit(differences)
        .covariance_
    )
    levels, directions = eigh(noise)
    levels = np.maximum(levels, _FLAT)
    turn = axes @ (directions / np.sqrt(levels))
    variance = float(np.linalg.eigvalsh((centered @ turn).T @ (centered @ turn) / len(values))[-1])
    return center, turn, variance
