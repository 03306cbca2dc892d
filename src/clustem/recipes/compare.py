"""Compare any two results."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from clustem.core import InputError, Segmentation
from clustem.io.trial import try_out
from clustem.judge.compare import Comparison
from clustem.judge.compare import compare as compare_maps


def compare(
    first: Any, second: Any, *, binning: Literal["majority", "nearest"] = "majority"
) -> Comparison:
    """Compare two results or label maps of the same scan, also at different k and binning.

    Parameters
    ----------
    first, second
        Each a :class:`Segmentation`, a HyperSpy signal, an integer array, or the path of a result
        folder, a ``.tif``, a ``.npy`` or a ``.hspy`` file. The second counts as the truth.
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
    return compare_maps(opened(first), opened(second), binning=binning)


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
    return Segmentation.load(path) if path.is_dir() and path.suffix != ".zspy" else source
