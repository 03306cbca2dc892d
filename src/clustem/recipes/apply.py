"""The clusters of a result on another scan."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt, Lt

from clustem.core import (
    InputError,
    PatternInfo,
    Progress,
    Segmentation,
    type_of,
)
from clustem.judge.novelty import with_novelty
from clustem.recipes import _joint
from clustem.recipes.joint import Joint
from clustem.recipes.runner import Run, open_scan
from clustem.recipes.study import Study

if TYPE_CHECKING:
    from clustem.recipes.segment import Source


def apply(
    result: Segmentation | Study | Joint,
    source: Source,
    *,
    novelty: Annotated[float, Gt(0), Lt(1)] | None = 0.01,
    lazy: bool | None = None,
    reader: str | None = None,
    progress: Progress | None = None,
) -> Segmentation:
    """Find the clusters of a result on another scan, without fitting.

    Parameters
    ----------
    result
        A result, also one loaded from its folder, or a study.
    source
        Path of a file, a HyperSpy signal, or a scan, as for ``segment``.
    novelty
        False-alarm rate of positions that no cluster explains: see ``judge.novelty``. None does not
        look for any.
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
        of that scan. A scan of the fit gets the labels that it has.

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
        raise InputError(
            "Clusters of several signals cannot be applied to another scan",
            got=f"a joint result of {', '.join(result)}",
            cure="Run the recipe on all its signals.",
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
    scan = open_scan(recipe, source, lazy=lazy, reader=reader)
    kind, other = type_of(result.centers), type_of(scan.signal)
    if kind != other:
        raise InputError(
            "A result is for scans of its own kind",
            got=f"{other or 'no signal type'} where it has {kind or 'none'}",
            cure="Set the signal type, or run a recipe on it.",
        )
    run, lines = Run(scan), result.mean if fitted.spectrum is None else fitted.spectrum
    _joint.prepare(run, recipe, geometry=True)
    if recipe.data != "image":
        _joint.to_channels(run, _joint.Channels.of(result.centers, lines))
    _joint.prepare(run, recipe, geometry=False)
    if progress is not None:
        progress("describe", 0.5)
    pattern = None if fitted.about is None else fitted.about.find(PatternInfo)
    hidden = None if pattern is None else pattern.signal_mask
    _joint.describe([run], recipe, hidden, dict(fitted.described))
    _joint.reduce_again(run, recipe, fitted.about)
    found = in_look_of(result, _joint.map_with(run, recipe, fitted))
    return found if novelty is None else with_novelty(found, rate=novelty)


def in_look_of(result: Segmentation, found: Segmentation) -> Segmentation:
    """Give clusters the colors and names that they have in a result of the same clusters."""
    return replace(found, color_index=result.color_index, names=result.names, recipe=result.recipe)
