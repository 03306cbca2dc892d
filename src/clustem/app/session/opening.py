"""What a session opens, and what it shows of it first."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import param
from numpy.typing import NDArray

from clustem.app.session import files, pictures
from clustem.app.session.files import OpenFile
from clustem.app.session.memory import Room
from clustem.app.session.opened import Opened, Watch
from clustem.app.session.pictures import Picture
from clustem.app.session.probe import Places
from clustem.app.session.results import open_result
from clustem.app.session.warm_up import warm_up
from clustem.app.web.security import below
from clustem.core import Cancelled, InputError, Progress, Signal, UnknownNameError
from clustem.io.output_folder import PROVENANCE
from clustem.physics.xray_lines import lines_of
from clustem.report.layout.line_labels import elements_named, is_eds

if TYPE_CHECKING:
    from clustem.app.session.state import Explorer

Load = Callable[[Watch], Opened]


def open_path(explorer: Explorer, relative: str, *, beside: bool = False) -> None:
    """Open a file or a result folder below the root.

    Parameters
    ----------
    explorer
        The session.
    relative
        Its path from there.
    beside
        Whether what is open stays open.
    """
    if explorer.root is None:
        explorer.say("error", "No folder is shared here.")
        return
    try:
        path = below(explorer.root, relative)
    except InputError as error:
        explorer.fail(error)
        return
    if (path / PROVENANCE).is_file():
        open_result(explorer, relative)
        return
    room = Room(explorer.budget, files.claims(explorer.files) if beside else ())
    _start(
        explorer,
        relative,
        lambda watch: Opened.file(path, relative, watch, room=room),
        beside=beside,
    )


def open_upload(explorer: Explorer, path: Path, name: str) -> None:
    """Open a file that the browser sent."""
    room = Room(explorer.budget)
    _start(explorer, name, lambda watch: Opened.file(path, name, watch, room=room))


def open_sample(explorer: Explorer, name: str) -> None:
    """Open a built-in sample."""
    _start(explorer, f"sample: {name}", lambda _: Opened.sample(name))


def _start(explorer: Explorer, label: str, load: Load, *, beside: bool = False) -> None:
    def preview(picture: Picture) -> None:
        """Show what was read so far, where nothing else is open."""
        if explorer.jobs.status.job.startswith("Opening") and not explorer.files:
            explorer.picture = picture

    growing = pictures.Growing(lambda picture: explorer.post(lambda: preview(picture)))

    def work(report: Progress) -> tuple[Opened, Picture]:
        report("reading", 0.0)
        warm_up()
        opened = load(growing)
        report("first image", 0.1)
        return opened, growing.whole or pictures.first_picture(opened)

    def done(found: tuple[Opened, Picture]) -> None:
        show(explorer, *found, beside=beside)

    explorer.say("info", "")
    explorer.jobs.start(f"Opening {label}", work, done, explorer.fail)


def file_of(opened: Opened, picture: Picture) -> OpenFile:
    """Return a file as it is shown first."""
    return OpenFile.of(opened, picture, elements=_elements_of(opened.signal))


def show(explorer: Explorer, opened: Opened, picture: Picture, *, beside: bool = False) -> None:
    """Show what has just been opened, in place of what is open or beside it."""
    file = file_of(opened, picture)
    if beside and explorer.file is not None:
        explorer.file.keep(explorer)
    kept = [one for one in explorer.files if beside and one.opened.label != opened.label]
    for one in explorer.files:
        if one not in kept:
            one.runner.clear()
    explorer.param.update(files=[*kept, file], study=None, together=len(kept) > 0)
    restore(explorer, file)
    explorer.say("done", f"{opened.label} is open.")
    explorer.background.start("digest", lambda _: opened.scan.digest, lambda _: None, explorer.fail)


def restore(explorer: Explorer, file: OpenFile) -> None:
    """Show a file as it was left."""
    opened, outcome = file.opened, file.outcome
    explorer.file, explorer.runner, explorer.fitting = file, file.runner, set()
    explorer.places = None if outcome is None else Places(outcome)
    explorer.detector, explorer.context = None, pictures.context(opened)
    explorer.past = list(file.past)
    with param.parameterized.batch_call_watchers(explorer):
        explorer.param.update(
            opened=opened, picture=file.total or file.first, reading=None, misfit=False,
            missed=None, **file.state,
        )  # fmt: skip
        explorer.say("info", "")
    if explorer.mean is None and opened.kind != "image":
        _find_mean(explorer, opened)
    if explorer.cursor is None and opened.kind == "image":  # which has no mean to show
        frame = opened.frame
        explorer.look(*frame.middle(frame.shape[0] // 2, frame.shape[1] // 2))
    if explorer.picture is not None and explorer.picture.part < 1:
        _refine(explorer, file, explorer.picture)


def show_sum(explorer: Explorer) -> None:
    """Show the sum of all values, or the image, in place of another picture."""
    file = explorer.file
    if file is None:
        return
    if file.total is not None:
        explorer.picture = file.total
        return

    def shown(picture: Picture) -> None:
        if picture.part < 1:
            _refine(explorer, file, picture)

    explorer.navigate("sum", lambda: pictures.first_picture(file.opened), shown)


def _find_mean(explorer: Explorer, opened: Opened) -> None:
    def found(mean: NDArray[np.float64]) -> None:
        if explorer.opened is opened:
            explorer.mean = mean

    explorer.background.start("mean", lambda _: pictures.mean_of(opened), found, explorer.fail)


def _refine(explorer: Explorer, file: OpenFile, begun: Picture) -> None:
    """Sum all positions of a large scan, while the picture of some of them is shown."""

    def found(picture: Picture) -> None:
        if picture.part == 1:
            file.total = picture
        present = explorer.picture
        if explorer.file is file and present is not None and present.part < 1:
            explorer.picture = picture

    def so_far(picture: Picture) -> None:
        if explorer.file is not file:
            raise Cancelled
        explorer.post(lambda: found(picture))

    explorer.background.start(
        "image",
        lambda _: pictures.total(file.opened.signal, begun=begun, show=so_far),
        found,
        explorer.fail,
        latest=True,
    )


def _elements_of(signal: Signal) -> list[str]:
    """Elements that a file of X-ray spectra names."""
    found = []
    for symbol in elements_named(signal) if is_eds(signal) else []:
        with suppress(UnknownNameError):  # files name what they like
            lines_of([symbol])
            found.append(symbol)
    return found
