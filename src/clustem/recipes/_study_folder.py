"""The folder of a study: a result folder for each map, and an overview."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from clustem.core import InputError
from clustem.io.output_folder import PROVENANCE, check_output, whole_folder
from clustem.io.result_folder import FORMAT, made_with, write_provenance
from clustem.recipes._result import load_result
from clustem.report.page.save_result import write_result
from clustem.report.page.write_study import write_study

if TYPE_CHECKING:
    from clustem.recipes.study import Study

TABLE = "table.csv"


def save_study(study: Study, folder: str | Path, *, force: bool) -> Path:
    """Write a study; see ``Study.save``."""
    inputs = [path for one in study if (path := one.origin.get("path"))]
    target = check_output(folder, force=force, inputs=inputs)
    names = _folders(study.titles)
    with whole_folder(target, force=force) as sibling:
        write_study(
            study.maps,
            study.titles,
            sibling,
            at=study.at,
            along=study.along,
            links=[f"{name}/report.html" for name in names],
            skipped=study.skipped,
            history=[step for step in study[0].history if step.stage in {"reduce", "cluster"}],
        )
        for name, one in zip(names, study, strict=True):
            (sibling / name).mkdir()
            write_result(one, sibling / name)
        study.centers.save(sibling / "centers.hspy")
        study.table().to_csv(sibling / TABLE, index=False)
        (sibling / "recipe.toml").write_text(study[0].recipe_text, encoding="utf-8", newline="\n")
        provenance = {
            "format": FORMAT,
            "kind": "study",
            **made_with(),
            "maps": names,
            "titles": list(study.titles),
            "at": list(study.at),
            "along": list(study.along),
            "skipped": dict(study.skipped),
        }
        write_provenance(provenance, sibling)
    return target


def load_study(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Read the maps of a study, and where they stand.

    Raises
    ------
    InputError
        If a field is missing or broken, or a map is.
    """
    try:
        known = _AStudy.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise _broken(f"{'.'.join(map(str, first['loc']))}: {first['msg']}"[:120]) from None
    if not len(known.maps) == len(known.titles) == len(known.at):
        raise _broken("maps, titles and places of other numbers")
    maps = tuple(load_result(folder / name) for name in known.maps)
    if len({one.n_clusters for one in maps}) > 1:
        raise InputError(
            "Maps of a study must have the same clusters",
            got="several numbers of them",
            cure="Run the study again.",
        )
    return {
        "maps": maps,
        "titles": tuple(known.titles),
        "at": tuple(known.at),
        "along": known.along,
        "skipped": known.skipped,
    }


class _AStudy(BaseModel):
    """The content of ``provenance.json`` of a study, checked."""

    model_config = ConfigDict(strict=True, extra="ignore")
    format: Literal[1]
    maps: list[Annotated[str, Field(pattern=r"^\d+_[A-Za-z0-9_-]*$")]] = Field(
        min_length=1, max_length=100_000
    )
    titles: list[str]
    at: list[Annotated[float, Field(allow_inf_nan=False)]]
    along: tuple[str, str] = Field(strict=False)
    skipped: dict[str, str] = {}


def _broken(got: str) -> InputError:
    return InputError(
        f"{PROVENANCE} must hold what Clustem writes of a study",
        got=got,
        cure="Run the study again.",
    )


def kind_of(folder: Path) -> dict[str, Any] | None:
    """Return the provenance of a study or of several signals; None of another folder."""
    path = folder / PROVENANCE
    try:
        if path.stat().st_size > 2**26:
            return None
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None  # who reads it as a result says what is wrong
    several = isinstance(content, dict) and content.get("kind") in {"study", "joint"}
    return content if several else None


def _folders(titles: tuple[str, ...]) -> list[str]:
    """Name a folder for each map, safe on any file system."""
    digits = len(str(len(titles)))
    return [
        f"{i + 1:0{digits}d}_{re.sub(r'[^A-Za-z0-9-]+', '_', title)[:40]}"
        for i, title in enumerate(titles)
    ]
