"""Mask over the direct beam."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from clustem.core import NO_MASKS, InputError, Masks, ParameterError, Signal, preparation, record
from clustem.passes.rows import Rows
from clustem.physics.beam import beam_of
from clustem.physics.detector import Units, check_center, distance_map, pixel_pitch
from clustem.prepare._patterns import require_patterns


@preparation(kind="signal mask")
def beam_mask(
    signal: Signal,
    *,
    center: tuple[float, float] | None = None,
    radius: Annotated[float, Gt(0)] | None = None,
    outer: Annotated[float, Gt(0)] | None = None,
    keep: Literal["outside", "inside", "annulus"] = "outside",
    units: Units = "px",
    masks: Masks = NO_MASKS,
) -> NDArray[np.bool_]:
    """Mask the direct beam of a 4D-STEM scan, or all but the beam or a ring around it.

    Parameters
    ----------
    signal
        Scan of patterns (scan | row, column), lazy or not.
    center
        Row and column of the beam [px]; if None it is looked for in the mean of some 500 patterns.
    radius
        Of the beam's disc; if None, where its edge ends in that mean.
    outer
        Outer radius of the ring, for ``keep="annulus"`` only.
    keep
        ``"outside"`` leaves in what lies beyond the radius, ``"inside"`` the disc itself,
        ``"annulus"`` what lies between the two radii.
    units
        Of ``radius`` and ``outer``: pixels, scattering vector, angle, or the units of the axes.
    masks
        Of the signal: boolean, shape of a pattern, True = pixels not to be trusted when the beam is
        looked for.

    Returns
    -------
    :
        Boolean, shape of a pattern, True = excluded.

    Raises
    ------
    InputError
        If it is not a scan of patterns, no beam stands out, the center is not on the detector, a
        unit needs a calibration that is not there, or nothing or everything would be excluded.

    Notes
    -----
    The beam is the connected region around the brightest point of the mean pattern that is brighter
    than half of it. Its edge ends where the median over each ring has become flat, so neither
    spots nor a halo widen it; a beam that wanders over the scan does.

    Examples
    --------
    >>> from clustem.samples import diffraction
    >>> sample = diffraction(shape=(12, 16))
    >>> mask = beam_mask(sample.signal)
    >>> mask.shape, bool(mask[30, 33]), bool(mask[10, 33])
    ((64, 64), True, False)
    """
    require_patterns(signal, "A beam mask")
    if (keep == "annulus") != (outer is not None):
        raise ParameterError(
            "outer must be given for keep='annulus' and for nothing else",
            got=f"keep={keep!r} and outer={outer}",
            cure="Give both radii of the ring, or leave outer out.",
        )
    shape = signal.data.shape[-2:]
    if center is None or radius is None:
        beam = beam_of(Rows(signal.data, row_ndim=2), center=center, mask=masks.signal)
        center = beam.center
        if radius is None:
            radius = beam.radius * max(pixel_pitch(signal, units))
    check_center(center, shape)
    if outer is not None and outer <= radius:
        raise ParameterError(
            f"outer must be larger than the radius ({radius:g} [{units}])",
            got=f"{outer:g}",
            cure="Give a wider ring.",
        )
    record(beam_radius=float(radius), units=units, center=[float(at) for at in center])
    distance, _ = distance_map(signal, center, units)
    inside = distance <= radius
    mask = inside if keep == "outside" else ~inside
    if outer is not None:
        mask = inside | (distance > outer)
    return _useful(mask, f"{keep} {radius:g} [{units}]")


def _useful(mask: NDArray[np.bool_], what: str) -> NDArray[np.bool_]:
    if mask.all() or not mask.any():
        raise InputError(
            "A beam mask must leave some detector pixels in and some out",
            got=f"{'all' if mask.all() else 'none'} of {mask.size} excluded by {what}",
            cure="Check radius and units.",
        )
    return np.ascontiguousarray(mask)
