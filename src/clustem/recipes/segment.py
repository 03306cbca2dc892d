"""A scan and a recipe in, a segmentation out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

from clustem.core import Progress, Scan, Segmentation, Signal
from clustem.recipes._checkpoints import Checkpoints
from clustem.recipes.joint import Joint
from clustem.recipes.misfit import refuse_misfit
from clustem.recipes.open_scan import open_scan
from clustem.recipes.recipe import Recipe
from clustem.recipes.runner import Runner, on_workers
from clustem.recipes.segment_joint import segment_joint
from clustem.recipes.segment_study import segment_study
from clustem.recipes.study import Study

Source = str | Path | Signal | Scan
"""Path of a file that HyperSpy reads, a HyperSpy signal, or a scan."""


@overload
def segment(
    source: Source,
    recipe: str | Path | Recipe,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    client: Any = None,
    progress: Progress | None = None,
    anyway: bool = False,
    resume: str | Path | None = None,
) -> Segmentation: ...
@overload
def segment(
    source: list[Source] | tuple[Source, ...],
    recipe: str | Path | Recipe,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    client: Any = None,
    progress: Progress | None = None,
    anyway: bool = False,
    resume: str | Path | None = None,
) -> Study: ...
@overload
def segment(
    source: Mapping[str, Source],
    recipe: str | Path | Recipe,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    client: Any = None,
    progress: Progress | None = None,
    anyway: bool = False,
    resume: str | Path | None = None,
) -> Joint: ...
def segment(
    source: Source | list[Source] | tuple[Source, ...] | Mapping[str, Source],
    recipe: str | Path | Recipe,
    *,
    n_clusters: int | Literal["auto"] | None = None,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    client: Any = None,
    progress: Progress | None = None,
    anyway: bool = False,
    resume: str | Path | None = None,
) -> Segmentation | Study | Joint:
    """Run a recipe on a scan, or on several in one fit.

    Parameters
    ----------
    source
        Path of a file that HyperSpy reads, a HyperSpy signal, or a ``core.Scan``; a list of them
        gives a study, whose maps have the same clusters; a mapping of names to them is several
        signals of one scan, ``{"eds": ..., "haadf": ...}``, for the recipe ``"joint"``.
    recipe
        Name of a built-in recipe (``"eds"``), path of a ``.toml`` file, or a Recipe.
    n_clusters
        Number of clusters, ``"auto"`` for what ``judge.choose_k`` recommends; None leaves that of
        the recipe.
    settings
        Changes to the recipe, such as ``{"cluster.m": 2}``: see ``Recipe.with_settings``.
    lazy
        Whether to leave the data on disk; if None, files beyond 2 GB are.
    client
        ``dask.distributed.Client`` whose workers read data that are left on disk; None uses
        threads of this process.
    progress
        Called with the step and the share of steps done, 0 ... 1.
    anyway
        Whether a recipe for lattices also runs on an image in which ``judge.lattice`` sees none.
    resume
        Folder in which steps that take longer than 20 s leave what they have made, and find what an
        earlier run of the same recipe on the same data, which did not come to its end, has left.

    Returns
    -------
    :
        Label map, memberships and phase spectra, with the history of how they came about; the
        recipe's edits are made, too. Of several scans a :class:`Study`, a sequence of them, without
        edits: see :func:`segment_study`. Of several signals a :class:`Joint`, one result for each:
        see :func:`segment_joint`.

    Raises
    ------
    InputError
        If the data, a name or a value cannot be used: what, what was got, and the cure.
    ParameterError
        If the recipe is for lattices and the image shows none.

    Examples
    --------
    >>> from clustem.samples import eds
    >>> found = segment(eds(shape=(20, 24)).signal, "eds", n_clusters=4)
    >>> found.labels.data.shape, found.centers.data.shape
    ((20, 24), (4, 1024))
    """
    chosen = Recipe.of(recipe, n_clusters=n_clusters, settings=settings)
    if isinstance(source, Mapping) or (chosen.data == "several" and isinstance(source, str | Path)):
        return segment_joint(
            source,
            chosen,
            lazy=lazy,
            client=client,
            progress=progress,
            anyway=anyway,
            resume=resume,
        )
    with on_workers(client):
        if isinstance(source, list | tuple):
            return segment_study(
                source, chosen, lazy=lazy, progress=progress, anyway=anyway, resume=resume
            )
        scan = open_scan(chosen, source, lazy=lazy if client is None or lazy is False else True)
        if not anyway:
            refuse_misfit(chosen, scan)
        kept = None if resume is None else Checkpoints(Path(resume), scan)
        return Runner(scan, checkpoints=kept).run(chosen, progress=progress)
