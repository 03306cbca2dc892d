"""One recipe at several numbers of clusters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from clustem.judge import lineage
from clustem.judge._k_choice import KChoice
from clustem.model import ParameterError, check_data
from clustem.recipes._run import Progress, Run, read_for
from clustem.recipes._seeds import with_seeds_inside
from clustem.recipes.recipe import BEFORE, MAPPING, Recipe
from clustem.segmentation import Segmentation


class Sweep(dict[int, Segmentation]):
    """Results by number of clusters, and which number ``judge.choose_k`` recommends.

    Attributes
    ----------
    choice
        The recommendation with all scores; None if it was not asked for.
    """

    choice: KChoice | None = None


def sweep(
    source: Any,
    recipe: str | Path | Recipe,
    ks: Iterable[int],
    /,
    *,
    lazy: bool | None = None,
    progress: Progress | None = None,
    choose: bool = True,
    **settings: Any,
) -> Sweep:
    """Run a recipe at several numbers of clusters; what comes before clustering runs once.

    Parameters
    ----------
    source
        As for ``segment``.
    recipe
        As for ``segment``.
    ks
        Numbers of clusters.
    lazy
        As for ``segment``.
    progress
        As for ``segment``.
    choose
        Whether to ask ``judge.choose_k`` which of the numbers to take.
    **settings
        As for ``segment``.

    Returns
    -------
    :
        The result for each k. Each is what ``segment`` gives for that k, but for k-means, whose
        fits share one sketch made for the largest k: its starts can differ. Colors persist
        from k to k (``judge.lineage``); where they are not those of the numbers, an edit in history
        and recipe says so. Its ``choice`` is the recommended number, with the evidence; None for
        clusters that start from seeds. A step that comes after the map (``eels.zero_loss``) is not
        run.

    Raises
    ------
    InputError
        As for ``segment``; no k at all; a recipe with edits.

    Examples
    --------
    >>> from clustem.samples import eds
    >>> found = sweep(eds(shape=(20, 24)).signal, "eds", [2, 4])
    >>> [result.n_clusters for result in found.values()]
    [2, 4]
    >>> found.choice.ks
    (2, 4)
    """
    base = (recipe if isinstance(recipe, Recipe) else Recipe.named(recipe)).with_settings(settings)
    if base.edits:
        raise ParameterError(
            "A sweep takes a recipe without edits: they name clusters of one k",
            got=f"{len(base.edits)} edits",
            cure="Leave them out: -s edit=false.",
        )
    check_data({"ks": ks})
    base = with_seeds_inside(base)
    chosen = {k: base.with_settings({"cluster.n_clusters": k}) for k in sorted(set(ks))}
    if not chosen:
        raise ParameterError("A sweep needs a k", got="none", cure="Give a range such as 2:10.")
    rooms = [room for room, _ in base.steps]
    total = sum((room in BEFORE) + (room in MAPPING) * len(chosen) for room in rooms)
    run = Run(read_for(base, source, lazy), total, progress)
    run.do_all(base, BEFORE)
    run.share(chosen[max(chosen)])
    results = {}
    for k, recipe_of_k in chosen.items():
        one = run.fork()
        one.do_all(recipe_of_k, MAPPING)
        results[k] = one.result(recipe_of_k)
    found = Sweep(in_lasting_colors(results))
    for entry, params in zip(base.entries(), base.steps.values(), strict=True):
        if choose and entry.room == "cluster" and params.get("seeds") is None:
            found.choice = run.choice(entry, params, chosen)
    return found


def in_lasting_colors(results: dict[int, Segmentation]) -> dict[int, Segmentation]:
    """Let clusters keep their color from k to k."""
    found = lineage({k: result.projection for k, result in results.items()})
    return {
        k: result
        if found.colors[k] == result.hues
        else replace(result.edit("recolor", colors=list(found.colors[k])), before=None)
        for k, result in results.items()
    }
