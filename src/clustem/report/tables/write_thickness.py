"""The thickness map as an image file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clustem.core import InputError, Segmentation
from clustem.report.layout.extent import Axis, scan_axes
from clustem.report.tables.tiff import write_tiff


def write_thickness(segmentation: Segmentation, path: str | Path) -> Path:
    """Write the thickness as a 32-bit TIFF with the pixel size of the scan.

    Parameters
    ----------
    segmentation
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
    >>> from clustem.core import Thickness
    >>> from clustem.report.figures.example import example
    >>> some = np.linspace(0.2, 0.9, 24, dtype=np.float32).reshape(4, 6)
    >>> found = replace(example(), thickness=Thickness(some, some / 20))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tifffile.imread(write_thickness(found, folder + "/thickness.tif")).shape
    (2, 4, 6)
    """
    maps = segmentation.thickness
    if maps is None:
        raise InputError(
            "The thickness must be known to be written",
            got="a result without it",
            cure="Run eels.zero_loss, which needs PyTorch.",
        )
    known = (maps.relative, maps.relative_error, maps.absolute, maps.absolute_error)
    pages = np.stack([page for page in known if page is not None]).astype(np.float32)
    stack = Axis("quantity", "", np.arange(float(len(pages))), 1.0)
    return write_tiff(Path(path), pages, scan_axes(segmentation), title="thickness", stack=stack)
