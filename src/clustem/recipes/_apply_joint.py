"""The clusters of several signals on another scan that has the same signals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clustem.core import InputError, Masks, Progress, Segmentation, type_of
from clustem.io.reading import read_each
from clustem.judge.novelty import with_novelty
from clustem.recipes import _joint
from clustem.recipes._describing import described
from clustem.recipes._detectors import opened
from clustem.recipes._placing import bring_together
from clustem.recipes._run import Run, steps_of
from clustem.recipes._several import mapped, together
from clustem.recipes.joint import Joint


def apply_joint(
    result: Joint,
    sources: Mapping[str, Any] | str | Path,
    *,
    novelty: float | None,
    lazy: bool | None,
    reader: str | None,
    progress: Progress | None,
) -> Joint:
    """Find the clusters of a joint result on another scan; see ``apply``."""
    recipe = result.first.recipe
    known = {name: one.fitted for name, one in result.items() if one.fitted is not None}
    if recipe is None or len(known) < len(result) or set(result.recipes) != set(result):
        raise InputError(
            "Clusters can be found on other scans if the recipe made them by itself",
            got="clusters that were cut, or a result of an earlier version",
            cure="Run the recipe with more clusters instead of splitting, or again.",
        )
    if not isinstance(sources, Mapping):
        sources = read_each(sources, lazy=lazy, reader=reader)
    if set(sources) != set(result):
        raise InputError(
            "The same signals are needed as in the fit",
            got=", ".join(sources) or "none",
            cure=f"Give {', '.join(f'{name}=FILE' for name in result)}.",
        )
    detectors = opened(
        {name: sources[name] for name in result},
        recipe.signals,
        lazy=lazy,
        reader=reader,
        anyway=True,
        recipes=result.recipes,
    )
    for one in detectors:
        kind, other = type_of(result[one.name].centers), type_of(one.scan.signal)
        if kind != other:
            raise InputError(
                f"{one.name} must be of the kind that it was in the fit",
                got=f"{other or 'no signal type'} where that was {kind or 'none'}",
                cure="Set the signal type, or run the recipe on it.",
            )
    if progress is not None:
        progress("positions", 0.1)
    first = bring_together(detectors)
    if progress is not None:
        progress("describe", 0.2)
    runs = described(detectors, first.shape, result.signals)
    joint = Run(first.scan)
    joint.features, layout = together(detectors, first, runs)
    joint.masks = Masks(scan=joint.features.mask)
    fitted = known[first.name]
    if progress is not None:
        progress("assign", 0.5)
    for entry, parameters in steps_of(recipe, ("cluster",)):
        near = joint.neighbours(entry, {**parameters, **layout}).get("connectivity")
        near = layout.get("connectivity", near)
        joint.clustering = fitted.assign(joint.features, near)
        joint.history.append(_joint.as_fitted(entry, parameters))
    if joint.clustering is None:
        raise InputError("A recipe must cluster", got="no cluster step", cure="Add one.")
    plain = replace(recipe, edits=())
    found = {
        name: mapped(runs[name], joint.clustering, plain, joint.history, known[name])
        for name in result
    }
    found = {name: _joint.in_look_of(result[name], one) for name, one in found.items()}
    if novelty is not None:
        evidence = [one.name for one in detectors if one.use == "evidence"]
        asked = {i: name for i, name in enumerate(evidence) if not _is_image(runs[name])}
        found = _with_novelty(found, asked, novelty)
    placements = {one.name: one.placement for one in detectors if one.placement is not None}
    return Joint(found, placements=placements, recipes=result.recipes)


def _is_image(run: Run) -> bool:
    """Whether a position holds one value: another one may be another thickness, no new phase."""
    return bool(run.needed_features().rows.shape[1] == 1)


def _with_novelty(
    found: Mapping[str, Segmentation], asked: Mapping[int, str], rate: float
) -> dict[str, Segmentation]:
    """Ask signals for positions that no cluster explains; what one shows is new in all."""
    told = dict(found)
    new = np.zeros(next(iter(found.values())).mask.shape, dtype=bool)
    for i, name in asked.items():
        fitted = found[name].fitted
        if fitted is None:
            continue
        alone = replace(fitted, estimator=fitted.estimator.of_signal(i))
        one = with_novelty(replace(found[name], fitted=alone), rate=rate / len(asked))
        told[name] = replace(one, fitted=fitted)
        new |= one.novel if one.novel is not None else False
    return {name: replace(one, novel=new) for name, one in told.items()}
