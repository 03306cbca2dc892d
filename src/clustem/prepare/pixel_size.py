"""Size of a scan pixel, corrected for a tilted face."""

from __future__ import annotations

import re
from math import cos, radians
from typing import Annotated

from annotated_types import Ge, Gt, Le

from clustem.core import InputError, ParameterError, Signal, like, preparation, record

_POWER = {"pm": -12, "Å": -10, "nm": -9, "µm": -6, "mm": -3, "cm": -2, "m": 0}


@preparation(kind="geometry")
def pixel_size(
    signal: Signal,
    *,
    width: Annotated[float, Gt(0)] | str,
    pixels: Annotated[int, Ge(1)] | None = None,
    tilt: Annotated[float, Gt(0), Le(90)] | None = None,
    units: str = "nm",
) -> Signal:
    """Calibrate the scan axes from the width of the field of view.

    Parameters
    ----------
    signal
        Scan or image.
    width
        Width of the field of view: a number in ``units``, or a text such as ``"17.6 µm"``.
    pixels
        Number of pixels along that width: those of the whole frame, if the signal was cropped.
        The signal's columns if None.
    tilt
        Stage tilt [°] at which the beam sees a face that was milled normal to the surface (FIB
        cross-section): its rows are foreshortened. None: rows are as high as columns are wide.
    units
        Unit of the calibrated axes.

    Returns
    -------
    :
        Signal with the same values and calibrated axes; what was at pixel 0 stays at 0.

    Raises
    ------
    InputError
        If there are no two axes to calibrate, or a unit is not known.

    Notes
    -----
    Columns are ``width / pixels`` apart, rows ``width / pixels / cos(90° - tilt)``.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> import numpy as np
    >>> scan = hs.signals.Signal1D(np.zeros((156, 152, 4)))
    >>> found = pixel_size(scan, width="17.6 µm", pixels=1024, tilt=52)
    >>> [axis.scale for axis in found.axes_manager.navigation_axes]
    [17.1875, 21.81125...]
    """
    manager = signal.axes_manager
    axes = manager.navigation_axes or manager.signal_axes
    if not axes or (not manager.navigation_axes and len(axes) != 2):
        raise InputError(
            "A pixel size needs a scan or an image",
            got=f"{len(axes)} axes, none of a scan",
            cure="Give a scan with one or more axes, or an image.",
        )
    if tilt is not None and len(axes) < 2:
        raise InputError(
            "A tilt correction needs rows and columns",
            got="a single line of positions",
            cure="Leave tilt out.",
        )
    unit = _unit(units)
    size = _length(width, unit) / (pixels or axes[0].size)
    stretch = 1.0 if tilt is None else 1 / cos(radians(90 - tilt))
    out = like(signal, signal.data, copy_variance=True)
    manager = out.axes_manager
    for axis, scale in zip(
        (manager.navigation_axes or manager.signal_axes)[:2], (size, size * stretch), strict=False
    ):
        axis.offset = axis.offset / axis.scale * scale
        axis.scale, axis.units = scale, unit
    record(width=size, height=size * stretch, units=unit)
    return out


def _length(width: float | str, unit: str) -> float:
    """Return a length in the given unit; a number is in that unit already."""
    if not isinstance(width, str):
        return width
    found = re.fullmatch(r"\s*([0-9.eE+-]+)\s*(\D*?)\s*", width)
    try:
        value, own = float(found[1]), found[2] or unit  # type: ignore[index]
    except (TypeError, ValueError):
        value, own = 0.0, unit
    if not value > 0:
        raise ParameterError(
            "width must be a length greater than 0, a number and a unit",
            got=repr(width),
            cure="Write it as '17.6 µm'.",
        )
    power = _POWER[_unit(own)] - _POWER[unit]
    return float(value * 10**power if power >= 0 else value / 10**-power)


def _unit(name: str) -> str:
    """Return the one spelling of a unit of length."""
    spelled = name.strip().replace("μ", "µ").replace("um", "µm").replace("Å", "Å")
    spelled = {"angstrom": "Å", "A": "Å", "micron": "µm"}.get(spelled, spelled)
    if spelled not in _POWER:
        raise ParameterError(
            f"units must be one of {', '.join(_POWER)}",
            got=repr(name),
            cure="Write µm or um, nm, Å.",
        )
    return spelled
