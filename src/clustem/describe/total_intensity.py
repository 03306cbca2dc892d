"""The total intensity of each spectrum, a stand-in for the thickness."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    NO_MASKS,
    Features,
    InputError,
    IntensityInfo,
    Masks,
    Signal,
    descriptor,
    record,
)
from clustem.core.masks import fitting_mask
from clustem.passes.rows import Rows
from clustem.physics.energy_loss import electronvolts, find_zero_loss, loss_axis, mean_spectrum

_EDGE = 3.0
"""Where the zero-loss peak ends, in its full widths on either side."""


@descriptor
def total_intensity(
    signal: Signal,
    *,
    window: tuple[float, float] | Literal["zlp", "bulk"] | None = None,
    log: bool = True,
    masks: Masks = NO_MASKS,
) -> Features:
    """Sum each spectrum over energy: thicker places send fewer electrons to the detector.

    Parameters
    ----------
    signal
        Spectrum image (scan | energy), lazy or not.
    window
        Energies to sum from and to [units of the axis]; ``"zlp"``: the zero-loss peak, three of its
        full widths to both sides; ``"bulk"``: all above it; None: all that was measured.
    log
        Whether to take the natural logarithm: intensities vary by orders of magnitude.
    masks
        Of the scan: boolean, shape of the scan, True = excluded.
        Of the signal: boolean (channels,), True = excluded: in no sum.

    Returns
    -------
    :
        Features with one column, float64 (n, 1): ``Σ I ΔE`` [counts eV if the axis has units of
        energy, else counts times its units] or its logarithm. Clusters of it are numbered by
        falling intensity. With the logarithm, positions of no positive total are excluded, too; the
        history says how many.

    Raises
    ------
    InputError
        If it is not a scan of spectra, the window holds no channel, there is no zero-loss peak
        where one is needed, a total is not finite, or none is positive.

    Notes
    -----
    One pass over the scan, sums in float64. Spectra must be aligned for a narrow window.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = hs.signals.Signal1D(np.array([[1, 2, 4], [0, 0, 0], [2, 1, 1]]))
    >>> features = total_intensity(scan)
    >>> features.names, np.exp(features.rows[:, 0]).round(6).tolist()
    (('ln N_tot',), [7.0, 4.0])
    """
    axis = loss_axis(signal, "The total intensity")
    scan = tuple(int(size) for size in signal.data.shape[:-1])
    if not scan:
        raise InputError(
            "The total intensity needs a scan",
            got="a single spectrum",
            cure="Give a spectrum image.",
        )
    excluded = fitting_mask(masks.scan, scan, "scan")
    channels = _channels(signal, axis, window, excluded)
    if masks.signal is not None:
        channels &= ~fitting_mask(masks.signal, channels.shape, "pattern")
    if not channels.any():
        raise InputError(
            "The window must hold at least one channel that is left in",
            got=f"{window} on an axis from {axis.low_value:g} to {axis.high_value:g} {axis.units}",
            cure="Give both ends in the units of the energy axis.",
        )
    step = abs(axis.scale) * (electronvolts(axis) or 1.0)
    totals = step * _sums(signal.data, channels, excluded)
    name = {"zlp": "N_ZLP", "bulk": "N_bulk"}.get(str(window), "N_tot")
    kept = _finite(totals) & (totals > 0) if log else _finite(totals)
    name = f"ln {name}" if log else name
    if not kept.any():
        raise InputError(
            "At least one position must have a positive total to take its logarithm",
            got=f"none of {len(totals)}",
            cure="Check the window, or what was subtracted as background.",
        )
    if not kept.all():
        missing = np.count_nonzero(~kept)
        record(f"{missing} of {len(kept)} positions without positive total excluded")
        excluded = excluded.copy()
        excluded[~excluded] = ~kept
        totals = totals[kept]
    values = np.log(totals) if log else totals
    about = IntensityInfo(ranked_by=name)
    return Features.of_scan(values[:, np.newaxis], signal, excluded, names=(name,), about=about)


def _channels(
    signal: Any, axis: Any, window: tuple[float, float] | str | None, excluded: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which channels to sum (D,)."""
    if window is None:
        return np.ones(axis.size, dtype=bool)
    low, high = (0.0, 0.0) if isinstance(window, str) else window
    if isinstance(window, str):
        peak = find_zero_loss(axis, mean_spectrum(signal, excluded))
        edge = _EDGE * peak.fwhm
        low, high = peak.position - edge, peak.position + edge
        if window == "bulk":
            low, high = high, np.inf
        record(window=[low, min(high, float(axis.high_value))])
    energy = np.asarray(axis.axis)
    inside: NDArray[np.bool_] = (energy >= low) & (energy <= high)
    return inside


def _sums(
    data: Any, channels: NDArray[np.bool_], excluded: NDArray[np.bool_]
) -> NDArray[np.float64]:
    first, end = np.flatnonzero(channels)[[0, -1]] + (0, 1)
    whole = channels[first:end].all()
    rows = Rows(data[..., first:end], mask=excluded if excluded.any() else None)

    def one(block: NDArray[Any], _: NDArray[np.intp]) -> NDArray[np.float64]:
        kept = block if whole else block[:, channels[first:end]]
        sums: NDArray[np.float64] = kept.sum(axis=1, dtype=np.float64)
        return sums

    out = np.empty(len(rows))
    for where, part in rows.map(one):
        out[where] = part
    return out


def _finite(totals: NDArray[np.float64]) -> NDArray[np.bool_]:
    known = np.isfinite(totals)
    if not known.all():
        raise InputError(
            "All totals must be finite numbers",
            got=f"NaN or infinity at {np.count_nonzero(~known)} of {len(known)} positions",
            cure="Exclude these positions with the mask, or fill them in.",
        )
    return known
