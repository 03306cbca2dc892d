"""What all preparations need to know about a signal."""

from __future__ import annotations

from typing import Any

from clustem.core import InputError, scan_shape

NET = "Signal.background_removed"
"""Where the metadata of a signal say that it is net of a background."""


def require_scan(signal: Any, what: str, *, cure: str) -> tuple[int, ...]:
    """Return the scan's shape; refuse what is not a scan of one or two axes.

    Parameters
    ----------
    signal
        Any HyperSpy signal.
    what
        Name of the preparation, for the message.
    cure
        What to do where there is no scan.

    Raises
    ------
    InputError
        If the signal has no scan axes, or more than two.
    """
    shape = scan_shape(signal)
    if len(shape) not in (1, 2):
        raise InputError(
            f"{what} needs a scan with one or two axes",
            got=f"{len(shape)} scan axes",
            cure=cure if not shape else "Cut out one scan first, for example signal.inav[..., 0].",
        )
    return shape


def require_numbers(signal: Any, what: str) -> None:
    """Refuse complex values and records."""
    if signal.data.dtype.kind not in "buif":
        raise InputError(
            f"{what} needs real numbers",
            got=f"dtype {signal.data.dtype}",
            cure="Take the real part or the magnitude first.",
        )
