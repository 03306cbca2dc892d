"""The total intensity of each spectrum, a stand-in for the thickness."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.compute import Rows
from clustem.compute.energy_loss import electronvolts, find_zero_loss, loss_axis, mean_spectrum
from clustem.compute.masks import fitting_mask
from clustem.model import InputError, ScanMask, SignalMask, Table, checked

_EDGE = 3.0
"""Where the zero-loss peak ends, in its full widths on either side."""


@checked
def total_intensity(
    signal: Any,
    *,
    window: tuple[float, float] | Literal["zlp", "bulk"] | None = None,
    log: bool = True,
    mask: ScanMask | None = None,
    signal_mask: SignalMask | None = None,
) -> Table:
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
    mask
        Boolean, shape of the scan, True = excluded.
    signal_mask
        Boolean (channels,), True = excluded: in no sum.

    Returns
    -------
    :
        Table with one column, float64 (n, 1): ``Σ I ΔE`` [counts eV if the axis has units of
        energy, else counts times its units] or its logarithm. Clusters of it are numbered by
        falling intensity. With the logarithm, positions of no positive total are excluded, too; the
        note says how many.

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
    >>> table = total_intensity(scan)
    >>> table.features, np.exp(table.rows[:, 0]).round(6).tolist(), table.details["note"]
    (('ln N_tot',), [7.0, 4.0], '1 of 3 positions without positive total excluded')
    """
    axis = loss_axis(signal, "The total intensity")
    scan = tuple(int(size) for size in signal.data.shape[:-1])
    if not scan:
        raise InputError(
            "The total intensity needs a scan",
            got="a single spectrum",
            cure="Give a spectrum image.",
        )
    excluded = fitting_mask(mask, scan, "scan")
    channels = _channels(signal, axis, window, excluded)
    if signal_mask is not None:
        channels &= ~fitting_mask(signal_mask, channels.shape, "pattern")
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
    details: dict[str, Any] = {"numbered_by": f"ln {name}" if log else name}
    if not kept.any():
        raise InputError(
            "At least one position must have a positive total to take its logarithm",
            got=f"none of {len(totals)}",
            cure="Check the window, or what was subtracted as background.",
        )
    if not kept.all():
        missing = np.count_nonzero(~kept)
        details["note"] = f"{missing} of {len(kept)} positions without positive total excluded"
        excluded = excluded.copy()
        excluded[~excluded] = ~kept
        totals = totals[kept]
    values = np.log(totals) if log else totals
    return Table(
        values[:, np.newaxis], signal, excluded, (details["numbered_by"],), details=details
    )


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
