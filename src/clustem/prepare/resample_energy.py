"""Bring spectra to another energy axis, counts kept."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray
from scipy.sparse import csr_array

from clustem.core import InputError, Signal, axes_of, is_lazy, preparation, record
from clustem.core.random_state import RandomState, seed_of
from clustem.passes.chunks import lazily
from clustem.prepare._signal import require_numbers


@preparation(kind="geometry")
def resample_energy(
    signal: Signal,
    *,
    scale: Annotated[float, Gt(0)],
    offset: float,
    size: Annotated[int, Ge(1)],
    random_state: RandomState = 0,
) -> Signal:
    """Bring spectra to another energy axis; the counts of a channel go to those that it overlaps.

    Parameters
    ----------
    signal
        Spectra on a uniform axis, lazy or not.
    scale
        Width of a new channel [units of the axis].
    offset
        Energy of the new channel 0 [units of the axis].
    size
        Number of new channels.
    random_state
        Seed of where single counts go.

    Returns
    -------
    :
        Signal with the new axis, lazy if the input is. Integers stay integers.

    Raises
    ------
    InputError
        If the axis is not uniform, or shares nothing with the new one.

    Notes
    -----
    A channel that overlaps several new ones gives to each in proportion to the overlap. Whole
    numbers are taken for counts, and each count goes to one of them at random: what was Poisson
    distributed still is, and channels stay independent, which interpolation does not leave so.
    Other values are divided.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> scan = hs.signals.Signal1D(np.full((4, 5, 10), 100))
    >>> found = resample_energy(scan, scale=2.5, offset=0.75, size=4)
    >>> found.data.sum() == scan.data.sum(), bool(abs(found.data.mean() - 250) < 5)
    (np.True_, True)
    """
    require_numbers(signal, "Resampling")
    manager = signal.axes_manager
    if manager.signal_dimension != 1 or not manager.signal_axes[0].is_uniform:
        raise InputError(
            "Resampling needs spectra with a uniform energy axis",
            got=f"{manager.signal_dimension} signal axes"
            if manager.signal_dimension != 1
            else "an axis that is not uniform",
            cure="Interpolate it first: signal.interpolate_on_axis(...).",
        )
    old = manager.signal_axes[0]
    shares = _overlaps(float(old.scale), float(old.offset), int(old.size), scale, offset, size)
    if not shares.nnz:
        raise InputError(
            "The old and the new energy axis must overlap",
            got=f"{old.axis[0]:.5g} to {old.axis[-1]:.5g} and "
            f"{offset:.5g} to {offset + scale * (size - 1):.5g}",
            cure="Check the calibration, or leave this map out.",
        )
    lost = int((np.asarray(shares.sum(axis=1)) < 0.5).sum())
    record(
        f"{old.size} channels of {old.scale:.6g} from {old.offset:.5g} to "
        f"{size} of {scale:.6g} from {offset:.5g} {old.units}, {lost} beyond them left out"
    )
    data = _resampled(signal.data, shares, seed_of(random_state), wider=scale > old.scale)
    return _with_axis(signal, data, scale=scale, offset=offset)


def _with_axis(signal: Signal, data: Any, *, scale: float, offset: float) -> Signal:
    axes = axes_of(signal)
    axes[-1] |= {"size": data.shape[-1], "scale": scale, "offset": offset}
    metadata = signal.metadata.as_dictionary()
    metadata.get("Signal", {}).pop("Noise_properties", None)
    make: Any = type(signal)
    made: Signal = make(data, axes=axes, metadata=metadata)
    return made.as_lazy() if hasattr(data, "dask") and not is_lazy(made) else made  # type: ignore[attr-defined]


def _overlaps(
    old_scale: float, old_offset: float, old_size: int, scale: float, offset: float, size: int
) -> csr_array:
    """Share (old_size, size) of each old channel that lies in each new one."""
    edges = (old_offset + old_scale * (np.arange(old_size + 1) - 0.5) - offset) / scale + 0.5
    low, high = np.minimum(edges[:-1], edges[1:]), np.maximum(edges[:-1], edges[1:])
    first = np.floor(low + 1e-9).astype(int)  # rounding makes no new neighbour
    most = int(np.ceil(high - 1e-9).astype(int).max(initial=0) - first.min(initial=0))
    most = min(most, int(np.ceil(abs(old_scale) / scale)) + 1)
    columns = first[:, None] + np.arange(most)
    inside = np.minimum(high[:, None], columns + 1) - np.maximum(low[:, None], columns)
    kept = (inside > 1e-9) & (columns >= 0) & (columns < size)
    rows = np.broadcast_to(np.arange(old_size)[:, None], columns.shape)
    shares = (inside / (high - low)[:, None])[kept]
    return csr_array((shares, (rows[kept], columns[kept])), shape=(old_size, size))


def _resampled(data: Any, shares: csr_array, seed: int, *, wider: bool) -> Any:
    """Resample spectra along the last axis, in memory or block by block."""
    whole = data.dtype.kind in "biu"
    dtype = _dtype(data.dtype, wider=wider)

    def one(block: NDArray[Any], where: Any = None) -> NDArray[Any]:
        first = 0 if where is None else int(where[0]["array-location"][0][0])
        out = np.empty((*block.shape[:-1], shares.shape[1]), dtype=dtype)
        for i, line in enumerate(block):  # however the scan is cut, a line has its own numbers
            flat = line.reshape(-1, block.shape[-1])
            random = np.random.default_rng([seed, first + i])
            found = _thrown(flat, shares, random) if whole else flat @ shares
            out[i] = found.reshape(out[i].shape)
        return out

    if isinstance(data, np.memmap):
        data = lazily(data, inner=1)
    if isinstance(data, np.ndarray):
        return one(data) if data.ndim > 1 else one(data[None])[0]
    data = data.rechunk(dict.fromkeys(range(1, data.ndim), -1))
    chunks = (*data.chunks[:-1], (shares.shape[1],))

    def piece(block: NDArray[Any], block_info: Any = None) -> NDArray[Any]:
        return one(block, block_info)

    return data.map_blocks(piece, dtype=dtype, chunks=chunks)


def _thrown(block: NDArray[Any], shares: csr_array, random: np.random.Generator) -> NDArray[Any]:
    """Send each count of each spectrum to one of the channels that its own overlaps."""
    if shares.nnz == len(np.unique(shares.indices)) and (shares.data > 1 - 1e-6).all():
        moved = np.zeros((len(block), shares.shape[1]), dtype=block.dtype)  # whole channels
        moved[:, shares.indices] = block[:, np.diff(shares.indptr) > 0]
        return moved
    rows, channels = np.nonzero(block)
    left = block[rows, channels].astype(np.int64)
    rest = np.ones(len(left))  # share of the old channel that is not dealt with yet
    out = np.zeros(len(block) * shares.shape[1])
    starts, ends = shares.indptr[:-1][channels], shares.indptr[1:][channels]
    for i in range(int((shares.indptr[1:] - shares.indptr[:-1]).max(initial=0))):
        at = starts + i
        more = (at < ends) & (left > 0)
        rows, left, rest, at = rows[more], left[more], rest[more], at[more]
        starts, ends = starts[more], ends[more]
        share = shares.data[at]
        chance = np.clip(share / rest, 0, 1)
        chance[chance > 1 - 1e-6] = 1.0
        given = left.copy()
        some = chance < 1
        given[some] = random.binomial(left[some], chance[some])
        out += np.bincount(
            rows * shares.shape[1] + shares.indices[at], weights=given, minlength=len(out)
        )
        left, rest = left - given, rest - share
    return out.reshape(len(block), shares.shape[1])


def _dtype(dtype: np.dtype[Any], *, wider: bool) -> np.dtype[Any]:
    """Integers that hold sums of some channels; floats for others."""
    if dtype.kind == "f":
        return dtype
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(f"{dtype.kind}{min(2 * dtype.itemsize, 8)}") if wider else dtype
