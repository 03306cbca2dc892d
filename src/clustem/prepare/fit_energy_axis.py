"""Straight line through peak positions and line energies."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from clustem.core import InputError, checked


@checked
def fit_energy_axis(
    positions: ArrayLike, energies: ArrayLike, *, sigma: ArrayLike | None = None
) -> tuple[float, float]:
    """Fit the energy axis to peaks whose energies are known.

    Parameters
    ----------
    positions
        Positions of the peaks (n,) [channels].
    energies
        Their energies (n,) [keV].
    sigma
        Standard error of each position (n,) [channels]; all count the same if None.

    Returns
    -------
    scale, offset
        Width of a channel and energy of channel 0 [keV]: ``energy = scale * position + offset``.

    Raises
    ------
    InputError
        If there are not at least two different, finite positions, or the lengths differ.

    Notes
    -----
    Least squares of the energies, in float64; a position counts by ``1 / sigma²``.

    Examples
    --------
    >>> scale, offset = fit_energy_axis([62, 183, 649], [0.525, 1.74, 6.404])
    >>> round(scale, 5), round(offset, 4)
    (0.01001, -0.0943)
    """
    x, y = np.asarray(positions, dtype=np.float64), np.asarray(energies, dtype=np.float64)
    error = np.ones(x.shape) if sigma is None else np.asarray(sigma, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape or x.shape != error.shape:
        raise InputError(
            "Positions, energies and errors must be lists of the same length",
            got=f"shapes {x.shape}, {y.shape} and {error.shape}",
            cure="Give one energy for each peak.",
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all() and np.all(error > 0)):
        raise InputError(
            "Positions and energies must be finite, errors above 0",
            cure="Leave out what could not be measured.",
        )
    if len(np.unique(x)) < 2:
        raise InputError(
            "A line needs at least two different positions",
            got=f"{len(x)} peaks at {len(np.unique(x))} positions",
            cure="Pair more peaks.",
        )
    scale, offset = np.polyfit(x, y, 1, w=1 / error)
    return float(scale), float(offset)
