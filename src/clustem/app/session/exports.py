"""Export: result folder, figures, recipe."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from clustem.app.session.state import Explorer
from clustem.app.web.security import below, located
from clustem.core import InputError, OutputError, Progress, Segmentation, like
from clustem.recipes.study import Study
from clustem.report.layout.line_labels import elements_named, is_eds

if TYPE_CHECKING:
    from clustem.report.page.write_figures import Print

FORMATS = ("png", "svg", "pdf")


def ready(explorer: Explorer) -> Segmentation:
    """Return the present result, its origin named as the user knows it.

    Raises
    ------
    InputError
        If there is none yet.
    """
    outcome, opened = explorer.outcome, explorer.opened
    if outcome is None or opened is None:
        raise InputError("A result is needed", got="none", cure="Run the recipe first.")
    result = outcome.result
    centers = result.centers
    if explorer.elements != elements_named(centers) and is_eds(centers):
        centers = like(centers, centers.data)
        centers.metadata.set_item("Sample.elements", list(explorer.elements))
        centers.metadata.set_item("Sample.xray_lines", [])
    return replace(result, centers=centers, origin={**result.origin, "path": opened.label})


def stem(explorer: Explorer) -> str:
    """Name for files: that of the data and of the recipe.

    The part of a sample's name before the colon is left out.
    """
    label = explorer.opened.label.rpartition(": ")[2] if explorer.opened else "result"
    name = Path(label).stem
    recipe = explorer.outcome.recipe.name if explorer.outcome else ""
    text = name if name == recipe or not recipe else f"{name}_{recipe}"
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "result"


def save(explorer: Explorer, name: str, report: Progress, *, force: bool = False) -> str:
    """Write the result folder below the root.

    Parameters
    ----------
    explorer
        The session.
    name
        Path of the new folder from the root.
    report
        For progress.
    force
        Whether an earlier result there is replaced.

    Returns
    -------
    :
        The path from the root.

    Raises
    ------
    OutputError
        If there is no root, the path leads out of it, or the folder cannot be written.
    """
    result = ready(explorer)
    root = explorer.root
    if root is None:
        raise OutputError(
            "Results can be saved in a shared folder only",
            got="none",
            cure="Download the result.",
        )
    parts = Path(name.strip()).parts
    if not parts or ".." in parts or Path(name).is_absolute():
        raise OutputError(
            "The result's name must be a path in the shared folder",
            got=repr(name),
            cure="For example results/first.",
        )
    ancestor = Path(*parts[:-1])
    while not (root / ancestor).exists():
        ancestor = ancestor.parent
    place = below(root, str(ancestor))  # links followed
    target = place.joinpath(*parts[len(ancestor.parts) :])
    if target.is_symlink():
        raise OutputError("The result must be a new folder", got="a link", cure="Choose another.")
    report("writing", 0.1)
    (_study(explorer) or result).save(target, force=force)
    return str(Path(*parts))


def _study(explorer: Explorer) -> Study | None:
    """Return the study of all files, their origins named as the user knows them."""
    study = explorer.study
    if study is None:
        return None
    maps = tuple(
        replace(one, origin={**one.origin, "path": title})
        for one, title in zip(study, study.titles, strict=True)
    )
    return replace(study, maps=maps)


def packed(explorer: Explorer, report: Progress) -> Path:
    """Write the result folder and zip it, in the session's temporary folder.

    Parameters
    ----------
    explorer
        The session.
    report
        For progress.
    """
    result, name = ready(explorer), stem(explorer)
    out = explorer.temporary / "out"
    folder = out / name
    report("writing report and maps", 0.1)
    (_study(explorer) or result).save(folder, force=True)
    report("packing", 0.9)
    target = out / f"{name}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, Path(name) / path.relative_to(folder))
    shutil.rmtree(folder)
    return target


def recipe(explorer: Explorer) -> Path:
    """Write the recipe of the present result, edits included; without one, that of the form."""
    outcome, made, runner = explorer.outcome, explorer.recipe, explorer.runner
    if outcome is not None:
        text = outcome.result.recipe_text
    elif made is None or runner is None:
        raise InputError("A recipe is needed", got="none", cure="Open something first.")
    else:
        text = runner.whole(located(made, explorer.root)).to_toml()
    target = _folder(explorer) / f"{stem(explorer)}.toml"
    target.write_text(text, encoding="utf-8")
    return target


def figures(explorer: Explorer, how: Print, report: Progress) -> Path:
    """Draw all figures of the report, each into a file of its own, and zip them.

    Parameters
    ----------
    explorer
        The session.
    how
        Format, size and lettering.
    report
        For progress.
    """
    from clustem.report.page.write_figures import write_figures  # imports matplotlib

    target = _folder(explorer) / f"{stem(explorer)}_figures_{how.form}.zip"
    with tempfile.TemporaryDirectory(dir=explorer.temporary) as folder:
        files = write_figures(ready(explorer), folder, how, progress=report)
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as file:
            for path in files:
                file.write(path, path.name)
    return target


def _folder(explorer: Explorer) -> Path:
    folder = explorer.temporary / "out"
    folder.mkdir(exist_ok=True)
    return folder
