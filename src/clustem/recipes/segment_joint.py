"""Several signals of one scan, one set of clusters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from clustem.core import (
    Clustering,
    Features,
    Fitted,
    InputError,
    Masks,
    ParameterError,
    Progress,
    Scan,
    Segmentation,
    Step,
    registry,
)
from clustem.io.reading import read_each
from clustem.judge.purity import purity
from clustem.labelmaps.grid_graph import grid_graph
from clustem.passes.rows import Rows
from clustem.passes.sparse import sparse
from clustem.recipes._describing import described
from clustem.recipes._detectors import Detector, opened
from clustem.recipes._placing import bring_together
from clustem.recipes.joint import Joint
from clustem.recipes.recipe import Recipe
from clustem.recipes.runner import Run, on_workers, own_number, steps_of

_WIDE = 3.0
"""Difference of neighbours in a guiding image that halves their coupling, about [noise]."""


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
        first = bring_together(detectors)
        if progress is not None:
            progress("describe", 0.2)
        runs = described(detectors, first.shape)
        return _clustered(detectors, first, runs, replace(chosen, edits=()), progress)


def _clustered(
    detectors: list[Detector],
    first: Detector,
    runs: dict[str, Run],
    recipe: Recipe,
    progress: Progress | None,
) -> Joint:
    evidence = [one for one in detectors if one.use == "evidence"]
    features = {name: run.needed_features() for name, run in runs.items()}
    columns = [_columns(one, features[one.name]) for one in evidence]
    mask = features[first.name].mask
    joint = Run(first.scan)
    joint.masks = Masks(scan=mask)
    joint.features = Features(
        hstack([rows for rows, _ in columns], format="csr"),
        scans=(Scan(first.scan.signal, mask),),
    )
    joint.asks, joint.in_doubt = own_number(recipe), recipe.in_doubt
    given = {
        "widths": [int(rows.shape[1]) for rows, _ in columns],
        "kinds": [kind for _, kind in columns],
        "weights": [float(one.weight) for one in evidence],
    }
    guides = [one for one in detectors if one.use == "guide"]
    if guides:
        given["connectivity"] = _guided(mask, [features[one.name] for one in guides])
    if progress is not None:
        progress("cluster", 0.4)
    for entry, parameters in steps_of(recipe, ("cluster",)):
        if entry.name != "JointMixture":
            raise ParameterError(
                "Several signals are clustered by JointMixture", got=entry.name, cure="Use it."
            )
        joint.step(entry, {**parameters, **given})
    clustering = joint.clustering
    if clustering is None:
        raise InputError("A recipe must cluster", got="no cluster step", cure="Add one.")
    told = dict(
        zip([one.name for one in evidence], clustering.estimator.information_.tolist(), strict=True)
    )
    step = joint.history[-1]
    found = {**step.found, "information": {name: round(v, 4) for name, v in told.items()}}
    joint.history[-1] = replace(step, found=found)
    shares = _purity(clustering, [features[one.name] for one in evidence])
    results = {}
    for i, one in enumerate(detectors):
        if progress is not None:
            progress(f"map {one.name}", 0.8 + 0.2 * i / len(detectors))
        results[one.name] = _mapped(runs[one.name], clustering, recipe, joint.history, shares)
    return Joint(
        results,
        told,
        float(clustering.estimator.joint_information_),
        {one.name: one.placement for one in detectors if one.placement is not None},
    )


def _columns(one: Detector, features: Features) -> tuple[csr_array, str]:
    """Return what a signal says of each position, and of what kind that is."""
    for entry, parameters in steps_of(one.recipe, ("cluster",)):
        if hasattr(entry.step, "held_out_gains"):
            kind = "rates" if parameters.get("intensity") == "shared" else "counts"
            return sparse(Rows.of(features.rows)).astype(np.float64), kind
    if features.rows.shape[1] > 64:  # as many as a covariance takes
        features = registry("reduce")["pca"].step(features)
    return csr_array(np.asarray(features.rows, dtype=np.float64)), "values"


def _guided(mask: NDArray[np.bool_], guides: list[Features]) -> csr_array:
    """Weaken the coupling of neighbours that differ in a guiding image, in units of its noise."""
    graph = grid_graph(mask).tocoo()
    first, second = graph.coords
    weights = graph.data.copy()
    for features in guides:
        values = np.asarray(features.rows, dtype=np.float64)
        apart = values[first] - values[second]
        noise = 1.4826 * np.median(np.abs(apart), axis=0)  # of a difference
        far = (apart / np.where(noise > 0, noise, np.inf)) ** 2
        weights *= np.exp(-0.5 * far.max(axis=1) / _WIDE**2)
    return csr_array((weights, (first, second)), shape=graph.shape)


def _purity(clustering: Clustering, features: list[Features]) -> NDArray[np.float64]:
    """Return the share of each cluster that its largest group takes, as any signal tells.

    An image alone does not tell: groups of another intensity are of another thickness.
    """
    found = np.ones(clustering.n_clusters)
    for each in features:
        if each.rows.shape[1] == 1:
            continue
        counted = Rows.of(each.rows).dtype.kind in "ui"
        estimator = registry("cluster")["MultinomialMixture"].step() if counted else None
        found = np.minimum(found, purity(replace(clustering, features=each, estimator=estimator)))
    return found


def _mapped(
    run: Run,
    clustering: Clustering,
    recipe: Recipe,
    history: list[Step],
    shares: NDArray[np.float64],
) -> Segmentation:
    """Draw the map with the means of one signal."""
    k = clustering.n_clusters
    run.clustering = replace(clustering, features=run.needed_features(), estimator=None)
    run.history += history
    run.fitted = Fitted(None, np.arange(k), shares)  # says how pure clusters are
    run.steps(recipe, ("mapping",), None)
    run.fitted = None  # nothing can be applied to one signal alone
    return run.result(recipe)
