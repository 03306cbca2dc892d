"""Energy losses: the axis in eV, and the zero-loss peak in a spectrum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError
from clustem.passes.rows import Rows

F64 = NDArray[np.float64]

_EV = {"ev": 1.0, "kev": 1e3}
_NEAR = 10.0
"""How far from zero a calibrated axis may put the zero-loss peak [eV]."""

_CLEAR = 2.0
"""Height of the zero-loss peak over the median channel, at least."""


@dataclass(frozen=True)
class ZeroLoss:
    """The zero-loss peak of a spectrum.

    Parameters
    ----------
    channel
        Channel of its maximum.
    position
        Of its maximum between channels, on the axis [units of the axis].
    fwhm
        Full width at half of the maximum [units of the axis].
    """

    channel: int
    position: float
    fwhm: float


def loss_axis(signal: Any, what: str) -> Any:
    """Return the one signal axis of a spectrum image.

    Parameters
    ----------
    signal
        Spectra along one axis.
    what
        Name of the step, for the message.

    Raises
    ------
    InputError
        If there is another number of signal axes, or the channels are not evenly spaced.
    """
    axes = signal.axes_manager.signal_axes
    if len(axes) != 1:
        raise InputError(
            f"{what} needs one signal axis, the energy loss",
            got=f"{len(axes)} signal axes",
            cure="Give a spectrum image; or name the axis: signal.transpose(signal_axes=1).",
        )
    if not axes[0].is_uniform:
        raise InputError(
            f"{what} needs an evenly spaced energy axis",
            got=type(axes[0]).__name__,
            cure="Interpolate first: signal.interpolate_on_axis(...).",
        )
    return axes[0]


def electronvolts(axis: Any) -> float | None:
    """Return how many eV one unit of an axis is, or None if it has no unit of energy.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> electronvolts(SimpleNamespace(units="keV"))
    1000.0
    """
    return _EV.get(str(axis.units).strip().lower())


def mean_spectrum(signal: Any, mask: NDArray[np.bool_] | None = None) -> F64:
    """Return the mean (D,) of the spectra that a mask leaves in, in one pass, float64."""
    data = signal.data if signal.data.ndim > 1 else signal.data[np.newaxis]
    rows = Rows(data, mask=mask)
    total = np.zeros(rows.shape[1])
    for _, part in rows.map(lambda block, _: block.sum(axis=0, dtype=np.float64)):
        total += part
    return total / max(len(rows), 1)


def find_zero_loss(
    axis: Any, counts: F64, *, window: tuple[float, float] | None = None
) -> ZeroLoss:
    """Find the zero-loss peak of a spectrum.

    Parameters
    ----------
    axis
        HyperSpy's axis of the spectrum.
    counts
        Intensities (D,).
    window
        Where the maximum is looked for [units of the axis]; None: on the whole axis, where it
        must lie within 10 eV of zero if the axis has units of energy.

    Raises
    ------
    InputError
        If the highest channel there is no peak, or too far from zero.

    Notes
    -----
    Between channels the maximum is that of the parabola through the logarithms of the three
    highest.
    """
    values = np.asarray(axis.axis, dtype=np.float64)
    unit = str(axis.units) if electronvolts(axis) else "axis units"
    where = np.arange(len(values))
    if window is not None:
        where = np.flatnonzero((values >= window[0]) & (values <= window[1]))
    span = f"{values[0]:.4g} ... {values[-1]:.4g} {unit}"
    if len(where) < 3:
        raise InputError(
            "The window of the zero-loss peak must hold at least three channels",
            got=f"{window} on an axis of {span}",
            cure="Give both ends in the units of the axis.",
        )
    if not np.isfinite(counts).all():
        raise InputError(
            "All intensities must be finite numbers",
            got="NaN or infinity in the sum spectrum",
            cure="Exclude those positions, or fill them in.",
        )
    top = int(where[counts[where].argmax()])
    peak = _peak(values, counts, top) if where[0] < top < where[-1] else None
    clear = counts[top] > max(_CLEAR * float(np.median(counts)), 0.0)
    far = window is None and abs(values[top]) * (electronvolts(axis) or 0.0) > _NEAR
    if peak is None or not clear or far:
        found = f"the highest channel at {values[top]:.4g}" if counts[top] > 0 else "no counts"
        raise InputError(
            "There must be a zero-loss peak in range",
            got=f"{found} on an axis of {span}",
            cure="Give the low-loss spectra; or the window, two energies that it lies between.",
        )
    return peak


def _peak(values: F64, counts: F64, top: int) -> ZeroLoss | None:
    """Width and place of a peak; None if it does not fall to its half on both sides, or rises."""
    half = counts[top] / 2
    left, right = top, top
    while left > 0 and counts[left] > half:
        left -= 1
    while right < len(counts) - 1 and counts[right] > half:
        right += 1
    if counts[left] > half or counts[right] > half or counts[left:right].max() > counts[top]:
        return None
    step = values[1] - values[0]
    inner = (half - counts[left]) / (counts[left + 1] - counts[left])
    outer = (half - counts[right]) / (counts[right - 1] - counts[right])
    width = (right - outer - left - inner) * step
    logs = np.log(np.maximum(counts[top - 1 : top + 2], np.finfo(float).tiny))
    bend = logs[0] - 2 * logs[1] + logs[2]
    shift = (logs[0] - logs[2]) / (2 * bend) if bend < 0 else 0.0
    return ZeroLoss(top, float(values[top] + shift * step), float(width))
