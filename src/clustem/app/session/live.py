"""Two clusterings side by side, each with its own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import param

from clustem.app.session.outcome import Outcome, outcome_of
from clustem.app.session.probe import Places
from clustem.app.session.state import Explorer, Message
from clustem.core import InputError, Progress
from clustem.labelmaps.inheritance import inherited
from clustem.labelmaps.label_maps import matched, overlaps
from clustem.recipes.recipe import UP_TO_MAP, Recipe
from clustem.recipes.runner import part_of

FULL, REDUCED = "all dimensions", "reduced"
Colors = tuple[int, ...]
"""Place in the palette of each cluster's color."""


class Live(param.Parameterized):
    """Two variants of a session's recipe.

    Parameters
    ----------
    explorer
        The session.
    """

    outcomes: param.Parameter[tuple[Outcome, Outcome] | None] = param.Parameter(
        doc="Left and right result"
    )

    def __init__(self, explorer: Explorer) -> None:
        super().__init__()
        self._explorer = explorer
        explorer.param.watch(lambda *_: self.param.update(outcomes=None), "opened")

    def variants(
        self, shared: Mapping[str, Any], each: Sequence[Mapping[str, Any]]
    ) -> list[Recipe]:
        """Change the session's recipe twice.

        Parameters
        ----------
        shared
            Settings of both.
        each
            Settings of the first and of the second; ``"space"`` is ``FULL`` or ``REDUCED``.
        """
        recipe = self._explorer.recipe
        return [] if recipe is None else [with_space(recipe, {**shared, **own}) for own in each]

    def run(self, shared: Mapping[str, Any], each: Sequence[Mapping[str, Any]]) -> None:
        """Run both; what came before and is not done yet is dropped."""
        explorer, runner = self._explorer, self._explorer.runner
        if explorer.recipe is None or runner is None:
            return
        try:
            recipes = self.variants(shared, each)
        except InputError as error:
            explorer.fail(error)
            return

        def work(report: Progress) -> tuple[Outcome, Outcome]:
            def side(i: int, name: str) -> Outcome:
                part = part_of(report, f"{name}: ", i, 2)
                return outcome_of(
                    runner, recipes[i], explorer.root, stages=UP_TO_MAP, progress=part
                )

            return side(0, "left"), side(1, "right")

        def show(found: tuple[Outcome, Outcome]) -> None:
            self.outcomes = found
            explorer.message = Message("info", "")

        explorer.start("Side by side", work, show, latest=True)


def with_space(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Change a recipe; ``"space"`` says whether it clusters in all dimensions.

    Examples
    --------
    >>> full = with_space(Recipe.named("domains"), {"space": FULL})
    >>> [stage for stage, _ in full.steps]
    ['describe', 'cluster', 'mapping']
    """
    settings = dict(settings)
    space = settings.pop("space", None)
    if space == FULL:
        settings |= {f"{stage}.{step}": False for stage, step in recipe.steps if stage == "reduce"}
    elif space == REDUCED and not any(stage == "reduce" for stage, _ in recipe.steps):
        settings["reduce.pca"] = True
    return recipe.with_settings(settings)


def colors_of_both(main: Outcome | None, left: Outcome, right: Outcome) -> tuple[Colors, Colors]:
    """Places in the palette of the clusters of two results, taken over from a third.

    Parameters
    ----------
    main
        The result whose colors are taken over, None where there is none.
    left, right
        The two results.

    Notes
    -----
    The right one takes them over from the left one where that has at least as many clusters as the
    main one, and so carries all of its colors: what both have and the main one has not then has
    one color, too.
    """
    if main is None:
        own = tuple(left.result.color_index)
        return own, lasting_colors(right, left, own)
    color_index = tuple(main.result.color_index)
    first = lasting_colors(left, main, color_index)
    if left.result.n_clusters >= main.result.n_clusters:
        return first, lasting_colors(right, left, first)
    return first, lasting_colors(right, main, color_index)


def lasting_colors(new: Outcome, old: Outcome, color_index: Colors) -> Colors:
    """Places in the palette of a result's clusters, taken over from those that they overlap most.

    Parameters
    ----------
    new, old
        Results of one scan, which may be cropped, binned or cut into patches differently: they
        are compared where they lie.
    color_index
        Places in the palette of the old clusters.
    """
    entries = Places(old).entries(Places(new).points)
    before = np.asarray(old.result.labels.data).ravel()[entries]
    before = np.where(entries < 0, -1, before)
    shape = old.result.n_clusters, new.result.n_clusters
    counts = overlaps(before, np.asarray(new.result.labels.data).ravel(), shape)
    return inherited(matched(counts[:-1, :-1]), color_index, new.result.n_clusters)
