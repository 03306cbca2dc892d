"""Set the negative values to zero that a detector's own noise makes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from clustem.core import NO_MASKS, InputError, Masks, Signal, like, preparation, record, scan_shape
from clustem.core.masks import fitting_mask
from clustem.passes.rows import Rows
from clustem.prepare._signal import NET, require_numbers

_CURE = "Leave this step out (prepare.nonnegative=false), and take reduce.weights='none'."


@preparation(kind="values")
def nonnegative(
    signal: Signal,
    *,
    most: Annotated[float, Ge(0), Le(1)] = 0.02,
    masks: Masks = NO_MASKS,
) -> Signal:
    """Set negative values to zero, where they are but the noise of dark channels.

    Parameters
    ----------
    signal
        Scan of spectra or patterns, lazy or not, from which a dark reference was subtracted.
    most
        Largest sum of negative values, as a share of that of positive ones, that may be noise.
    masks
        Of the scan: boolean, shape of the scan, True = excluded: does not count in that share.

    Returns
    -------
    :
        Signal of the same shape and type, lazy if the input is.

    Raises
    ------
    InputError
        If there is more that is negative, or a background was removed: net counts are negative
        where the noise of all counts makes them so, and without these would be too high.

    Notes
    -----
    Weights for counting statistics, as in ``reduce.pca``, need counts of 0 or more. With a read
    noise of σ, channels without counts get a mean of 0.4 σ, the same at all positions.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> nonnegative(hs.signals.Signal1D(np.array([[90.0, -1.0, 12.0]]))).data.tolist()
    [[90.0, 0.0, 12.0]]
    """
    require_numbers(signal, "The removal of negative values")
    if signal.data.dtype.kind in "bu":
        return like(signal, signal.data)
    _refuse_net(signal)
    scan = scan_shape(signal)
    below, above = _sums(signal.data, len(scan), fitting_mask(masks.scan, scan, "scan"))
    record(negative_share=below / above if above > 0 else 0.0)
    if below > most * above:
        raise InputError(
            f"Negative values must be noise: their sum at most {100 * most:g} % of the others'",
            got=f"{100 * below / above:.3g} %" if above > 0 else "nothing positive",
            cure=_CURE,
        )
    return like(signal, signal.data.clip(min=0))


def _refuse_net(signal: Any) -> None:
    if signal.metadata.get_item(NET, default=False):
        raise InputError(
            "Negative net counts must stay once a background was removed: they are its noise",
            got="a signal without background",
            cure=_CURE,
        )


def _sums(data: Any, scan_ndim: int, left_out: NDArray[np.bool_]) -> tuple[float, float]:
    """Add up the negative and the positive values that count."""
    if left_out.all():
        return 0.0, 0.0
    rows = Rows(
        data if scan_ndim else data[np.newaxis],
        row_ndim=max(data.ndim - scan_ndim, 1),
        mask=left_out if left_out.any() else None,
    )

    def one(block: NDArray[Any], _: NDArray[np.intp]) -> tuple[float, float]:
        below = float(block.sum(where=block < 0, dtype=np.float64))
        return -below, float(block.sum(dtype=np.float64)) - below

    parts = [part for _, part in rows.map(one)]
    return sum(part[0] for part in parts), sum(part[1] for part in parts)
