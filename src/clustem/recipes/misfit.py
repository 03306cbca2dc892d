"""Whether a recipe for images fits an image: asked before it runs."""

from __future__ import annotations

from clustem.core import ParameterError, Scan
from clustem.judge.lattice import lattice
from clustem.recipes.recipe import Recipe

_LEAST = 48
"""Shorter side from which on a lattice can be told [px]."""


def refuse_misfit(recipe: Recipe, scan: Scan, *, otherwise: str = "--anyway (anyway=True)") -> None:
    """Refuse a recipe for lattices on an image that shows none, or only fringes.

    Parameters
    ----------
    recipe
        The recipe.
    scan
        What it is to run on.
    otherwise
        What to give or press so that it runs anyway, for the message.

    Raises
    ------
    ParameterError
        If the recipe describes atom columns or fringes and the image shows no such thing.
    """
    steps = {step: given for (stage, step), given in recipe.steps.items() if stage == "describe"}
    columns = steps.get("patches", {}).get("at") in ("columns", "heavy columns")
    if recipe.data != "image" or not (columns or "gabor" in steps):
        return
    told = steps["patches"].get("spacing") if columns else steps["gabor"].get("wavelengths")
    if told is not None or min(scan.signal.data.shape[:2]) < _LEAST:
        return
    found = lattice(scan.signal)
    if found.verdict == "columns" or (found.verdict == "fringes" and not columns):
        return
    needs = "atom columns" if columns else "lattice fringes"
    raise ParameterError(
        f"The recipe {recipe.name} needs an image that shows {needs}",
        got=found.summary.rpartition(":")[0],
        cure=f"Use {' or '.join(found.recipes)}; {otherwise} runs it.",
    )
