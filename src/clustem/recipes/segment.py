"""The front door: a scan and a recipe in, a segmentation out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clustem.recipes._run import Progress, Run, read_for
from clustem.recipes._seeds import with_seeds_inside
from clustem.recipes.recipe import ROOMS, Recipe
from clustem.segmentation import Segmentation


def segment(
    source: Any,
    recipe: str | Path | Recipe,
    /,
    *,
    lazy: bool | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Segmentation:
    """Run a recipe on a scan.

    Parameters
    ----------
    source
        Path of a file that HyperSpy reads, a HyperSpy signal, or a ``recipes.Scan``.
    recipe
        Name of a built-in recipe (``"eds"``), path of a ``.toml`` file, or a Recipe.
    lazy
        Whether to leave the data on disk; if None, files beyond 2 GB are.
    progress
        Called with the step and the share of steps done, 0 ... 1.
    **settings
        Changes to the recipe, as ``**{"cluster.n_clusters": 4}``: see ``Recipe.with_settings``.

    Returns
    -------
    :
        Label map, memberships and phase spectra, with the history of how they came about; the
        recipe's edits are made, too.

    Raises
    ------
    InputError
        If the data, a name or a value cannot be used: what, what was got, and the cure.

    Examples
    --------
    >>> from clustem.samples import eds
    >>> found = segment(eds(shape=(20, 24)).signal, "eds", **{"cluster.n_clusters": 4})
    >>> found.labels.data.shape, found.centers.data.shape
    ((20, 24), (4, 1024))
    """
    chosen = recipe if isinstance(recipe, Recipe) else Recipe.named(recipe)
    chosen = with_seeds_inside(chosen.with_settings(settings))
    run = Run(read_for(chosen, source, lazy), len(chosen.steps), progress)
    run.do_all(chosen, ROOMS)
    return run.result(chosen)
