"""Results read back."""

from __future__ import annotations

from pathlib import Path

from clustem.core import Segmentation
from clustem.recipes._result import load_result
from clustem.recipes._study_folder import kind_of, load_study
from clustem.recipes.study import Study


def load(folder: str | Path) -> Segmentation | Study:
    """Read a result folder.

    Parameters
    ----------
    folder
        A folder written by ``clustem run``, ``Segmentation.save`` or ``Study.save``.

    Returns
    -------
    :
        The result, without its source, context and features; a :class:`Study` of a study.

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
    path = Path(folder).expanduser()
    study = kind_of(path)
    return load_result(path) if study is None else Study(**load_study(path, study))
