"""The same rows clustered as they are and in the plane of their two first components."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clustem.core import Segmentation
from clustem.judge.compare import Comparison, compare
from clustem.recipes.recipe import Recipe
from clustem.recipes.segment import Source, segment


class Views(NamedTuple):
    """Two clusterings of the same rows.

    Parameters
    ----------
    full
        In the whole space of the descriptors.
    plane
        In the plane of their two first principal components.
    split
        How clusters of ``plane`` (rows) lie in those of ``full`` (columns).
    """

    full: Segmentation
    plane: Segmentation
    split: Comparison

    def plot(self) -> Any:
        """Draw both maps, and how clusters of the first split into those of the second."""
        from clustem.report.figures.split_views import split_views

        titles = ("All dimensions", "Two principal components")
        return split_views(self.full, self.plane, titles=titles)


def views(
    source: Source,
    recipe: str | Path | Recipe = "domains",
    *,
    settings: Mapping[str, Any] | None = None,
) -> Views:
    """Cluster the same rows in all dimensions and after a reduction to two.

    Parameters
    ----------
    source
        As for ``segment``.
    recipe
        Recipe with a ``reduce.pca`` step.
    settings
        Changes to it, for both.

    Returns
    -------
    :
        Both results and their comparison. The plane often splits what is one cluster in
        all dimensions where brightness or tilt changes slowly, and joins what differs in
        weaker components.

    Examples
    --------
    >>> from clustem.samples import domains
    >>> settings = {"describe.size": 16, "cluster.covariance_type": "spherical"}
    >>> found = views(domains(shape=(160, 200)).signal, settings=settings)
    >>> found.full.points.shape[1], found.plane.points.shape[1]  # 256 are too many to carry along
    (0, 2)
    """
    chosen = Recipe.of(recipe, settings=settings)
    full = segment(source, chosen, settings={"reduce.pca": False})
    plane = segment(source, chosen, settings={"reduce.pca.n_components": 2})
    return Views(full, plane, compare(plane.labels.data, full.labels.data))
