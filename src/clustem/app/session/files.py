"""Several files of one session: switching between them, and one set of clusters for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from clustem.app.session.memory import Claim
from clustem.app.session.opened import Opened
from clustem.app.session.outcome import Outcome
from clustem.app.session.pictures import Picture
from clustem.app.web.security import located
from clustem.core import InputError, Progress, Segmentation
from clustem.recipes.runner import Runner

if TYPE_CHECKING:
    from clustem.app.session.state import Explorer
    from clustem.recipes.study import Study

KEPT = 24
"""Steps of each file whose outcomes are kept."""
_SHARED = (
    "mean", "recipe", "outcome", "elements", "swept", "lineage", "choice", "stale",
    "cursor", "can_undo",
)  # fmt: skip
"""What of the session belongs to the file that is shown."""


@dataclass(eq=False)
class OpenFile:
    """A file that is open, as it was when it was last shown.

    Parameters
    ----------
    opened
        The scan or image.
    runner
        Runs recipes on it.
    first
        What is seen of it first.
    state
        What the session showed of it, by name.
    past
        What can be taken back: see ``Explorer.past``.
    total
        Sum of all values of a large scan, once all of them were read.
    """

    opened: Opened
    runner: Runner
    first: Picture
    state: dict[str, Any] = field(default_factory=dict)
    past: list[Any] = field(default_factory=list)
    total: Picture | None = None

    @classmethod
    def of(cls, opened: Opened, picture: Picture, *, elements: list[str]) -> OpenFile:
        """Return a file that has just been opened."""
        recipe = next(iter(opened.recipes.values()), None)
        state: dict[str, Any] = {
            "mean": None, "recipe": recipe, "outcome": None,
            "elements": elements, "swept": {}, "lineage": None, "choice": None,
            "stale": recipe is not None, "cursor": None, "can_undo": False,
        }  # fmt: skip
        return cls(opened, Runner(opened.scan, keep=KEPT), picture, state)

    @property
    def outcome(self) -> Outcome | None:
        """The result that was shown of it last."""
        found: Outcome | None = self.state["outcome"]
        return found

    def keep(self, explorer: Explorer) -> None:
        """Remember what a session shows of this file."""
        self.state = {name: getattr(explorer, name) for name in _SHARED}
        self.past = list(explorer.past)


def claims(files: Sequence[OpenFile]) -> tuple[Claim, ...]:
    """Return the memory that files take."""
    return tuple(file.opened.claim for file in files if file.opened.claim is not None)


def show(explorer: Explorer, number: int) -> None:
    """Show another of the open files, as it was left."""
    if 0 <= number < len(explorer.files):
        _keep(explorer)
        explorer.restore(explorer.files[number])


def close(explorer: Explorer, number: int) -> None:
    """Close one of several files; the last stays, until another is opened in its place."""
    files = list(explorer.files)
    if len(files) < 2 or not 0 <= number < len(files):
        return
    _keep(explorer)
    gone = files.pop(number)
    gone.runner.clear()
    explorer.param.update(files=files, study=None, together=explorer.together and len(files) > 1)
    if gone is explorer.file:
        explorer.restore(files[max(number - 1, 0)])


def run_together(explorer: Explorer, *, anyway: bool = False) -> None:
    """Run the recipe on all open files in one fit: each then shows its map of the study.

    Parameters
    ----------
    explorer
        The session.
    anyway
        Whether a recipe for lattices runs on images that show none.
    """
    from clustem.recipes.segment_study import segment_study

    recipe, files = explorer.recipe, list(explorer.files)
    if recipe is None:
        return

    def work(report: Progress) -> tuple[Study, list[Outcome]]:
        found = located(recipe, explorer.root)
        scans = [file.opened.scan for file in files]
        study = segment_study(scans, found, progress=report, anyway=anyway)
        study = replace(study, titles=tuple(file.opened.label for file in files))
        return study, [
            Outcome(one, file.runner.raw(found), recipe)
            for one, file in zip(study, files, strict=True)
        ]

    def done(found: tuple[Study, list[Outcome]]) -> None:
        if list(explorer.files) == files:
            take(explorer, *found)

    explorer.start("Running all files", work, done, of_all=True)


def take(explorer: Explorer, study: Study, outcomes: list[Outcome]) -> None:
    """Make the maps of a study the results of the open files, which are as many."""
    for file, outcome in zip(explorer.files, outcomes, strict=True):
        fresh: dict[str, Any] = {"swept": {}, "lineage": None, "choice": None, "can_undo": False}
        state = {"outcome": outcome, "recipe": outcome.recipe, "stale": False, **fresh}
        if file is explorer.file:
            explorer.param.update(**fresh)
            explorer.show(outcome, outcome.recipe)
        else:
            file.state |= state
    explorer.study = study
    if explorer.outcome is not None:
        explorer.sum_up(explorer.outcome)


def edit_all(
    explorer: Explorer, change: Callable[[Segmentation], Segmentation]
) -> list[Outcome] | None:
    """Make an edit of all maps of the present study; None if there is none.

    Raises
    ------
    InputError
        If it cannot be made of one of them.
    """
    if explorer.study is None:
        return None
    _keep(explorer)
    outcomes = [file.outcome for file in explorer.files]
    return [replace(one, result=change(one.result)) for one in outcomes if one is not None]


def edit_signals(
    explorer: Explorer, present: Outcome, change: Callable[[Segmentation], Segmentation]
) -> Outcome:
    """Make an edit of a map of several signals in all files that show it; return the present one.

    Raises
    ------
    InputError
        If it cannot be made of one of them.
    """
    _keep(explorer)
    shown = [
        (file, file.outcome)
        for file in explorer.files
        if file.outcome is not None and file.outcome.signals is present.signals
    ]
    edited = {}
    for name, one in present.signals.items():
        try:
            edited[name] = change(one)
        except InputError:
            if name in {outcome.signal for _, outcome in shown}:
                raise
            # an image, whose data are not open: what it says of the map is no longer known
    for file, before in shown:
        after = replace(before, result=edited[before.signal], signals=edited)
        file.state |= {"outcome": after, "can_undo": after.result.before is not None}
    return replace(present, result=edited[present.signal], signals=edited)


def outcomes_with(explorer: Explorer, edited: Outcome) -> list[Outcome]:
    """Return the maps of the present study, that of the shown file as it is after an edit."""
    every = [edited if file is explorer.file else file.outcome for file in explorer.files]
    return [one for one in every if one is not None]


def take_edited(explorer: Explorer, outcomes: list[Outcome]) -> None:
    """Show the maps of the present study after an edit."""
    for file, outcome in zip(explorer.files, outcomes, strict=True):
        file.state |= {"outcome": outcome, "can_undo": outcome.result.before is not None}
        if file is not explorer.file:
            file.past.append(None)
    study = explorer.study
    if study is not None:
        explorer.study = replace(study, maps=tuple(outcome.result for outcome in outcomes))


def _keep(explorer: Explorer) -> None:
    if explorer.file is not None:
        explorer.file.keep(explorer)
