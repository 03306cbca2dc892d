"""What one session knows and can do; no widget, no browser."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import param
from numpy.typing import NDArray

from clustem.app.session import files, opening, pictures, running
from clustem.app.session.files import OpenFile
from clustem.app.session.jobs import Jobs, Post, Work
from clustem.app.session.memory import Budget, give_back_later, held
from clustem.app.session.opened import Opened
from clustem.app.session.outcome import Outcome
from clustem.app.session.pictures import Picture
from clustem.app.session.probe import Places, Reading, read_open, read_result
from clustem.app.web.security import closed, public
from clustem.core import (
    Cancelled,
    InputError,
    Progress,
    Segmentation,
)
from clustem.core.memory import size_text
from clustem.judge.lineage import Lineage
from clustem.physics.xray_lines import lines_of
from clustem.recipes.recipe import Recipe
from clustem.recipes.runner import Runner

if TYPE_CHECKING:
    from clustem.judge.choose_k import KChoice
    from clustem.judge.residuals import Residuals
    from clustem.recipes.study import Study

_LOG = logging.getLogger(__name__)
R = TypeVar("R")


@dataclass(frozen=True)
class Message:
    """A line for the user: ``kind`` is ``"info"``, ``"done"``, ``"warning"`` or ``"error"``."""

    kind: str
    text: str


class Explorer(param.Parameterized):
    """One session: what is open, the recipe, the result and what is looked at.

    Parameters
    ----------
    root
        Folder whose files may be opened and where results may be saved; None for none.
    post
        Called with a function that is to run where the page lives.
    budget
        Memory of all sessions; None takes half of what is free.
    """

    opened: param.Parameter[Opened | None] = param.Parameter(doc="What is open")
    recipe: param.Parameter[Recipe | None] = param.Parameter(doc="What runs next")
    outcome: param.Parameter[Outcome | None] = param.Parameter(doc="Present result")
    stale = param.Boolean(default=False, doc="Whether the recipe changed since the outcome")
    files = param.List(default=[], doc="All files that are open")
    study: param.Parameter[Study | None] = param.Parameter(
        doc="Maps of all files, one set of phases"
    )
    together = param.Boolean(default=False, doc="Whether all files are run in one fit")
    picture: param.Parameter[Picture | None] = param.Parameter(doc="Navigation image")
    mean: param.Parameter[NDArray[Any] | None] = param.Parameter(
        doc="Mean spectrum or pattern of what is open"
    )
    reading: param.Parameter[Reading | None] = param.Parameter(doc="What is under the cursor")
    cursor: param.Parameter[tuple[float, float] | None] = param.Parameter(
        doc="Position (x, y) in the units of the scan"
    )
    swept = param.Dict(default={}, doc="Outcomes by number of clusters")
    lineage: param.Parameter[Lineage | None] = param.Parameter(doc="Lineage of the sweep")
    choice: param.Parameter[KChoice | None] = param.Parameter(
        doc="Which k is recommended, with the evidence"
    )
    message: param.ClassSelector[Message] = param.ClassSelector(
        class_=Message, default=Message("info", "")
    )
    missed: param.Parameter[Residuals | None] = param.Parameter(
        doc="What the clusters of the present result leave unexplained, where it was looked for"
    )
    elements = param.List(default=[], doc="Elements whose X-ray lines are marked")
    misfit = param.Boolean(default=False, doc="Whether the image lacks the lattice of the recipe")
    can_undo = param.Boolean(default=False)

    def __init__(self, root: Path | None, post: Post, budget: Budget | None = None) -> None:
        super().__init__()
        self.root = root
        self.budget = budget or Budget.of_machine()
        self._folder = tempfile.TemporaryDirectory(prefix="clustem-session-")
        self.temporary = Path(self._folder.name)
        self.post = post
        self.jobs, self.background = Jobs(post), Jobs(post)
        self.runner: Runner | None = None
        self.file: OpenFile | None = None
        self.past: list[Recipe | tuple[Outcome, Recipe | None] | None] = []
        """What was there before: a recipe, a result with its recipe; None for an edit."""
        self.fitting: set[str] = set()  # recipes and descriptions that need no question
        self.param.watch(_after_files, "files")
        self.places: Places | None = None
        self.context: dict[str, Picture] = {}
        self.detector: pictures.Detector | None = None
        self._closed = False

    # opening: see session/opening.py

    def open_path(self, relative: str, *, beside: bool = False) -> None:
        """Open a file or a result folder by its path from the root; ``beside`` what is open."""
        opening.open_path(self, relative, beside=beside)

    def open_upload(self, path: Path, name: str) -> None:
        """Open a file that the browser sent."""
        opening.open_upload(self, path, name)

    def open_sample(self, name: str) -> None:
        """Open a built-in sample."""
        opening.open_sample(self, name)

    def file_of(self, opened: Opened, picture: Picture) -> OpenFile:
        """Return a file as it is shown first."""
        return opening.file_of(opened, picture)

    def restore(self, file: OpenFile) -> None:
        """Show a file as it was left."""
        opening.restore(self, file)

    # the recipe

    def offers(self) -> dict[str, Recipe]:
        """Recipes for what is open, by name."""
        return {} if self.opened is None else self.opened.recipes

    def choose(self, name: str) -> None:
        """Take one of the offered recipes as it comes."""
        self.take(self.offers()[name])

    def change(self, settings: Mapping[str, Any]) -> bool:
        """Change the recipe, as on the command line; False if a name or value does not fit."""
        if self.recipe is None:
            return False
        try:
            self.take(self.recipe.with_settings(settings))
        except InputError as error:
            self.fail(error)
            return False
        return True

    def take(self, recipe: Recipe) -> None:
        """Take a recipe; the files that it names must be below the root."""
        recipe = closed(recipe, self.root)
        stale = self.outcome is None or self.outcome.recipe != recipe
        if self.recipe is not None and recipe != self.recipe:
            self.past.append(self.recipe)
        if self.message.kind == "error":  # it was about the recipe before
            self.message = Message("info", "")
        self.param.update(recipe=recipe, stale=stale, misfit=False)

    # running: see session/running.py

    def run(self, *, anyway: bool = False) -> None:
        """Run the recipe from the first step that changed; ``anyway`` also where none fits."""
        running.run(self, anyway=anyway)

    def sweep(self, ks: Iterable[int]) -> None:
        """Run the recipe at several numbers of clusters."""
        running.sweep(self, ks)

    def recommend(self) -> None:
        """Ask which of the numbers of clusters that were tried the data have."""
        running.recommend(self)

    def sum_up(self, outcome: Outcome, warnings: Iterable[str] = ()) -> None:
        """Say what the present outcome is."""
        running.sum_up(self, outcome, warnings)

    def show_k(self, k: int) -> None:
        """Make the outcome of a sweep at k the present one, its recipe included.

        It is of this file alone: a study ends.
        """
        outcome = self.swept[k]
        if self.outcome is not None and (outcome, outcome.recipe) != (self.outcome, self.recipe):
            self.past.append((self.outcome, self.recipe))
        self.study = None
        self.show(outcome, outcome.recipe)

    def show(self, outcome: Outcome, recipe: Recipe | None = None) -> None:
        """Make an outcome the present one, and a recipe if one is given."""
        recipe = recipe or self.recipe
        present = None if self.outcome is None else self.outcome.result.labels
        missed = self.missed if present is outcome.result.labels else None  # another name or color
        self.places = Places(outcome)
        with param.parameterized.batch_call_watchers(self):  # a label of another map is none here
            self.param.update(
                recipe=recipe, stale=recipe != outcome.recipe, outcome=outcome, missed=missed,
                can_undo=outcome.result.before is not None,
            )  # fmt: skip
            self.look()

    # edits

    def edit(
        self,
        change: Callable[[Segmentation], Segmentation],
        *,
        shared: bool = False,
        note: str = "",
    ) -> None:
        """Make an edit of the present result; its recipe can repeat it.

        Parameters
        ----------
        change
            Calls a verb of the result, such as ``merge``, ``split`` or ``exclude``.
        shared
            Whether it is made of all maps of a study; that of several signals is always one map.
        note
            What else to say of it.
        """
        if self.outcome is None:
            return
        try:
            every = files.edit_all(self, change) if shared else None
            if self.outcome.is_joint:
                edited = files.edit_signals(self, self.outcome, change)
            else:
                edited = replace(self.outcome, result=change(self.outcome.result))
        except InputError as error:
            self.fail(error)
            return
        if self.study is not None and self.file is not None:
            every = files.outcomes_with(self, edited) if every is None else every
            edited = every[self.files.index(self.file)]
            files.take_edited(self, every)
        self.past.append(None)
        running.edit_swept(self, self.outcome, edited)
        self.show(edited)
        self.sum_up(edited, [note])

    def undo(self) -> None:
        """Take the last edit back; in a study that of all maps which have one."""
        if self.can_undo:
            self.edit(
                lambda result: result if result.before is None else result.undo(),
                shared=self.study is not None,
            )
            self.past.pop()
            if None in self.past:
                self.past.reverse()
                self.past.remove(None)
                self.past.reverse()

    def take_back(self) -> None:
        """Take back what was done last: an edit of the result, or a change of the recipe."""
        while self.past:
            last = self.past[-1]
            if last is None and self.can_undo:
                self.undo()
                return
            self.past.pop()
            if isinstance(last, tuple):
                self.show(*last)
                return
            if last is not None:
                stale = self.outcome is None or self.outcome.recipe != last
                self.param.update(recipe=last, stale=stale, misfit=False)
                return

    # looking

    def look(self, x: float | None = None, y: float | None = None) -> None:
        """Move the cursor, or look again at where it is."""
        if x is not None and y is not None:
            self.cursor = (x, y)
        if self.cursor is None or self.opened is None:
            self.reading = None
            return
        self.reading = self._read(*self.cursor)

    def _read(self, x: float, y: float) -> Reading | None:
        if self.outcome is not None and self.places is not None:
            found = read_result(self.outcome, self.places, x, y)
            if found is not None:
                return found
        if self.opened is None or self.picture is None:
            return None
        return read_open(self.opened, self.picture.values, x, y)

    def navigate(
        self,
        name: str,
        draw: Callable[[], Picture],
        then: Callable[[Picture], None] = lambda _: None,
    ) -> None:
        """Draw another navigation image; only the last one that was asked for is shown."""
        opened = self.opened

        def show(picture: Picture) -> None:
            if self.opened is opened:
                self.picture = picture
                then(picture)

        self.background.start(name, lambda _: draw(), show, self.fail, latest=True)

    def toggle_element(self, symbol: str) -> None:
        """Mark the X-ray lines of an element, or no longer.

        Raises
        ------
        UnknownNameError
            If there is no such element.
        """
        lines_of([symbol])
        rest = [name for name in self.elements if name != symbol]
        self.elements = rest if symbol in self.elements else [*rest, symbol]

    # jobs and messages

    def start(
        self,
        name: str,
        work: Work,
        done: Callable[[Any], None],
        *,
        latest: bool = False,
        of_all: bool = False,
    ) -> None:
        """Do something with what is open that takes time, with progress and a way to stop.

        If something else is open when it ends, what it found is forgotten, unless it is of all
        files.
        """
        opened = self.opened
        if self._full():
            return
        if of_all:
            self.message = Message("info", "")
            self.jobs.start(name, work, done, self.fail, latest=latest)
            return

        def work_here(report: Progress) -> Any:
            if self.opened is not opened:
                raise Cancelled
            return work(report)

        def here(call: Callable[[Any], None]) -> Callable[[Any], None]:
            return lambda found: call(found) if self.opened is opened else None

        self.message = Message("info", "")
        self.jobs.start(name, work_here, here(done), here(self.fail), latest=latest)

    def _full(self) -> bool:
        """Refuse to start where all sessions hold more memory than they may take."""
        if not self.budget.full():
            return False
        for file in self.files:  # what is kept only so that another run is faster
            file.runner.clear()
        if not self.budget.full():
            return False
        self.fail(
            InputError(
                f"All open files and results may take {size_text(self.budget.total)} of memory",
                got=size_text(held()),
                cure="Close files and pages that are no longer needed.",
            )
        )
        return True

    def say(self, kind: str, text: str) -> None:
        """Show a line to the user."""
        self.message = Message(kind, text)

    def fail(self, error: BaseException) -> None:
        """Tell the user what went wrong, and nothing about this machine."""
        folders = [self.temporary, *([] if self.root is None else [self.root])]
        if self.opened is not None:
            folders += self.opened.private
        self.message = Message("error", public(error, *folders))

    def close(self) -> None:
        """Stop all work, forget all data, delete the session's files."""
        if self._closed:
            return
        self._closed = True
        self.jobs.close()
        self.background.close()
        if self.runner is not None:
            self.runner.clear()
        for file in self.files:
            file.runner.clear()
        self.runner = self.places = self.detector = self.file = None
        self.context = {}
        with param.parameterized.discard_events(self):  # the page is closed
            self.param.update(
                opened=None, outcome=None, picture=None, mean=None, reading=None, swept={},
                lineage=None, files=[], study=None, missed=None,
            )  # fmt: skip
        self._folder.cleanup()
        _LOG.info("a session has ended")


def _after_files(event: Any) -> None:
    """Give back what closed files held: signals are circles, which Python leaves for long."""
    still = {id(file) for file in event.new}
    if any(id(file) not in still for file in event.old):
        give_back_later()
