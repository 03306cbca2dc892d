"""Put the zero-loss peak of every spectrum at zero."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    NO_MASKS,
    InputError,
    Masks,
    Signal,
    like,
    preparation,
    record,
    scan_shape,
    warn,
)
from clustem.core.masks import fitting_mask
from clustem.physics.energy_loss import ZeroLoss, find_zero_loss, loss_axis, mean_spectrum
from clustem.prepare._shifting import Interpolation, common_channels, shift_rows
from clustem.prepare._signal import require_numbers

F64 = NDArray[np.float64]
_REACH = 12
"""The peak of a position lies within so many full widths from the mean peak."""

_LEAST_REACH = 20
"""At least so many channels to both sides of the mean peak are searched."""

_FAINT = 0.01
"""A peak below this share of the median height counts as missing."""


@preparation(kind="geometry")
def align_zero_loss(
    signal: Signal,
    *,
    window: tuple[float, float] | None = None,
    interpolation: Interpolation = "cubic",
    core_losses: Literal["refuse", "leave"] = "refuse",
    masks: Masks = NO_MASKS,
) -> Signal:
    """Shift spectra so that their zero-loss peaks coincide, and call that energy zero.

    Parameters
    ----------
    signal
        Low-loss spectrum image or spectrum, lazy or not; it is not changed.
    window
        Where to look for the peak [units of the energy axis]. None: the whole axis, and in eV or
        keV it must lie within 10 eV of zero. Needed where something else is higher.
    interpolation
        How spectra are shifted by parts of a channel. ``"linear"`` makes peaks up to 5 % lower
        and noise smaller in some channels; ``"none"`` shifts by whole channels, so counts stay
        counts.
    core_losses
        Whether spectra on an axis that does not reach zero, as core losses, are refused or left
        as they are.
    masks
        Of the scan: boolean, shape of the scan, True = excluded: such positions keep their mean
        shift.

    Returns
    -------
    :
        Signal whose axis has the peak at 0: float64 for float64, float32 for all else unless
        nothing is interpolated. Channels at the ends that some position does not have are gone.

    Raises
    ------
    InputError
        If there is no zero-loss peak: in core losses, in a scan without counts, or outside the
        window.

    Warns
    -----
    UserWarning
        If some positions have no peak: they are not shifted.

    Notes
    -----
    Shifts are found as in eXSpy's ``align_zero_loss_peak``: the highest channel, then HyperSpy's
    ``estimate_shift1D`` (cross-correlation to a sixth of a channel), here with the mean peak. They
    are applied at once, while eXSpy interpolates twice, and linearly. The energy of the mean
    peak is then taken between channels.

    Examples
    --------
    >>> from clustem.samples import eels
    >>> sample = eels(shape=(5, 8))
    >>> aligned = align_zero_loss(sample.signal)
    >>> bool(sample.shift.std() > 0.1), abs(float(aligned.valuemax(-1).data.max())) < 0.1
    (True, True)
    """
    axis = loss_axis(signal, "Alignment of the zero-loss peak")
    require_numbers(signal, "Alignment of the zero-loss peak")
    scan = scan_shape(signal)
    left_out = fitting_mask(masks.scan, scan, "scan")
    if core_losses == "leave" and not axis.low_value <= 0 <= axis.high_value:
        return like(signal, signal.data)
    mean = mean_spectrum(signal, left_out if left_out.any() else None)
    peak = find_zero_loss(axis, mean, window=window)
    channels = np.zeros(left_out.size)
    cut = _around(signal, peak, window)
    if channels.size > 1:
        channels = _channels(cut.data, left_out, subpixel=interpolation != "none")
    out = _shifted(signal, channels, interpolation)
    center = _center(cut, channels, left_out)
    out.axes_manager.signal_axes[0].offset -= center
    record(
        zero_loss_at=center,
        zero_loss_fwhm=peak.fwhm,
        largest_shift=float(np.abs(channels).max()) * float(axis.scale),
    )
    return out


def _around(signal: Any, peak: ZeroLoss, window: tuple[float, float] | None) -> Any:
    """Return what lies around the mean peak as a list of spectra in memory."""
    import hyperspy.api as hs

    axis = signal.axes_manager.signal_axes[0]
    reach = max(_LEAST_REACH, int(_REACH * peak.fwhm / axis.scale))
    low, high = max(0, peak.channel - reach), min(axis.size, peak.channel + reach + 1)
    if window is not None:
        inside = np.flatnonzero((axis.axis >= window[0]) & (axis.axis <= window[1]))
        low, high = max(low, int(inside[0])), min(high, int(inside[-1]) + 1)
    data = np.asarray(signal.data[..., low:high], dtype=np.float64).reshape(-1, high - low)
    cut = hs.signals.Signal1D(data)
    own = cut.axes_manager.signal_axes[0]
    own.scale, own.offset = axis.scale, axis.axis[low]
    return cut


def _channels(data: F64, left_out: NDArray[np.bool_], *, subpixel: bool) -> F64:
    """Channels (n,) to move each spectrum (n, D) by."""
    top, height = data.argmax(axis=1), data.max(axis=1)
    used = ~left_out.ravel()
    present = height > max(_FAINT * float(np.median(height[used])), 0.0)
    present &= (top > 0) & (top < data.shape[1] - 1)
    _check_present(present[used])
    used &= present
    found = np.where(used, round(float(top[used].mean())) - top, 0).astype(np.float64)
    if subpixel:
        found[used] += _fine(shift_rows(data[used], found[used], "none"))
        found[used] -= found[used].mean()
    return found


def _check_present(present: NDArray[np.bool_]) -> None:
    missing = int(np.count_nonzero(~present))
    if 2 * missing > len(present):
        raise InputError(
            "Most positions must have a zero-loss peak",
            got=f"none in {missing} of {len(present)}",
            cure="Give the low-loss spectra, or the window that the peaks lie in.",
        )
    if missing:
        warn(
            f"{missing} of {len(present)} positions have no zero-loss peak: they are not shifted. "
            "Exclude them with a mask if they hold no spectra."
        )


def _fine(data: F64) -> F64:
    """Channels (n,) that are left after whole ones, by cross-correlation with the mean."""
    import hyperspy.api as hs

    stack = hs.signals.Signal1D(np.concatenate([data.mean(axis=0, keepdims=True), data]))
    found: F64 = stack.estimate_shift1D(
        0, data.shape[1], reference_indices=(0,), show_progressbar=False
    )[1:]
    return found


def _shifted(signal: Signal, channels: F64, interpolation: Interpolation) -> Signal:
    """Return a shifted copy, without the channels that some position lacks."""
    data = signal.data
    keep = common_channels(channels, data.shape[-1])
    shifts = channels.reshape(data.shape[:-1])
    if hasattr(data, "dask"):
        moved = _lazily(data, shifts, interpolation)
    else:
        moved = _moved(data, shifts[..., np.newaxis], interpolation)
    out: Signal = like(signal, moved).isig[keep.start : keep.stop]
    return out


def _lazily(data: Any, shifts: F64, interpolation: Interpolation) -> Any:
    import dask.array as da

    whole = data.rechunk({data.ndim - 1: -1})
    beside = da.from_array(shifts[..., np.newaxis], (*whole.chunks[:-1], 1))
    kept = interpolation == "none" or data.dtype == np.float64
    dtype = data.dtype if kept else np.dtype(np.float32)
    meta = np.empty((0,) * data.ndim, dtype)
    return da.map_blocks(_moved, whole, beside, interpolation, dtype=dtype, meta=meta)


def _moved(block: NDArray[Any], shifts: F64, interpolation: Interpolation) -> NDArray[Any]:
    rows = block.reshape(-1, block.shape[-1])
    return shift_rows(rows, shifts.ravel(), interpolation).reshape(block.shape)


def _center(cut: Any, channels: F64, left_out: NDArray[np.bool_]) -> float:
    """Energy of the mean peak after the shift."""
    axis = cut.axes_manager.signal_axes[0]
    used = ~left_out.ravel()
    mean = shift_rows(cut.data[used], channels[used], "cubic").mean(axis=0)
    return find_zero_loss(axis, mean, window=(axis.axis[0], axis.axis[-1])).position
