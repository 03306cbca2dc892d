"""Channels of an EDS detector that hold X-rays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import NO_MASKS, InputError, Masks, Signal, preparation, record, scan_shape
from clustem.core.masks import fitting_mask
from clustem.passes.rows import Rows
from clustem.prepare._signal import require_numbers

_LOWEST = 0.15
"""Lines of elements from boron on lie above this energy, the zero peak below it [keV]."""

_UNITS = {"kev": 1.0, "ev": 1e-3}
"""Units of an energy axis [keV]."""


@preparation(kind="signal mask")
def energy_range(
    signal: Signal,
    *,
    lowest: float | Literal["auto"] = "auto",
    highest: float | None = None,
    masks: Masks = NO_MASKS,
) -> NDArray[np.bool_]:
    """Mask the channels below the first X-rays: the zero (strobe) peak, and what the detector cuts.

    Parameters
    ----------
    signal
        Scan of EDS spectra, lazy or not.
    lowest
        Lowest energy that is left in [keV]; ``"auto"``: 0.15 keV, or where the sum spectrum
        first holds counts above that.
    highest
        Highest energy that is left in [keV]; None for all, empty ones above the beam energy, too.
    masks
        Of the scan: boolean, shape of the scan, True = excluded: not in the sum spectrum.

    Returns
    -------
    :
        Boolean (channels,), True = excluded. Nothing is where the axis starts above the lowest
        energy, or is not in keV or eV: the history says so.

    Raises
    ------
    InputError
        If the signal has another number of signal axes than one, or no channel is left.

    Notes
    -----
    Bruker's pulse processors store a peak at 0 keV, made by regular test pulses and not by X-rays.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = hs.signals.Signal1D(np.tile([90, 0, 0, 0, 7, 9], (4, 5, 1)))
    >>> scan.axes_manager[-1].scale, scan.axes_manager[-1].units = 0.05, "keV"
    >>> energy_range(scan).tolist()
    [True, True, True, True, False, False]
    """
    manager = signal.axes_manager
    if manager.signal_dimension != 1:
        raise InputError(
            "An energy range needs spectra",
            got=f"{manager.signal_dimension} signal axes",
            cure="Give an EDS map; leave this step out for others.",
        )
    require_numbers(signal, "An energy range")
    scan = scan_shape(signal)
    left_out = fitting_mask(masks.scan, scan, "scan")
    axis = manager.signal_axes[0]
    unit = _UNITS.get(str(axis.units).strip().lower())
    if unit is None:
        record("nothing left out: the energy axis is not calibrated in keV or eV")
        return np.zeros(int(axis.size), dtype=bool)
    energy = np.asarray(axis.axis, dtype=np.float64) * unit
    least = _first_counts(signal.data, left_out, energy) if lowest == "auto" else lowest
    edge = abs(energy[-1] - energy[0]) / max(len(energy) - 1, 1) * 1e-6  # of rounding
    below = energy < least - edge
    above = np.zeros_like(below) if highest is None else energy > highest + edge
    mask: NDArray[np.bool_] = below | above
    if mask.all():
        raise InputError(
            "An energy range must leave channels in",
            got=f"{least:g} keV to {'the end' if highest is None else f'{highest:g} keV'} on an "
            f"axis from {energy[0]:g} to {energy[-1]:g} keV",
            cure="Give energies on the axis, in keV.",
        )
    record(_in_words(energy, below, above), lowest=float(energy[~mask].min()))
    return mask


def _first_counts(data: Any, left_out: NDArray[np.bool_], energy: NDArray[np.float64]) -> float:
    """Return 0.15 keV, or the lowest energy above it that holds counts; needs no pass above it."""
    if energy.min() >= _LOWEST:
        return _LOWEST
    rows = Rows(
        data if data.ndim > 1 else data[np.newaxis], mask=left_out if left_out.any() else None
    )

    def one(block: NDArray[Any], _: NDArray[np.intp]) -> NDArray[np.bool_]:
        return np.asarray((block != 0).any(axis=0))

    filled = np.any([part for _, part in rows.map(one)], axis=0) & (energy >= _LOWEST)
    return float(energy[filled].min()) if filled.any() else _LOWEST


def _in_words(
    energy: NDArray[np.float64], below: NDArray[np.bool_], above: NDArray[np.bool_]
) -> str:
    said = []
    if below.any():
        first = energy[~below].min()
        zero = ", the zero peak with it" if energy.min() <= 0 else ""
        said.append(f"below {first:.4g} keV left out: {below.sum()} channels{zero}")
    if above.any():
        last = energy[~above].max()
        said.append(f"above {last:.4g} keV left out: {above.sum()} channels")
    return "; ".join(said) or f"nothing left out: the axis starts at {energy.min():.4g} keV"
