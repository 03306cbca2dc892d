"""Compare any two results."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError
from clustem.io.trial import try_out
from clustem.judge.compare import Comparison
from clustem.judge.compare import compare as compare_maps
from clustem.recipes.joint import Joint
from clustem.recipes.load import load
from clustem.recipes.study import Study


def compare(
    first: Any, second: Any, *, binning: Literal["majority", "nearest"] = "majority"
) -> Comparison:
    """Compare two results or label maps of the same scan, also at different k and binning.

    Parameters
    ----------
    first, second
        Each a :class:`Segmentation`, a HyperSpy signal, an integer array, or the path of a result
        folder, a ``.tif``, a ``.npy`` or a ``.hspy`` file. The second counts as the truth. Or two
        studies of the same maps: their positions in a line, with one matching for all.
    binning
        How maps of different shape are brought together: by majority vote in each block of
        the finer one, or by repeating each position of the coarser one (``"nearest"``).

    Returns
    -------
    :
        Matching, confusion matrix, accuracy, F1, ARI, AMI, variation of information, and the map of
        where they differ; its ``note`` says what was binned.

    Raises
    ------
    InputError
        If one cannot be read, or the shapes differ by no whole factors.

    Examples
    --------
    >>> import numpy as np
    >>> found = compare(np.array([[0, 0], [1, 1]]), np.array([[1, 1], [0, 0]]))
    >>> found.ari, found.vi
    (1.0, 0.0)
    """
    found = (opened(first), opened(second))
    one, other = (each.first if isinstance(each, Joint) else each for each in found)
    if isinstance(one, Study) or isinstance(other, Study):
        one, other = _laid_out(one, other)
    return compare_maps(one, other, binning=binning)


def _laid_out(first: Any, second: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lay the positions of all maps of two studies in a line.

    Raises
    ------
    InputError
        If they are not two studies of maps of the same shapes.
    """
    if not (isinstance(first, Study) and isinstance(second, Study)):
        raise InputError(
            "A study is compared with another study",
            got="a single map",
            cure="Compare one of its maps, study[0], or the folder of one.",
        )
    if [one.mask.shape for one in first] != [one.mask.shape for one in second]:
        raise InputError(
            "Studies that are compared need maps of the same shapes",
            got=f"{len(first)} and {len(second)} maps, or others",
            cure="Compare single maps: study[0].",
        )
    laid = [np.concatenate([one.labels.data.ravel() for one in each]) for each in (first, second)]
    return laid[0].astype(np.int64), laid[1].astype(np.int64)


def opened(source: Any) -> Any:
    """Load a result folder; return anything else as it is.

    Raises
    ------
    InputError
        If a path does not exist, the folder is no result, or a file is not whole.
    """
    if not isinstance(source, str | Path):
        return source
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError("The input must exist", got=path, cure="Check the path.")
    if path.suffix in {".hspy", ".zspy"}:
        try_out(path)
    return load(path) if path.is_dir() and path.suffix != ".zspy" else source
