"""Two clusterings side by side, each with its own settings, as fast as they are changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import param

from clustem.app.jobs import Report
from clustem.app.runs import Outcome
from clustem.app.state import Explorer, Message
from clustem.model import InputError
from clustem.recipes import Recipe
from clustem.recipes.recipe import UP_TO_MAP

FULL, REDUCED = "all dimensions", "reduced"


class Live(param.Parameterized):
    """Two variants of a session's recipe.

    Parameters
    ----------
    explorer
        The session.
    """

    outcomes = param.Parameter(doc="Two outcomes, or None")

    def __init__(self, explorer: Explorer) -> None:
        super().__init__()
        self._explorer = explorer
        explorer.param.watch(lambda *_: self.param.update(outcomes=None), "opened")

    def variants(self, shared: Mapping[str, Any], each: list[Mapping[str, Any]]) -> list[Recipe]:
        """Change the session's recipe twice.

        Parameters
        ----------
        shared
            Settings of both.
        each
            Settings of the first and of the second; ``"space"`` is ``FULL`` or ``REDUCED``.
        """
        return [with_space(self._explorer.recipe, {**shared, **own}) for own in each]

    def run(self, shared: Mapping[str, Any], each: list[Mapping[str, Any]]) -> None:
        """Run both; what came before and is not done yet is dropped."""
        explorer, runs = self._explorer, self._explorer.runs
        if explorer.recipe is None or runs is None:
            return
        try:
            recipes = self.variants(shared, each)
        except InputError as error:
            explorer.fail(error)
            return

        def work(report: Report) -> tuple[Outcome, ...]:
            found = []
            for i, recipe in enumerate(recipes):

                def half(step: str, share: float, i: int = i) -> None:
                    report(f"{'left' if i == 0 else 'right'}: {step}", (i + share) / 2)

                found.append(runs.run(recipe, half, rooms=UP_TO_MAP))
            return tuple(found)

        def show(found: tuple[Outcome, ...]) -> None:
            self.outcomes = found
            explorer.message = Message("info", "")

        explorer.start("Side by side", work, show, latest=True)


def with_space(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """Change a recipe; ``"space"`` says whether it clusters in all dimensions.

    Examples
    --------
    >>> full = with_space(Recipe.named("domains"), {"space": FULL})
    >>> [room for room, _ in full.steps]
    ['describe', 'cluster', 'reproject']
    """
    settings = dict(settings)
    space = settings.pop("space", None)
    if space == FULL:
        settings |= {f"{room}.{step}": False for room, step in recipe.steps if room == "reduce"}
    elif space == REDUCED and not any(room == "reduce" for room, _ in recipe.steps):
        settings["reduce.pca"] = True
    return recipe.with_settings(settings)
