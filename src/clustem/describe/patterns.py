"""Diffraction patterns as they are, or all on one scale."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge

from clustem.core import NO_MASKS, Features, InputError, Masks, PatternInfo, Signal, descriptor
from clustem.core.masks import fitting_mask
from clustem.describe._pooling import groups_of, pixels
from clustem.describe._scan import pattern_rows
from clustem.passes.scaled_rows import ScaledRows
from clustem.passes.summed_rows import SummedRows
from clustem.passes.transform import RowTransform


@descriptor
def patterns(
    signal: Signal,
    *,
    masks: Masks = NO_MASKS,
    normalize: Literal["l2", "l1", "max", "zscore"] | None = None,
    pool: Annotated[int, Ge(1)] | Literal["auto"] = 1,
) -> Features:
    """Take each diffraction pattern of a 4D-STEM scan as one row.

    Parameters
    ----------
    signal
        Scan of patterns (scan | row, column), lazy or not.
    masks
        Of the scan: boolean, shape of the scan, True = excluded.
        Of the signal: boolean, shape of one pattern, True = excluded: neither part of the row nor
        of its norm.
    normalize
        What each pattern is divided by: ``"l2"`` its Euclidean norm, ``"l1"`` the sum and
        ``"max"`` the largest of its magnitudes; ``"zscore"`` subtracts its mean and divides by its
        standard deviation. None leaves the values as they are.
    pool
        Pixels along each side that are summed to one feature, for counts that are not normalised.
        ``"auto"``: as many as it takes, 1, 2, 4 or 8, until a feature has 100 counts in the whole
        scan.

    Returns
    -------
    :
        Features with rows of the pixels left in. Nothing is read or copied: patterns are masked and
        normalised block by block in each pass.

    Raises
    ------
    InputError
        If the signal is not a scan of patterns, a mask does not fit, or everything is masked; if
        patterns are to be normalised and pooled.

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
    >>> features = patterns(scan, masks=Masks(signal=beam), normalize="l1")
    >>> features.rows.shape, float(np.asarray(features.rows).sum(axis=1)[0])
    ((6, 18), 1.0)
    """
    rows, excluded = pattern_rows(signal, masks.scan)
    if normalize is not None and pool != 1:
        raise InputError(
            "Patterns are pooled as counts, without normalisation",
            got=f"normalize={normalize!r}, pool={pool!r}",
            cure="Leave one of them out, or bin the scan with prepare.rebin.",
        )
    left_out = fitting_mask(masks.signal, rows.row_shape, "pattern")
    some = left_out if left_out.any() else None
    about = None if some is None else PatternInfo(signal_mask=some)
    size = pixels(pool, rows)
    if normalize is not None or some is not None:
        rows = ScaledRows(rows, RowTransform(rows.shape[1], normalize=normalize, mask=some))
    if size > 1:
        rows = SummedRows(rows, groups_of(left_out.shape, size, ~left_out))
    return Features.of_scan(rows, signal, excluded, about=about)
