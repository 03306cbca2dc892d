"""Several scans described alike, so that one fit serves them all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    ClustemError,
    Entry,
    Features,
    Fitted,
    Info,
    InputError,
    Masks,
    PatchGrid,
    PatternInfo,
    Progress,
    Scan,
    Segmentation,
    Signal,
    Step,
    axes_of,
    registry,
    type_of,
    versions,
)
from clustem.passes.joined_rows import joined
from clustem.passes.rows import Rows
from clustem.physics.shared_lines import shared_lines
from clustem.recipes._cells import in_cells
from clustem.recipes._checkpoints import Checkpoints
from clustem.recipes._run import Run, steps_of
from clustem.recipes.recipe import Recipe, kind_of

_OFF = 0.1
"""Energies that differ by less are the same [channels]."""
_SAME_SCALE = 0.02
"""Relative difference of calibrations of patterns that is none."""
_KEV = {"kev": 1.0, "ev": 1e-3}


@dataclass(frozen=True, eq=False)
class Channels:
    """The axes of a spectrum or pattern that all scans are brought to.

    Parameters
    ----------
    axes
        Signal axes as HyperSpy describes them.
    spectrum
        Mean spectrum, whose lines others are to show at the same energies; None for others.
    """

    axes: tuple[Any, ...]
    spectrum: NDArray[np.float64] | None = None

    @classmethod
    def of(cls, signal: Signal, spectrum: NDArray[Any] | None = None) -> Channels:
        """Take the axes of a signal."""
        n = signal.axes_manager.signal_dimension
        known = None if spectrum is None else np.asarray(spectrum, dtype=np.float64)
        return cls(tuple(axes_of(signal)[-n:]) if n else (), known)

    @property
    def energies(self) -> NDArray[np.float64]:
        """Energies of the channels [units of the axis]."""
        axis = self.axes[0]
        found: NDArray[np.float64] = axis["offset"] + axis["scale"] * np.arange(axis["size"])
        return found

    @property
    def kev(self) -> float | None:
        """What makes keV of the energies; None if they have another unit."""
        return _KEV.get(str(self.axes[0].get("units")).strip().lower())


def common_channels(runs: Sequence[Run]) -> Channels:
    """Find channels that all scans have: those of the coarsest axis within all ranges."""
    found = [Channels.of(run.raw) for run in runs]
    if len(found[0].axes) != 1:
        return found[0]
    for i, one in enumerate(found):
        if not runs[i].raw.axes_manager.signal_axes[0].is_uniform:
            raise InputError(
                "Maps of a study need uniform energy axes",
                got=f"another in {name_of(runs[i].scan, i)}",
                cure="Interpolate it first: signal.interpolate_on_axis(...).",
            )
        if str(one.axes[0].get("units")) != str(found[0].axes[0].get("units")):
            raise InputError(
                "Maps of a study need energy axes in the same unit",
                got=f"{found[0].axes[0].get('units')} and {one.axes[0].get('units')} in "
                f"{name_of(runs[i].scan, i)}",
                cure="Convert them: signal.axes_manager[-1].convert_to_units('keV').",
            )
    totals = [_sum_spectrum(run) for run in runs]
    widths = [abs(one.axes[0]["scale"]) for one in found]
    coarse = [i for i, width in enumerate(widths) if width > max(widths) * (1 - 1e-6)]
    chosen = max(coarse, key=lambda i: float(totals[i].sum()))
    axis = found[chosen].axes[0]
    low = max(one.energies.min() - width / 2 for one, width in zip(found, widths, strict=True))
    high = min(one.energies.max() + width / 2 for one, width in zip(found, widths, strict=True))
    energies = found[chosen].energies
    slack = _OFF * abs(axis["scale"])
    inside = (energies - abs(axis["scale"]) / 2 >= low - slack) & (
        energies + abs(axis["scale"]) / 2 <= high + slack
    )
    if inside.sum() < 2:
        raise InputError(
            "Maps of a study must share a range of energies",
            got=f"none in common, {low:.4g} to {high:.4g}",
            cure="Leave out the map that covers another range.",
        )
    cut = {**axis, "size": int(inside.sum()), "offset": float(energies[inside][0])}
    return Channels((cut,), totals[chosen][inside])


def _sum_spectrum(run: Run) -> NDArray[np.float64]:
    """Sum all spectra that take part, in one pass."""
    mask = run.masks.scan
    total = np.zeros(run.raw.data.shape[-1])
    rows = Rows(run.raw.data, mask=mask if mask is not None and mask.any() else None)
    for _, part in rows.map(lambda block, _: block.sum(axis=0, dtype=np.float64)):
        total += part
    return total


def to_channels(run: Run, wanted: Channels, number: int = 0) -> None:
    """Bring a scan to the channels of others; energies are shifted where shared lines say so.

    Raises
    ------
    InputError
        If patterns have another shape or calibration, or spectra share no energies.
    """
    own = Channels.of(run.raw)
    if len(own.axes) != len(wanted.axes):
        raise InputError(
            "Scans must all be spectra, or all be patterns",
            got=f"{len(own.axes)} signal axes in {name_of(run.scan, number)}, "
            f"{len(wanted.axes)} in others",
            cure="Leave it out.",
        )
    if len(own.axes) == 1:
        _to_energies(run, own, wanted)
    else:
        _refuse_other_patterns(run, own, wanted, number)


def _to_energies(run: Run, own: Channels, wanted: Channels) -> None:
    if wanted.spectrum is not None and own.kev is not None and wanted.kev is not None:
        found = shared_lines(
            _sum_spectrum(run),
            own.energies * own.kev,
            wanted.spectrum,
            wanted.energies * wanted.kev,
        )
        if (found.stretch, found.shift) != (1.0, 0.0):
            axis = own.axes[0]
            changed = {
                "scale": float(axis["scale"] * found.stretch),
                "offset": float(axis["offset"] * found.stretch + found.shift / own.kev),
            }
            run.step(registry("prepare")["set_energy_axis"], changed)
            own = Channels.of(run.raw)
    old, new = own.axes[0], wanted.axes[0]
    if old["size"] == new["size"]:
        off = np.abs(own.energies - wanted.energies).max() / abs(new["scale"])
        if off < _OFF:
            return
    given = {name: new[name] for name in ("scale", "offset", "size")}
    run.step(registry("prepare")["resample_energy"], given)


def _refuse_other_patterns(run: Run, own: Channels, wanted: Channels, number: int) -> None:
    for one, other in zip(own.axes, wanted.axes, strict=True):
        units = {str(axis.get("units")) for axis in (one, other)}
        same = abs(one["scale"] / other["scale"] - 1) < _SAME_SCALE and len(units) == 1
        if one["size"] != other["size"] or not same:
            raise InputError(
                "Scans that are clustered together need patterns of one shape and calibration",
                got=f"{one['size']} px of {one['scale']:.4g} {one.get('units')} and "
                f"{other['size']} px of {other['scale']:.4g} {other.get('units')} "
                f"({name_of(run.scan, number)})",
                cure="Calibrate and bin them alike first: prepare.rebin, prepare.crop.",
            )


def prepare(run: Run, recipe: Recipe, *, geometry: bool) -> None:
    """Run the preparations that change channels or positions, or the others."""
    for entry, parameters in steps_of(recipe, ("prepare",)):
        if (kind_of(entry) == "geometry") == geometry:
            run.step(entry, parameters)


def prepare_as(run: Run, recipe: Recipe, result: Segmentation) -> None:
    """Prepare a scan as that of a result was, and bring it to its channels."""
    fitted = result.fitted
    known = None if fitted is None else fitted.spectrum
    lines: NDArray[Any] | None = result.mean if known is None else known
    prepare(run, recipe, geometry=True)
    if recipe.data != "image":
        to_channels(run, Channels.of(result.centers, lines))
    prepare(run, recipe, geometry=False)


def describe_as(run: Run, recipe: Recipe, fitted: Fitted) -> None:
    """Describe and reduce a scan as that of a fit was."""
    pattern = None if fitted.about is None else fitted.about.find(PatternInfo)
    hidden = None if pattern is None else pattern.signal_mask
    describe([run], recipe, hidden, dict(fitted.described))
    reduce_again(run, recipe, fitted.about)


def describe(
    runs: Sequence[Run], recipe: Recipe, hidden: NDArray[np.bool_] | None, chosen: dict[str, Any]
) -> None:
    """Describe scans alike: the same channels left out, the same parameters."""
    for entry, parameters in steps_of(recipe, ("describe",)):
        known = {name: value for name, value in chosen.items() if name in entry.parameters}
        for run in runs:
            run.masks = Masks(scan=run.masks.scan, signal=hidden)
            run.step(entry, {**parameters, **known})


def signal_mask_of(runs: Sequence[Run]) -> NDArray[np.bool_] | None:
    """Return what any of the scans leaves out of its spectra or patterns; None for nothing."""
    masks = [run.masks.signal for run in runs if run.masks.signal is not None]
    return np.any(masks, axis=0) if masks else None


def mosaic(features: Sequence[Features]) -> Features:
    """Lay scans one below the other, a line apart: one scan of them all.

    Parameters
    ----------
    features
        Features of each scan, equally wide.

    Returns
    -------
    :
        Features of a scan whose rows are theirs, one after the other; its source is read only where
        it is asked for.
    """
    if len(features) == 1:
        return features[0]
    rows = joined([Rows.of(each.rows) for each in features])
    first = features[0]
    grid = first.find(PatchGrid)
    if grid is not None and first.mask.ndim == 1:
        return _patches(features, rows)
    masks = [np.atleast_2d(each.mask) for each in features]
    width = max(mask.shape[1] for mask in masks)
    laid: list[NDArray[np.bool_]] = []
    for mask in masks:
        beside = np.ones((len(mask), width - mask.shape[1]), dtype=bool)
        laid += [np.concatenate([mask, beside], axis=1), np.ones((1, width), dtype=bool)]
    mask = np.concatenate(laid[:-1])
    fits = all(each.source.data.shape[: each.mask.ndim] == each.shape for each in features)
    source: Any = _source(features, width) if fits else None  # sums of positions have none
    return Features(rows, first.names, (Scan(source, mask),), first.about)


def _source(features: Sequence[Features], width: int) -> Signal:
    """Lay the raw signals out as their scans lie, lazily."""
    import dask.array as da

    parts: list[Any] = []
    first = features[0].source
    inner = first.data.ndim - features[0].mask.ndim
    for each in features:
        data = each.source.data
        lazy = data if hasattr(data, "dask") else da.from_array(data, name=False)
        if each.mask.ndim == 1:
            lazy = lazy[None]
        beyond = [(0, 1), (0, width - lazy.shape[1]), *[(0, 0)] * inner]
        parts.append(da.pad(lazy, beyond))
    data = da.concatenate(parts)[:-1]
    known = axes_of(first)
    scans = [{"size": int(size), "navigate": known[0]["navigate"]} for size in data.shape[:2]]
    make: Any = type(first)
    made: Any = make(data, axes=[*scans, *known[len(known) - inner :]] if inner else scans)
    lazily: Signal = made.as_lazy()
    return lazily


def _patches(features: Sequence[Features], rows: Rows) -> Features:
    """Join patches, the images one below the other."""
    grids = [grid for each in features if (grid := each.find(PatchGrid)) is not None]
    heights = np.cumsum([0, *(grid.image.shape[0] + grid.patch_size for grid in grids)])[:-1]
    places = [
        grid.positions + np.array([height, 0]) for grid, height in zip(grids, heights, strict=True)
    ]
    mask = np.concatenate([each.mask for each in features])
    whole = replace(grids[0], positions=np.concatenate(places))
    first = features[0]
    about = None if first.about is None else _with(first.about, whole)
    return Features(rows, first.names, (Scan(first.source, mask),), about)


def _with(about: Info, grid: PatchGrid) -> Info:
    """Put a grid in the place of the one that is known."""
    if isinstance(about, PatchGrid):
        return replace(grid, before=about.before)
    return about if about.before is None else replace(about, before=_with(about.before, grid))


def learn(
    runs: Sequence[Run],
    recipe: Recipe,
    joint: Run,
    progress: Progress | None,
    kept: Checkpoints | None = None,
) -> tuple[Fitted, tuple[Step, ...]]:
    """Reduce and cluster all scans in one fit.

    Parameters
    ----------
    runs
        Scans that are described.
    recipe
        The recipe.
    joint
        The run that clusters; it gets the features of all.
    progress
        Called with the step and the share of steps done.
    kept
        Where a long fit is kept, and found again by a run that goes on.

    Returns
    -------
    :
        What was fitted, and the history of it.
    """
    steps = [*steps_of(recipe, ("reduce",))]
    for i, (entry, parameters) in enumerate(steps):
        if progress is not None:
            progress(entry.label, i / (len(steps) + 1))
        again = _again(entry)
        if again is None:
            for run in runs:
                run.step(entry, parameters)
            continue
        joint.features = mosaic([run.needed_features() for run in runs])
        joint.step(entry, parameters)
        about = joint.needed_features().about
        for run in runs:
            run.features = again(run.needed_features(), about)
    features, note = in_cells([run.needed_features() for run in runs], recipe)
    joint.features = mosaic(features)
    for entry, parameters in steps_of(recipe, ("cluster",)):
        joint.step_or_resume(entry, parameters, recipe.to_toml(), kept)
    step = joint.history[-1]
    joint.history[-1] = replace(step, note="; ".join(filter(None, (step.note, note))))
    about = runs[0].needed_features().about
    return joint.learned({}, about), tuple(joint.history)


def reduce_again(run: Run, recipe: Recipe, about: Info | None) -> None:
    """Reduce the features of a scan as those of the fit were."""
    described = len([*(run.needed_features().about or ())])
    learned = [*(about or ())][::-1][described:]
    for entry, parameters in steps_of(recipe, ("reduce",)):
        again = _again(entry)
        if again is None:
            run.step(entry, parameters)
        else:
            run.features = again(run.needed_features(), learned.pop(0))
            run.history.append(as_fitted(entry, parameters))


def map_with(run: Run, recipe: Recipe, fitted: Fitted) -> Segmentation:
    """Assign a scan to clusters that are known, draw its map and average its rows."""
    started = time.perf_counter()
    for entry, parameters in steps_of(recipe, ("cluster",)):
        near = run.neighbours(entry, parameters).get("connectivity")
        run.clustering = fitted.assign(run.needed_features(), near)
        step = as_fitted(entry, parameters)
        seconds = round(time.perf_counter() - started, 4)
        run.history.append(replace(step, seconds=seconds))
    run.fitted = fitted
    run.steps(recipe, ("mapping", "eels"), None)
    return run.result(replace(recipe, edits=()))


def in_look_of(result: Segmentation, found: Segmentation) -> Segmentation:
    """Give clusters the colors and names that they have in a result of the same clusters."""
    return replace(found, color_index=result.color_index, names=result.names, recipe=result.recipe)


def as_fitted(entry: Entry, parameters: Any) -> Step:
    """Write the line of history of a step that was fitted before."""
    plain = {k: v for k, v in parameters.items() if isinstance(v, str | int | float | bool)}
    version = versions()["clustem"]
    return Step(entry.stage, entry.name, plain, version=version, note="as it was fitted")


def _again(entry: Entry) -> Any:
    return None if entry.declaration is None else entry.declaration.again


def name_of(scan: Scan, number: int) -> str:
    """Name a scan by its file, or by its place."""
    return scan.path.name if scan.path is not None else f"map {number + 1}"


@contextmanager
def naming(title: str) -> Iterator[None]:
    """Say which of the scans an error is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{title}: {error.what}", got=error.got, cure=error.cure) from None
    except ClustemError as error:
        raise ClustemError(f"{title}: {error}") from None


def refuse_other_kind(runs: Sequence[Scan]) -> None:
    """Refuse scans of several kinds."""
    kinds = [(type_of(scan.signal), scan.signal.axes_manager.signal_dimension) for scan in runs]
    other = next((i for i, kind in enumerate(kinds) if kind != kinds[0]), None)
    if other is not None:
        raise InputError(
            "Maps of a study must be of one kind",
            got=f"{kinds[0][0] or 'no signal type'} and {kinds[other][0] or 'no signal type'} in "
            f"{name_of(runs[other], other)}",
            cure="Leave it out, or run it by itself.",
        )
