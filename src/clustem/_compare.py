"""Compare any two results: the front door of ``judge.compare``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from clustem.judge import compare as compare_maps
from clustem.judge.compare import Comparison
from clustem.segmentation import Segmentation


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
    return compare_maps(_opened(first), _opened(second), binning=binning)


def _opened(source: Any) -> Any:
    """Load result folders; the rest is read as it is."""
    if isinstance(source, str | Path) and Path(source).expanduser().is_dir():
        path = Path(source).expanduser()
        return source if path.suffix == ".zspy" else Segmentation.load(path)
    return source
