"""Geometry of a pixelated detector: units, distances, angles."""

from __future__ import annotations

import re
from math import sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, instrument

F64 = NDArray[np.float64]
Units = Literal["px", "1/Å", "1/nm", "mrad", "axis"]
"""``"px"``: pixels of the detector; ``"axis"``: the units of the pattern's own axes."""

_LENGTHS = {"pm": 1e-12, "Å": 1e-10, "A": 1e-10, "nm": 1e-9, "um": 1e-6, "µm": 1e-6}
_LENGTHS |= {"mm": 1e-3, "cm": 1e-2, "m": 1.0}
_ANGLES = {"rad": 1e3, "mrad": 1.0, "µrad": 1e-3, "urad": 1e-3}
_ANGLES |= {"deg": 1e3 * np.pi / 180, "°": 1e3 * np.pi / 180}


def pixel_pitch(signal: Any, units: Units) -> tuple[float, float]:
    """Size of a detector pixel (row, column).

    Parameters
    ----------
    signal
        HyperSpy signal with two signal axes.
    units
        Unit of the answer.

    Raises
    ------
    InputError
        If the axes are not calibrated, or conversion needs a beam energy or camera length that the
        metadata do not have.

    Notes
    -----
    Scattering vectors g and angles θ convert by θ = λ g, with the relativistic wavelength of the
    beam energy in the metadata. Sizes on the detector, as in blockfiles, become angles through
    the camera length of the file.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = hs.signals.Signal2D(np.zeros((2, 3, 4, 5)))
    >>> for axis in scan.axes_manager.signal_axes:
    ...     axis.scale, axis.units = 0.02, "1/Å"
    >>> scan.metadata.set_item("Acquisition_instrument.TEM.beam_energy", 200.0)
    >>> [round(size, 4) for size in pixel_pitch(scan, "mrad")]
    [0.5016, 0.5016]
    """
    if units == "px":
        return 1.0, 1.0
    column, row = signal.axes_manager.signal_axes
    for axis in (row, column):
        if not axis.is_uniform:
            raise InputError(
                f"Detector axes must be uniform for units={units!r}",
                got=f"{axis.name} with uneven steps",
                cure="Use units='px'.",
            )
    if units == "axis":
        return abs(float(row.scale)), abs(float(column.scale))
    return _converted(signal, row, units), _converted(signal, column, units)


def distance_map(signal: Any, center: tuple[float, float], units: Units = "px") -> tuple[F64, F64]:
    """Distance of each detector pixel from a center, and its direction.

    Parameters
    ----------
    signal
        HyperSpy signal with two signal axes.
    center
        Row and column [px].
    units
        Unit of the distance.

    Returns
    -------
    :
        Distances and directions, counterclockwise from the right in -π ... π on a pattern
        drawn with row 0 on top, both with the pattern's shape.
    """
    pitch = pixel_pitch(signal, units)
    row, column = np.indices(signal.data.shape[-2:])
    down = (row - center[0]) * pitch[0]
    right = (column - center[1]) * pitch[1]
    return np.hypot(down, right), np.arctan2(-down, right)


def check_center(center: tuple[float, float], shape: tuple[int, ...]) -> None:
    """Refuse a center that is not on the detector.

    Raises
    ------
    InputError
        If it is not.
    """
    if not all(-0.5 <= at <= size - 0.5 for at, size in zip(center, shape, strict=True)):
        raise InputError(
            f"The center (row, column) must be on the detector of {shape[0]} × {shape[1]} pixels",
            got=f"({center[0]:g}, {center[1]:g})",
            cure="Give it in pixels counted from 0, row first.",
        )


def wavelength(beam_energy: float) -> float:
    """Relativistic wavelength of electrons [Å] of an energy [keV].

    Examples
    --------
    >>> round(wavelength(200.0), 5)
    0.02508
    """
    volts = 1e3 * beam_energy
    return 12.264259661 / sqrt(volts * (1 + 0.978475598e-6 * volts))


def _converted(signal: Any, axis: Any, units: Units) -> float:
    scale, name = abs(float(axis.scale)), str(axis.units).strip()
    in_vector = _per_length(name)
    if in_vector is not None:
        vector = scale * in_vector  # [1/Å]
        return vector * _vector_to(signal, units)
    if name in _ANGLES:
        angle = scale * _ANGLES[name]
    elif name in _LENGTHS:
        angle = 1e3 * scale * _LENGTHS[name] / _camera_length(signal)
    else:
        raise InputError(
            f"Detector axes must be calibrated for units={units!r}",
            got=f"units {name!r}",
            cure="Set axis.scale and axis.units ('1/Å', '1/nm' or 'mrad'), or use units='px'.",
        )
    return (
        angle if units == "mrad" else angle / _vector_to(signal, "mrad") * _vector_to(signal, units)
    )


def _vector_to(signal: Any, units: Units) -> float:
    """Factor from 1/Å."""
    if units == "mrad":
        return 1e3 * wavelength(_beam_energy(signal))
    return 10.0 if units == "1/nm" else 1.0


def _per_length(name: str) -> float | None:
    """Factor of a reciprocal unit to 1/Å, None for others."""
    found = re.fullmatch(r"1\s*/\s*(\S+)|(\S+?)\s*(?:\^?-1|\^?\(-1\)|⁻¹|\$\^\{-1\}\$)", name)
    length = _LENGTHS.get((found[1] or found[2]).strip("()")) if found else None
    return None if length is None else 1e-10 / length


def _beam_energy(signal: Any) -> float:
    energy = instrument(signal, "beam_energy")
    if not energy:
        raise InputError(
            "Angles need the beam energy",
            got="none in the metadata",
            cure="Set metadata.Acquisition_instrument.TEM.beam_energy [keV], or use 'px'.",
        )
    return float(energy)


def _camera_length(signal: Any) -> float:
    """Camera length of a blockfile [m]; other formats calibrate their axes themselves."""
    tenths = signal.original_metadata.get_item("blockfile_header.Camera_length", None)
    if not tenths:
        raise InputError(
            "Sizes on the detector need the camera length",
            got="none in the file",
            cure="Calibrate the axes ('1/Å', '1/nm' or 'mrad'), or use units='px'.",
        )
    return float(tenths) * 1e-4
