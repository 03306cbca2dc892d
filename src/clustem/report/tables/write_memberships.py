"""The memberships as an image file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clustem.core import InputError, Segmentation
from clustem.report.layout.extent import scan_axes
from clustem.report.tables.tiff import write_tiff


def write_memberships(segmentation: Segmentation, path: str | Path) -> Path:
    """Write the memberships as a 32-bit TIFF, one page per cluster.

    Parameters
    ----------
    segmentation
        The clusters on their scan, with memberships.
    path
        File to write, usually ``memberships.tif``.

    Returns
    -------
    :
        The path.

    Raises
    ------
    InputError
        If the clusters are hard (no memberships).

    Examples
    --------
    >>> import tempfile, tifffile
    >>> from clustem.report.figures.example import example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     pages = tifffile.imread(write_memberships(example(), folder + "/memberships.tif"))
    >>> pages.shape, pages.dtype.name
    ((2, 4, 6), 'float32')
    """
    if segmentation.memberships is None:
        raise InputError(
            "A file of memberships needs memberships",
            got="hard clusters",
            cure="Use a fuzzy method or a mixture, or write the labels.",
        )
    pages = np.ascontiguousarray(segmentation.memberships.data, dtype=np.float32)
    return write_tiff(Path(path), pages, scan_axes(segmentation), title="memberships")
