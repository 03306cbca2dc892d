"""Which share of the X-ray lines of a spectrum each element has."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustem.core import InputError
from clustem.physics.xray_lines import Line, fwhm, lines_of

F64 = NDArray[np.float64]
_LOWEST = 0.2
"""Energy below which detectors see noise [keV]."""
_KNOTS = 0.25
"""Distance of the points between which the background is a straight line [keV]; twice it beyond 1
keV."""


def line_shares(
    counts: ArrayLike, energy: ArrayLike, elements: Sequence[str], *, resolution: float = 130.0
) -> F64:
    """Fit the lines of elements to a spectrum; return the share of the counts in lines of each.

    Parameters
    ----------
    counts
        A spectrum (D,), or several (k, D): counts, or means of them.
    energy
        Energies of its channels [keV], rising.
    elements
        Symbols.
    resolution
        Full width at half maximum at Mn Ka [eV].

    Returns
    -------
    :
        Shares (elements,) or (k, elements), sum 1; NaN where there are no lines.

    Raises
    ------
    InputError
        If spectrum and energies have other lengths.
    UnknownNameError
        If a symbol is not an element's.

    Notes
    -----
    Each shell of an element is one template, its lines Gaussians in the table's ratios. Templates
    and a background of straight pieces of 0.25 to 0.5 keV, none negative, are fitted by least
    squares, weighted by the counts. These are shares of X-rays, no composition: what an element
    emits, and what the specimen absorbs, are left to a quantification with the microscope's own
    factors.

    Examples
    --------
    >>> energy = 0.01 * np.arange(1000)
    >>> peak = np.exp(-0.5 * ((energy - 1.74) / (0.42466 * 0.0781)) ** 2)
    >>> line_shares(5 + 100 * peak, energy, ["Al", "Si"]).round(2).tolist()
    [0.0, 1.0]
    """
    from scipy.optimize import nnls

    rows, x = np.atleast_2d(np.asarray(counts, np.float64)), np.asarray(energy, np.float64)
    if rows.shape[1] != len(x):
        raise InputError(
            "A spectrum must have one energy for each channel",
            got=f"{rows.shape[1]} channels, {len(x)} energies",
            cure="Take those of its axis.",
        )
    seen = x > _LOWEST
    x, rows = x[seen], rows[:, seen]
    owner, templates = [], []
    for i, element in enumerate(elements):
        families: dict[str, list[Line]] = {}
        for line in lines_of([element], low=_LOWEST, high=float(x[-1]) if len(x) else 0.0):
            families.setdefault(line.family, []).append(line)
        for lines in families.values():
            templates.append(_template(lines, x, resolution))
            owner.append(i)
    shares = np.full((len(rows), len(elements)), np.nan)
    if templates:
        knots = np.append(np.arange(x[0], 1, _KNOTS), np.arange(1, x[-1] + 1, 2 * _KNOTS))
        hats = [np.interp(x, knots, one) for one in np.eye(len(knots))]
        design = np.stack([*templates, *hats], axis=1)
        for row, out in zip(rows, shares, strict=True):
            smooth = np.convolve(row, np.full(5, 0.2), mode="same")
            weight = 1 / np.sqrt(np.maximum(smooth, max(float(row.mean()), 1e-30) / 50))
            found = nnls(design * weight[:, None], row * weight)[0][: len(templates)]
            if found.sum() > 0:
                out[:] = np.bincount(owner, found, len(elements)) / found.sum()
    return shares if np.ndim(counts) == 2 else shares[0]


def _template(lines: Sequence[Line], energy: F64, resolution: float) -> F64:
    """Return what a shell shows of one count, (D,)."""
    at, weight = (np.array([getattr(line, n) for line in lines]) for n in ("energy", "weight"))
    width = fwhm(at, resolution) / np.sqrt(8 * np.log(2))
    bell = np.exp(-0.5 * ((energy[:, None] - at) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    found: F64 = bell @ (weight / weight.sum()) * np.gradient(energy)
    return found
