"""A stack of images, segmented frame by frame in numbers and colors that stay."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    Clustering,
    FilterBank,
    InputError,
    Progress,
    Scan,
    Signal,
    Step,
    is_lazy,
    stack_of_maps,
    title_of,
)
from clustem.mapping.tracks import Tracks
from clustem.passes.scratch import scratch
from clustem.recipes.misfit import refuse_misfit
from clustem.recipes.movie import Movie
from clustem.recipes.recipe import BEFORE, Recipe
from clustem.recipes.runner import Run, n_frames, open_scan, part_of
from clustem.recipes.segment import Source

_BETTER = 0.995  # fresh starts replace the last frame's centers below this share of their inertia
_APART = 0.05  # wavelengths of two frames that differ by less are one


def segment_movie(
    source: Source,
    recipe: str | Path | Recipe = "particles",
    *,
    n_clusters: int | None = None,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    progress: Progress | None = None,
    anyway: bool = False,
) -> Movie:
    """Run a recipe on each image of a stack, all frames described by the same filters.

    Parameters
    ----------
    source
        Path of a file that HyperSpy reads, a HyperSpy signal (time | row, column), or a
        ``core.Scan``.
    recipe
        Recipe with ``describe.gabor``: a name, the path of a ``.toml`` file, or a Recipe.
    n_clusters, settings, lazy, progress
        As for ``segment``.
    anyway
        Whether to run the recipe even if the first, middle and last frame show no lattice.

    Returns
    -------
    :
        Label maps, and each lattice's area and direction in each frame.

    Raises
    ------
    InputError
        If it is no stack of images, the recipe has no ``describe.gabor``, or a frame cannot be
        used: which, what was got, and the cure.

    Notes
    -----
    Wavelengths are looked for in every frame; those that most frames show serve for all.
    k-means starts from the last frame's centers, so facets that turn slowly keep their clusters;
    one clustering of all frames would cut a turning facet into one cluster for each 10° or so.
    Fresh starts are tried beside it, and taken where they lower the inertia by more than 0.5 %:
    then a lattice has come or gone. ``mapping.facets`` joins clusters of one lattice, and what
    is left gets its numbers from ``mapping.Tracks``: ask for more clusters than there are
    lattices, so that new ones find a cluster to spare.

    One frame is in memory at a time; label maps beyond 1 GiB lie in a temporary file.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from clustem.samples import particles
    >>> given = {"kind": "crystal", "shape": (80, 88), "diameter": 4.0}
    >>> images = [particles(angle=angle, **given).signal.data for angle in (10.0, 13.0)]
    >>> found = segment_movie(hs.signals.Signal2D(np.stack(images)), n_clusters=2)
    >>> found.labels.data.shape, found.tracks.names
    ((2, 80, 88), ('background', 'lattice 1'))
    """
    chosen = Recipe.of(recipe, n_clusters=n_clusters, settings=settings)
    scan = open_scan(chosen, source, lazy=lazy, stack=True)
    n = _checked(chosen, scan)
    if not anyway:
        _refuse_misfit(chosen, scan, n)
    chosen = _with_wavelengths(chosen, scan)
    from clustem.report.figures.movie_strip import strip_frames

    shown, images = set(strip_frames(n)), {}
    tracks, histories = Tracks(), []
    labels = scratch((n, *scan.signal.data.shape[1:3]), np.int16)
    last: Any = None
    for t in range(n):
        run, part = _frame(scan, t), part_of(progress, f"frame {t + 1} of {n}: ", t, n)
        try:
            run.steps(chosen, (*BEFORE, "cluster"), part)
            last = _nearest(run, last)
            run.steps(chosen, ("mapping",), None)
        except InputError as error:
            raise InputError(f"Frame {t}: {error.what}", got=error.got, cure=error.cure) from None
        found = run.result(chosen)
        labels[t] = tracks.add(found)
        if t in shown:
            images[t] = found.context[0].data
        histories.append(run.history)
    return Movie(
        _signal(labels, scan.signal, found.labels),
        tracks,
        images,
        title=title_of(scan.signal) or _stem(scan),
        scores={"frames": float(n)},
        history=_summed(histories),
        recipe=chosen,
        origin={"path": str(scan.path or ""), "digest": scan.digest},
    )


def _checked(recipe: Recipe, scan: Scan) -> int:
    """Refuse what is no movie; count its frames."""
    if ("describe", "gabor") not in recipe.steps:
        raise InputError(
            "A movie needs a recipe with describe.gabor",
            got=recipe.name,
            cure="Use particles, or take one image of the stack: signal.inav[0].",
        )
    n = n_frames(scan.signal)
    if not n:
        raise InputError(
            "A movie must be a stack of images (time | row, column)",
            got=f"an array of shape {scan.signal.data.shape}",
            cure="For one image use segment.",
        )
    return n


def _refuse_misfit(recipe: Recipe, scan: Scan, n: int) -> None:
    """Refuse a stack of which no frame that is looked at shows what the recipe needs."""
    refusals = []
    for t in sorted({0, n // 2, n - 1}):
        try:
            refuse_misfit(recipe, _frame(scan, t).scan)
        except InputError as error:
            refusals.append(error)
        else:
            return
    raise refusals[0]


def _frame(scan: Scan, t: int) -> Run:
    """Make ready for one frame."""
    image = scan.signal.inav[t]
    if is_lazy(image):
        image = image.deepcopy()
        image.compute(close_file=False, show_progressbar=False)
    return Run(Scan.of(image))


def _with_wavelengths(recipe: Recipe, scan: Scan) -> Recipe:
    """Choose wavelengths for all frames: those that most of them show."""
    given = recipe.steps["describe", "gabor"]
    if given.get("wavelengths"):
        return recipe
    n, most = n_frames(scan.signal), int(given.get("n_wavelengths", 3))
    look = recipe.with_settings(
        {"describe.orientations": 2, "describe.smooth": 0.0, "describe.normalize": False}
    )
    found: list[float] = []
    refused: InputError | None = None
    for t in range(n):
        run = _frame(scan, t)
        try:
            run.steps(look, ("prepare", "describe"), None)
        except InputError as error:  # perhaps there is nothing in this frame yet
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
    """Start k-means from the last frame's centers, unless fresh starts are clearly better."""
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


def _signal(labels: NDArray[np.int16], stack: Signal, frame: Signal) -> Signal:
    """Wrap label maps with the time of the stack and the pixels of its frames."""
    time_axis = stack.axes_manager.navigation_axes[0].get_axis_dictionary()
    return stack_of_maps(labels, frame, axis=time_axis, title=title_of(stack))


def _summed(histories: list[list[Step]]) -> tuple[Step, ...]:
    """Join the frames' histories: the first one's lines, with the seconds of all."""
    out = []
    for steps in zip(*histories, strict=True):
        seconds = round(sum(step.seconds for step in steps), 4)
        note = "; ".join(part for part in (steps[0].note, f"{len(steps)} frames") if part)
        out.append(replace(steps[0], seconds=seconds, note=note))
    return tuple(out)


def _stem(scan: Scan) -> str:
    return scan.path.stem if scan.path is not None else "Movie"
