"""What several signals say of each position as one table, and the map with the means of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from clustem.core import Clustering, Features, Fitted, Scan, Segmentation, Step
from clustem.labelmaps.grid_graph import grid_graph
from clustem.passes.rows import Rows
from clustem.passes.sparse import sparse
from clustem.recipes._detectors import Detector, counts_kind
from clustem.recipes._run import Run
from clustem.recipes.recipe import Recipe

_WIDE = 3.0
"""Difference of neighbours in a guiding image that halves their coupling, about [noise]."""


def together(
    detectors: Sequence[Detector], first: Detector, runs: Mapping[str, Run]
) -> tuple[Features, dict[str, Any]]:
    """Lay what signals say of each position side by side.

    Parameters
    ----------
    detectors
        The signals.
    first
        The one whose positions are the common ones.
    runs
        Signals that are described.

    Returns
    -------
    :
        Features of all, and what ``JointMixture`` needs to know of them: ``widths``, ``kinds`` and
        ``weights`` of the signals, and the ``connectivity`` if images guide it.
    """
    features = {name: run.needed_features() for name, run in runs.items()}
    evidence = [one for one in detectors if one.use == "evidence"]
    columns = [_columns(one, features[one.name]) for one in evidence]
    mask = features[first.name].mask
    scan = Scan(first.scan.signal, mask)
    found = Features(hstack([rows for rows, _ in columns], format="csr"), scans=(scan,))
    layout: dict[str, Any] = {
        "widths": [int(rows.shape[1]) for rows, _ in columns],
        "kinds": [kind for _, kind in columns],
        "weights": [float(one.weight) for one in evidence],
    }
    guides = [features[one.name] for one in detectors if one.use == "guide"]
    if guides:
        layout["connectivity"] = _guided(mask, guides)
    return found, layout


def mapped(  # one call
    run: Run, clustering: Clustering, recipe: Recipe, history: Sequence[Step], fitted: Fitted
) -> Segmentation:
    """Draw the map with the means of one signal."""
    run.clustering = replace(clustering, features=run.needed_features(), estimator=None)
    run.history += history
    run.fitted = fitted
    run.steps(recipe, ("mapping",), None)
    return run.result(recipe)


def _columns(one: Detector, features: Features) -> tuple[csr_array, str]:
    """Return what a signal says of each position, and of what kind that is."""
    kind = counts_kind(one.recipe)
    if kind:
        return sparse(Rows.of(features.rows)).astype(np.float64), kind
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
