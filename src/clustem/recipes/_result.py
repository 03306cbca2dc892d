"""The folder of one result, read back with its recipe and what was fitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from clustem.core import Segmentation, registry
from clustem.io.result_folder import read_fitted, read_result
from clustem.recipes.recipe import Recipe


def load_result(folder: Path) -> Segmentation:
    """Read a result folder; see ``load``."""
    result, text = read_result(folder)
    recipe = Recipe.from_toml(text, where="recipe.toml") if text else None
    return read_fitted(replace(result, recipe=recipe), folder, _estimator(result))


def _estimator(result: Segmentation) -> Any:
    """Make the estimator that the history tells of, not fitted."""
    for step in result.history:
        known = registry("cluster")
        if step.stage == "cluster" and step.name in known:
            entry = known[step.name]
            return entry.step(**{k: v for k, v in step.parameters.items() if k in entry.parameters})
    return None
