"""Put all spectra or patterns on one scale."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.core import NO_MASKS, Masks, Signal, like, preparation, record, scan_shape
from clustem.core.masks import fitting_mask
from clustem.passes.rows import Rows
from clustem.prepare._signal import require_numbers

Scale = Literal["sum", "max", "l2", "zscore"]


@preparation(kind="values")
def normalize(
    signal: Signal,
    *,
    by: Scale = "sum",
    level: Literal["one", "mean"] = "one",
    masks: Masks = NO_MASKS,
) -> Signal:
    """Divide each spectrum or pattern by its sum, maximum or norm, or standardise it.

    Parameters
    ----------
    signal
        Scan of spectra or patterns, lazy or not.
    by
        ``"sum"`` of the magnitudes, ``"max"`` of the magnitudes, ``"l2"``: Euclidean norm,
        ``"zscore"``: subtract the mean and divide by the standard deviation.
    level
        What sum, maximum or norm becomes: ``"one"``, or the ``"mean"`` of all of them, so that
        values stay as large as the counts they come from, and their noise nearly that of counts.
        Does not apply to ``"zscore"``.
    masks
        Of the scan: boolean, shape of the scan, True = excluded: does not count in that mean.
        Of the signal: boolean, shape of one spectrum or pattern, True = excluded: does not count in
        the sum, maximum or norm. With the transmitted beam excluded, faint spots set the scale.

    Returns
    -------
    :
        Signal of the same shape, float32, lazy if the input is. Excluded values are
        divided like the others.

    Raises
    ------
    InputError
        If the values are not real numbers, or the mask does not fit or leaves nothing.

    Notes
    -----
    What has nothing to divide by stays 0: a row of zeros, and for ``"zscore"`` a constant one.
    The figures of each row are computed in float64.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = hs.signals.Signal1D(np.array([[1, 3, 4], [0, 0, 0]], dtype=np.uint8))
    >>> normalize(scan).data.tolist()
    [[0.125, 0.375, 0.5], [0.0, 0.0, 0.0]]
    """
    require_numbers(signal, "Normalisation")
    scan = scan_shape(signal)
    inner = signal.data.shape[len(scan) :]
    excluded = fitting_mask(masks.signal, inner, "signal")
    keep = np.flatnonzero(~excluded) if excluded.any() else None
    lazy = hasattr(signal.data, "dask")
    found = (_lazily if lazy else _at_once)(signal.data, len(inner), keep, by)
    if level == "mean" and by != "zscore":
        left_out = fitting_mask(masks.scan, scan, "scan")
        mean = _mean_size(signal.data, len(inner), keep, by, left_out)
        record(mean=mean)
        found = found * np.float32(mean)
    return like(signal, found)


def _at_once(data: NDArray[Any], inner: int, keep: NDArray[np.intp] | None, by: str) -> Any:
    out = np.empty(data.shape, dtype=np.float32)
    lead = data.ndim - inner
    flat = out.reshape(-1, int(np.prod(data.shape[lead:])))
    rows = Rows(data if lead else data[np.newaxis], row_ndim=inner)

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> None:
        flat[where] = _scaled(block, keep, by)

    for _ in rows.map(one):
        pass
    return out


def _lazily(data: Any, inner: int, keep: NDArray[np.intp] | None, by: str) -> Any:
    axes = range(data.ndim - inner, data.ndim)
    whole = data.rechunk(dict.fromkeys(axes, -1))  # a row's figures need the whole row

    def one(block: NDArray[Any]) -> NDArray[Any]:
        size = int(np.prod(block.shape[block.ndim - inner :]))
        return _scaled(block.reshape(-1, size), keep, by).reshape(block.shape)

    return whole.map_blocks(one, dtype=np.float32, meta=np.empty((0,) * data.ndim, np.float32))


def _mean_size(
    data: Any,
    inner: int,
    keep: NDArray[np.intp] | None,
    by: str,
    left_out: NDArray[np.bool_],
) -> float:
    """Mean sum, maximum or norm of the positions that are left in."""
    if left_out.all():
        return 1.0
    rows = Rows(
        data if data.ndim > inner else data[np.newaxis],
        row_ndim=inner,
        mask=left_out if left_out.any() else None,
    )
    total = 0.0
    for _, part in rows.map(lambda block, _: float(_sizes(_counted(block, keep), by).sum())):
        total += part
    return total / len(rows)


def _counted(block: NDArray[Any], keep: NDArray[np.intp] | None) -> NDArray[np.float64]:
    return (block if keep is None else block[:, keep]).astype(np.float64)


def _sizes(counted: NDArray[np.float64], by: str) -> NDArray[np.float64]:
    size: NDArray[np.float64]
    if by == "sum":
        size = np.abs(counted).sum(axis=1)
    elif by == "max":
        size = np.abs(counted).max(axis=1)
    else:
        size = np.sqrt(np.einsum("ij,ij->i", counted, counted))
    return size


def _scaled(block: NDArray[Any], keep: NDArray[np.intp] | None, by: str) -> NDArray[np.float32]:
    """Scale rows (n, D); ``keep`` lists the values that set the scale."""
    x = block.astype(np.float64)
    counted = x if keep is None else x[:, keep]
    if by != "zscore":
        size = _sizes(counted, by)
    else:
        mean = counted.mean(axis=1)
        size = counted.std(axis=1)
        size[size <= 1e-12 * np.abs(mean)] = 0  # constant up to rounding
        x -= mean[:, np.newaxis]
        x[size == 0] = 0
    x *= np.divide(1, size, out=np.zeros(len(size)), where=size != 0)[:, np.newaxis]
    return x.astype(np.float32)
