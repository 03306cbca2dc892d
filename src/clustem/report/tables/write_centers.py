"""The centers as files that other programs quantify or index."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from clustem.core import Segmentation
from clustem.report.layout.extent import axes_of, stem_of
from clustem.report.tables._msa import write_msa
from clustem.report.tables.tiff import write_tiff


def write_centers(segmentation: Segmentation, folder: str | Path) -> list[Path]:
    """Write the center of each cluster.

    Parameters
    ----------
    segmentation
        The clusters on their scan.
    folder
        Existing folder.

    Returns
    -------
    :
        The files: ``centers.hspy``, complete; for spectra one ``centers/<cluster>.msa`` each, for
        patterns ``centers.tif``, float32, one page each.

    Notes
    -----
    RosettaSciIO reads the ``.msa`` files with their energy axis, beam energy and detector. The
    format has no keyword for elements: they are in ``original_metadata.ELEMENTS``. A spectrum on an
    axis that is not uniform has no ``.msa``, which cannot hold one, nor has an empty cluster.

    Examples
    --------
    >>> import tempfile
    >>> from clustem.report.figures.example import example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     [path.name for path in write_centers(example(), folder)]
    ['centers.hspy', 'cluster_0.msa', 'cluster_1.msa']
    """
    folder = Path(folder)
    files = [folder / "centers.hspy"]
    centers = segmentation.centers
    centers.deepcopy().save(files[0], overwrite=True)  # saving leaves marks in the signal
    if centers.data.ndim == 2 and axes_of(centers)[-1].step is not None:
        (folder / "centers").mkdir(exist_ok=True)
        for i, spectrum in enumerate(centers.data):
            if segmentation.counts[i]:
                path = folder / "centers" / f"{stem_of(segmentation, i)}.msa"
                files.append(write_msa(path, centers, spectrum, title=segmentation.name_of(i)))
    elif centers.data.ndim == 3:
        pages = np.ascontiguousarray(centers.data, dtype=np.float32)
        files.append(
            write_tiff(folder / "centers.tif", pages, axes_of(centers)[-2:], title="centers")
        )
    return files
