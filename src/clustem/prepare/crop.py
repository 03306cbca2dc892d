"""Region of interest."""

from __future__ import annotations

from math import floor
from typing import Any, Literal

from clustem.core import InputError, ParameterError, Signal, like, preparation

Span = tuple[float, float] | str
"""Start and stop, or both in a text: ``"20:176"``, where either may be left out."""
_ROUNDING = 1e-9  # of positions in axis units, relative


@preparation(kind="geometry")
def crop(
    signal: Signal,
    *,
    rows: Span | None = None,
    columns: Span | None = None,
    channels: Span | None = None,
    units: Literal["px", "axis"] = "px",
) -> Signal:
    """Cut a region of interest out of a scan, an image or the channels of its spectra.

    Parameters
    ----------
    signal
        Scan (rows, columns | ...), line of positions (columns | ...) or image (| rows, columns).
    rows, columns
        Start and stop, the first pixel inside and the first one outside. None keeps all.
    channels
        Start and stop along the signal axis of spectra.
    units
        ``"px"``: counted from 0. ``"axis"``: in the units of each axis, such as nm and keV.

    Returns
    -------
    :
        Signal of the region, with axes and metadata. Like every slice, its values are
        the input's own, not a copy.

    Raises
    ------
    InputError
        If a span leaves its axis or is empty, or there is no such axis.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> import numpy as np
    >>> scan = hs.signals.Signal1D(np.zeros((40, 60, 100)))
    >>> crop(scan, rows="10:30", columns=(5, 60), channels=":80").data.shape
    (20, 55, 80)
    """
    manager = signal.axes_manager
    plane = list(manager.navigation_axes or (manager.signal_axes if _is_image(signal) else ()))
    known = {"columns": plane[0]} if plane else {}
    if len(plane) > 1:
        known["rows"] = plane[1]
    if manager.signal_dimension == 1:
        known["channels"] = manager.signal_axes[0]
    slices = {
        name: _slice(known, name, span, units)
        for name, span in (("rows", rows), ("columns", columns), ("channels", channels))
        if span is not None
    }
    over_plane = tuple(slices.get(name, slice(None)) for name in list(known)[: len(plane)])
    cut: Signal = like(signal, signal.data, copy_variance=True)  # see there
    if _is_image(signal):
        cut = cut.isig[over_plane]
    elif plane:
        cut = cut.inav[over_plane]
    if "channels" in slices:
        cut = cut.isig[slices["channels"]]
    return cut


def _is_image(signal: Any) -> bool:
    manager = signal.axes_manager
    return bool(manager.navigation_dimension == 0 and manager.signal_dimension == 2)


def _slice(known: dict[str, Any], name: str, span: Span, units: str) -> slice:
    if name not in known:
        raise InputError(
            f"A span of {name} needs a signal that has {name}",
            got=f"only {' and '.join(known) or 'axes of other kinds'}",
            cure=f"Leave {name} out.",
        )
    axis = known[name]
    low, high = (0.0, float(axis.size)) if units == "px" else _edges(axis)
    start, stop = _ends(name, span, low, high)
    label = "pixel" if units == "px" else str(axis.units)
    slack = _ROUNDING * (high - low)
    if start < low - slack or stop > high + slack or start >= stop:
        raise InputError(
            f"{name} must be an increasing span within {low:g}:{high:g} [{label}]",
            got=f"{start:g}:{stop:g}",
            cure="Choose a region inside the scan, or units='px' or 'axis' as it was meant.",
        )
    if units == "px":
        if start % 1 or stop % 1:
            raise InputError(
                f"{name} must be whole pixels",
                got=f"{start:g}:{stop:g}",
                cure="Round them, or set units='axis' for positions in the units of the axis.",
            )
        return slice(int(start), int(stop))
    first, last = (_index(axis, value) for value in (start, stop))
    return slice(first, max(last, first + 1))


def _edges(axis: Any) -> tuple[float, float]:
    """Outer edges of the first and last pixel of an axis; pixel i is centered on its value."""
    if not axis.is_uniform or axis.scale <= 0:
        raise InputError(
            f"Spans in axis units need a uniform, rising axis; {axis.name} is not",
            cure="Give pixels, units='px'.",
        )
    return axis.offset - axis.scale / 2, axis.offset + (axis.size - 0.5) * axis.scale


def _index(axis: Any, value: float) -> int:
    """Pixel in which the value lies; the outer edge of the last one lies in the next."""
    rounded: int = floor((value - axis.offset) / axis.scale + 0.5 + _ROUNDING)
    return min(max(rounded, 0), int(axis.size))


def _ends(name: str, span: Span, low: float, high: float) -> tuple[float, float]:
    if not isinstance(span, str):
        return span
    try:
        first, last = (part.strip() for part in span.split(":"))
        return (float(first) if first else low), (float(last) if last else high)
    except ValueError:
        raise ParameterError(
            f"{name} must be two numbers, start and stop",
            got=repr(span),
            cure="Write them as 20:176; either may be left out.",
        ) from None
