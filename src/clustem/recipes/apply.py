"""The clusters of a result on another scan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, overload

from annotated_types import Gt, Lt

from clustem.core import InputError, Progress, Segmentation, type_of
from clustem.judge.novelty import with_novelty
from clustem.recipes import _joint
from clustem.recipes._apply_joint import apply_joint
from clustem.recipes._run import Run
from clustem.recipes.joint import Joint
from clustem.recipes.open_scan import open_scan
from clustem.recipes.study import Study

if TYPE_CHECKING:
    from clustem.recipes.segment import Source


@overload
def apply(
    result: Segmentation | Study,
    source: Source,
    *,
    novelty: float | None = 0.01,
    lazy: bool | None = None,
    reader: str | None = None,
    progress: Progress | None = None,
) -> Segmentation: ...
@overload
def apply(
    result: Joint,
    source: Mapping[str, Source] | str | Path,
    *,
    novelty: float | None = 0.01,
    lazy: bool | None = None,
    reader: str | None = None,
    progress: Progress | None = None,
) -> Joint: ...
def apply(
    result: Segmentation | Study | Joint,
    source: Source | Mapping[str, Source],
    *,
    novelty: Annotated[float, Gt(0), Lt(1)] | None = 0.01,
    lazy: bool | None = None,
    reader: str | None = None,
    progress: Progress | None = None,
) -> Segmentation | Joint:
    """Find the clusters of a result on another scan, without fitting.

    Parameters
    ----------
    result
        A result, also one loaded from its folder, a study, or a result of several signals.
    source
        Path of a file, a HyperSpy signal, or a scan, as for ``segment``; for a result of several
        signals these by name, or a file that holds them.
    novelty
        False-alarm rate of positions that no cluster explains: see ``judge.novelty``. None does not
        look for any. Of several signals each gets an equal part of it; images are not
        asked, as another brightness may be another thickness.
    lazy
        Whether to leave the data on disk; if None, files beyond 2 GB are.
    reader
        Name of the reader in RosettaSciIO, for types of files that several can open.
    progress
        Called with the step and the share of steps done, 0 ... 1.

    Returns
    -------
    :
        The result on that scan: clusters in the same numbers, colors and names, their means those
        of that scan. A scan of the fit gets the labels that it has. Of several signals a
        :class:`Joint`.

    Raises
    ------
    InputError
        If the scan is of another kind, its channels cannot be brought to those of the result, or
        the result cannot be had without fitting.

    Notes
    -----
    Preparations run anew, as calibration, gain and dead pixels are those of each scan. Channels
    that were left out and pooled, components and clusters are those of the result. Energy axes that
    differ are brought together as in a study.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> one, other = (samples.eds(shape=(24, 30), random_state=i).signal for i in (0, 1))
    >>> result = segment(one, "eds", n_clusters=4)
    >>> found = apply(result, other)
    >>> found.labels.data.shape, bool((apply(result, one).labels.data == result.labels.data).all())
    ((24, 30), True)
    """
    if isinstance(result, Joint):
        if not isinstance(source, Mapping | str | Path):
            raise InputError(
                "A result of several signals needs all of these by name",
                got="one signal",
                cure=f"Give {{{', '.join(f'{name!r}: ...' for name in result)}}}.",
            )
        return apply_joint(
            result, source, novelty=novelty, lazy=lazy, reader=reader, progress=progress
        )
    if isinstance(source, Mapping):
        raise InputError(
            "Several signals need a result of several signals",
            got=f"that of {type(result).__name__.lower()} of one",
            cure="Give one file or signal.",
        )
    if isinstance(result, Study):
        result = result.whole()
    fitted, recipe = result.fitted, result.recipe
    if fitted is None or recipe is None:
        raise InputError(
            "Clusters can be found on other scans if the recipe made them by itself",
            got="clusters that were cut, or made by mapping.facets"
            if recipe is not None
            else "a result without recipe",
            cure="Run the recipe with more clusters instead of splitting, or on all scans.",
        )
    if recipe.data == "several":
        raise InputError(
            "Clusters of several signals need all of these",
            got="one signal",
            cure='Apply the joint result: clustem.load(FOLDER).apply({"eds": ..., "eels": ...}).',
        )
    scan = open_scan(recipe, source, lazy=lazy, reader=reader)
    kind, other = type_of(result.centers), type_of(scan.signal)
    if kind != other:
        raise InputError(
            "A result is for scans of its own kind",
            got=f"{other or 'no signal type'} where it has {kind or 'none'}",
            cure="Set the signal type, or run a recipe on it.",
        )
    run = Run(scan)
    _joint.prepare_as(run, recipe, result)
    if progress is not None:
        progress("describe", 0.5)
    _joint.describe_as(run, recipe, fitted)
    found = _joint.in_look_of(result, _joint.map_with(run, recipe, fitted))
    return found if novelty is None else with_novelty(found, rate=novelty)
