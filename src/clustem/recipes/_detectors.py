"""Several signals of one scan, brought to common positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    Features,
    InputError,
    ParameterError,
    Scan,
    Signal,
    Step,
    UnknownNameError,
    axes_of,
    registry,
    scan_shape,
    versions,
)
from clustem.io.reading import read
from clustem.passes.rows import Rows
from clustem.passes.storage import loaded
from clustem.physics.shared_positions import Placement, shared_positions
from clustem.recipes._few_counts import counts_of_a_position
from clustem.recipes.misfit import refuse_misfit
from clustem.recipes.recipe import BEFORE, Recipe
from clustem.recipes.runner import Run

F64 = NDArray[np.float64]
Use = Literal["evidence", "guide"]
Place = Literal["auto", "same", "affine"]
_OWN = ("recipe", "weight", "use", "place", "shift")
"""Settings of a signal that are no steps of its recipe."""
_GROUPS = 32
"""Groups of channels that a scan's images are made of."""
_LAG, _FEWEST, _MANY, _ALIKE = 3, 50, 20_000, 1e-3
"""Positions over which an image is compared with the thickness; fewest and most pairs, and the
spread of the logarithm of the thickness that is none."""
_SMOOTH, _BEYOND = 1.5, 1.2
"""Width of the smoothing of these [px], and how far they must exceed the largest of noise."""
_COMPONENTS = 3
"""Images of a scan beside its total."""
_SAME_SIZE = 0.01
"""Relative difference of two lengths that is none."""


