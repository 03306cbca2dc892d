"""Two clusterings side by side, each with its own settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import param

from clustem.app.session.outcome import Outcome, outcome_of
from clustem.app.session.state import Explorer, Message
from clustem.core import InputError, Progress
from clustem.recipes.recipe import UP_TO_MAP, Recipe
from clustem.recipes.runner import part_of

FULL, REDUCED, LEARNED = "all dimensions", "reduced", "learned"


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
    """Change a recipe; ``"space"`` says whether it clusters all dimensions, components, or latents.

    Examples
    --------
    >>> full = with_space(Recipe.named("domains"), {"space": FULL})
    >>> [stage for stage, _ in full.steps]
    ['describe', 'cluster', 'mapping']
    >>> [*with_space(Recipe.named("domains"), {"space": LEARNED}).steps][1]
    ('reduce', 'vae')
    >>> [*with_space(Recipe.named("domains-vae"), {"space": REDUCED}).steps][1]
    ('reduce', 'pca')
    """
    settings = dict(settings)
    space = settings.pop("space", None)
    known = [step for stage, step in recipe.steps if stage == "reduce"]
    linear = [step for step in known if step != "vae"]
    others = {FULL: known, REDUCED: ["vae"], LEARNED: linear}.get(str(space), [])
    settings |= {f"reduce.{step}": False for step in others if step in known}
    if space == REDUCED and not linear:
        settings["reduce.pca"] = True
    elif space == LEARNED and "vae" not in known:
        settings |= {"reduce.vae.rotation": "none", "reduce.vae.n_components": "auto"}
    return recipe.with_settings(settings)
