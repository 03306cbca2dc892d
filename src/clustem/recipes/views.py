"""The same rows clustered as they are, in the plane of two components, and learned."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from clustem.core import Segmentation
from clustem.judge.compare import Comparison, compare
from clustem.recipes.recipe import Recipe
from clustem.recipes.segment import Source, segment


class Views(NamedTuple):
    """Two or three clusterings of the same rows.

    Parameters
    ----------
    full
        In the whole space of the descriptors.
    plane
        In the plane of their two first principal components.
    split
        How clusters of ``plane`` (rows) lie in those of ``full`` (columns).
    learned
        In the latent space of the recipe's autoencoder; None where it has none.
    """

    full: Segmentation
    plane: Segmentation
    split: Comparison
    learned: Segmentation | None = None

    @property
    def agreement(self) -> dict[tuple[str, str], Comparison]:
        """How each pair of clusterings agrees, by their names."""
        known = {"full": self.full, "plane": self.plane}
        if self.learned is not None:
            known["learned"] = self.learned
        return {
            (one, other): compare(known[one].labels.data, known[other].labels.data)
            for one, other in combinations(known, 2)
        }

    def plot(self) -> Any:
        """Draw two maps, and how clusters of the first split into those of the second.

        The learned one beside that in all dimensions, if there is one, else that in the plane.
        """
        from clustem.report.figures.split_views import split_views

        if self.learned is not None:
            return split_views(self.full, self.learned, titles=("All dimensions", "Learned"))
        titles = ("All dimensions", "Two principal components")
        return split_views(self.full, self.plane, titles=titles)


def views(
    source: Source,
    recipe: str | Path | Recipe = "domains",
    *,
    settings: Mapping[str, Any] | None = None,
) -> Views:
    """Cluster the same rows in all dimensions, after a reduction to two, and learned.

    Parameters
    ----------
    source
        As for ``segment``.
    recipe
        Recipe with a ``reduce.pca`` or a ``reduce.vae`` step.
    settings
        Changes to it, for all.

    Returns
    -------
    :
        The results and their comparison. The plane often splits what is one cluster in
        all dimensions where brightness or tilt changes slowly, and joins what differs in
        weaker components. A recipe with an autoencoder gives that result, too.

    Examples
    --------
    >>> from clustem.samples import domains
    >>> settings = {"describe.size": 16, "cluster.covariance_type": "spherical"}
    >>> found = views(domains(shape=(160, 200)).signal, settings=settings)
    >>> found.full.points.shape[1], found.plane.points.shape[1]  # 256 are too many to carry along
    (0, 2)
    """
    found = {
        name: segment(source, each)
        for name, each in spaces_of(Recipe.of(recipe, settings=settings)).items()
    }
    split = compare(found["plane"].labels.data, found["full"].labels.data)
    return Views(found["full"], found["plane"], split, found.get("learned"))


def spaces_of(recipe: Recipe) -> dict[str, Recipe]:
    """Return a recipe in all dimensions, in a plane of components, and learned if it learns.

    Parameters
    ----------
    recipe
        Recipe with a ``reduce.pca`` or a ``reduce.vae`` step, or none.

    Returns
    -------
    :
        The recipes ``full``, ``plane`` and, with an autoencoder, ``learned``.
    """
    reductions = [step for stage, step in recipe.steps if stage == "reduce"]
    none = {f"reduce.{step}": False for step in reductions}
    two: dict[str, Any] = {"reduce.pca.n_components": 2}
    if "pca" not in reductions:
        two["reduce.pca.weights"] = "none"
    others = {name: off for name, off in none.items() if name != "reduce.pca"}
    found = {
        "full": recipe.with_settings(none),
        "plane": recipe.with_settings({**others, **two}),
    }
    return {**found, "learned": recipe} if "vae" in reductions else found
