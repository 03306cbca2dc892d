"""Spectra as they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from clustem.compute import Rows
from clustem.model import InputError, ScanMask, SignalMask, Table, checked


@checked
def spectra(
    signal: Any,
    *,
    mask: ScanMask | None = None,
    signal_mask: SignalMask | None = None,
) -> Table:
    """Take each spectrum of a spectrum image as one row.

    Parameters
    ----------
    signal
        Spectrum image (scan | energy), lazy or not.
    mask
        Boolean, shape of the scan, True = excluded.
    signal_mask
        Boolean (channels,), True = excluded.

    Returns
    -------
    :
        Table with rows in the signal's own dtype; nothing is copied.

    Raises
    ------
    InputError
        If the signal is not a scan of spectra, or everything is masked.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> spectra(hs.signals.Signal1D(np.ones((2, 3, 5)))).rows.shape
    (6, 5)
    """
    manager = signal.axes_manager
    if manager.signal_dimension != 1 or manager.navigation_dimension == 0:
        raise InputError(
            "Spectra need a scan with one signal axis (energy)",
            got=f"{manager.navigation_dimension} scan axes and "
            f"{manager.signal_dimension} signal axes",
            cure="Give a spectrum image; for patterns use describe.patterns.",
        )
    scan = signal.data.shape[:-1]
    excluded = np.zeros(scan, dtype=bool) if mask is None else np.asarray(mask, dtype=bool)
    data = signal.data if signal_mask is None else signal.data[..., ~np.asarray(signal_mask)]
    if excluded.all():
        raise InputError(
            "At least one scan position must be left in",
            got=f"all {excluded.size} excluded",
            cure="Loosen the mask or the region of interest.",
        )
    return Table(Rows(data, mask=excluded if excluded.any() else None), signal, excluded)
