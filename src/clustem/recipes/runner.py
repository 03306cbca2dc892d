"""The only runner: runs recipes on a scan, what two runs begin with in common done once."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from clustem.core import Entry, ParameterError, Progress, Scan, Segmentation, Signal
from clustem.judge.lineage import lineage
from clustem.recipes._checkpoints import Checkpoints
from clustem.recipes._few_counts import counts_of_a_position, for_few_counts
from clustem.recipes._markers import with_markers_inside
from clustem.recipes._run import Run, steps_of
from clustem.recipes.recipe import BEFORE, STAGES, Recipe

if TYPE_CHECKING:
    from clustem.judge.choose_k import KChoice


@contextmanager
def on_workers(client: Any) -> Iterator[None]:
    """Have the workers of a dask client read what is left on disk; None changes nothing."""
    if client is None:
        yield
    else:
        with client.as_current():
            yield


class Runner:
    """Runs on one scan; each step's outcome may be kept under a hash of all that led to it.

    Parameters
    ----------
    scan
        What to work on.
    keep
        How many steps' outcomes are kept; most share their arrays with each other.
    checkpoints
        Where long steps leave what they have made, for a run that goes on after this one is killed.

    Examples
    --------
    >>> from clustem.samples import eds
    >>> runner = Runner(Scan.of(eds(shape=(20, 24)).signal), keep=24)
    >>> first = runner.run(Recipe.named("eds"))
    >>> other = runner.run(Recipe.named("eds").with_settings({"cluster.n_clusters": 3}))
    >>> other.n_clusters, runner.done  # clustering and map again, nothing else
    (3, 7)
    """

    def __init__(
        self, scan: Scan, *, keep: int = 0, checkpoints: Checkpoints | None = None
    ) -> None:
        self.scan, self._checkpoints = scan, checkpoints
        self.done = 0
        self._keep = keep
        self._kept: OrderedDict[str, Run] = OrderedDict()
        self._why = ""  # another recipe runs than the one given

    def run(
        self,
        recipe: Recipe,
        *,
        stages: Iterable[str] = STAGES,
        progress: Progress | None = None,
    ) -> Segmentation:
        """Run a recipe from where an earlier run went another way.

        Parameters
        ----------
        recipe
            What to run.
        stages
            Whose steps to run. Only a run of all of them says whether a number of clusters that
            the recipe brings along is warranted; the user's own is not questioned.
        progress
            Called with the step and the share of steps done, 0 ... 1.
        """
        whole, stages = self.whole(recipe), tuple(stages)
        run = self.upto(whole, stages, progress, ask=stages == STAGES and own_number(whole))
        return replace(run.result(whole), before=None)

    def sweep(
        self,
        recipe: Recipe,
        ks: Iterable[int],
        *,
        shared: bool = False,
        progress: Progress | None = None,
    ) -> dict[int, Segmentation]:
        """Run a recipe up to the map at several numbers of clusters, what comes before once.

        Parameters
        ----------
        recipe
            What to run; its edits name clusters of one k and are left out.
        ks
            Numbers of clusters.
        shared
            Whether all fits share their passes, where the estimator can: that is faster, and its
            starts can differ from those of :meth:`run`.
        progress
            As for :meth:`run`.

        Returns
        -------
        :
            The result for each k; clusters keep their color from k to k.

        Raises
        ------
        InputError
            If there is no k, or the recipe has no such parameter.
        """
        plain = self.whole(replace(recipe, edits=()))
        chosen = {k: plain.with_settings({"cluster.n_clusters": k}) for k in sorted(set(ks))}
        if not chosen:
            raise ParameterError("A sweep needs a k", got="none", cure="Give a range such as 2:10.")
        results = {}
        common = self.upto(plain, BEFORE, part_of(progress, "", 0, len(chosen))) if shared else None
        if common is not None:
            common = common.fork()
            common.fit_together(chosen[max(chosen)], chosen)
        for i, (k, recipe_of_k) in enumerate(chosen.items()):
            part = part_of(progress, f"k = {k}: ", i, len(chosen))
            if common is None:
                run = self.upto(recipe_of_k, (*BEFORE, "cluster", "mapping"), part)
            else:
                run = common.fork()
                run.steps(recipe_of_k, ("cluster", "mapping"), part)
            results[k] = replace(run.result(recipe_of_k), before=None)
        return in_lasting_colors(results)

    def choice(
        self, recipe: Recipe, ks: Iterable[int], *, progress: Progress | None = None
    ) -> KChoice:
        """Ask which of several numbers of clusters the rows have: see ``judge.choose_k``.

        Raises
        ------
        InputError
            If the clusters start from markers.
        """
        whole = self.whole(recipe)
        run = self.upto(whole, BEFORE, progress)
        if progress is not None:
            progress("judge.choose_k", 0.5)
        return run.choice(whole, ks)

    def raw(self, recipe: Recipe) -> Signal:
        """Return the signal that centers come from: the scan, cropped and binned, raw counts."""
        return self.upto(self.whole(recipe), ("prepare",), None).raw

    def whole(self, recipe: Recipe) -> Recipe:
        """Return the recipe that runs: for few counts where it says so, and with its markers."""
        found, self._why = for_few_counts(recipe, lambda: self._counts)
        return with_markers_inside(found)

    @cached_property
    def _counts(self) -> float | None:
        return counts_of_a_position(self.scan)

    def upto(
        self,
        recipe: Recipe,
        stages: Iterable[str],
        progress: Progress | None,
        *,
        ask: bool = False,
    ) -> Run:
        """Run the steps of some stages; what an earlier run did alike is not done again.

        Parameters
        ----------
        recipe, stages, progress
            As for :meth:`run`.
        ask
            Whether to judge a number of clusters that the recipe names.
        """
        steps = [*steps_of(recipe, stages)]
        keys = _keys(steps, ask=ask, in_doubt=recipe.in_doubt)
        kept = self._kept
        known = next((i for i in range(len(keys), 0, -1) if keys[i - 1] in kept), 0)
        run = kept[keys[known - 1]].fork() if known else Run(self.scan)
        run.why, run.asks, run.in_doubt = self._why, ask, recipe.in_doubt
        for key in keys[:known]:
            if key in kept:  # the first steps of an old run are forgotten before its last
                kept.move_to_end(key)
        for i, (key, (entry, parameters)) in enumerate(zip(keys, steps, strict=True)):
            if i < known:
                continue
            if progress is not None:
                progress(entry.label, i / len(steps))
            self._step(run, entry, parameters, key)
            self.done += 1
            self._keep_as(key, run)
        return run

    def _step(self, run: Run, entry: Entry, parameters: Mapping[str, Any], key: str) -> None:
        """Run a step, or take what a killed run has made of it."""
        if self._checkpoints is None:
            run.step(entry, parameters)
            return
        run.computed = self._checkpoints.file(key, ".npy")
        if entry.stage == "cluster":
            run.step_or_resume(entry, parameters, key, self._checkpoints)
        else:
            run.step(entry, parameters)

    def clear(self) -> None:
        """Forget all outcomes; another thread may be looking for one."""
        self._kept = OrderedDict()

    def _keep_as(self, key: str, run: Run) -> None:
        if not self._keep:
            return
        self._kept[key] = run.fork()
        self._kept.move_to_end(key)
        while len(self._kept) > self._keep:
            self._kept.popitem(last=False)


def in_lasting_colors(results: dict[int, Segmentation]) -> dict[int, Segmentation]:
    """Let clusters keep their color from k to k."""
    found = lineage(results)
    return {
        k: result
        if found.colors[k] == result.color_index
        else replace(result.edit("recolor", color_index=list(found.colors[k])), before=None)
        for k, result in results.items()
    }


def part_of(progress: Progress | None, name: str, i: int, n: int) -> Progress | None:
    """Report the i-th of n runs as a part of them all."""
    if progress is None:
        return None
    return lambda step, share: progress(f"{name}{step}", (i + share) / n)


def own_number(recipe: Recipe) -> bool:
    """Whether the number of clusters is the one that the recipe comes with."""
    if recipe.name not in Recipe.names():
        return False
    own, given = (
        [
            parameters.get("n_clusters")
            for (stage, _), parameters in r.steps.items()
            if stage == "cluster"
        ]
        for r in (Recipe.named(recipe.name), recipe)
    )
    return own == given


def _keys(
    steps: list[tuple[Entry, Mapping[str, Any]]], *, ask: bool, in_doubt: int | None
) -> list[str]:
    """Hash each step together with all that lies before it; the input is always one scan."""
    digest, keys = hashlib.sha256(), []
    for entry, parameters in steps:
        content: list[Any] = [entry.label, dict(parameters)]
        if entry.stage == "cluster":
            content += [ask, in_doubt]
        digest.update(json.dumps(content, sort_keys=True, default=str).encode())
        keys.append(digest.hexdigest())
    return keys
