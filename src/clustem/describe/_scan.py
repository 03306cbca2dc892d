"""What all descriptors of patterns need to know about a scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError
from clustem.core.masks import fitting_mask
from clustem.passes.rows import Rows


def pattern_rows(signal: Any, mask: NDArray[np.bool_] | None) -> tuple[Rows, NDArray[np.bool_]]:
    """Return the patterns of a scan as rows, and the mask of the scan.

    Parameters
    ----------
    signal
        HyperSpy signal with two signal axes.
    mask
        Boolean, shape of the scan, True = excluded, or None.

    Raises
    ------
    InputError
        If it is not a scan of patterns, or the mask does not fit or excludes all of it.
    """
    manager = signal.axes_manager
    if manager.signal_dimension != 2 or manager.navigation_dimension == 0:
        single = manager.signal_dimension == 2
        raise InputError(
            "Patterns need a scan with two signal axes (row and column of the detector)",
            got=f"{manager.navigation_dimension} scan axes and "
            f"{manager.signal_dimension} signal axes",
            cure="A single image is no scan: give all its patterns, as (rows, columns | pattern)."
            if single
            else "Give a 4D-STEM scan, or name the axes: signal.transpose(signal_axes=2); "
            "for spectra use describe.spectra.",
        )
    scan = tuple(int(size) for size in signal.data.shape[:-2])
    excluded = fitting_mask(mask, scan, "scan")
    return Rows(signal.data, row_ndim=2, mask=excluded if excluded.any() else None), excluded
