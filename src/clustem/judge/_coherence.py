"""Along how many directions rows vary over the scan beyond noise and smooth trends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_LAG = 3.0
"""Distance from which on neither the beam nor weak smoothing correlates noise [px]."""
_LEAST = 0.3
"""Least autocorrelation of a direction that counts."""
_NEIGHBOURS = 40
"""Number of nearest rows among which one at that distance is looked for."""
_DEGREE = 3
"""Degree of the surface that is subtracted."""
_FEWEST = 100
"""Least number of rows."""
_WIDEST = 4.0
"""Largest deviation of what is known [standard deviations]."""
_NEXT = 1.5
"""Distance up to which rows are neighbours on the scan [px]."""
_BY_CHANCE = 4.0
"""Standard errors beyond which neighbours are alike more often than by chance."""


def coherent(points: F64, places: F64, known: F64 | None = None, *, beyond: bool = True) -> int:
    """Count directions of rows that are alike where they lie near each other on the scan.

    Parameters
    ----------
    points
        Rows (m, d).
    places
        Where they lie on the scan (m, 2) [px].
    known
        What else varies over the scan and does not count (m,).
    beyond
        Whether smooth trends do not count, either.

    Returns
    -------
    :
        Number of directions whose autocorrelation exceeds 0.3 and the largest one of pure noise.

    Notes
    -----
    A cubic surface over the scan is subtracted from every coordinate: thickness, tilt and charge
    vary smoothly and make no phases. What is left is compared with the nearest row that is 3
    pixels or more away, a second measurement with other noise: the eigenvalues of their covariance,
    in units of the rows' own, are autocorrelations along directions. Phases that mix span a
    simplex, so r directions take r + 1 of them or more, whether or not a gap lies between them.

    References
    ----------
    P. Switzer and A. Green, Tech. Rep. 6, Dept. of Statistics, Stanford (1984) (factors of largest
    autocorrelation).
    """
    from scipy.linalg import eigh
    from scipy.spatial import cKDTree

    if len(points) < _FEWEST or places.shape[1] != 2:
        return 0
    distance, near = cKDTree(places).query(places, min(_NEIGHBOURS, len(places)))
    first = (distance >= _LAG).argmax(axis=1)
    own = np.flatnonzero(distance[np.arange(len(places)), first] >= _LAG)
    rest = points - trend(points, places if beyond else np.zeros_like(places), known)
    rest = rest[:, rest.std(axis=0) > 1e-9 * points.std(axis=0).max()]
    if len(own) < _FEWEST or not rest.size:
        return 0
    one, two = rest[own], rest[near[own, first[own]]]
    total = (one.T @ one + two.T @ two) / 2
    total += 1e-9 * np.trace(total) / len(total) * np.eye(len(total))
    alike = eigh((one.T @ two + two.T @ one) / 2, total, eigvals_only=True)
    chance = np.sqrt(2 * len(total) / len(own)) + 4 / np.sqrt(len(own))
    return int((alike > max(_LEAST, chance)).sum())


def surface(places: F64) -> F64:
    """Terms of a cubic surface over the scan (m, 10)."""
    low, high = places.min(axis=0), places.max(axis=0)
    row, column = (2 * (places - low) / np.maximum(high - low, 1) - 1).T
    powers = [row**i * column**j for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i)]
    return np.stack(powers, axis=1)


def trend(points: F64, places: F64, known: F64 | None, *, degree: int = 1) -> F64:
    """Fit a cubic surface, and a function of what is known, to each coordinate."""
    terms = surface(places)
    if known is not None:
        scaled = (known - known.mean()) / max(float(known.std()), 1e-300)
        scaled = np.clip(scaled, -_WIDEST, _WIDEST) / _WIDEST
        terms = np.column_stack([terms, *(scaled**i for i in range(1, degree + 1))])
    return np.asarray(terms @ np.linalg.lstsq(terms, points, rcond=None)[0])


def scattered(labels: NDArray[np.intp], places: F64) -> bool:
    """Whether groups (m,) lie on the scan as by chance; no, where rows are no neighbours."""
    from scipy.spatial import cKDTree

    if places.shape[1] != 2 or len(places) < _FEWEST:
        return False
    distance, near = cKDTree(places).query(places, 5)
    if np.median(distance[:, 1]) > _NEXT:
        return False
    shares = np.bincount(labels) / len(labels)
    chance = float((shares**2).sum())
    same = float((labels[near[:, 1:]] == labels[:, None]).mean())
    error = np.sqrt(chance * (1 - chance) / (2 * len(labels)))
    return bool(same - chance < _BY_CHANCE * error)
