"""Lattice directions and spacings in the clusters' mean responses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clustem.core import FilterBank, InputError, Segmentation
from clustem.mapping._turns import turned_by

F64 = NDArray[np.float64]
_PEAK = 0.35  # weaker maxima of a response, relative to its strongest, are no lattice fringes


@dataclass(frozen=True)
class Fringe:
    """One set of lattice planes: direction of its normal [°], spacing, and mean response."""

    direction: float
    spacing: float
    strength: float


@dataclass(frozen=True)
class Lattices:
    """What the mean responses (k, wavelengths, orientations) say, as in LatticeDirections."""

    bank: FilterBank
    responses: F64
    background: NDArray[np.bool_]
    directions: F64
    strength: F64
    fringes: tuple[tuple[Fringe, ...], ...]

    def names(self) -> dict[int, str]:
        """Names for the clusters: background, or the lattice's direction."""
        films = np.flatnonzero(self.background)
        out = {
            int(i): "background" if len(films) == 1 else f"background {n + 1}"
            for n, i in enumerate(films)
        }
        for i in np.flatnonzero(~self.background):
            out[int(i)] = f"lattice at {self.directions[i]:.0f}°"
        return dict(sorted(out.items()))


def lattices(segmentation: Segmentation, *, faintest: float = 0.4) -> Lattices:
    """Read directions and spacings from the clusters' mean responses, without their regions.

    Parameters
    ----------
    segmentation, faintest
        As for :func:`orientations`.
    """
    bank = segmentation.lattice
    if bank is None or segmentation.centers.data.ndim != 3:
        raise InputError(
            "Orientations need clusters of an image's Gabor features",
            got=f"centers with {segmentation.centers.data.ndim - 1} axes",
            cure="Run the recipe particles, or describe.gabor before the clustering.",
        )
    responses = np.asarray(segmentation.centers.data, dtype=np.float64)
    angles, spacings = bank.orientations, bank.wavelengths * bank.pixel_size
    strength = np.sqrt((responses**2).sum(axis=(1, 2)))
    background = strength < faintest * strength.max()
    fringes = tuple(
        () if film else _fringes(response, angles, spacings)
        for response, film in zip(responses, background, strict=True)
    )
    directions = np.full(len(responses), np.nan)
    facets = np.flatnonzero(~background)
    sizes = np.asarray(segmentation.counts)[facets]
    first = int(facets[sizes.argmax()])
    for i in facets.tolist():
        start = fringes[first][0].direction if fringes[first] else 0.0
        directions[i] = (start + turned_by(responses[first], responses[i])) % 180
    return Lattices(bank, responses, background, directions, strength, fringes)


def _fringes(response: F64, angles: F64, spacings: F64) -> tuple[Fringe, ...]:
    """Maxima over direction of each spacing's response (wavelengths, orientations)."""
    step = angles[1] - angles[0]
    before, after = np.roll(response, 1, axis=1), np.roll(response, -1, axis=1)
    high = (response > before) & (response >= after) & (response >= _PEAK * response.max())
    around = np.maximum(np.maximum(before, response), after)
    high[1:] &= response[1:] > around[:-1]  # else the flank of a fringe of the next spacing
    high[:-1] &= response[:-1] > around[1:]
    found = []
    for i, j in np.argwhere(high):
        a, b, c = before[i, j], response[i, j], after[i, j]
        shift = 0.5 * (a - c) / (a - 2 * b + c)
        direction = float((angles[j] + shift * step) % 180)
        found.append(Fringe(direction, float(spacings[i]), float(b)))
    return tuple(sorted(found, key=lambda fringe: -fringe.strength))
