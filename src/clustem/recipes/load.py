"""Results read back."""

from __future__ import annotations

from pathlib import Path

from clustem.core import Segmentation
from clustem.recipes._joint_folder import load_joint
from clustem.recipes._result import load_result
from clustem.recipes._study_folder import kind_of, load_study
from clustem.recipes.joint import Joint
from clustem.recipes.study import Study


def load(folder: str | Path) -> Segmentation | Study | Joint:
    """Read a result folder.

    Parameters
    ----------
    folder
        A folder written by ``clustem run``, or by ``save`` of a result.

    Returns
    -------
    :
        The result, without its source, context and features; a :class:`Study` of a study, a
        :class:`Joint` of several signals.

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
    several = kind_of(path)
    if several is None:
        return load_result(path)
    if several["kind"] == "joint":
        return Joint(**load_joint(path, several))
    return Study(**load_study(path, several))
