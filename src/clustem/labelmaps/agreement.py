"""How far two labellings agree, from the table of their overlaps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def rand_index(counts: NDArray[Any]) -> float:
    """Return the adjusted Rand index.

    Parameters
    ----------
    counts
        Positions (p, q) by both labels.

    Notes
    -----
    The same number as scikit-learn's, which looks at its labels for 100 times as long.

    References
    ----------
    L. Hubert, P. Arabie, J. Classif. 2 (1985) 193.

    Examples
    --------
    >>> rand_index(np.array([[5, 0], [0, 7]])), round(rand_index(np.array([[4, 1], [2, 5]])), 3)
    (1.0, 0.177)
    """
    table = np.asarray(counts, dtype=np.float64)
    n = float(table.sum())
    same, first, second = (
        float((sizes**2).sum()) - n for sizes in (table, table.sum(axis=1), table.sum(axis=0))
    )
    chance = first * second / max(n * (n - 1), 1.0)
    most = (first + second) / 2 - chance
    return (same - chance) / most if most > 0 else 1.0


def adjusted_mutual_information(counts: NDArray[Any]) -> float:
    """Return the adjusted mutual information, averaged over both entropies.

    Parameters
    ----------
    counts
        Positions (p, q) by both labels.

    Notes
    -----
    The same number as scikit-learn's ``adjusted_mutual_info_score``, which asks for the labels of
    all positions.

    References
    ----------
    N. X. Vinh, J. Epps, J. Bailey, J. Mach. Learn. Res. 11 (2010) 2837.

    Examples
    --------
    >>> round(adjusted_mutual_information(np.array([[4, 1], [2, 5]])), 3)
    0.137
    """
    from scipy.special import xlogy
    from sklearn.metrics.cluster import expected_mutual_information

    table = np.asarray(counts, dtype=np.int64)
    if max(table.shape) == 1:
        return 1.0
    if min(table.shape) == 1:
        return 0.0
    n = int(table.sum())
    joint, first, second = (
        -float(xlogy(part, part).sum())
        for part in (table / n, table.sum(axis=1) / n, table.sum(axis=0) / n)
    )
    chance = float(expected_mutual_information(table, n))
    least = float(np.finfo(np.float64).eps)
    numerator, denominator = first + second - joint - chance, (first + second) / 2 - chance
    return float(
        np.copysign(max(abs(numerator), least), numerator)
        / np.copysign(max(abs(denominator), least), denominator)
    )


def variation_of_information(counts: NDArray[Any]) -> float:
    """Return what either labelling says beyond the other [bit].

    Parameters
    ----------
    counts
        Positions (p, q) by both labels.

    References
    ----------
    M. Meilă, J. Multivar. Anal. 98 (2007) 873.

    Examples
    --------
    >>> round(variation_of_information(np.array([[2, 2], [0, 4]])), 3)
    1.189
    """
    from scipy.special import xlogy

    share = np.asarray(counts, dtype=np.float64) / max(float(np.sum(counts)), 1.0)
    parts = share, share.sum(axis=1), share.sum(axis=0)
    joint, first, second = (-float(xlogy(part, part).sum()) for part in parts)
    return max(2 * joint - first - second, 0.0) / float(np.log(2))
