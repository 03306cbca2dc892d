"""Signals of one scan prepared and described, each as its own recipe does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features, InputError, Segmentation, Signal, Step, registry, versions
from clustem.passes.storage import loaded
from clustem.recipes._detectors import Detector, counts_kind, positions_of
from clustem.recipes._joint import describe_as, naming, prepare_as
from clustem.recipes._run import Run
from clustem.recipes._scan_images import scan_images
from clustem.recipes.recipe import BEFORE

F64 = NDArray[np.float64]
_SMOOTH = 1.5
"""Width of the smoothing of the thickness [px]."""
_COLUMNS = 64
"""Most columns of values that a covariance takes."""
_LAG, _FEWEST, _MANY, _ALIKE = 3, 50, 20_000, 1e-3
"""Positions over which an image is compared with the thickness; fewest and most pairs, and the
spread of the logarithm of the thickness that is none."""


def described(
    detectors: Sequence[Detector],
    shape: tuple[int, ...],
    known: Mapping[str, Segmentation] | None = None,
) -> dict[str, Run]:
    """Prepare and describe signals; positions that one leaves out are left out of all.

    Parameters
    ----------
    detectors
        The signals, at common positions.
    shape
        Shape of the scan.
    known
        Results of the same signals of another scan, whose channels and components they get.
    """
    runs: dict[str, Run] = {}
    excluded = np.zeros(shape, dtype=bool)
    for one in detectors:
        run = Run(one.scan)
        if known is None:
            run.steps(one.recipe, ("prepare",), None)
        else:
            with naming(one.name):
                prepare_as(run, one.recipe, known[one.name])
        for mask in (run.masks.scan, one.excluded):
            if mask is not None:
                excluded |= mask
        runs[one.name] = run
    for one in detectors:
        run = runs[one.name]
        if one.placed is not None:
            run.history.insert(0, one.placed)
        if positions_of(run.raw) != shape:
            raise InputError(
                "Preparations must leave all signals at the same positions",
                got=f"{one.name} on {positions_of(run.raw)}, not {shape}",
                cure="Crop or bin all of them alike before.",
            )
        run.masks = replace(run.masks, scan=excluded if excluded.any() else None)
        fitted = None if known is None else known[one.name].fitted
        if not one.is_image and fitted is None:
            _describe(one, run)
        elif not one.is_image and fitted is not None:
            with naming(one.name):
                describe_as(run, one.recipe, fitted)
    thickness = _thickness([runs[one.name].raw for one in detectors if not one.is_image])
    for one in detectors:
        if one.is_image:
            fitted = None if known is None else known[one.name].fitted
            chosen = {} if fitted is None else fitted.described
            _describe_image(runs[one.name], excluded, thickness, chosen)
    return runs


def _describe(one: Detector, run: Run) -> None:
    """Describe a signal; of many values take the components, as a covariance takes no more."""
    run.steps(one.recipe, BEFORE[1:], None)
    components = "reduce", "pca"
    if counts_kind(one.recipe) or run.needed_features().rows.shape[1] <= _COLUMNS:
        return
    if components not in one.recipe.steps:
        one.recipe = replace(one.recipe, steps={**one.recipe.steps, components: {}})
        run.step(registry("reduce")["pca"], {})


def _thickness(scans: Sequence[Signal]) -> F64 | None:
    """Return the smoothed total of the scan with the largest, which thickness and dose vary."""
    from scipy.ndimage import gaussian_filter

    totals = [scan_images(signal)[0] for signal in scans]
    usable = [total for total in totals if (total >= 0).all() and total.any()]
    if not usable:
        return None
    found: F64 = gaussian_filter(max(usable, key=lambda total: float(total.sum())), _SMOOTH)
    return found if (found > 0).all() else None


def _describe_image(
    run: Run,
    excluded: NDArray[np.bool_],
    thickness: F64 | None,
    chosen: Mapping[str, Any],
) -> None:
    """Describe an image by its values, without what they follow of the thickness.

    Power of the thickness and logarithm are those that were chosen for another scan, if any were.
    """
    image = np.asarray(loaded(run.raw.data), dtype=np.float64)
    if not np.isfinite(image[~excluded]).all():
        raise InputError(
            "All values must be finite numbers",
            got="NaN or inf in an image",
            cure="Fill them in first.",
        )
    above = bool((image[~excluded] > 0).all())
    logarithm = bool(chosen.get("logarithm", thickness is not None and above))
    if logarithm and (thickness is None or not above):
        raise InputError(
            "An image must have values above 0, and counts beside it that tell the thickness, as "
            "in the fit",
            got="values of 0 and less" if not above else "no counts",
            cure="Do not subtract an offset from it, or leave the image out of the fit.",
        )
    power = 0.0
    if logarithm and thickness is not None:
        image = np.log(np.maximum(image, 1e-300))
        found = chosen.get("power")
        power = round(_power(image, np.log(thickness), excluded), 4) if found is None else found
        image = image - power * np.log(thickness)
    name = "log intensity" if logarithm else "intensity"
    features = Features.of_scan(image[~excluded][:, None], run.raw, excluded, names=(name,))
    run.features = features
    note = f"as thickness, by the counts of the scan, to the power of {power:.2g} is divided out"
    run.history.append(
        Step(
            "describe",
            "image",
            {"power": None, "logarithm": None},
            found={"power": power, "logarithm": logarithm},
            version=versions()["clustem"],
            note=note if power else "",
        )
    )


def _power(image: F64, thickness: F64, excluded: NDArray[np.bool_]) -> float:
    """Return the slope of an image over the thickness, both logarithms, where no border lies.

    Of differences over a few positions; borders between phases are outliers.
    """
    from sklearn.linear_model import HuberRegressor

    x, y = [], []
    for axis in range(image.ndim):
        one, other = (np.arange(_LAG, image.shape[axis]), np.arange(image.shape[axis] - _LAG))
        if len(one) < 1:
            continue
        seen = ~(np.take(excluded, one, axis) | np.take(excluded, other, axis))
        x.append((np.take(thickness, one, axis) - np.take(thickness, other, axis))[seen])
        y.append((np.take(image, one, axis) - np.take(image, other, axis))[seen])
    steps, rises = np.concatenate(x), np.concatenate(y)
    if len(steps) < _FEWEST or steps.std() < _ALIKE:
        return 0.0
    some = slice(None, None, max(len(steps) // _MANY, 1))
    fitted = HuberRegressor(fit_intercept=False, alpha=0.0).fit(steps[some, None], rises[some])
    return float(np.clip(fitted.coef_[0], 0.0, 2.0))
