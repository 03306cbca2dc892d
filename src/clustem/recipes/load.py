"""Results read back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clustem.core import Segmentation
from clustem.io.result_folder import read_result
from clustem.recipes.recipe import Recipe


def load(folder: str | Path) -> Segmentation:
    """Read a result folder.

    Parameters
    ----------
    folder
        A folder written by ``clustem run`` or ``Segmentation.save``.

    Returns
    -------
    :
        The result, without its source, context and features.

    Raises
    ------
    InputError
        If the folder is not a result, or a file in it is missing or broken.

    Examples
    --------
    >>> import tempfile
    >>> from clustem import samples, segment
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     found = segment(samples.eds(shape=(20, 24)).signal, "eds", n_clusters=4)
    ...     path = found.save(f"{folder}/result")
    ...     load(path).n_clusters
    4
    """
    result, text = read_result(folder)
    return replace(result, recipe=Recipe.from_toml(text, where="recipe.toml") if text else None)
