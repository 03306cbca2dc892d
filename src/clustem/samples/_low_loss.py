"""Low-loss spectrum of a layered semiconductor, without noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]

GAP, EXCITON = 2.25, 2.0
"""Band gap and exciton of the specimen [eV]."""
TERRACES = (0.15, 0.33, 0.52, 0.74, 1.0)
"""Thickness t/λ in the middle of each terrace."""
_STEPS = (0.26, 0.39, 0.66, 0.84)  # where one terrace ends and the next begins
_PLASMON = (19.0, 5.0)  # energy and width [eV]
_LINE = (0.0055, 0.13)  # height [1/eV] and standard deviation [eV] of the exciton
_BAND = (0.006, 4.0)  # height [1/eV] of the interband step and where it has fallen to 1/e [eV]
_RISE = 3.0  # over which the tail of the plasmon begins above the gap [eV]
_HALF = (0.15, 0.2)  # half widths of the zero-loss peak, gain and loss side [eV]
_POWER = (2.4, 1.8)  # how its two tails fall


def zero_loss(energy: ArrayLike) -> F64:
    """Return the zero-loss peak, of height 1 at 0 eV.

    Parameters
    ----------
    energy
        Energy loss, any shape [eV].

    Returns
    -------
    :
        Array of the same shape. Both sides are Pearson VII, ``(1 + c (E/w)²)^-m``; the loss
        side is wider and falls more slowly.
    """
    e = np.asarray(energy, dtype=np.float64)
    half, power = (np.where(e < 0, *pair) for pair in (_HALF, _POWER))
    out: F64 = (1 + (2 ** (1 / power) - 1) * (e / half) ** 2) ** -power
    return out


def single_scattering(energy: F64) -> F64:
    """Return the distribution of losses in one inelastic event, of unit area.

    Parameters
    ----------
    energy
        Energy loss (D,), evenly spaced, from 0 or below to above the plasmon [eV].

    Returns
    -------
    :
        Probability density (D,) [1/eV]: a Drude plasmon, a step of direct interband transitions
        (square root above the gap) and a Gaussian exciton below it. Nothing below 1.5 eV.
    """
    at, width = _PLASMON
    above = np.maximum(energy - GAP, 0)
    drude = 2 / np.pi * width * at * energy / ((energy**2 - at**2) ** 2 + (energy * width) ** 2)
    density = np.where(above > 0, drude, 0) * -np.expm1(-((above / _RISE) ** 2))
    density += _BAND[0] * np.sqrt(above) * np.exp(-above / _BAND[1])
    away = np.abs(energy - EXCITON) / _LINE[1]
    density += np.where(away < 4, _LINE[0] * np.exp(-(away**2) / 2), 0)
    out: F64 = density / (density.sum() * (energy[1] - energy[0]))
    return out


class Scattering:
    """Spectra of specimens of any thickness on one energy axis.

    Parameters
    ----------
    energy
        Energy of the channels (D,), evenly spaced [eV].

    Notes
    -----
    In n events the losses add up, so their distribution is the n-fold convolution Sⁿ of that of
    one event, and n is a Poisson variable of mean t/λ. Summed over n, in Fourier space and with
    the zero-loss peak Z as the point spread: ``Z exp(t/λ (S - 1))``. The transform runs over an
    axis more than twice as long, so that what leaves one end does not enter at the other.
    """

    def __init__(self, energy: F64) -> None:
        self.energy = energy
        self._step = float(energy[1] - energy[0])
        self._size = 1 << int(np.ceil(np.log2(2 * len(energy) + 512)))
        # channel 0 at 0 eV, losses up to three quarters of the circle, then gains
        index = np.arange(self._size)
        circle = np.where(index < 0.75 * self._size, index, index - self._size) * self._step
        once = single_scattering(np.sort(circle))[np.argsort(np.argsort(circle))]
        peak = zero_loss(circle)
        self._area = float(peak.sum())
        self._peak = np.fft.rfft(peak / self._area)
        self._once = np.fft.rfft(once * self._step)
        self._phase = -2j * np.pi * np.fft.rfftfreq(self._size, self._step)

    def zero_loss(self, shift: F64) -> F64:
        """Share of electrons without loss per channel (n, D), shifted (n,) [eV], of unit sum."""
        return zero_loss(self.energy - shift[:, np.newaxis]) / self._area

    def inelastic(self, thickness: F64, shift: F64) -> F64:
        """Share of electrons with a loss per channel (n, D).

        Parameters
        ----------
        thickness
            t/λ (n,); the share over all energies is ``1 - exp(-t/λ)``.
        shift
            Of each spectrum (n,) [eV].
        """
        tau = thickness[:, np.newaxis]
        found = self._peak * (np.exp(tau * (self._once - 1)) - np.exp(-tau))
        found *= np.exp(self._phase * (shift[:, np.newaxis] - self.energy[0]))
        spectra = np.fft.irfft(found, self._size, axis=1)[:, : len(self.energy)]
        return np.maximum(spectra, 0)  # rounding


def terraces(shape: tuple[int, int]) -> tuple[NDArray[np.intp], F64]:
    """Draw a wedge of five terraces, each a little inclined.

    Returns
    -------
    labels, thickness
        Number of the terrace from the thinnest, and t/λ, (rows, columns).
    """
    down, right = ((np.arange(size) + 0.5) / size for size in shape)
    along = right + 0.16 * (down[:, np.newaxis] - 0.5) + 0.03 * np.sin(7 * down[:, np.newaxis])
    edges = np.array([-0.11, *_STEPS, 1.11])
    labels = np.searchsorted(_STEPS, along)
    inside = (along - edges[labels]) / np.diff(edges)[labels]  # 0 ... 1 across each terrace
    return labels, np.array(TERRACES)[labels] * (0.92 + 0.16 * inside)
