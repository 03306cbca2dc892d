"""The label map as an image file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clustem.core import Segmentation
from clustem.report.layout.extent import scan_axes
from clustem.report.tables.tiff import write_tiff


def write_labels(segmentation: Segmentation, path: str | Path) -> Path:
    """Write the label map as a 16-bit TIFF with the pixel size of the scan.

    Parameters
    ----------
    segmentation
        The clusters on their scan of one or two axes.
    path
        File to write, usually ``labels.tif``.

    Returns
    -------
    :
        The path.

    Notes
    -----
    Values are the numbers of the clusters, int16, −1 where unassigned or excluded. A line scan is
    an image with one row.

    Examples
    --------
    >>> import tempfile, tifffile
    >>> from clustem.report.figures.example import example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     image = tifffile.imread(write_labels(example(), folder + "/labels.tif"))
    >>> image.shape, image.dtype.name, int(image[2, 3])
    ((4, 6), 'int16', -1)
    """
    labels = np.ascontiguousarray(segmentation.labels.data, dtype=np.int16)
    return write_tiff(Path(path), labels, scan_axes(segmentation), title="labels")
