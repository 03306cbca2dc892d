"""Compare any two results: the front door of ``judge.compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.judge import compare as compare_maps
from clustem.judge.compare import Comparison
from clustem.model import InputError
from clustem.segmentation import Segmentation


def compare(first: Any, second: Any) -> Comparison:
    """Compare two results or label maps of the same scan.

    Parameters
    ----------
    first, second
        Each a :class:`Segmentation`, a HyperSpy signal, an integer array, or the path of a result
        folder, a ``.tif`` or a ``.npy`` file. The second counts as the truth.

    Returns
    -------
    :
        Matching, confusion matrix, accuracy, F1, ARI, AMI and variation of information.

    Raises
    ------
    InputError
        If one cannot be read, or the shapes differ.

    Examples
    --------
    >>> found = compare(np.array([[0, 0], [1, 1]]), np.array([[1, 1], [0, 0]]))
    >>> found.ari, found.vi
    (1.0, 0.0)
    """
    return compare_maps(_labels(first), _labels(second))


def _labels(source: Any) -> NDArray[Any]:
    if isinstance(source, Segmentation):
        return np.asarray(source.labels.data)
    if isinstance(source, str | Path):
        return _labels_of_file(Path(source).expanduser())
    return np.asarray(
        getattr(source, "data", source) if hasattr(source, "axes_manager") else source
    )


def _labels_of_file(path: Path) -> NDArray[Any]:
    if path.is_dir():
        return np.asarray(Segmentation.load(path).labels.data)
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False))
        import tifffile  # noqa: PLC0415

        return np.asarray(tifffile.imread(path))
    except (OSError, ValueError) as error:
        raise InputError(
            "A label map must be a result folder, a .tif or a .npy file",
            got=f"{path}: {str(error).partition(chr(10))[0]}",
            cure="Check the path.",
        ) from None
