"""Several signals of one scan, one set of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import (
    Clustering,
    Features,
    Fitted,
    InputError,
    Masks,
    ParameterError,
    Progress,
    registry,
)
from clustem.io.reading import read_each
from clustem.judge.novelty import typical
from clustem.judge.purity import purity
from clustem.passes.rows import Rows
from clustem.recipes._checkpoints import Checkpoints
from clustem.recipes._describing import described
from clustem.recipes._detectors import Detector, opened
from clustem.recipes._placing import bring_together
from clustem.recipes._run import Run, steps_of
from clustem.recipes._several import mapped, together
from clustem.recipes.joint import Joint
from clustem.recipes.recipe import Recipe
from clustem.recipes.runner import on_workers, own_number


def segment_joint(
    sources: Mapping[str, Any] | str | Path,
    recipe: str | Path | Recipe = "joint",
    *,
    n_clusters: int | Literal["auto"] | None = None,
    settings: Mapping[str, Any] | None = None,
    lazy: bool | None = None,
    reader: str | None = None,
    client: Any = None,
    progress: Progress | None = None,
    anyway: bool = False,
    resume: str | Path | None = None,
) -> Joint:
    """Cluster a scan by all that several detectors saw.

    Parameters
    ----------
    sources
        Signals by name, each a path, a signal or a scan: ``{"eds": "map.bcf", "haadf": image}``; or
        a file that holds several signals of one scan.
    recipe
        ``"joint"``, or a recipe of your own that clusters by ``JointMixture``.
    n_clusters, lazy, client, progress, anyway
        As for ``segment``.
    settings
        As for ``segment``, and of each signal by its name: ``{"eds.weight": 0.5}``; ``recipe`` is
        the one whose preparations and description it gets, ``use = "guide"`` lets an image only
        weaken the coupling of neighbours across its edges, ``place`` is ``"auto"``, ``"same"`` or
        ``"affine"``, ``shift`` is known rows and columns; others are settings of its recipe, such
        as ``{"eds.prepare.energy_range.lowest": 0.5}``.
    reader
        Name of the reader in RosettaSciIO, for types of files that several can open.
    resume
        As for ``segment``: the fit is kept.

    Returns
    -------
    :
        A result for each signal: the same map, and the means of that signal.

    Raises
    ------
    InputError
        If a signal cannot be opened, or does not lie on the others.

    Notes
    -----
    Positions are those of the scan that has fewest; others are binned to it where the numbers of
    positions divide, counts summed. Whether they lie on each other is asked of their total
    intensities and of what else they show: see ``physics.shared_positions``. A shift that agrees
    beyond chance is undone; signals that show nothing in common are refused.

    Given the phase, what detectors see is independent, so that log-likelihoods add up: counts are
    multinomial, other values normal: see ``cluster.JointMixture``.

    Examples
    --------
    >>> from clustem import samples
    >>> scene = samples.eds(shape=(24, 30))
    >>> image = scene.signal.sum(axis="Energy").as_signal2D((0, 1))
    >>> found = segment_joint({"eds": scene.signal, "haadf": image}, n_clusters=4)
    >>> list(found), found.labels.data.shape
    (['eds', 'haadf'], (24, 30))
    """
    chosen = Recipe.of(recipe, n_clusters=n_clusters, settings=settings)
    if chosen.data != "several":
        raise ParameterError(
            "Several signals take the recipe joint", got=chosen.name, cure='segment(..., "joint").'
        )
    with on_workers(client):
        if not isinstance(sources, Mapping):
            sources = read_each(sources, lazy=lazy, reader=reader)
        detectors = opened(sources, chosen.signals, lazy=lazy, reader=reader, anyway=anyway)
        if progress is not None:
            progress("positions", 0.1)
        read = [one.scan for one in detectors]
        kept = None if resume is None else Checkpoints(Path(resume), *read)
        first = bring_together(detectors)
        if progress is not None:
            progress("describe", 0.2)
        runs = described(detectors, first.shape)
        return _clustered(detectors, first, runs, replace(chosen, edits=()), progress, kept)


def _clustered(  # noqa: PLR0917  # one call
    detectors: list[Detector],
    first: Detector,
    runs: dict[str, Run],
    recipe: Recipe,
    progress: Progress | None,
    kept: Checkpoints | None,
) -> Joint:
    evidence = [one for one in detectors if one.use == "evidence"]
    joint = Run(first.scan)
    joint.features, layout = together(detectors, first, runs)
    joint.masks = Masks(scan=joint.features.mask)
    joint.asks, joint.in_doubt = own_number(recipe), recipe.in_doubt
    if progress is not None:
        progress("cluster", 0.4)
    for entry, parameters in steps_of(recipe, ("cluster",)):
        if entry.name != "JointMixture":
            raise ParameterError(
                "Several signals are clustered by JointMixture", got=entry.name, cure="Use it."
            )
        joint.step_or_resume(entry, {**parameters, **layout}, recipe.to_toml(), kept)
    clustering = joint.clustering
    if clustering is None:
        raise InputError("A recipe must cluster", got="no cluster step", cure="Add one.")
    mixture = clustering.estimator
    told = dict(zip([one.name for one in evidence], mixture.information_.tolist(), strict=True))
    step = joint.history[-1]
    found = {**step.found, "information": {name: round(v, 4) for name, v in told.items()}}
    joint.history[-1] = replace(step, found=found)
    shares = _purity(clustering, [runs[one.name].needed_features() for one in evidence])
    number = np.argsort(clustering.order)
    results = {}
    for i, one in enumerate(detectors):
        if progress is not None:
            progress(f"map {one.name}", 0.8 + 0.2 * i / len(detectors))
        run = runs[one.name]
        far = None
        if one in evidence:
            alone = mixture.of_signal(evidence.index(one))
            own = replace(clustering, features=run.needed_features(), estimator=alone)
            far = typical(own)
        about = run.needed_features().about
        fitted = Fitted(mixture, number, shares, run.described(), about, typical=far)
        results[one.name] = mapped(run, clustering, recipe, joint.history, fitted)
    return Joint(
        results,
        told,
        float(mixture.joint_information_),
        {one.name: one.placement for one in detectors if one.placement is not None},
        {one.name: one.recipe for one in detectors},
    )


def _purity(clustering: Clustering, features: list[Features]) -> NDArray[np.float64]:
    """Return the share of each cluster that its largest group takes, as any signal tells.

    An image alone does not tell: groups of another intensity are of another thickness.
    """
    found = np.ones(clustering.n_clusters)
    for each in features:
        if each.rows.shape[1] == 1:
            continue
        counted = Rows.of(each.rows).dtype.kind in "ui"
        estimator = None
        if counted:
            estimator = registry("cluster")["MultinomialMixture"].step()
            estimator.fitted_rows_ = clustering.estimator.fitted_rows_
        found = np.minimum(found, purity(replace(clustering, features=each, estimator=estimator)))
    return found
