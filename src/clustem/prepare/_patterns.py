"""What all preparations of 4D-STEM scans need."""

from __future__ import annotations

from typing import Any

from clustem.core import InputError, scan_shape
from clustem.prepare._signal import require_numbers


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
