"""Sum neighbouring pixels and channels."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from clustem.core import InputError, Signal, is_lazy, like, preparation, scan_shape
from clustem.prepare._signal import require_numbers

Factor = Annotated[int, Ge(1)]


@preparation(kind="geometry")
def rebin(
    signal: Signal,
    *,
    scan: Factor | tuple[Factor, Factor] = 1,
    channels: Factor | tuple[Factor, Factor] = 1,
) -> Signal:
    """Sum blocks of scan positions, channels or pattern pixels; counts stay counts.

    Parameters
    ----------
    signal
        Scan or image, lazy or not.
    scan
        Number of rows and columns that become one, or one number for both.
    channels
        Number of channels that become one; for patterns and images of their rows and columns.

    Returns
    -------
    :
        Smaller signal with its axes rescaled, lazy if the input is. Integers stay integers, wide
        enough for the sums. What does not fill a last block is left out.

    Raises
    ------
    InputError
        If a block is larger than its axis, or a factor is given for axes that are not there.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = hs.signals.Signal1D(np.full((4, 7, 10), 200, dtype=np.uint8))
    >>> small = rebin(scan, scan=(2, 3), channels=5)
    >>> small.data.shape, small.data.dtype, int(small.data[0, 0, 0])
    ((2, 2, 2), dtype('uint16'), 6000)
    """
    require_numbers(signal, "Rebinning")
    inner = signal.data.ndim - len(scan_shape(signal))
    factors = (
        *_factors("scan", scan, signal.data.ndim - inner),
        *_factors("channels", channels, inner),
    )
    sizes = signal.data.shape
    if any(factor > size for factor, size in zip(factors, sizes, strict=True)):
        raise InputError(
            "Blocks must be no larger than the signal",
            got=f"blocks of {factors} for the shape {sizes}",
            cure="Use smaller factors.",
        )
    if set(factors) == {1}:
        return signal.deepcopy()
    whole = _in_whole_blocks(signal, factors)
    dtype = _wide_enough(signal.data.dtype, int(np.prod(factors)))
    found: Signal = whole.rebin(scale=_as_hyperspy(signal, factors), dtype=dtype)
    return found


def _factors(name: str, given: int | tuple[int, int], ndim: int) -> tuple[int, ...]:
    if isinstance(given, int):
        return (given,) * ndim
    if ndim != len(given):
        raise InputError(
            f"{name} must be one number for {ndim} axes" if ndim != 2 else f"{name} must be two",
            got=given,
            cure="Give a single number.",
        )
    return given


def _in_whole_blocks(signal: Any, factors: tuple[int, ...]) -> Any:
    """Cut off what fills no block, and join chunks so that no block lies in two."""
    keep = [
        size // factor * factor for size, factor in zip(signal.data.shape, factors, strict=True)
    ]
    ndim = len(scan_shape(signal))
    scan, inner = (tuple(slice(size) for size in part[::-1]) for part in (keep[:ndim], keep[ndim:]))
    cut = like(signal, signal.data, copy_variance=True)  # see there
    cut = cut.inav[scan] if scan else cut.isig[inner]
    cut = cut.isig[inner] if scan and inner else cut
    if is_lazy(cut):
        chunks = {
            axis: tuple(np.diff([0, *_rounded(np.cumsum(sizes), factor, sum(sizes))]).tolist())
            for axis, (sizes, factor) in enumerate(zip(cut.data.chunks, factors, strict=True))
        }
        cut.data = cut.data.rechunk(chunks)
    return cut


def _rounded(ends: Any, factor: int, last: int) -> list[int]:
    """Round the ends of chunks to whole blocks; drop those that become empty."""
    rounded = np.unique(np.append(ends // factor * factor, last))
    return [int(end) for end in rounded if end]


def _wide_enough(dtype: np.dtype[Any], pixels: int) -> np.dtype[Any]:
    """Narrowest dtype of the same kind that holds any sum of so many values."""
    if dtype.kind == "f":
        return dtype if dtype.itemsize >= 4 else np.dtype(np.float32)  # bytes
    largest = 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)
    prefix = "int" if dtype.kind == "i" else "uint"
    for bits in (8, 16, 32):
        if largest * pixels <= np.iinfo(f"{prefix}{bits}").max:
            return np.dtype(f"{prefix}{bits}")
    return np.dtype(f"{prefix}64")


def _as_hyperspy(signal: Any, factors: tuple[int, ...]) -> tuple[int, ...]:
    """Put factors in array order into HyperSpy's order of axes: x first, then the signal's."""
    ndim = len(scan_shape(signal))
    return (*factors[:ndim][::-1], *factors[ndim:][::-1])