@dataclass(eq=False)
class Detector:
    """One signal of a scan.

    Parameters
    ----------
    name
        Its name.
    scan
        What was opened.
    recipe
        Its own recipe: how it is prepared and described.
    weight
        What its log-likelihood is multiplied by.
    use
        Whether it is evidence for clusters, or says only where borders may lie.
    place
        Whether its positions are looked for, taken as they are, or may be turned and stretched.
    shift
        Rows and columns by which it lies shifted, if that is known [px of the common scan].
    placement
        How it lies on the first signal.
    placed
        What was done for it, one line of history; None if it stays where it is.
    excluded
        Positions that it does not cover, boolean.
    """

    name: str
    scan: Scan
    recipe: Recipe
    weight: float = 1.0
    use: Use = "evidence"
    place: Place = "auto"
    shift: tuple[int, int] | None = None
    placement: Placement | None = None
    placed: Step | None = None
    excluded: NDArray[np.bool_] | None = None

    @property
    def is_image(self) -> bool:
        """Whether a position holds one value."""
        return self.recipe.data == "image"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the scan."""
        return positions_of(self.scan.signal)


def positions_of(signal: Signal) -> tuple[int, ...]:
    """Return the shape of a scan; of an image, that of the image."""
    return scan_shape(signal) or tuple(int(size) for size in signal.data.shape[:2])


def opened(
    sources: Mapping[str, Any],
    settings: Mapping[str, Mapping[str, Any]],
    *,
    lazy: bool | None,
    reader: str | None,
    anyway: bool,
) -> list[Detector]:
    """Open signals, and choose how each is described.

    Raises
    ------
    InputError
        If one cannot be opened, or no recipe fits it.
    UnknownNameError
        If there are settings of a signal that is not there.
    """
    for name in settings:
        if name not in sources:
            raise UnknownNameError.among("signal called", name, list(sources))
    found = []
    for name, source in sources.items():
        given = dict(settings.get(name, {}))
        known = {"eds": "EDS", "eels": "EELS"}.get(name.split("_")[0].lower(), "")
        scan = _image_of(read(source, kind=known, lazy=lazy, reader=reader))
        own = {key: given.pop(key) for key in _OWN if key in given}
        recipe = _recipe_of(name, scan, own.pop("recipe", None)).with_settings(given)
        if "shift" in own:
            own["shift"] = _shift(name, own["shift"])
        one = Detector(name, scan, recipe, **_checked(name, own))
        if recipe.data != "image" and not anyway:
            refuse_misfit(recipe, scan)
        found.append(one)
    if len(found) < 2:
        raise InputError(
            "Several signals of one scan are clustered together",
            got=", ".join(sources) or "none",
            cure="Give two or more: eds=map.bcf haadf=image.tif, or run the signal's own recipe.",
        )
    if all(one.use == "guide" or one.weight == 0 for one in found):
        raise InputError(
            "A signal must be evidence for clusters", got="guides only", cure="Leave use out."
        )
    return found


def _image_of(scan: Scan) -> Scan:
    """Return an image as one signal of two axes: gray values of colors, or a scan of numbers."""
    signal = scan.signal
    data = signal.data
    if signal.axes_manager.signal_dimension == 0 and data.ndim == 2:
        return Scan.of(signal.transpose(signal_axes=2), path=scan.path)
    colors = data.ndim == 3 and data.shape[-1] in (3, 4) and not scan_shape(signal)
    if data.dtype.names:  # HyperSpy's colors
        data = np.stack([data[name] for name in data.dtype.names[:3]], axis=-1)
        colors = True
    if not colors:
        return scan
    gray = np.asarray(loaded(data)[..., :3], dtype=np.float64).mean(axis=-1)
    axes = [{**axis, "navigate": False} for axis in axes_of(signal)[:2]]
    from hyperspy.signals import Signal2D

    return Scan.of(Signal2D(gray, axes=axes), path=scan.path)


def _recipe_of(name: str, scan: Scan, given: str | None) -> Recipe:
    """Return the recipe that describes a signal by values whose likelihood is known."""
    if given is not None:
        return Recipe.named(given)
    manager = scan.signal.axes_manager
    if not manager.navigation_dimension:
        if manager.signal_dimension != 2:
            raise InputError(
                f"{name} must be a scan or an image",
                got=f"{manager.signal_dimension} axes",
                cure="Leave it out.",
            )
        return Recipe(name, "", "", "image", {})
    fitting = [Recipe.named(one) for one in Recipe.fitting(scan.signal)]
    counted = counts_of_a_position(scan, kinds="buif") is not None
    for recipe in fitting:
        if counted and recipe.few_counts:
            return Recipe.named(recipe.few_counts)
    drifting = any(recipe.reaches is not None for recipe in fitting)  # a zero-loss peak is in it
    mixtures = [one for one in fitting if _is_mixture(one)]
    if mixtures and (drifting or not counted or _is_counted(mixtures[0])):
        return mixtures[0]
    kind = "spectra" if manager.signal_dimension == 1 else "patterns"
    plain: dict[tuple[str, str], dict[str, Any]]
    plain = {("describe", kind): {}, ("reduce", "pca"): {}}
    if counted:
        plain = {
            ("prepare", "counts"): {},
            ("describe", kind): {"pool": "auto"},
            ("cluster", "MultinomialMixture"): {},
        }
    return Recipe(name, "", "", kind, plain)


def _is_mixture(recipe: Recipe) -> bool:
    return any(hasattr(entry.step, "predict_proba") for entry in recipe.entries())


def _is_counted(recipe: Recipe) -> bool:
    return any(hasattr(entry.step, "held_out_gains") for entry in recipe.entries())


def _checked(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    for key, known in (("use", ("evidence", "guide")), ("place", ("auto", "same", "affine"))):
        if key in given and given[key] not in known:
            raise ParameterError(
                f"{name}.{key} must be one of {', '.join(known)}",
                got=given[key],
                cure="Leave it out.",
            )
    weight = given.get("weight", 1.0)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < np.inf:
        raise ParameterError(
            f"{name}.weight must be a number of at least 0",
            got=weight,
            cure="1 lets it count by what it tells.",
        )
    return dict(given)


def _shift(name: str, given: Any) -> tuple[int, int]:
    try:
        rows, columns = (int(value) for value in given)
    except (TypeError, ValueError):
        raise ParameterError(
            f"{name}.shift must be two whole numbers, rows and columns",
            got=given,
            cure=f"-s {name}.shift=[3,-2]",
        ) from None
    return rows, columns


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
    views = _views(first.scan.signal)
    left = [one for one in detectors if one is not first]
    while left:
        known = len(left)
        for one in [*left]:
            if _bring(one, first, views):
                left.remove(one)
                views = np.concatenate([views, _views(one.scan.signal)])
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
    if not whole:
        scale = _scales(one, first)
        notes.append(f"{scale[0]:.3g} times as many positions a line")
    if len(shape) == 1 or one.shift is not None or (one.place == "same" and whole):
        matrix = np.column_stack([np.eye(2), one.shift or (0, 0)])
        one.placement = Placement(matrix, "shift" if one.shift else "same", None)
        if one.shift:
            notes.append(f"shifted by {one.shift[0]}, {one.shift[1]} px as told")
    else:
        images = _views(one.scan.signal)
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
        n, m = pair
        data = np.asarray(loaded(signal.data), dtype=np.float64)
        rows, columns = data.shape[0] // n, data.shape[1] // m
        small = data[: rows * n, : columns * m].reshape(rows, n, columns, m).mean(axis=(1, 3))
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


def _views(signal: Signal) -> F64:
    """Return images of a scan: its total, and what its groups of channels show beside it."""
    shape = positions_of(signal)
    if not scan_shape(signal):
        return np.asarray(loaded(signal.data), dtype=np.float64)[None]
    inner = signal.data.ndim - len(shape)
    rows = Rows(signal.data, row_ndim=inner)
    width = rows.shape[1]
    edges = np.unique(np.linspace(0, width, min(_GROUPS, width) + 1).astype(np.intp))[:-1]
    sums = np.zeros((len(rows), len(edges)))
    for where, part in rows.map(
        lambda block, _: np.add.reduceat(block.astype(np.float64, copy=False), edges, axis=1)
    ):
        sums[where] = part
    total = sums.sum(axis=1)
    shares = sums / np.maximum(np.abs(total), 1e-12)[:, None]
    shares -= shares.mean(axis=0)
    return np.stack([total.reshape(shape), *_least_noise(shares.reshape(*shape, -1))])


def _least_noise(maps: F64) -> F64:
    """Return the combinations of maps (rows, columns, m) that show most beside their noise.

    Maps are smoothed first; what noise would show as well is left out.

    References
    ----------
    A. Green et al., IEEE Trans. Geosci. Remote Sens. 26 (1988) 65 (minimum noise fraction).
    """
    from scipy.linalg import eigh
    from scipy.ndimage import gaussian_filter

    flat = maps.reshape(-1, maps.shape[-1])
    apart = np.concatenate(
        [np.diff(maps, axis=i).reshape(-1, maps.shape[-1]) for i in range(maps.ndim - 1)]
    )
    noise = apart.T @ apart / (2 * max(len(apart), 1))
    floor = 1e-6 * max(float(np.trace(noise)), 1e-300) / len(noise)
    smooth = gaussian_filter(maps, (_SMOOTH,) * (maps.ndim - 1) + (0,))
    flat = smooth.reshape(flat.shape)
    values, vectors = eigh(flat.T @ flat / len(flat), noise + floor * np.eye(len(noise)))
    cells = (2 * np.sqrt(np.pi) * _SMOOTH) ** (maps.ndim - 1)  # positions that are averaged
    by_chance = (1 + np.sqrt(len(noise) * cells / len(flat))) ** 2 / cells
    vectors = vectors[:, values > _BEYOND * by_chance][:, ::-1][:, :_COMPONENTS]
    return np.moveaxis((flat @ vectors).reshape(*maps.shape[:-1], -1), -1, 0)


def described(detectors: Sequence[Detector], shape: tuple[int, ...]) -> dict[str, Run]:
    """Prepare and describe signals; positions that one leaves out are left out of all."""
    runs: dict[str, Run] = {}
    excluded = np.zeros(shape, dtype=bool)
    for one in detectors:
        run = Run(one.scan)
        run.steps(one.recipe, ("prepare",), None)
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
        if not one.is_image:
            run.steps(one.recipe, BEFORE[1:], None)
    thickness = _thickness([runs[one.name].raw for one in detectors if not one.is_image])
    for one in detectors:
        if one.is_image:
            _describe_image(runs[one.name], excluded, thickness)
    return runs


def _thickness(scans: Sequence[Signal]) -> F64 | None:
    """Return the smoothed total of the scan with the largest, which thickness and dose vary."""
    from scipy.ndimage import gaussian_filter

    totals = [_views(signal)[0] for signal in scans]
    usable = [total for total in totals if (total >= 0).all() and total.any()]
    if not usable:
        return None
    found: F64 = gaussian_filter(max(usable, key=lambda total: float(total.sum())), _SMOOTH)
    return found if (found > 0).all() else None


def _describe_image(run: Run, excluded: NDArray[np.bool_], thickness: F64 | None) -> None:
    """Describe an image by its values, without what they follow of the thickness."""
    image = np.asarray(loaded(run.raw.data), dtype=np.float64)
    if not np.isfinite(image[~excluded]).all():
        raise InputError(
            "All values must be finite numbers",
            got="NaN or inf in an image",
            cure="Fill them in first.",
        )
    power, name = 0.0, "intensity"
    if thickness is not None and (image[~excluded] > 0).all():
        image = np.log(np.maximum(image, 1e-300))
        power = _power(image, np.log(thickness), excluded)
        image = image - power * np.log(thickness)
        name = "log intensity"
    features = Features.of_scan(image[~excluded][:, None], run.raw, excluded, names=(name,))
    run.features = features
    note = f"as thickness, by the counts of the scan, to the power of {power:.2g} is divided out"
    run.history.append(
        Step(
            "describe",
            "image",
            {},
            found={"power": round(power, 4)},
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
