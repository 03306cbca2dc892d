"""Mean intensity in rings around the direct beam."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from clustem.core import NO_MASKS, Features, InputError, Masks, Signal, descriptor, record
from clustem.core.masks import fitting_mask
from clustem.describe._rings import outer_radius, unit_name
from clustem.describe._scan import pattern_rows
from clustem.passes.group_sums import group_sums
from clustem.physics.beam import beam_of
from clustem.physics.detector import Units, check_center, distance_map


@descriptor
def radial_profile(
    signal: Signal,
    *,
    masks: Masks = NO_MASKS,
    center: tuple[float, float] | None = None,
    width: Annotated[float, Gt(0)] = 1.0,
    inner: Annotated[float, Ge(0)] = 0.0,
    outer: Annotated[float, Gt(0)] | None = None,
    units: Units = "px",
) -> Features:
    """Average each diffraction pattern over rings: what is left when orientation does not matter.

    Parameters
    ----------
    signal
        Scan of patterns (scan | row, column), lazy or not.
    masks
        Of the scan: boolean, shape of the scan, True = excluded.
        Of the signal: boolean, shape of one pattern, True = excluded: in no ring.
    center
        Row and column of the direct beam [px]; looked for in the mean pattern if None.
    width
        Of a ring.
    inner, outer
        Where the first ring begins and the last one ends; the largest circle on the detector if
        ``outer`` is None.
    units
        Of widths and radii: pixels, scattering vector, angle, or the units of the axes.

    Returns
    -------
    :
        Features with means per pixel, float32 (n, rings), named by the middle of each ring. Rings
        without a pixel left in are left out.

    Raises
    ------
    InputError
        If it is not a scan of patterns, no beam stands out, a unit needs a calibration that is
        not there, or no ring has a pixel.

    Notes
    -----
    One pass; a pixel belongs to the ring in which its middle lies.

    Examples
    --------
    >>> from clustem.samples import diffraction
    >>> features = radial_profile(diffraction(shape=(8, 10)).signal, width=0.1, units="1/Å")
    >>> features.rows.shape, features.names[2]
    ((80, 9), '0.25 1/Å')
    """
    rows, excluded = pattern_rows(signal, masks.scan)
    left_out = fitting_mask(masks.signal, rows.row_shape, "pattern")
    if center is None:
        center = beam_of(rows).center
    check_center(center, rows.row_shape)
    distance, _ = distance_map(signal, center, units)
    unit = unit_name(signal, units)
    last = outer_radius(distance, inner, outer, unit)
    record(center=[float(at) for at in center], outer=last)
    ring = np.floor((distance - inner) / width).astype(np.intp)
    whole = max(1, int((last - inner) / width + 1e-9))  # part of a ring at the end does not count
    ring[left_out | (ring < 0) | (ring >= whole)] = -1
    found, count = np.unique(ring[ring >= 0], return_counts=True)
    if not len(found):
        raise InputError(
            "At least one ring must have a pixel",
            got=f"none between {inner:g} and {last:g} [{unit}] that is left in",
            cure="Loosen the mask, or give other radii.",
        )
    number = np.where(ring >= 0, np.searchsorted(found, ring), -1)
    means = group_sums(rows, number.ravel(), len(found)) / count
    names = tuple(f"{inner + (i + 0.5) * width:.4g} {unit}" for i in found)
    return Features.of_scan(means.astype(np.float32), signal, excluded, names=names)
