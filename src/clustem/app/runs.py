"""Recipes run on one scan: what two of them begin with in common runs once."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clustem.judge._k_choice import KChoice
from clustem.model import ParameterError
from clustem.recipes import Recipe, Scan
from clustem.recipes._run import Run
from clustem.recipes._seeds import with_seeds_inside
from clustem.recipes.recipe import BEFORE, ROOMS, UP_TO_MAP
from clustem.recipes.sweep import in_lasting_colors
from clustem.segmentation import Segmentation

Report = Any  # Callable[[str, float], None] | None
_KEPT = 24


@dataclass(frozen=True)
class Outcome:
    """A result with what its maps and spectra are drawn from.

    Parameters
    ----------
    result
        The segmentation.
    raw
        The signal that its scan is: cropped, binned, but with raw counts.
    recipe
        What was asked for; that of the result has what was in the files that this one names.
    """

    result: Segmentation
    raw: Any
    recipe: Recipe


class Runs:
    """Runs on one scan; each step's outcome is kept under a hash of all that led to it.

    Parameters
    ----------
    scan
        What to work on.
    located
        Makes of a recipe one whose files can be read.
    keep
        How many steps' outcomes are kept; most share their arrays with each other.

    Examples
    --------
    >>> from clustem.samples import eds
    >>> runs = Runs(Scan(eds(shape=(20, 24)).signal))
    >>> first = runs.run(Recipe.named("eds"))
    >>> other = runs.run(Recipe.named("eds").with_settings({"cluster.n_clusters": 3}))
    >>> other.result.n_clusters, runs.done  # clustering and map again, nothing else
    (3, 7)
    """

    def __init__(
        self, scan: Scan, *, located: Callable[[Recipe], Recipe] | None = None, keep: int = _KEPT
    ) -> None:
        self.scan = scan
        self._located = located or (lambda recipe: recipe)
        self.done = 0
        self._keep = keep
        self._kept: OrderedDict[str, Run] = OrderedDict()

    def run(
        self, recipe: Recipe, report: Report = None, *, rooms: Sequence[str] = ROOMS
    ) -> Outcome:
        """Run a recipe from where an earlier run went another way.

        Parameters
        ----------
        recipe
            What to run.
        report
            Called with the step and the share of steps done, 0 ... 1.
        rooms
            Whose steps to run.
        """
        whole = self.whole(recipe)
        run = self._upto(whole, rooms, report)
        return Outcome(replace(run.result(whole), before=None), run.raw, recipe)

    def whole(self, recipe: Recipe) -> Recipe:
        """Return a recipe with what is in the files that it names inside."""
        return with_seeds_inside(self._located(recipe))

    def sweep(self, recipe: Recipe, ks: Iterable[int], report: Report = None) -> dict[int, Outcome]:
        """Run a recipe up to the map at several numbers of clusters, what comes before once.

        Raises
        ------
        InputError
            If there is no k, or the recipe has no such parameter.
        """
        plain = replace(recipe, edits=())  # they name clusters of one k
        chosen = {k: plain.with_settings({"cluster.n_clusters": k}) for k in sorted(set(ks))}
        if not chosen:
            raise ParameterError("A sweep needs a k", got="none", cure="Write 2:8 or 3,5,7.")
        found = {}
        for i, (k, recipe_of_k) in enumerate(chosen.items()):

            def scaled(step: str, share: float, i: int = i, k: int = k) -> None:
                if report is not None:
                    report(f"k = {k}: {step}", (i + share) / len(chosen))

            found[k] = self.run(recipe_of_k, scaled, rooms=UP_TO_MAP)
        lasting = in_lasting_colors({k: outcome.result for k, outcome in found.items()})
        return {k: replace(outcome, result=lasting[k]) for k, outcome in found.items()}

    def choice(self, recipe: Recipe, ks: Iterable[int], report: Report = None) -> KChoice:
        """Ask which of several numbers of clusters the rows have: see ``judge.choose_k``.

        Raises
        ------
        InputError
            If the clusters start from seeds.
        """
        recipe = self.whole(recipe)
        run = self._upto(recipe, BEFORE, report)
        if report is not None:
            report("judge.choose_k", 0.5)
        for entry, params in zip(recipe.entries(), recipe.steps.values(), strict=True):
            if entry.room == "cluster":
                return run.choice(entry, params, ks)
        raise ParameterError("A recipe must cluster", got=recipe.name, cure="Add a cluster step.")

    def clear(self) -> None:
        """Forget all outcomes."""
        self._kept.clear()

    def _upto(self, recipe: Recipe, rooms: Iterable[str], report: Report) -> Run:
        steps = [
            (entry, params)
            for entry, params in zip(recipe.entries(), recipe.steps.values(), strict=True)
            if entry.room in rooms
        ]
        keys = self._keys([(entry.label, params) for entry, params in steps])
        known = next((i for i in range(len(keys), 0, -1) if keys[i - 1] in self._kept), 0)
        if known:
            run = self._kept[keys[known - 1]].fork(n_steps=len(steps), progress=report)
        else:
            run = Run(self.scan, len(steps), report)
        for key in keys[:known]:
            self._kept.move_to_end(key)
        for key, (entry, params) in zip(keys[known:], steps[known:], strict=True):
            run.do(entry, params)
            self.done += 1
            self._keep_as(key, run)
        return run

    def _keys(self, steps: list[tuple[str, Any]]) -> list[str]:
        """Hash each step together with all that lies before it; the input is always this scan."""
        digest, keys = hashlib.sha256(), []
        for label, params in steps:
            digest.update(json.dumps([label, dict(params)], sort_keys=True, default=str).encode())
            keys.append(digest.hexdigest())
        return keys

    def _keep_as(self, key: str, run: Run) -> None:
        self._kept[key] = run.fork()
        self._kept.move_to_end(key)
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)
