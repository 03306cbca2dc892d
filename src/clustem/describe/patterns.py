"""Diffraction patterns as they are, or all on one scale."""

from __future__ import annotations

from typing import Any, Literal

from clustem.compute.masks import fitting_mask
from clustem.compute.scaled_rows import ScaledRows
from clustem.compute.transform import RowTransform
from clustem.describe._scan import pattern_rows
from clustem.model import ScanMask, SignalMask, Table, checked


@checked
def patterns(
    signal: Any,
    *,
    mask: ScanMask | None = None,
    signal_mask: SignalMask | None = None,
    normalize: Literal["l2", "l1", "max", "zscore"] | None = None,
) -> Table:
    """Take each diffraction pattern of a 4D-STEM scan as one row.

    Parameters
    ----------
    signal
        Scan of patterns (scan | row, column), lazy or not.
    mask
        Boolean, shape of the scan, True = excluded.
    signal_mask
        Boolean, shape of one pattern, True = excluded: neither part of the row nor of its norm.
    normalize
        What each pattern is divided by: ``"l2"`` its Euclidean norm, ``"l1"`` the sum and
        ``"max"`` the largest of its magnitudes; ``"zscore"`` subtracts its mean and divides by its
        standard deviation. None leaves the values as they are.

    Returns
    -------
    :
        Table with rows of the pixels left in. Nothing is read or copied: patterns are masked and
        normalised block by block in each pass. Its details hold ``signal_mask`` where there is one.

    Raises
    ------
    InputError
        If the signal is not a scan of patterns, a mask does not fit, or everything is masked.

    Notes
    -----
    With the direct beam masked, faint spots set the norm, and patterns differ by the crystal's
    orientation rather than by its thickness. A pattern with nothing to divide by becomes zeros.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> import numpy as np
    >>> scan = hs.signals.Signal2D(np.ones((2, 3, 4, 5), dtype=np.uint8))
    >>> beam = np.zeros((4, 5), dtype=bool); beam[1:3, 2] = True
    >>> table = patterns(scan, signal_mask=beam, normalize="l1")
    >>> table.rows.shape, float(np.asarray(table.rows).sum(axis=1)[0])
    ((6, 18), 1.0)
    """
    rows, excluded = pattern_rows(signal, mask)
    left_out = fitting_mask(signal_mask, rows.row_shape, "pattern")
    if normalize is None and not left_out.any():
        return Table(rows, signal, excluded)
    some = left_out if left_out.any() else None
    transform = RowTransform(rows.shape[1], normalize=normalize, mask=some)
    details = {} if some is None else {"signal_mask": some}
    return Table(ScaledRows(rows, transform), signal, excluded, details=details)
