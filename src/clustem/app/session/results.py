"""Results that were saved, opened again with the data that they were made from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from clustem.app.session.files import OpenFile, claims
from clustem.app.session.memory import Room
from clustem.app.session.opened import SAMPLE, Opened
from clustem.app.session.outcome import Outcome
from clustem.app.session.pictures import first_picture
from clustem.app.web.security import below
from clustem.core import InputError, Progress, Segmentation
from clustem.recipes.recipe import Recipe

if TYPE_CHECKING:
    from clustem.app.session.state import Explorer
    from clustem.recipes.joint import Joint
    from clustem.recipes.study import Study


class _Part(NamedTuple):
    """A result of one file."""

    result: Segmentation
    recipe: Recipe
    """How its data were prepared."""
    signal: str = ""
    """Name of the signal, where the map is of several."""


def open_result(explorer: Explorer, relative: str) -> None:
    """Open a result folder below the root with the files that it was made from.

    Parameters
    ----------
    explorer
        The session.
    relative
        Path of the folder from the root: of one result, of a study, or of several signals of one
        scan, which are then open beside each other with the same map.
    """
    from clustem.recipes.joint import Joint
    from clustem.recipes.load import load
    from clustem.recipes.study import Study

    root = explorer.root
    if root is None:
        return

    def work(report: Progress) -> tuple[list[OpenFile], Study | None]:
        report("result", 0.0)
        found = load(below(root, relative))
        parts = _parts_of_joint(found) if isinstance(found, Joint) else _parts(found)
        _refuse_same_file([part.result for part in parts])
        files: list[OpenFile] = []
        outcomes: list[Outcome] = []
        for i, part in enumerate(parts):
            report("its data", i / len(parts))
            opened = _origin(root, relative, part.result, Room(explorer.budget, claims(files)))
            files.append(explorer.file_of(opened, first_picture(opened)))
            outcomes.append(_outcome(part, files[-1]))
        if isinstance(found, Joint):
            signals = {**found, **{one.signal: one.result for one in outcomes}}
            outcomes = [replace(one, signals=signals) for one in outcomes]
        for file, outcome in zip(files, outcomes, strict=True):
            file.state |= {"outcome": outcome, "stale": outcome.is_joint}
            if not outcome.is_joint:  # else what can be run is a recipe for this signal alone
                file.state["recipe"] = outcome.recipe
        titles = tuple(file.opened.label for file in files)
        return files, replace(found, titles=titles) if isinstance(found, Study) else None

    def done(found: tuple[list[OpenFile], Study | None]) -> None:
        files, study = found
        explorer.param.update(files=files, study=None, together=study is not None)
        explorer.restore(files[0])
        explorer.study = study
        if explorer.outcome is not None:
            explorer.sum_up(explorer.outcome)

    explorer.start(f"Opening {relative}", work, done, of_all=True)


def _parts(found: Segmentation | Study) -> list[_Part]:
    """List the maps of a result."""
    parts = []
    for one in [found] if isinstance(found, Segmentation) else list(found):
        if one.recipe is None:
            raise InputError("A result needs its recipe", got="none", cure="Run it again.")
        parts.append(_Part(one, one.recipe))
    return parts


def _parts_of_joint(found: Joint) -> list[_Part]:
    """List the signals that are spectra or patterns; images are not looked into by position."""
    parts = []
    for name, one in found.items():
        recipe = found.recipes.get(name)
        if recipe is not None and one.centers.data.ndim > 1:
            parts.append(_Part(one, recipe, name))
    if not parts:
        raise InputError(
            "A result of several signals that is opened here must have spectra or patterns",
            got="images only",
            cure="Look at its report.",
        )
    return parts


def _refuse_same_file(results: list[Segmentation]) -> None:
    paths = [path for one in results if (path := one.origin.get("path", ""))]
    if len(set(paths)) < len(paths):
        raise InputError(
            "Maps or signals that are opened here together must be of several files",
            got=f"{len(paths)} of {Path(paths[0]).name}",
            cure="Open one of its maps, or load it in Python: clustem.load(...).",
        )


def _outcome(part: _Part, file: OpenFile) -> Outcome:
    """Return the result of a file, which gets its raw data."""
    result, plain = part.result, replace(part.recipe, edits=())
    raw = file.runner.raw(plain)
    if raw.data.shape[: result.mask.ndim] == result.mask.shape:
        result = replace(result, source=raw)
    elif part.signal:
        raise InputError(
            "Signals that are opened here together must have the positions of their map",
            got=f"{file.opened.label}, which was shifted or binned to lie on another",
            cure="Look at its report, or load it in Python: clustem.load(...).",
        )
    return Outcome(result, raw, part.recipe, signal=part.signal)


def _origin(root: Path, relative: str, result: Segmentation, room: Room) -> Opened:
    """Open the data of a result: where they were, beside the result, or in the root.

    Raises
    ------
    InputError
        If they are not there, or are others.
    """
    name = result.origin.get("path", "")
    if name.startswith(SAMPLE):
        return Opened.sample(name.removeprefix(SAMPLE))
    path, home = Path(name), root.resolve()
    refused: InputError | None = None
    inside = [path.relative_to(home)] if path.is_relative_to(home) else []
    parent = Path(relative).parent
    for place in (*inside, *([] if path.is_absolute() else [path]), parent / path.name,
                  parent.parent / path.name, Path(path.name)):  # fmt: skip
        try:
            found = below(root, str(place))
        except InputError:
            continue
        try:
            opened = Opened.file(found, str(place), room=room)
        except InputError as error:
            refused = error
            continue
        if opened.scan.digest == result.origin.get("digest"):
            return opened
    raise refused or InputError(
        "The data of a result must be in the shared folder",
        got=f"no {path.name or 'file'} that is the same",
        cure="Copy the file beside the result.",
    )
