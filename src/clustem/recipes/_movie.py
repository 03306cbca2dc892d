"""Frames of a movie: each segmented by itself, from the last one's centers, in lasting numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    Clustering,
    FilterBank,
    InputError,
    Progress,
    Scan,
    Segmentation,
    is_lazy,
    map_of,
    stack_of_rows,
)
from clustem.mapping.tracks import Tracks
from clustem.passes.scratch import scratch
from clustem.recipes._joint import naming
from clustem.recipes._run import Run
from clustem.recipes.misfit import refuse_misfit
from clustem.recipes.recipe import BEFORE, Recipe
from clustem.recipes.runner import part_of

_BETTER = 0.995
"""Fresh starts replace the last frame's centers below this share of their inertia."""
_APART = 0.05
"""Wavelengths of two frames that differ by less are one."""


def is_followed(recipe: Recipe) -> bool:
    """Whether a recipe describes lattices, which are followed from frame to frame."""
    return ("describe", "gabor") in recipe.steps


def follow(
    scans: Sequence[Scan],
    titles: Sequence[str],
    recipe: Recipe,
    *,
    progress: Progress | None,
    anyway: bool,
) -> tuple[Segmentation, ...]:
    """Segment images one after the other, each lattice with one number in all.

    Parameters
    ----------
    scans, titles
        Images of one shape and pixel size, and their names.
    recipe
        Recipe with ``describe.gabor``.
    progress
        Called with the step and the share of steps done.
    anyway
        Whether to run the recipe even if the first, middle and last image show no lattice.

    Returns
    -------
    :
        Results with label maps, centers and history; those that ``strip_frames`` names keep their
        image.

    Notes
    -----
    One image is in memory at a time; label maps beyond 1 GiB lie in a temporary file.
    """
    from clustem.report.figures.movie_strip import strip_frames

    if not anyway:
        _refuse_misfit(recipe, scans)
    recipe = _with_wavelengths(recipe, scans, titles)
    n, tracks = len(scans), Tracks()
    shown = set(strip_frames(n))
    labels = scratch((n, *scans[0].shape), np.int16)
    maps: list[Segmentation] = []
    last: Any = None
    for t, (scan, title) in enumerate(zip(scans, titles, strict=True)):
        run, part = Run(_loaded(scan)), part_of(progress, f"{title}: ", t, n)
        with naming(title):
            run.steps(recipe, (*BEFORE, "cluster"), part)
            last = _nearest(run, last)
            run.steps(recipe, ("mapping",), None)
            found = run.result(replace(recipe, edits=()))
            labels[t] = tracks.add(found)
        maps.append(_of_frame(found, labels[t], image=t in shown))
    pairs = zip(maps, tracks.numbers, strict=True)
    return tuple(_numbered(one, number, tracks.names) for one, number in pairs)


def _refuse_misfit(recipe: Recipe, scans: Sequence[Scan]) -> None:
    """Refuse images of which none that is looked at shows what the recipe needs."""
    refusals = []
    for t in sorted({0, len(scans) // 2, len(scans) - 1}):
        try:
            refuse_misfit(recipe, _loaded(scans[t]))
        except InputError as error:
            refusals.append(error)
        else:
            return
    raise refusals[0]


def _loaded(scan: Scan) -> Scan:
    """Read an image that is left on disk."""
    if not is_lazy(scan.signal):
        return scan
    image: Any = scan.signal.deepcopy()
    image.compute(close_file=False, show_progressbar=False)
    return scan.with_signal(image)


def _with_wavelengths(recipe: Recipe, scans: Sequence[Scan], titles: Sequence[str]) -> Recipe:
    """Choose wavelengths for all images: those that most of them show."""
    given = recipe.steps["describe", "gabor"]
    if given.get("wavelengths"):
        return recipe
    most = int(given.get("n_wavelengths", 3))
    look = recipe.with_settings(
        {"describe.orientations": 2, "describe.smooth": 0.0, "describe.normalize": False}
    )
    found: list[float] = []
    refused: InputError | None = None
    for scan, title in zip(scans, titles, strict=True):
        run = Run(_loaded(scan))
        try:
            with naming(title):
                run.steps(look, ("prepare", "describe"), None)
        except InputError as error:  # perhaps there is nothing in this image yet
            refused = refused or error
            continue
        bank = run.needed_features().find(FilterBank)
        found += [] if bank is None else bank.wavelengths.tolist()
    if not found and refused is not None:
        raise refused
    values = np.sort(found)
    cuts = np.flatnonzero(np.diff(values) > _APART * values[:-1]) + 1
    groups = sorted(np.split(values, cuts), key=len, reverse=True)[:most]
    chosen = sorted((round(float(np.median(group)), 4) for group in groups), reverse=True)
    return recipe.with_settings({"describe.gabor.wavelengths": chosen})


def _nearest(run: Run, last: Any) -> Any:
    """Start k-means from the last image's centers, unless fresh starts are clearly better."""
    from sklearn.base import clone

    if run.clustering is None:
        return None
    fresh = run.clustering.estimator
    if last is None or not hasattr(last, "inertia_") or "init" not in fresh.get_params():
        return fresh
    start = time.perf_counter()
    warm = (
        clone(fresh)
        .set_params(init=last.cluster_centers_, n_init=1)
        .fit(run.clustering.features.rows)
    )
    step = run.history[-1]
    spent = round(step.seconds + time.perf_counter() - start, 4)
    run.history[-1] = replace(step, seconds=spent)
    if warm.inertia_ * _BETTER > fresh.inertia_:
        return fresh
    run.clustering = Clustering.from_estimator(warm, run.clustering.features)
    return warm


def _of_frame(found: Segmentation, labels: NDArray[np.int16], *, image: bool) -> Segmentation:
    """Keep what a movie needs of a frame: all frames are in memory at the end."""
    nothing = np.broadcast_to(np.False_, found.mask.shape)
    return replace(
        found,
        labels=map_of(labels, found.labels),
        memberships=None,
        mask=found.mask if found.mask.any() else nothing,
        points=np.empty((np.count_nonzero(~found.mask), 0), dtype=np.float32),
        feature_names=(),
        distance=None,
        margin=None,
        source=None,
        features=None,
        fitted=None,
        context=found.context[:1] if image else (),
    )


def _numbered(
    found: Segmentation, number: NDArray[np.int64], names: tuple[str, ...]
) -> Segmentation:
    """Give clusters numbers that all frames have; those that are not there are empty."""
    k = len(names)
    centers, errors = (
        np.zeros((k, *signal.data.shape[1:]), dtype=signal.data.dtype)
        for signal in (found.centers, found.standard_error)
    )
    counts = np.zeros(k, dtype=np.int64)
    centers[number], errors[number] = found.centers.data, found.standard_error.data
    counts[number] = found.counts
    return replace(
        found,
        centers=stack_of_rows(centers, found.centers),
        standard_error=stack_of_rows(errors, found.standard_error),
        counts=counts,
        names=dict(enumerate(names)),
        color_index=tuple(range(k)),
    )
