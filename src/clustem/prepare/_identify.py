"""Which elements a spectrum shows, given a rough energy axis."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clustem.physics.xray_lines import lines_of
from clustem.prepare._line_model import LineModel
from clustem.prepare._vote import Axis

F64 = NDArray[np.float64]

COMMON = ("C", "O", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "K", "Ca", "Ti", "Mn", "Fe")
"""Elements that most specimens are made of."""

OTHERS = (
    *("N", "F", "V", "Cr", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Sr", "Y", "Zr"),
    *("Nb", "Mo", "Ag", "Cd", "In", "Sn", "Sb", "Te", "I", "Ba", "La", "Ce", "Nd", "Ta", "W", "Pt"),
    *("Au", "Pb", "Bi", "U"),
)
"""Elements that are looked for, but believed on better evidence only."""

_NEEDED = (60.0, 240.0)  # sum of squares that a common or another element must explain
_DISCOUNT = 0.7  # on what another element explains
_MOST = 14
_SHORTLIST = 4


def trust(element: str) -> float:
    """Weight of an element's lines in a vote."""
    return 1.0 if element in COMMON else 0.6


def identify(
    counts: F64, axis: Axis, *, lowest: float, highest: float, resolution: float
) -> list[str]:
    """Name the elements whose lines explain the spectrum, one after the other.

    Parameters
    ----------
    counts
        Spectrum (n,).
    axis
        Energy axis, right to some 20 eV.
    lowest, highest
        Range of the lines [keV].
    resolution
        Full width at half maximum at Mn Ka [eV].

    Returns
    -------
    :
        Symbols, in the order in which they were found.
    """
    lines = lines_of([*COMMON, *OTHERS], low=lowest, high=highest)
    model = LineModel(counts, lines, axis, resolution)
    columns = model.columns()
    gram, match = columns @ columns.T, columns @ model.target
    of_element: dict[str, list[int]] = {}
    for i, family in enumerate(model.families):
        if gram[i, i] > 0:
            of_element.setdefault(family.partition("_")[0], []).append(i)
    chosen: list[str] = []
    active: list[int] = []
    explained, heights = 0.0, np.empty(0)
    while len(chosen) < _MOST:
        rest = np.maximum(match - gram[:, active] @ heights, 0)
        promise = {
            element: _worth(element, sum(rest[i] ** 2 / gram[i, i] for i in own))
            for element, own in of_element.items()
            if element not in chosen
        }
        shortlist = sorted(promise, key=promise.__getitem__, reverse=True)[:_SHORTLIST]
        tried = {e: _best_heights(gram, match, active + of_element[e]) for e in shortlist}
        gain = {e: _worth(e, tried[e][1] - explained) for e in shortlist}
        best = max(shortlist, key=gain.__getitem__, default="")
        if not best or gain[best] <= 0:
            break
        chosen.append(best)
        active = active + of_element[best]
        heights, explained = tried[best]
    return chosen


def _worth(element: str, explained: float) -> float:
    """Return what an element's lines explain beyond what they must."""
    common, other = _NEEDED
    return explained - common if element in COMMON else _DISCOUNT * explained - other


def _best_heights(gram: F64, match: F64, active: list[int]) -> tuple[F64, float]:
    """Non-negative heights of some columns, and the sum of squares that they explain."""
    from scipy.linalg import solve_triangular
    from scipy.optimize import nnls

    inner = gram[np.ix_(active, active)]
    lower = np.linalg.cholesky(inner + 1e-9 * np.diag(inner.diagonal()))
    target = solve_triangular(lower, match[active], lower=True)
    heights, rest = nnls(lower.T, target)
    return heights, float(target @ target - rest**2)
