"""Signals of one scan as they are opened, and how each is described."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    InputError,
    ParameterError,
    Scan,
    Signal,
    Step,
    UnknownNameError,
    axes_of,
    scan_shape,
)
from clustem.io.reading import read
from clustem.passes.storage import loaded
from clustem.physics.shared_positions import Placement
from clustem.recipes._few_counts import counts_of_a_position
from clustem.recipes.misfit import refuse_misfit
from clustem.recipes.recipe import Recipe

F64 = NDArray[np.float64]
Use = Literal["evidence", "guide"]
Place = Literal["auto", "same", "affine"]
_OWN = ("recipe", "weight", "use", "place", "shift")
"""Settings of a signal that are no steps of its recipe."""


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
    recipes: Mapping[str, Recipe] | None = None,
) -> list[Detector]:
    """Open signals, and choose how each is described.

    Parameters
    ----------
    sources
        Signals by name.
    settings
        Those of each signal.
    lazy, reader, anyway
        As for ``segment_joint``.
    recipes
        How each is described, if that is known.

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
        chosen = own.pop("recipe", None)
        if recipes is None:
            recipe = _recipe_of(name, scan, chosen).with_settings(given)
        else:
            recipe = recipes[name]
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


def counts_kind(recipe: Recipe) -> str:
    """Return whether a recipe takes ``"counts"``, or ``"rates"``; empty if it takes values."""
    for (stage, _), entry in zip(recipe.steps, recipe.entries(), strict=True):
        if stage == "cluster" and hasattr(entry.step, "held_out_gains"):
            shared = recipe.steps[stage, entry.name].get("intensity") == "shared"
            return "rates" if shared else "counts"
    return ""


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
    if mixtures and (drifting or not counted or counts_kind(mixtures[0])):
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
