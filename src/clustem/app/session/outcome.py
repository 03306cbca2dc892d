"""Results of a session, each with the recipe that was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from clustem.app.web.security import located
from clustem.core import Progress, Segmentation, Signal
from clustem.judge.common_verdict import common_verdict
from clustem.judge.verdict import Verdict, verdict
from clustem.recipes.recipe import STAGES, Recipe
from clustem.recipes.runner import Runner


@dataclass(frozen=True)
class Outcome:
    """A result, and what it was made from.

    Parameters
    ----------
    result
        The segmentation.
    raw
        The signal of the scan, cropped and binned, with raw counts; for patches, the whole image.
    recipe
        The recipe that was asked for. That of the result has the contents of the files that this
        one names.
    signals
        Results of all signals of the same map by name, where it is of several.
    signal
        Which of them this is.
    """

    result: Segmentation
    raw: Signal
    recipe: Recipe
    signals: Mapping[str, Segmentation] = field(default_factory=dict)
    signal: str = ""

    @cached_property
    def verdict(self) -> Verdict:
        """What speaks against the map, to be said before its colors."""
        return common_verdict([verdict(one) for one in self.signals.values() or [self.result]])

    @property
    def there(self) -> list[int]:
        """Clusters that have positions: one that was taken out keeps its number."""
        found: list[int] = np.flatnonzero(self.result.counts).tolist()
        return found

    @property
    def size(self) -> str:
        """Number of clusters that have positions, in words."""
        k = len(self.there)
        return f"{k} cluster{'s' * (k != 1)}"

    @property
    def is_joint(self) -> bool:
        """Whether the map is of several signals."""
        return bool(self.signals)


def outcome_of(
    runner: Runner,
    recipe: Recipe,
    root: Path | None,
    *,
    stages: Iterable[str] = STAGES,
    progress: Progress | None = None,
) -> Outcome:
    """Run a recipe that may name files.

    Parameters
    ----------
    runner
        Runs recipes on what is open.
    recipe
        A recipe that names files by paths from the root.
    root
        The folder whose files may be read, None for none.
    stages
        Whose steps to run.
    progress
        Called with the step and the share of steps done, 0 ... 1.
    """
    found = located(recipe, root)
    result = runner.run(found, stages=stages, progress=progress)
    return Outcome(result, runner.raw(found), recipe)


def outcomes_of(
    runner: Runner,
    recipe: Recipe,
    ks: Iterable[int],
    root: Path | None,
    *,
    progress: Progress | None = None,
) -> dict[int, Outcome]:
    """Run a recipe up to the map at several numbers of clusters: see :func:`outcome_of`.

    Raises
    ------
    InputError
        If there is no k, or the recipe has no such parameter.
    """
    plain = replace(recipe, edits=())  # they name clusters of one k
    found = located(plain, root)
    results = runner.sweep(found, ks, progress=progress)
    raw = runner.raw(found)
    return {
        k: Outcome(result, raw, plain.with_settings({"cluster.n_clusters": k}))
        for k, result in results.items()
    }
