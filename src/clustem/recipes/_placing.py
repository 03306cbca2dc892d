"""Signals of one scan brought to common positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    InputError,
    Scan,
    Step,
    axes_of,
    registry,
    versions,
)
from clustem.passes.storage import loaded
from clustem.physics.shared_positions import Placement, shared_positions
from clustem.recipes._detectors import Detector
from clustem.recipes._scan_images import scan_images

F64 = NDArray[np.float64]
_SAME_SIZE = 0.01
"""Relative difference of two lengths that is none."""


def reference_of(detectors: Sequence[Detector]) -> Detector:
    """Return the signal whose positions are the common ones: the scan with fewest."""
    scans = [one for one in detectors if not one.is_image] or list(detectors)
    return min(scans, key=lambda one: int(np.prod(one.shape)))


def bring_together(detectors: Sequence[Detector]) -> Detector:
    """Bring signals to the positions of the scan that has fewest; return it.

    Raises
    ------
    InputError
        If a signal does not lie on the others.
    """
    first = reference_of(detectors)
    views = scan_images(first.scan.signal)
    left = [one for one in detectors if one is not first]
    while left:
        known = len(left)
        for one in [*left]:
            if _bring(one, first, views):
                left.remove(one)
                views = np.concatenate([views, scan_images(one.scan.signal)])
        if len(left) == known:
            raise InputError(
                f"{left[0].name} must show the same area as {first.name}",
                got="nothing in common at any shift",
                cure=f"Leave it out. If you know that it does: -s {left[0].name}.place=same, or "
                f"its shift, -s {left[0].name}.shift=[3,-2].",
            )
    return first


def _bring(one: Detector, first: Detector, views: F64) -> bool:
    """Bring a signal to common positions if it shows what others do; whether it does."""
    given, shape, notes = one.scan, first.shape, []
    if len(one.shape) != len(shape):
        raise InputError(
            "Signals of one scan must have the same axes",
            got=f"{first.name} on {shape}, {one.name} on {one.shape}",
            cure="Leave one out.",
        )
    factors = [n // m for n, m in zip(one.shape, shape, strict=True)]
    whole = all(f >= 1 and n % m == 0 for f, n, m in zip(factors, one.shape, shape, strict=True))
    if whole and max(factors) > 1:
        one.scan = _binned(one, factors)
        notes.append(f"binned by {' x '.join(map(str, factors))}")
    scale = np.ones(2)
    if len(shape) == 1 and (one.shift or not whole):
        raise InputError(
            "Lines are clustered together position by position",
            got=f"{first.name} on {shape}, {one.name} on {one.shape}, shift {one.shift}",
            cure="Cut them to the same positions before.",
        )
    if not whole:
        scale = _scales(one, first)
        notes.append(f"{scale[0]:.3g} times as many positions a line")
    if len(shape) == 1 or one.shift is not None or (one.place == "same" and whole):
        matrix = np.column_stack([np.eye(2), one.shift or (0, 0)])
        one.placement = Placement(matrix, "shift" if one.shift else "same", None)
        if one.shift:
            notes.append(f"shifted by {one.shift[0]}, {one.shift[1]} px as told")
    else:
        images = scan_images(one.scan.signal)
        if not whole:
            images = _resized(images, scale, shape)
        found = shared_positions(views, images, affine=one.place == "affine")
        if found is None or (found.chance is None and not whole):
            one.scan = given
            return False
        one.placement = found
        notes.append(_in_words(found, first.name))
    if one.placement.kind != "same" or not whole:
        _resample(one, shape, scale)
    one.placed = Step(
        "prepare",
        "place",
        {"on": first.name},
        found={
            "matrix": [round(float(value), 4) for value in one.placement.matrix.ravel()],
            "chance": one.placement.chance,
        },
        version=versions()["clustem"],
        note="; ".join(notes),
    )
    return True


def _in_words(found: Placement, name: str) -> str:
    if found.chance is None:
        return f"taken as the positions of {name}: one of them shows nothing to compare"
    where = {
        "same": f"at the positions of {name}",
        "shift": f"shifted by {found.shift[0]:.0f}, {found.shift[1]:.0f} px against {name}",
        "affine": f"turned and stretched against {name}",
    }[found.kind]
    return f"{where} (by chance with probability {found.chance:.2g} or less)"


def _binned(one: Detector, factors: Sequence[int]) -> Scan:
    """Sum positions, which counts stay counts by; of an image take the mean."""
    signal = one.scan.signal
    pair = (factors[0], factors[-1])
    if one.is_image:
        from skimage.transform import downscale_local_mean

        small = downscale_local_mean(np.asarray(loaded(signal.data), dtype=np.float64), pair)
        axes = [
            {**axis, "size": size, "scale": axis["scale"] * factor}
            for axis, size, factor in zip(axes_of(signal), small.shape, pair, strict=True)
        ]
        made: Any = type(signal)
        return Scan.of(made(small, axes=axes, metadata=signal.metadata.as_dictionary()))
    step = registry("prepare")["rebin"].step
    return Scan.of(step(signal, scan=pair if len(one.shape) == 2 else (1, factors[0])))


def _scales(one: Detector, first: Detector) -> F64:
    """Return how many positions of a signal lie on one of the common scan, by rows and columns."""
    lengths = []
    for signal in (one.scan.signal, first.scan.signal):
        axes = axes_of(signal)[:2]
        known = all(str(axis["units"]) not in {"", "None", "<undefined>", "px"} for axis in axes)
        lengths.append([abs(axis["scale"]) for axis in axes] if known else None)
    units = {str(axes_of(d.scan.signal)[0]["units"]) for d in (one, first)}
    if lengths[0] is not None and lengths[1] is not None and len(units) == 1:
        return np.asarray(np.array(lengths[1]) / np.array(lengths[0]))
    ratio = np.array(one.shape) / np.array(first.shape)
    if abs(ratio[0] / ratio[1] - 1) > _SAME_SIZE:
        raise InputError(
            f"{one.name} must cover the field of {first.name}, or both have pixel sizes in one "
            "unit",
            got=f"{one.shape} and {first.shape} positions",
            cure="Calibrate both: prepare.pixel_size.",
        )
    return np.asarray(ratio)


def _resized(images: F64, scale: F64, shape: tuple[int, ...]) -> F64:
    """Resample images at the pixel size of a scan, cut or filled up to its shape."""
    from scipy.ndimage import affine_transform, gaussian_filter

    blur = [0.5 * max(s - 1, 0) for s in scale]
    offset = (scale - 1) / 2
    smooth = [gaussian_filter(image, blur) for image in images]
    return np.array(
        [
            affine_transform(image, scale, offset, output_shape=shape, order=1, cval=image.mean())
            for image in smooth
        ]
    )


def _resample(one: Detector, shape: tuple[int, ...], scale: F64) -> None:
    """Take the value of the nearest position; an image is averaged over a position first."""
    if one.placement is None:
        raise TypeError("There is a placement by now.")
    signal = one.scan.signal
    matrix = one.placement.matrix
    rows, columns = np.indices(shape)
    places = matrix[:, :2] @ np.stack([rows.ravel(), columns.ravel()]) + matrix[:, 2:]
    places = places * scale[:, None] + (scale[:, None] - 1) / 2
    near = np.rint(places).astype(np.intp)
    size = np.array(one.shape)[:, None]
    outside = ((near < 0) | (near >= size)).any(axis=0)
    near = np.clip(near, 0, size - 1)
    data = signal.data
    if one.is_image:
        from scipy.ndimage import map_coordinates, uniform_filter

        width = [max(round(float(s)), 1) for s in scale]
        smooth = uniform_filter(np.asarray(loaded(data), dtype=np.float64), width)
        taken = map_coordinates(smooth, places, order=1, mode="nearest")
    elif hasattr(data, "vindex"):
        taken = data.vindex[tuple(near)]
    else:
        taken = np.asarray(data)[tuple(near)]
    known = axes_of(signal)
    axes = [
        {**axis, "size": n, "scale": axis["scale"] * float(s)}
        for axis, n, s in zip(known[:2], shape, scale, strict=True)
    ]
    made: Any = type(signal)
    moved = made(
        taken.reshape(*shape, *data.shape[2:]),
        axes=[*axes, *known[2:]],
        metadata=signal.metadata.as_dictionary(),
    )
    one.scan = Scan.of(moved, path=one.scan.path)
    one.excluded = outside.reshape(shape)
    if outside.all():
        raise InputError(
            f"{one.name} must lie on the others",
            got="no position in common",
            cure="Check its shift.",
        )
