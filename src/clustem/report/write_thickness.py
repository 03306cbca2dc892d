"""The thickness map as an image file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clustem.model import InputError, Projection
from clustem.report._scan import Axis, scan_axes
from clustem.report._tiff import write_tiff

_NAMES = ("thickness", "thickness_error", "thickness_nm", "thickness_nm_error")


def write_thickness(projection: Projection, path: str | Path) -> Path:
    """Write the thickness as a 32-bit TIFF with the pixel size of the scan.

    Parameters
    ----------
    projection
        A result that ``eels.zero_loss`` has added to.
    path
        File to write, usually ``thickness.tif``.

    Returns
    -------
    :
        The path.

    Raises
    ------
    InputError
        If the thickness is not known.

    Notes
    -----
    Pages: t/λ and half of its 68 % band, and both in nm where a density was given. Float32,
    NaN outside the clusters. A line scan is an image with one row.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> from dataclasses import replace
    >>> from clustem.report._example import example
    >>> some = np.linspace(0.2, 0.9, 24, dtype=np.float32).reshape(4, 6)
    >>> found = replace(example(), details={"thickness": some, "thickness_error": some / 20})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tifffile.imread(write_thickness(found, folder + "/thickness.tif")).shape
    (2, 4, 6)
    """
    known = [projection.details[name] for name in _NAMES if name in projection.details]
    if not known:
        raise InputError(
            "The thickness must be known to be written",
            got="a result without it",
            cure="Run eels.zero_loss, which needs PyTorch.",
        )
    pages = np.stack(known).astype(np.float32)
    stack = Axis("quantity", "", np.arange(float(len(pages))), 1.0)
    return write_tiff(Path(path), pages, scan_axes(projection), title="thickness", stack=stack)
