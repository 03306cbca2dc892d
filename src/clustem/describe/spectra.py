"""Spectra as they are."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from clustem.core import NO_MASKS, Features, InputError, Masks, PatternInfo, Signal, descriptor
from clustem.core.masks import fitting_mask
from clustem.describe._pooling import channels, groups_of
from clustem.passes.rows import Rows
from clustem.passes.scaled_rows import ScaledRows
from clustem.passes.summed_rows import SummedRows
from clustem.passes.transform import RowTransform


@descriptor
def spectra(
    signal: Signal,
    *,
    masks: Masks = NO_MASKS,
    pool: Annotated[int, Ge(1)] | Literal["auto"] = 1,
) -> Features:
    """Take each spectrum of a spectrum image as one row.

    Parameters
    ----------
    signal
        Spectrum image (scan | energy), lazy or not.
    masks
        Of the scan: boolean, shape of the scan, True = excluded.
        Of the signal: boolean (channels,), True = excluded.
    pool
        Number of neighbouring channels that are summed to one feature. ``"auto"``, for counts: as
        many as it takes until a feature has 100 counts in the whole scan, at most 8; of X-rays
        at most 0.05 keV, a standard deviation of a detector's peaks.

    Returns
    -------
    :
        Features with rows in the signal's own dtype; nothing is copied. Sums are made block by
        block in each pass.

    Raises
    ------
    InputError
        If the signal is not a scan of spectra, or everything is masked.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> import numpy as np
    >>> spectra(hs.signals.Signal1D(np.ones((2, 3, 5)))).rows.shape
    (6, 5)
    """
    manager = signal.axes_manager
    if manager.signal_dimension != 1 or manager.navigation_dimension == 0:
        raise InputError(
            "Spectra need a scan with one signal axis (energy)",
            got=f"{manager.navigation_dimension} scan axes and "
            f"{manager.signal_dimension} signal axes",
            cure="Give a spectrum image; for patterns use describe.patterns.",
        )
    excluded = fitting_mask(masks.scan, signal.data.shape[:-1], "scan")
    hidden = fitting_mask(masks.signal, signal.data.shape[-1:], "signal")
    rows = _rows(signal.data, excluded if excluded.any() else None, hidden)
    about = PatternInfo(signal_mask=hidden) if hidden.any() else None
    size = channels(pool, rows, signal)
    if size > 1:
        rows = SummedRows(rows, groups_of(hidden.shape, size, ~hidden))
    return Features.of_scan(rows, signal, excluded, about=about)


def _rows(data: Any, excluded: NDArray[np.bool_] | None, hidden: NDArray[np.bool_]) -> Rows:
    """Return the rows without hidden channels; nothing is copied where the others lie together."""
    if not hidden.any():
        return Rows(data, mask=excluded)
    kept = RowTransform(len(hidden), mask=hidden)
    if isinstance(data, np.ndarray):
        return Rows(kept.compact(data), mask=excluded)
    return ScaledRows(Rows(data, mask=excluded), kept)  # a slice would be a graph of tasks
