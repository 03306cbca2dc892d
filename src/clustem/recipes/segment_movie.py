"""A stack of images, segmented frame by frame in numbers and colors that stay."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clustem.core import InputError, Progress
from clustem.recipes._movie import is_followed
from clustem.recipes.open_scan import n_frames, open_scan
from clustem.recipes.recipe import Recipe
from clustem.recipes.segment import Source
from clustem.recipes.segment_study import segment_study
from clustem.recipes.study import Study


def segment_movie(
    source: Source,
    recipe: str | Path | Recipe = "particles",
    *,
    n_clusters: int | None = None,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    progress: Progress | None = None,
    anyway: bool = False,
) -> Study:
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
        A study whose maps are the frames; its ``tracks`` hold each lattice's area and direction in
        each frame.

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

    Files of one image each are followed in the same way: ``segment([...], "particles")``. Frames
    keep label maps, centers and history; one image is in memory at a time.

    Examples
    --------
    >>> import numpy as np
    >>> import hyperspy.api as hs
    >>> from clustem.samples import particles
    >>> given = {"kind": "crystal", "shape": (80, 88), "diameter": 4.0}
    >>> images = [particles(angle=angle, **given).signal.data for angle in (10.0, 13.0)]
    >>> found = segment_movie(hs.signals.Signal2D(np.stack(images)), n_clusters=2)
    >>> found.labels.data.shape, found.tracks.names
    ((2, 80, 88), ('background', 'lattice 1'))
    """
    chosen = Recipe.of(recipe, n_clusters=n_clusters, settings=settings)
    if not is_followed(chosen):
        raise InputError(
            "A movie needs a recipe with describe.gabor",
            got=chosen.name,
            cure="Use particles, or segment_study, which fits all frames together.",
        )
    scan = open_scan(chosen, source, lazy=lazy, stack=True)
    if not n_frames(scan.signal):
        raise InputError(
            "A movie must be a stack of images (time | row, column)",
            got=f"an array of shape {scan.signal.data.shape}",
            cure="For one image use segment.",
        )
    return segment_study(scan, chosen, lazy=lazy, progress=progress, anyway=anyway)
