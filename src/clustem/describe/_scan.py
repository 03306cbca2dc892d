"""What all descriptors of patterns need to know about a scan."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.compute import Rows
from clustem.model import InputError


def fitting_mask(
    mask: NDArray[np.bool_] | None, shape: tuple[int, ...], where: str
) -> NDArray[np.bool_]:
    """Return a mask as an array, all False for None; refuse another shape or type.

    Parameters
    ----------
    mask
        Boolean, True = excluded.
    shape
        What its shape must be.
    where
        ``"scan"`` or ``"pattern"``, for the message.
    """
    if mask is None:
        return np.zeros(shape, dtype=bool)
    found = np.asarray(mask)
    if found.dtype != np.bool_ or found.shape != shape:
        raise InputError(
            f"The mask of the {where} must be boolean with the shape {shape}",
            got=f"{found.dtype} of shape {found.shape}",
            cure="True = excluded; masks are in array order, rows first.",
        )
    if found.all():
        raise InputError(
            f"At least one {'scan position' if where == 'scan' else 'detector pixel'} must be left "
            "in",
            got=f"all {found.size} excluded",
            cure="True means excluded: loosen the mask, or invert it.",
        )
    return found


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
