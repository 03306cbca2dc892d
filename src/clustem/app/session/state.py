"""What one session knows and can do; no widget, no browser."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import param
from numpy.typing import NDArray

from clustem.app.session import files, pictures
from clustem.app.session.files import OpenFile
from clustem.app.session.jobs import Jobs, Post, Work
from clustem.app.session.lasting_colors import in_colors_of
from clustem.app.session.opened import Opened, Watch
from clustem.app.session.outcome import Outcome, outcome_of, outcomes_of
from clustem.app.session.pictures import Picture
from clustem.app.session.probe import Places, Reading, read_open, read_result
from clustem.app.session.warm_up import warm_up
from clustem.app.web.security import below, closed, located, public
from clustem.core import (
    Cancelled,
    InputError,
    ParameterError,
    Progress,
    Segmentation,
    Signal,
    UnknownNameError,
    collecting,
)
from clustem.io.output_folder import PROVENANCE
from clustem.judge.lineage import Lineage, lineage
from clustem.physics.xray_lines import lines_of
from clustem.recipes.misfit import refuse_misfit
from clustem.recipes.recipe import Recipe
from clustem.recipes.runner import Runner
from clustem.report.layout.line_labels import elements_named, is_eds

if TYPE_CHECKING:
    from clustem.judge.choose_k import KChoice
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
    elements = param.List(default=[], doc="Elements whose X-ray lines are marked")
    misfit = param.Boolean(default=False, doc="Whether the image lacks the lattice of the recipe")
    can_undo = param.Boolean(default=False)

    def __init__(self, root: Path | None, post: Post) -> None:
        super().__init__()
        self.root = root
        self._folder = tempfile.TemporaryDirectory(prefix="clustem-session-")
        self.temporary = Path(self._folder.name)
        self._post = post
        self.jobs, self.background = Jobs(post), Jobs(post)
        self.runner: Runner | None = None
        self.file: OpenFile | None = None
        self._past: list[Recipe | None] = []  # recipes that were changed; None for an edit
        self._fitting: set[str] = set()
        self.places: Places | None = None
        self.context: dict[str, Picture] = {}
        self.detector: pictures.Detector | None = None
        self._closed = False

    # opening

    def open_path(self, relative: str, *, beside: bool = False) -> None:
        """Open a file below the root.

        Parameters
        ----------
        relative
            Its path from there.
        beside
            Whether what is open stays open.
        """
        if self.root is None:
            self.say("error", "No folder is shared here.")
            return
        try:
            path = below(self.root, relative)
        except InputError as error:
            self.fail(error)
            return
        if (path / PROVENANCE).is_file():
            files.open_result(self, relative)
            return
        self._open(relative, lambda watch: Opened.file(path, relative, watch), beside=beside)

    def open_upload(self, path: Path, name: str) -> None:
        """Open a file that the browser sent."""
        self._open(name, lambda watch: Opened.file(path, name, watch))

    def open_sample(self, name: str) -> None:
        """Open a built-in sample."""
        self._open(f"sample: {name}", lambda _: Opened.sample(name))

    def _open(self, label: str, load: Callable[[Watch], Opened], *, beside: bool = False) -> None:
        growing = pictures.Growing(lambda picture: self._post(lambda: self._preview(picture)))

        def work(report: Progress) -> tuple[Opened, Picture]:
            report("reading", 0.0)
            warm_up()
            opened = load(growing)
            report("first image", 0.1)
            return opened, growing.whole or pictures.first_picture(opened)

        self.message = Message("info", "")
        self.jobs.start(
            f"Opening {label}",
            work,
            lambda found: self._show_opened(*found, beside=beside),
            self.fail,
        )

    def _preview(self, picture: Picture) -> None:
        """Show what was read so far of a file that is being opened."""
        if self.jobs.status.job.startswith("Opening") and len(self.files) < 2:
            self.picture = picture

    def file_of(self, opened: Opened, picture: Picture) -> OpenFile:
        """Return a file as it is shown first."""
        return OpenFile.of(opened, picture, elements=_elements_of(opened.signal))

    def _show_opened(self, opened: Opened, picture: Picture, *, beside: bool = False) -> None:
        file = self.file_of(opened, picture)
        if beside and self.file is not None:
            self.file.keep(self)
        kept = [one for one in self.files if beside and one.opened.label != opened.label]
        for one in self.files:
            if one not in kept:
                one.runner.clear()
        self.param.update(files=[*kept, file], study=None, together=len(kept) > 0)
        self.restore(file)
        self.message = Message("done", f"{opened.label} is open.")
        self.background.start("digest", lambda _: opened.scan.digest, lambda _: None, self.fail)

    def restore(self, file: OpenFile) -> None:
        """Show a file as it was left."""
        opened, outcome = file.opened, file.outcome
        self.file, self.runner, self._fitting = file, file.runner, set()
        self.places = None if outcome is None else Places(outcome)
        self.detector, self.context, self._past = None, pictures.context(opened), []
        with param.parameterized.batch_call_watchers(self):
            self.param.update(
                opened=opened, reading=None, misfit=False, message=Message("info", ""), **file.state
            )
        if self.mean is None:
            self._find_mean(opened)

    def _find_mean(self, opened: Opened) -> None:
        if opened.kind == "image":
            return

        def show(mean: NDArray[np.float64]) -> None:
            if self.opened is opened:
                self.mean = mean

        self.background.start("mean", lambda _: pictures.mean_of(opened.signal), show, self.fail)

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
            self._past.append(self.recipe)
        if self.message.kind == "error":  # it was about the recipe before
            self.message = Message("info", "")
        self.param.update(recipe=recipe, stale=stale, misfit=False)

    # running

    def run(self, *, anyway: bool = False) -> None:
        """Run the recipe from the first step that changed.

        Parameters
        ----------
        anyway
            Whether a recipe for lattices runs on this image even if it shows none, now and later.
        """
        recipe, runner = self.recipe, self.runner
        if recipe is None or runner is None:
            self.fail(
                InputError(
                    "A recipe must fit what is open",
                    got="none",
                    cure="Open a scan or an image of another kind.",
                )
            )
            return

        if anyway:
            self._fitting.add(recipe.name)
        self.misfit = False
        if self.together and len(self.files) > 1:
            files.run_together(self, anyway=recipe.name in self._fitting)
            return

        present = None if recipe.edits else self.outcome  # edits may say what color a cluster has

        def work(report: Progress) -> tuple[Outcome, list[str]]:
            self._check_fit(recipe, runner)
            found, said = _with_warnings(
                lambda: outcome_of(runner, recipe, self.root, progress=report)
            )
            return in_colors_of({found.result.n_clusters: found}, present)[
                found.result.n_clusters
            ], said

        self.start("Running", work, self._show_run, latest=True)

    def _check_fit(self, recipe: Recipe, runner: Runner) -> None:
        """Refuse a recipe for lattices where there is none; what fits is not asked again."""
        described = str([step for step in recipe.steps.items() if step[0][0] == "describe"])
        if not {recipe.name, described}.isdisjoint(self._fitting):
            return

        def mark() -> None:
            self.misfit = self.recipe == recipe

        try:
            refuse_misfit(recipe, runner.scan, otherwise="Run anyway")
        except ParameterError:
            self._post(mark)
            raise
        self._fitting.add(described)

    def _show_run(self, found: tuple[Outcome, list[str]]) -> None:
        outcome, warnings = found
        self.study = None  # this map now has clusters of its own
        self.show(outcome)
        self.sum_up(outcome, warnings)

    def sum_up(self, outcome: Outcome, warnings: Iterable[str] = ()) -> None:
        """Say what the present outcome is."""
        left = f"{100 * outcome.result.unassigned_fraction:.1f} % unassigned"
        text = f"{outcome.result.n_clusters} clusters, {left}.{self._against_truth(outcome)}"
        found = outcome.verdict
        kind = "warning" if found.doubts else "done"
        said = [] if found.warranted in found.doubts else [found.warranted]
        words = [*found.doubts, text, *said, *warnings]
        self.message = Message(kind, " ".join(filter(None, words)))

    def _against_truth(self, outcome: Outcome) -> str:
        if self.opened is None or self.opened.truth is None:
            return ""
        from clustem.judge.compare import compare

        labels, truth = outcome.result.labels.data, self.opened.truth(outcome.result)
        if np.shape(truth) != labels.shape:  # cropped or binned
            return ""
        found = compare(labels, truth)
        return f" Against the sample's truth: accuracy {found.accuracy:.3f}, ARI {found.ari:.3f}."

    def sweep(self, ks: Iterable[int]) -> None:
        """Run the recipe at several numbers of clusters."""
        recipe, runner, wanted = self.recipe, self.runner, list(ks)
        if recipe is None or runner is None:
            return

        present = self.outcome

        def work(report: Progress) -> tuple[dict[int, Outcome], list[str]]:
            self._check_fit(recipe, runner)
            found, said = _with_warnings(
                lambda: outcomes_of(runner, recipe, wanted, self.root, progress=report)
            )
            return in_colors_of(found, present), said

        def show(found: tuple[dict[int, Outcome], list[str]]) -> None:
            outcomes = found[0]
            self.param.update(lineage=None, choice=None, swept=outcomes)
            if len(outcomes) > 1:
                colors = {k: o.result.color_index for k, o in outcomes.items()}
                self.lineage = lineage({k: o.result for k, o in outcomes.items()}, colors=colors)
            self.message = Message("done", "Click a k to see it.")

        self.start("Trying k", work, show)

    def recommend(self) -> None:
        """Ask which of the numbers of clusters that were tried the data have."""
        recipe, runner, ks = self.recipe, self.runner, sorted(self.swept)
        if recipe is None or runner is None or not ks:
            return

        def show(choice: KChoice) -> None:
            self.choice = choice
            self.message = Message("done", choice.summary)

        def work(report: Progress) -> KChoice:
            return runner.choice(located(recipe, self.root), ks, progress=report)

        self.start("Judging k", work, show)

    def show_k(self, k: int) -> None:
        """Make the outcome of a sweep at k the present one, its recipe included."""
        outcome = self.swept[k]
        self.show(outcome, outcome.recipe)

    def show(self, outcome: Outcome, recipe: Recipe | None = None) -> None:
        """Make an outcome the present one, and a recipe if one is given."""
        recipe = recipe or self.recipe
        self.places = Places(outcome)
        self.param.update(
            recipe=recipe, stale=recipe != outcome.recipe, outcome=outcome,
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
            Whether it is made of all maps of a study.
        note
            What else to say of it.
        """
        if self.outcome is None:
            return
        try:
            every = files.edit_all(self, change) if shared else None
            edited = replace(self.outcome, result=change(self.outcome.result))
        except InputError as error:
            self.fail(error)
            return
        if self.study is not None and self.file is not None:
            every = files.outcomes_with(self, edited) if every is None else every
            edited = every[self.files.index(self.file)]
            files.take_edited(self, every)
        self._past.append(None)
        self.show(edited)
        self.sum_up(edited, [note])

    def undo(self) -> None:
        """Take the last edit back; in a study that of all maps which have one."""
        if self.can_undo:
            self.edit(
                lambda result: result if result.before is None else result.undo(),
                shared=self.study is not None,
            )
            self._past.pop()
            if None in self._past:
                self._past.reverse()
                self._past.remove(None)
                self._past.reverse()

    def take_back(self) -> None:
        """Take back what was done last: an edit of the result, or a change of the recipe."""
        while self._past:
            last = self._past[-1]
            if last is None and self.can_undo:
                self.undo()
                return
            self._past.pop()
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

    def navigate(self, name: str, draw: Callable[[], Picture]) -> None:
        """Draw another navigation image; only the last one that was asked for is shown."""
        opened = self.opened

        def show(picture: Picture) -> None:
            if self.opened is opened:
                self.picture = picture

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
                lineage=None, files=[], study=None,
            )  # fmt: skip
        self._folder.cleanup()
        _LOG.info("a session has ended")


def _elements_of(signal: Signal) -> list[str]:
    """Elements that a file of X-ray spectra names."""
    found = []
    for symbol in elements_named(signal) if is_eds(signal) else []:
        with suppress(UnknownNameError):  # files name what they like
            lines_of([symbol])
            found.append(symbol)
    return found


def _with_warnings(call: Callable[[], R]) -> tuple[R, list[str]]:
    """Call a function and collect what it warns of, each once, for the page."""
    with collecting() as warned:
        found = call()
    return found, list(dict.fromkeys(warned))
