"""The folder of a study: a result folder for each map, and an overview."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clustem.core import InputError
from clustem.io.output_folder import PROVENANCE
from clustem.recipes._in_folder import broken, validated, write_results
from clustem.recipes._result import load_result
from clustem.report.figures.movie_strip import strip_frames
from clustem.report.page.write_study import write_study

if TYPE_CHECKING:
    from clustem.recipes.study import Study


def write_study_folder(study: Study, folder: Path) -> None:
    """Write a study into an empty folder; see ``Study.save``."""
    names, tracks = _folders(study.titles), study.tracks
    followed = tracks is not None
    pages = [names[t] for t in strip_frames(len(names))] if followed else names
    labels = study.labels if len({one.mask.shape for one in study}) == 1 else None
    write_study(
        study.maps,
        study.titles,
        folder,
        at=study.at,
        along=study.along,
        links={name: f"{name}/report.html" if name in pages else "" for name in names},
        skipped=study.skipped,
        history=[
            step for step in study[0].history if followed or step.stage in {"reduce", "cluster"}
        ],
        labels=labels,
        tracks=tracks,
    )
    study.centers.save(folder / "centers.hspy")
    write_results(
        dict(zip(names, study, strict=True)),
        folder,
        kind="study",
        table=study.table(),
        content={
            "maps": names,
            "titles": list(study.titles),
            "at": list(study.at),
            "along": list(study.along),
            "skipped": dict(study.skipped),
        },
        pages=pages,
    )


def load_study(folder: Path, content: dict[str, Any]) -> dict[str, Any]:
    """Read the maps of a study, and where they stand.

    Raises
    ------
    InputError
        If a field is missing or broken, or a map is.
    """
    known = validated(_AStudy, content, "a study")
    if not len(known.maps) == len(known.titles) == len(known.at):
        raise broken("a study", "maps, titles and places of other numbers")
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
