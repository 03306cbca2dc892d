"""What figures show of a large map: every so many positions."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import FilterBank, Info, ParticleMap, Segmentation, Signal, Thickness, axes_of
from clustem.core.signal import to_dictionary
from clustem.report.layout.extent import axes_of as layout_axes_of
from clustem.report.layout.extent import frame_of

_MOST = 2048
"""Positions along a side that figures show: more than a page's width has pixels."""


def thinned(segmentation: Segmentation) -> Segmentation:
    """Take every so many rows and columns of a map that is larger than any figure.

    Parameters
    ----------
    segmentation
        Any result.

    Returns
    -------
    :
        The result itself up to 2048 positions along a side; else one of fewer positions, with the
        same centers, names and counts. It has no rows and no raw signal.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> small = example()
    >>> thinned(small) is small
    True
    """
    mask = segmentation.mask
    step = -(-max(mask.shape) // _MOST)
    if step == 1 or mask.ndim != 2:
        return segmentation

    def some(values: NDArray[Any]) -> NDArray[Any]:
        return np.ascontiguousarray(values[..., ::step, ::step])

    left = np.zeros(mask.shape, dtype=bool)
    left[::step, ::step] = True
    known = segmentation.thickness
    thickness = None
    if known is not None:
        maps = {f.name: getattr(known, f.name) for f in fields(Thickness)}
        thickness = replace(known, **{n: some(m) for n, m in maps.items() if m is not None})
    soft = segmentation.memberships
    return replace(
        segmentation,
        labels=_map(segmentation.labels, step),
        memberships=None if soft is None else _map(soft, step),
        mask=some(mask),
        points=segmentation.points[left[~mask]],
        about=_about(segmentation.about, step),
        distance=None if segmentation.distance is None else some(segmentation.distance),
        margin=None if segmentation.margin is None else some(segmentation.margin),
        thickness=thickness,
        context=tuple(
            _map(image, step) if image.data.shape == mask.shape else image
            for image in segmentation.context
        ),
        source=None,
        features=None,
        before=None,
    )


def _map(signal: Signal, step: int) -> Signal:
    """Take every so many rows and columns of a map or a stack of maps."""
    data = np.ascontiguousarray(np.asarray(signal.data)[..., ::step, ::step])
    axes = axes_of(signal)
    known = frame_of(layout_axes_of(signal)[-2:]).units != "px"
    for axis, size in zip(axes[-2:], data.shape[-2:], strict=True):
        axis["size"] = size
        if not known and "scale" in axis:
            axis |= {"units": "px", "scale": 1.0}  # of the map itself
        if "scale" in axis:
            axis["scale"] *= step
        else:
            axis["axis"] = np.asarray(axis["axis"])[::step]
    make: Any = signal.__class__
    made: Signal = make(**to_dictionary(signal) | {"data": data, "axes": axes})
    return made


def _about(info: Info | None, step: int) -> Info | None:
    """Thin out what steps know of each position."""
    found: Info | None = None
    for known in reversed([*(info or ())]):
        if isinstance(known, ParticleMap):
            few = np.ascontiguousarray(known.particles[::step, ::step])
            found = replace(known, particles=few, before=found)
        elif isinstance(known, FilterBank):
            found = replace(known, step=known.step * step, before=found)
        else:
            found = replace(known, before=found)
    return found
