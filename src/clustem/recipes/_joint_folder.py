"""The folder of several signals of one scan: a result folder for each, and an overview."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from clustem.core import InputError, Segmentation
from clustem.io.output_folder import PROVENANCE
from clustem.physics.shared_positions import Placement
from clustem.recipes._in_folder import validated, write_results
from clustem.recipes._result import load_result
from clustem.recipes.recipe import Recipe
from clustem.report.page.write_joint import write_joint

if TYPE_CHECKING:
    from clustem.recipes.joint import Joint

Finite = Annotated[float, Field(allow_inf_nan=False)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


def write_joint_folder(joint: Joint, folder: Path) -> None:
    """Write a joint result into an empty folder; see ``Joint.save``."""
    common = next((name for name in joint if name not in joint.placements), next(iter(joint)))
    images = {name: image for name, one in joint.items() if (image := _total(one)) is not None}
    write_joint(
        joint.signals,
        folder,
        told=joint.information,
        together=joint.joint_information,
        entropy=joint.entropy,
        sentence=joint.sentence,
        images=images,
        common=common,
        links=[f"{name}/report.html" for name in joint],
    )
    write_results(
        joint.signals,
        folder,
        kind="joint",
        table=joint.table(),
        content={
            "signals": list(joint),
            "information": dict(joint.information),
            "joint_information": joint.joint_information,
            "placements": {
                name: {
                    "matrix": place.matrix.tolist(),
                    "kind": place.kind,
                    "chance": place.chance,
                }
                for name, place in joint.placements.items()
            },
            "recipes": {name: recipe.to_toml() for name, recipe in joint.recipes.items()},
        },
        pages=[*joint],
    )


def load_joint(folder: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """Read the results of several signals.

    Raises
    ------
    InputError
        If a field is missing or broken, or a result is.
    """
    known = validated(_AJoint, content, "several signals")
    signals = {name: load_result(folder / name) for name in known.signals}
    labels = [one.labels.data for one in signals.values()]
    if any(not np.array_equal(labels[0], other) for other in labels[1:]):
        raise InputError(
            "Signals of one scan must have the same map",
            got="several maps",
            cure="Run the recipe again.",
        )
    return {
        "signals": signals,
        "information": known.information,
        "joint_information": known.joint_information,
        "placements": {
            name: Placement(np.array(place.matrix), place.kind, place.chance)
            for name, place in known.placements.items()
        },
        "recipes": {
            name: Recipe.from_toml(text, where=PROVENANCE) for name, text in known.recipes.items()
        },
    }


class _APlacement(BaseModel):
    """How a signal lies on another, checked."""

    model_config = ConfigDict(strict=True, extra="ignore")
    matrix: Annotated[
        list[Annotated[list[Finite], Field(min_length=3, max_length=3)]],
        Field(min_length=2, max_length=2),
    ]
    kind: Literal["same", "shift", "affine"]
    chance: Finite | None


class _AJoint(BaseModel):
    """The content of ``provenance.json`` of a joint result, checked."""

    model_config = ConfigDict(strict=True, extra="ignore")
    format: Literal[1]
    signals: list[Name] = Field(min_length=1, max_length=100)
    information: dict[str, Finite] = {}
    joint_information: Finite = 0.0
    placements: dict[str, _APlacement] = {}
    recipes: dict[str, str] = {}


def _total(one: Segmentation) -> NDArray[np.float64] | None:
    """Sum a signal at each position; None if it is not at hand."""
    if one.source is None:
        return None
    data = one.source.data
    ndim = one.mask.ndim
    if ndim != 2:  # only images can be laid over each other
        return None
    axes = tuple(range(ndim, data.ndim))
    total = np.asarray(data.sum(axis=axes, dtype=np.float64) if axes else data, dtype=np.float64)
    return np.where(one.mask, np.nan, total)
