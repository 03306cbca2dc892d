"""What all preparations of 4D-STEM scans need."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.compute import Rows
from clustem.compute.beam import Beam, find_beam, mean_pattern
from clustem.compute.detector import check_center
from clustem.compute.masks import fitting_mask
from clustem.model import InputError
from clustem.prepare._signal import require_numbers, scan_shape


def require_patterns(signal: Any, what: str) -> tuple[int, ...]:
    """Return the scan's shape; refuse what is not a scan of patterns.

    Raises
    ------
    InputError
        If there are not two signal axes, or no scan axes.
    """
    manager, scan = signal.axes_manager, scan_shape(signal)
    if manager.signal_dimension != 2 or not scan:
        raise InputError(
            f"{what} needs a scan of patterns (scan | row, column)",
            got=f"{len(scan)} scan axes and {manager.signal_dimension} signal axes",
            cure="Give all patterns of the scan, not a single image; where HyperSpy did not see "
            "which axes are the detector's: signal.transpose(signal_axes=2).",
        )
    require_numbers(signal, what)
    return scan


def beam_of(
    signal: Any, center: tuple[float, float] | None, signal_mask: NDArray[np.bool_] | None
) -> Beam:
    """Find the direct beam in the mean of some patterns of a scan.

    Parameters
    ----------
    signal
        Scan of patterns.
    center
        Row and column [px] where they are known.
    signal_mask
        Boolean, shape of a pattern, True = pixels not to be trusted.
    """
    rows = Rows(signal.data, row_ndim=2)
    if center is not None:
        check_center(center, rows.row_shape)
    excluded = fitting_mask(signal_mask, rows.row_shape, "signal")
    return find_beam(mean_pattern(rows), excluded=excluded, center=center)
