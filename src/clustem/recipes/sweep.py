"""One recipe at several numbers of clusters."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clustem.core import ParameterError, Progress, Segmentation, check_data
from clustem.judge.choose_k import KChoice
from clustem.judge.compare import Comparison, compare
from clustem.recipes.misfit import refuse_misfit
from clustem.recipes.open_scan import open_scan
from clustem.recipes.recipe import Recipe
from clustem.recipes.runner import Runner, on_workers
from clustem.recipes.segment import Source
from clustem.recipes.views import spaces_of


class Sweep(dict[int, Segmentation]):
    """Results by number of clusters, and which number ``judge.choose_k`` recommends.

    Attributes
    ----------
    choice
        The recommendation with all scores; None if it was not asked for.
    others
        Of a recipe with an autoencoder: the same rows in all their dimensions (``full``) and in
        the plane of two components (``plane``), each a sweep of its own; else empty.
    """

    choice: KChoice | None = None

    def __init__(self, found: Mapping[int, Segmentation]) -> None:
        super().__init__(found)
        self.others: dict[str, Sweep] = {}

    def agreement(self) -> dict[str, dict[int, Comparison]]:
        """How the map of each k agrees with those of ``others``, by their names."""
        return {
            name: {k: compare(self[k].labels.data, one.labels.data) for k, one in other.items()}
            for name, other in self.others.items()
        }


def sweep(
    source: Source,
    recipe: str | Path | Recipe,
    ks: Iterable[int],
    *,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    client: Any = None,
    progress: Progress | None = None,
    choose: bool = True,
    anyway: bool = False,
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
    settings, lazy, client, progress
        As for ``segment``.
    choose
        Whether to ask ``judge.choose_k`` which of the numbers to take.
    anyway
        As for ``segment``.

    Returns
    -------
    :
        The result for each k. Each is what ``segment`` gives for that k, but for k-means, whose
        fits share their passes over the data: its starts can differ. Colors persist
        from k to k (``judge.lineage``); where they are not those of the numbers, an edit in history
        and recipe says so. Its ``choice`` is the recommended number, with the evidence; None for
        clusters that start from markers. A step after the map (``eels.zero_loss``) is not run.

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
    base = Recipe.of(recipe, settings=settings)
    if base.edits:
        raise ParameterError(
            "A sweep takes a recipe without edits: they name clusters of one k",
            got=f"{len(base.edits)} edits",
            cure="Leave them out: -s edit=false.",
        )
    check_data({"ks": Iterable[int]}, {"ks": ks})
    numbers = sorted(set(ks))
    with on_workers(client):
        scan = open_scan(base, source, lazy=lazy if client is None or lazy is False else True)
        if not anyway:
            refuse_misfit(base, scan)
        runner = Runner(scan, keep=len(base.steps))
        marked = any(parameters.get("markers") is not None for parameters in base.steps.values())

        def at_each(recipe: Recipe) -> Sweep:
            found = Sweep(runner.sweep(recipe, numbers, shared=True, progress=progress))
            if choose and not marked:
                found.choice = runner.choice(recipe, numbers)
            return found

        found = at_each(base)
        spaces = spaces_of(base)
        if "learned" in spaces:
            found.others = {name: at_each(spaces[name]) for name in ("full", "plane")}
    return found
