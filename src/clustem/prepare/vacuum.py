"""Scan positions with hardly any signal."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from clustem.core import Signal, preparation, record
from clustem.passes.rows import Rows
from clustem.prepare._signal import require_numbers, require_scan


@preparation(kind="scan mask")
def vacuum(
    signal: Signal,
    *,
    threshold: Annotated[float, Ge(0)] = 1.0,
    share: Annotated[float, Gt(0), Lt(1)] | None = None,
    closing: bool = True,
    opening: bool = True,
) -> NDArray[np.bool_]:
    """Mask the positions whose largest value is no more than a threshold.

    Parameters
    ----------
    signal
        Scan of spectra or patterns, lazy or not.
    threshold
        Largest value of a spectrum or pattern that still is vacuum, in the signal's own unit
        [counts].
    share
        If given, vacuum is instead where the total is no more than this share of that of bright
        positions (the 95th percentile). Where all are alike, nothing is masked.
    closing
        Fill gaps of the mask that are smaller than its 4-neighbourhood.
    opening
        Remove specks of the mask that are smaller than it.

    Returns
    -------
    :
        Boolean, shape of the scan, True = vacuum, excluded.

    Raises
    ------
    InputError
        If there is no scan.

    Notes
    -----
    Without a share, TEM-EDS signals are sent to eXSpy's ``vacuum_mask``; the same rule holds for
    all others. Neither rule finds the vacuum of low-loss EELS, where the zero-loss peak is
    brightest outside.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = np.zeros((5, 6, 8), dtype=np.uint8)
    >>> scan[:, 3:, 2] = 9
    >>> vacuum(hs.signals.Signal1D(scan)).sum(axis=1).tolist()
    [3, 3, 3, 3, 3]
    """
    require_scan(signal, "A vacuum mask", cure="Give a spectrum image or a scan of patterns.")
    require_numbers(signal, "A vacuum mask")
    if share is not None:
        totals = _totals(signal)
        limit = float(share * np.percentile(totals, 95))
        record(threshold=limit)
        return _cleaned(totals <= limit, closing=closing, opening=opening)
    if hasattr(signal, "vacuum_mask"):
        found = signal.vacuum_mask(threshold=threshold, closing=closing, opening=opening)
        return np.array(found.data, dtype=bool)
    return _by_largest(signal, threshold, closing=closing, opening=opening)


def _by_largest(
    signal: Any, threshold: float, *, closing: bool, opening: bool
) -> NDArray[np.bool_]:
    inner = tuple(range(signal.axes_manager.navigation_dimension, signal.data.ndim))
    mask = np.asarray(signal.data.max(axis=inner) <= threshold)
    return _cleaned(mask, closing=closing, opening=opening)


def _totals(signal: Any) -> NDArray[np.float64]:
    scan = signal.axes_manager.navigation_dimension
    rows = Rows(signal.data, row_ndim=signal.data.ndim - scan)
    totals = np.empty(len(rows))
    for where, part in rows.map(lambda block, _: block.sum(axis=1, dtype=np.float64)):
        totals[where] = part
    return totals.reshape(signal.data.shape[:scan])


def _cleaned(mask: NDArray[np.bool_], *, closing: bool, opening: bool) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_dilation, binary_erosion

    if closing:
        mask = binary_erosion(binary_dilation(mask, border_value=0), border_value=1)
    if opening:
        mask = binary_dilation(binary_erosion(mask, border_value=1), border_value=0)
    return mask
