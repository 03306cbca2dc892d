"""Runs of a session: the recipe as it stands, at several k, and what is said of what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from clustem.app.session import files, misses
from clustem.app.session.lasting_colors import in_colors_of
from clustem.app.session.outcome import Outcome, outcome_of, outcomes_of
from clustem.app.web.security import located
from clustem.core import InputError, ParameterError, Progress, collecting
from clustem.judge.lineage import lineage
from clustem.recipes.misfit import refuse_misfit
from clustem.recipes.recipe import Recipe
from clustem.recipes.runner import Runner

if TYPE_CHECKING:
    from clustem.app.session.state import Explorer
    from clustem.judge.choose_k import KChoice

R = TypeVar("R")


def run(explorer: Explorer, *, anyway: bool = False) -> None:
    """Run the recipe from the first step that changed.

    Parameters
    ----------
    explorer
        The session.
    anyway
        Whether a recipe for lattices runs on this image even if it shows none, now and later.
    """
    recipe, runner = explorer.recipe, explorer.runner
    if recipe is None or runner is None:
        explorer.fail(
            InputError(
                "A recipe must fit what is open",
                got="none",
                cure="Open a scan or an image of another kind.",
            )
        )
        return

    if anyway:
        explorer.fitting.add(recipe.name)
    explorer.misfit = False
    if explorer.together and len(explorer.files) > 1:
        files.run_together(explorer, anyway=recipe.name in explorer.fitting)
        return

    present = None if recipe.edits else explorer.outcome  # edits may say what color a cluster has

    def work(report: Progress) -> tuple[Outcome, list[str]]:
        _check_fit(explorer, recipe, runner)
        found, said = _with_warnings(
            lambda: outcome_of(runner, recipe, explorer.root, progress=report)
        )
        k = found.result.n_clusters
        return in_colors_of({k: found}, present)[k], said

    def show(found: tuple[Outcome, list[str]]) -> None:
        outcome, warnings = found
        explorer.study = None  # this map now has clusters of its own
        explorer.show(outcome)
        sum_up(explorer, outcome, warnings)

    explorer.start("Running", work, show, latest=True)


def _check_fit(explorer: Explorer, recipe: Recipe, runner: Runner) -> None:
    """Refuse a recipe for lattices where there is none; what fits is not asked again."""
    described = str([step for step in recipe.steps.items() if step[0][0] == "describe"])
    if not {recipe.name, described}.isdisjoint(explorer.fitting):
        return

    def mark() -> None:
        explorer.misfit = explorer.recipe == recipe

    try:
        refuse_misfit(recipe, runner.scan, otherwise="Run anyway")
    except ParameterError:
        explorer.post(mark)
        raise
    explorer.fitting.add(described)


def sweep(explorer: Explorer, ks: Iterable[int]) -> None:
    """Run the recipe at several numbers of clusters."""
    recipe, runner, wanted = explorer.recipe, explorer.runner, list(ks)
    if recipe is None or runner is None:
        return

    present = explorer.outcome

    def work(report: Progress) -> tuple[dict[int, Outcome], list[str]]:
        _check_fit(explorer, recipe, runner)
        found, said = _with_warnings(
            lambda: outcomes_of(runner, recipe, wanted, explorer.root, progress=report)
        )
        return in_colors_of(found, present), said

    def show(found: tuple[dict[int, Outcome], list[str]]) -> None:
        outcomes = {k: _as_edited(outcome, explorer.outcome) for k, outcome in found[0].items()}
        explorer.param.update(lineage=None, choice=None, swept=outcomes)
        if len(outcomes) > 1:
            colors = {k: o.result.color_index for k, o in outcomes.items()}
            explorer.lineage = lineage({k: o.result for k, o in outcomes.items()}, colors=colors)
        explorer.say("done", "Click a k to see it.")

    explorer.start("Trying k", work, show)


def _as_edited(swept: Outcome, present: Outcome | None) -> Outcome:
    """Return the present outcome with its names and edits where a sweep has found the same."""
    if present is None or present.is_joint:
        return swept
    same = present.recipe == swept.recipe or np.array_equal(
        present.result.labels.data, swept.result.labels.data
    )
    return replace(present, recipe=swept.recipe) if same else swept


def edit_swept(explorer: Explorer, before: Outcome, edited: Outcome) -> None:
    """Take an edit of the present outcome into those of a sweep: one cluster has one color."""
    swept = dict(explorer.swept)
    if not swept or edited.is_joint:
        return
    old, new = (tuple(one.result.color_index) for one in (before, edited))
    if len(old) == len(new) and old != new:
        swept = in_colors_of(swept, edited)
    swept |= {k: edited for k, one in swept.items() if one.recipe == edited.recipe}
    explorer.swept = swept
    tree = explorer.lineage
    if tree is not None:
        colors = {k: tuple(one.result.color_index) for k, one in swept.items()}
        for k, before_it in tree.colors.items():  # of what was merged or split it shows nothing
            if len(colors[k]) != len(before_it):
                colors[k] = before_it
        explorer.lineage = replace(tree, colors=colors)


def recommend(explorer: Explorer) -> None:
    """Ask which of the numbers of clusters that were tried the data have."""
    recipe, runner, ks = explorer.recipe, explorer.runner, sorted(explorer.swept)
    if recipe is None or runner is None or not ks:
        return

    def show(choice: KChoice) -> None:
        explorer.choice = choice
        explorer.say("done", choice.summary)

    def work(report: Progress) -> KChoice:
        return runner.choice(located(recipe, explorer.root), ks, progress=report)

    explorer.start("Judging k", work, show)


def sum_up(explorer: Explorer, outcome: Outcome, warnings: Iterable[str] = ()) -> None:
    """Say what an outcome is."""
    left = f"{100 * outcome.result.unassigned_fraction:.1f} % unassigned"
    text = f"{outcome.size}, {left}.{_against_truth(explorer, outcome)}"
    found = outcome.verdict
    kind = "warning" if found.doubts else "done"
    said = [] if found.warranted in found.doubts else [found.warranted]
    words = [*found.doubts, text, *said, *warnings]
    explorer.say(kind, " ".join(filter(None, words)))


def _against_truth(explorer: Explorer, outcome: Outcome) -> str:
    truth = misses.truth_of(explorer, outcome)
    if truth is None:
        return ""
    from clustem.judge.compare import compare

    found = compare(outcome.result.labels.data, truth)
    return f" Against the sample's truth: accuracy {found.accuracy:.3f}, ARI {found.ari:.3f}."


def _with_warnings(call: Callable[[], R]) -> tuple[R, list[str]]:
    """Call a function and collect what it warns of, each once, for the page."""
    with collecting() as warned:
        found = call()
    return found, list(dict.fromkeys(warned))
