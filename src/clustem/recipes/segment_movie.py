"""A stack of images, segmented frame by frame in numbers and colors that stay."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import InputError, Partition, Step
from clustem.recipes._run import Progress, Run, n_frames, read_for
from clustem.recipes.movie import Movie
from clustem.recipes.reading import Scan
from clustem.recipes.recipe import BEFORE, Recipe
from clustem.reproject import Tracks

_IN_MEMORY = 2**30  # label maps beyond this lie in a temporary file [bytes]
_BETTER = 0.995  # fresh starts replace the last frame's centers below this share of their inertia
_APART = 0.05  # wavelengths of two frames that differ by less are one


def segment_movie(
    source: Any,
    recipe: str | Path | Recipe = "particles",
    /,
    *,
    lazy: bool | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Movie:
    """Run a recipe on each image of a stack, all frames described by the same filters.

    Parameters
    ----------
    source
        Path of a file that HyperSpy reads, a HyperSpy signal (time | row, column), or a
        ``recipes.Scan``.
    recipe
        Recipe with ``describe.gabor``: a name, the path of a ``.toml`` file, or a Recipe.
    lazy
        Whether to leave the data on disk; if None, files beyond 2 GB are.
    progress
        Called with the step and the share of steps done, 0 ... 1.
    **settings
        Changes to the recipe, as for ``segment``.

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
    then a lattice has come or gone. ``reproject.facets`` joins clusters of one lattice, and what
    is left gets its numbers from ``reproject.Tracks``: ask for more clusters than there are
    lattices, so that new ones find a cluster to spare.

    One frame is in memory at a time; label maps beyond 1 GiB lie in a temporary file.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from clustem.samples import particles
    >>> given = {"kind": "crystal", "shape": (80, 88), "diameter": 4.0}
    >>> images = [particles(angle=angle, **given).signal.data for angle in (10.0, 13.0)]
    >>> found = segment_movie(hs.signals.Signal2D(np.stack(images)), **{"cluster.n_clusters": 2})
    >>> found.labels.data.shape, found.tracks.names
    ((2, 80, 88), ('background', 'lattice 1'))
    """
    chosen = recipe if isinstance(recipe, Recipe) else Recipe.named(recipe)
    chosen = chosen.with_settings(settings)
    scan = read_for(chosen, source, lazy, stack=True)
    n = _checked(chosen, scan)
    chosen = _with_wavelengths(chosen, scan, progress)
    from clustem.report import strip_frames  # noqa: PLC0415  # matplotlib, 0.5 s

    shown, images = set(strip_frames(n)), {}
    tracks, histories, labels = Tracks(), [], None
    last: Any = None
    for t in range(n):
        run = _frame(scan, t, len(chosen.steps), progress)
        try:
            run.do_all(chosen, (*BEFORE, "cluster"))
            last = _nearest(run, last)
            run.do_all(chosen, ("reproject",))
        except InputError as error:
            raise InputError(f"Frame {t}: {error.what}", got=error.got, cure=error.cure) from None
        found = run.projection
        if labels is None:
            labels = _room((n, *found.mask.shape))
        labels[t] = tracks.add(found)
        if t in shown:
            images[t] = found.context[0].data
        histories.append(run.history)
    return Movie(
        _signal(labels, scan.signal, found.labels),
        tracks,
        images,
        title=str(scan.signal.metadata.get_item("General.title", "")) or _stem(scan),
        scores={"frames": float(n)},
        history=_summed(histories),
        recipe=chosen.to_toml(),
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


def _frame(scan: Scan, t: int, n_steps: int, progress: Progress | None) -> Run:
    """Make ready for one frame."""
    n = n_frames(scan.signal)

    def told(step: str, share: float) -> None:
        if progress is not None:
            progress(f"frame {t + 1} of {n}: {step}", (t + share) / n)

    image = scan.signal.inav[t]
    if getattr(image, "_lazy", False):
        image = image.deepcopy()
        image.compute(close_file=False, show_progressbar=False)
    return Run(Scan(image), n_steps, told)


def _with_wavelengths(recipe: Recipe, scan: Scan, progress: Progress | None) -> Recipe:
    """Settle on wavelengths for all frames: those that most of them show."""
    given = recipe.steps["describe", "gabor"]
    if given.get("wavelengths"):
        return recipe
    n, most = n_frames(scan.signal), int(given.get("n_wavelengths", 3))
    look = recipe.with_settings(
        {"describe.orientations": 2, "describe.smooth": 0.0, "describe.normalize": False}
    )
    found, refused = [], None
    for t in range(n):
        run = _frame(scan, t, len(recipe.steps), progress)
        try:
            run.do_all(look, ("prepare", "describe"))
        except InputError as error:  # perhaps there is nothing in this frame yet
            refused = refused or error
            continue
        found += np.asarray(run.table.details["wavelengths"]).tolist() if run.table else []
    if not found and refused is not None:
        raise refused
    values = np.sort(found)
    cuts = np.flatnonzero(np.diff(values) > _APART * values[:-1]) + 1
    groups = sorted(np.split(values, cuts), key=len, reverse=True)[:most]
    chosen = sorted((round(float(np.median(group)), 4) for group in groups), reverse=True)
    return recipe.with_settings({"describe.gabor.wavelengths": chosen})


def _nearest(run: Run, last: Any) -> Any:
    """Start k-means from the last frame's centers, unless fresh starts are clearly better."""
    from sklearn.base import clone  # noqa: PLC0415  # 1 s

    if run.partition is None:
        return None
    fresh = run.partition.estimator
    if last is None or not hasattr(last, "inertia_") or "init" not in fresh.get_params():
        return fresh
    start = time.perf_counter()
    warm = (
        clone(fresh).set_params(init=last.cluster_centers_, n_init=1).fit(run.partition.table.rows)
    )
    step = run.history[-1]
    spent = round(step.seconds + time.perf_counter() - start, 4)
    run.history[-1] = replace(step, seconds=spent)
    if warm.inertia_ * _BETTER > fresh.inertia_:
        return fresh
    run.partition = Partition.from_estimator(warm, run.partition.table)
    return warm


def _room(shape: tuple[int, ...]) -> NDArray[np.int16]:
    """Make an array, in a nameless temporary file if it is large."""
    if 2 * prod(shape) <= _IN_MEMORY:
        return np.empty(shape, dtype=np.int16)
    file = tempfile.TemporaryFile()  # noqa: SIM115  # the map keeps it open
    return np.memmap(file, dtype=np.int16, mode="w+", shape=shape)


def _signal(labels: Any, stack: Any, frame: Any) -> Any:
    """Wrap label maps with the time of the stack and the pixels of its frames."""
    import hyperspy.api as hs  # noqa: PLC0415  # 0.5 s

    time = stack.axes_manager.navigation_axes[0].get_axis_dictionary()
    axes = [{**time, "navigate": True}]
    axes += [axis.get_axis_dictionary() for axis in frame.axes_manager._axes]
    title = stack.metadata.get_item("General.title", "")
    return hs.signals.Signal2D(labels, axes=axes, metadata={"General": {"title": title}})


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
