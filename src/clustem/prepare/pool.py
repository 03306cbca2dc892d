"""Sliding-window average over the scan."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from clustem.core import NO_MASKS, Masks, Signal, like, preparation
from clustem.core.masks import fitting_mask
from clustem.prepare._pooling import Weights, window_mean, window_norm, window_weights
from clustem.prepare._signal import require_numbers, require_scan


@preparation(kind="values")
def pool(
    signal: Signal,
    *,
    radius: Annotated[float, Gt(0)] = 1.5,
    weights: Weights = "uniform",
    masks: Masks = NO_MASKS,
) -> Signal:
    """Replace each spectrum or pattern by the weighted mean of its neighbourhood.

    Parameters
    ----------
    signal
        Scan with one or two axes, of spectra, patterns or anything else, lazy or not.
    radius
        Radius of the window [pixels]: offsets up to it count, so 1.5 is the 3 × 3 window
        and 3 the 7 × 7 one.
    weights
        ``"uniform"``, or ``"gaussian"``: ``exp(-(Δi² + Δj²) / (2 radius²))``.
    masks
        Of the scan: boolean, shape of the scan, True = excluded: counts in no mean. Such a pixel
        itself still gets the mean of its neighbours, or 0 where the window holds no other.

    Returns
    -------
    :
        Signal of the same shape, lazy if the input is: float64 for float64, else float32.

    Raises
    ------
    InputError
        If there is no scan, the values are not real numbers, or the mask does not fit.

    Notes
    -----
    ``I'(i, j) = Σ ω(Δi, Δj) I(i+Δi, j+Δj) / Σ ω(Δi, Δj)``, both sums over what lies on the scan
    and is not excluded. Sums are in float64, or exact for integers. The cost does not depend on
    the radius for uniform weights and is proportional to it for Gaussian ones. A pooled pixel
    shares counts with its neighbours: compare results for several radii before trusting fine
    detail.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = hs.signals.Signal1D(np.arange(20.0).reshape(4, 5, 1))
    >>> float(pool(scan, radius=1.5).data[0, 0, 0])  # mean of 0, 1, 5 and 6
    3.0
    """
    shape = require_scan(signal, "Pooling", cure="Give a spectrum image or a scan of patterns.")
    require_numbers(signal, "Pooling")
    keep = ~np.atleast_2d(fitting_mask(masks.scan, shape, "scan"))
    down, across = (window_weights(radius, weights, size) for size in keep.shape)
    window = (down, across)
    norm = window_norm(keep, *window)
    pooled = _lazily if hasattr(signal.data, "dask") else _at_once
    return like(signal, pooled(signal.data, len(shape), keep, norm, window))


def _at_once(
    data: NDArray[Any],
    scan_ndim: int,
    keep: NDArray[np.bool_],
    norm: NDArray[np.float64],
    window: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[Any]:
    rows = data if scan_ndim == 2 else data[np.newaxis]
    return window_mean(rows, keep, norm, *window).reshape(data.shape)


def _lazily(
    data: Any,
    scan_ndim: int,
    keep: NDArray[np.bool_],
    norm: NDArray[np.float64],
    window: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> Any:
    """Pool chunk by chunk, each with as many rows and columns of its neighbours as needed."""
    import dask.array as da

    def one(block: NDArray[Any], keep: NDArray[Any], norm: NDArray[Any]) -> NDArray[Any]:
        lead = (keep.shape[0], keep.shape[1])
        x = block.reshape(*lead, -1)
        flags, total = keep.reshape(lead), norm.reshape(lead)
        return window_mean(x, flags, total, *window, threads=1).reshape(block.shape)

    rows = data if scan_ndim == 2 else data[np.newaxis]
    reach = {0: len(window[0]) // 2, 1: len(window[1]) // 2}
    rows = rows.rechunk({axis: _at_least(rows.chunks[axis], size) for axis, size in reach.items()})
    tail = (1,) * (rows.ndim - 2)
    chunks = (*rows.chunks[:2], *tail)
    beside = [da.from_array(part.reshape(*part.shape, *tail), chunks) for part in (keep, norm)]
    pooled = da.map_overlap(
        one,
        rows,
        *beside,
        depth=[reach, reach, reach],
        boundary="none",
        dtype=np.float64 if data.dtype == np.float64 else np.float32,
        meta=np.empty((0,) * rows.ndim, np.float64 if data.dtype == np.float64 else np.float32),
    )
    return pooled if scan_ndim == 2 else pooled[0]


def _at_least(chunks: tuple[int, ...], size: int) -> tuple[int, ...]:
    """Join chunks that are thinner than the overlap with the next one."""
    joined: list[int] = []
    for chunk in chunks:
        if joined and joined[-1] < size:
            joined[-1] += chunk
        else:
            joined.append(chunk)
    if len(joined) > 1 and joined[-1] < size:
        joined[-2:] = [joined[-2] + joined[-1]]
    return tuple(joined)
