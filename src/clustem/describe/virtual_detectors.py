"""Sums over rings and segments around the direct beam."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import NO_MASKS, Features, InputError, Masks, Signal, descriptor, record
from clustem.core.masks import fitting_mask
from clustem.describe._rings import outer_radius, unit_name
from clustem.describe._scan import pattern_rows
from clustem.passes.group_sums import group_sums
from clustem.physics.beam import beam_of
from clustem.physics.detector import Units, check_center, distance_map, pixel_pitch


@descriptor
def virtual_detectors(
    signal: Signal,
    *,
    masks: Masks = NO_MASKS,
    center: tuple[float, float] | None = None,
    rings: Annotated[int, Ge(1)] = 4,
    segments: Annotated[int, Ge(1)] = 8,
    inner: Annotated[float, Ge(0)] | None = None,
    outer: Annotated[float, Gt(0)] | None = None,
    units: Units = "px",
) -> Features:
    """Sum each diffraction pattern over the segments of rings: a few numbers per position.

    Parameters
    ----------
    signal
        Scan of patterns (scan | row, column), lazy or not.
    masks
        Of the scan: boolean, shape of the scan, True = excluded.
        Of the signal: boolean, shape of one pattern, True = excluded: in no detector.
    center
        Row and column of the direct beam [px]; looked for in the mean pattern if None.
    rings, segments
        Number of rings of equal width, and of segments of each.
    inner, outer
        Where the first ring begins, the edge of the direct beam's disc if None, and where the last
        one ends, the largest circle on the detector if None.
    units
        Of the radii: pixels, scattering vector, angle, or the units of the axes.

    Returns
    -------
    :
        Features with sums, float32 (n, rings × segments), ring by ring from the inside, each
        counterclockwise from the right, named by radii and angles. Detectors without a pixel
        left in are left out.

    Raises
    ------
    InputError
        If it is not a scan of patterns, no beam stands out, a unit needs a calibration that is
        not there, there are more detectors than pixels, or none has a pixel.

    Notes
    -----
    One pass; a pixel belongs to the segment in which its middle lies.

    Examples
    --------
    >>> from clustem.samples import diffraction
    >>> features = virtual_detectors(diffraction(shape=(8, 10)).signal, rings=2, segments=6)
    >>> features.rows.shape, features.names[1]
    ((80, 12), '4.5–17.1 px, 60–120°')
    """
    rows, excluded = pattern_rows(signal, masks.scan)
    left_out = fitting_mask(masks.signal, rows.row_shape, "pattern")
    if rings * segments > left_out.size:
        raise InputError(
            "Virtual detectors must hold pixels",
            got=f"{rings} rings of {segments} segments for {left_out.size} pixels",
            cure="Give fewer.",
        )
    if center is None or inner is None:
        beam = beam_of(rows, center=center)
        center = beam.center
        if inner is None:
            inner = beam.radius * max(pixel_pitch(signal, units))
    check_center(center, rows.row_shape)
    distance, angle = distance_map(signal, center, units)
    unit = unit_name(signal, units)
    last = outer_radius(distance, inner, outer, unit)
    record(center=[float(at) for at in center], inner=float(inner), outer=last)
    edges = np.linspace(inner, last, rings + 1)
    ring = np.searchsorted(edges, distance, side="right") - 1
    turn = np.floor(angle % (2 * np.pi) / (2 * np.pi) * segments).astype(np.intp) % segments
    number = np.where((ring >= 0) & (ring < rings) & ~left_out, ring * segments + turn, -1)
    found = np.unique(number[number >= 0])
    if not len(found):
        raise InputError(
            "At least one virtual detector must have a pixel",
            got=f"none between {inner:g} and {last:g} [{unit}] that is left in",
            cure="Loosen the mask, or give other radii.",
        )
    number = np.where(number >= 0, np.searchsorted(found, number), -1)
    sums = group_sums(rows, number.ravel(), len(found))
    names = tuple(_name(edges, i, segments, unit) for i in found.tolist())
    return Features.of_scan(sums.astype(np.float32), signal, excluded, names=names)


def _name(edges: NDArray[np.float64], number: int, segments: int, unit: str) -> str:
    ring, turn = divmod(number, segments)
    span = f"{edges[ring]:.3g}–{edges[ring + 1]:.3g} {unit}"
    return f"{span}, {360 * turn / segments:g}–{360 * (turn + 1) / segments:g}°"
