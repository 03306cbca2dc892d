"""Scan positions with hardly any signal."""

from __future__ import annotations

from collections.abc import Callable
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
    Without a share, the rule is that of eXSpy's ``vacuum_mask`` for TEM-EDS. Neither rule finds the
    vacuum of low-loss EELS, where the zero-loss peak is brightest outside.

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
        totals = _of_each(signal, lambda block, _: block.sum(axis=1, dtype=np.float64))
        threshold = float(share * np.percentile(totals, 95))
        record(threshold=threshold)
        return _cleaned(totals <= threshold, closing=closing, opening=opening)
    largest = _of_each(signal, lambda block, _: block.max(axis=1))
    return _cleaned(largest <= threshold, closing=closing, opening=opening)


def _of_each(
    signal: Any, number: Callable[[NDArray[Any], NDArray[np.intp]], NDArray[Any]]
) -> NDArray[np.float64]:
    """Return a number of each spectrum or pattern, shape of the scan."""
    scan = signal.axes_manager.navigation_dimension
    rows = Rows(signal.data, row_ndim=signal.data.ndim - scan)
    found = np.empty(len(rows))
    for where, part in rows.map(number):
        found[where] = part
    return found.reshape(signal.data.shape[:scan])


def _cleaned(mask: NDArray[np.bool_], *, closing: bool, opening: bool) -> NDArray[np.bool_]:
    from scipy.ndimage import binary_dilation, binary_erosion

    if closing:
        mask = binary_erosion(binary_dilation(mask, border_value=0), border_value=1)
    if opening:
        mask = binary_dilation(binary_erosion(mask, border_value=1), border_value=0)
    return mask
