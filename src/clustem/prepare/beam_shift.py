"""Descan correction: bring the direct beam of every pattern to the same pixel."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt
from numpy.typing import NDArray

from clustem.core import NO_MASKS, InputError, Masks, Signal, like, preparation, record
from clustem.core.masks import fitting_mask
from clustem.passes.chunks import lazily
from clustem.passes.rows import Rows
from clustem.passes.storage import release
from clustem.physics.beam import Beam, beam_of
from clustem.prepare._patterns import require_patterns

F64 = NDArray[np.float64]
_ROUNDS = 4
_OUTLIER = 4.0


@preparation(kind="geometry")
def beam_shift(
    signal: Signal,
    *,
    window: Annotated[float, Gt(0)] | None = None,
    fit: Literal["none", "plane"] = "none",
    order: Literal[0, 1] = 0,
    masks: Masks = NO_MASKS,
) -> Signal:
    """Shift every pattern so that its direct beam falls on the same pixel.

    Parameters
    ----------
    signal
        Scan of patterns (scan | row, column), lazy or not.
    window
        Half width of the square in which the beam is looked for, around where it is on average
        [px]; twice the radius of its disc, and 4 pixels, if None.
    fit
        ``"plane"`` replaces the positions found by a plane through them, which is what descan
        errors mostly are; ``"none"`` takes them as they are.
    order
        0 shifts by whole pixels and keeps counts and dtype; 1 interpolates linearly, float32.
    masks
        Of the signal: boolean, shape of a pattern, True = pixels not to be trusted when the beam is
        looked for.

    Returns
    -------
    :
        Signal of the same shape, its detector axes 0 at the beam. What comes in from outside
        the detector is 0. Lazy if the input is lazy or a mapped file: patterns are shifted anew
        whenever they are read, and the scan is never in memory.

    Raises
    ------
    InputError
        If it is not a scan of patterns or no beam stands out in their mean.

    Notes
    -----
    The beam of each pattern is the center of mass of its disc over the local background, found in
    four rounds with a circle that follows it: one pass over the scan. Pixels move with the
    pattern, so masks of detector pixels belong after this step, in a recipe too.

    Examples
    --------
    >>> from clustem.samples import diffraction
    >>> scan = diffraction(shape=(8, 10), descan=6.0).signal
    >>> straight = beam_shift(scan)
    >>> straight.data.dtype.name, round(float(straight.axes_manager["kx"].offset), 3)
    ('uint8', -1.031)
    """
    scan = require_patterns(signal, "A descan correction")
    if fit == "plane" and min(scan) < 2:
        raise InputError(
            "A plane needs a scan of at least 2 positions along each axis",
            got=" × ".join(str(size) for size in scan),
            cure="Use fit='none'.",
        )
    shape = signal.data.shape[-2:]
    beam = beam_of(Rows(signal.data, row_ndim=2), mask=masks.signal)
    ignored = fitting_mask(masks.signal, shape, "signal")
    found = _positions(signal, beam, window, ignored).reshape(*scan, 2)
    if fit == "plane":
        found = _plane(found)
    target = np.rint(np.median(found.reshape(-1, 2), axis=0))
    moves = target - found
    if order == 0:
        moves = np.rint(moves)
    out = like(signal, _shifted(signal.data, moves, whole=order == 0))
    record(beam_radius=float(beam.radius), largest_move=float(np.abs(moves).max()))
    for axis, at in zip(out.axes_manager.signal_axes[::-1], target, strict=True):
        axis.offset = -at * axis.scale
    return out


def _positions(signal: Any, beam: Beam, window: float | None, ignored: NDArray[np.bool_]) -> F64:
    """Find the beam (row, column) of each pattern, (n, 2)."""
    rows = Rows(signal.data, row_ndim=2)
    reach = 2 * beam.radius + 4 if window is None else window
    spans = tuple(
        slice(max(0, int(at - reach)), min(size, int(at + reach) + 2))
        for at, size in zip(beam.center, rows.row_shape, strict=True)
    )
    look = partial(_centers, rows.row_shape, spans, ~ignored[spans], beam)
    out = np.empty((len(rows), 2))
    for where, centers in rows.map(look):
        out[where] = centers
    return out


def _centers(
    shape: tuple[int, ...],
    spans: tuple[slice, ...],
    trusted: NDArray[np.bool_],
    beam: Beam,
    block: NDArray[Any],
    _: NDArray[np.intp],
) -> F64:
    x = block.reshape(-1, *shape)[:, *spans].astype(np.float32)
    x = np.nan_to_num(x, posinf=0, neginf=0)
    background = np.median(x[:, ::2, ::2], axis=(1, 2), keepdims=True)
    x = np.maximum(x - background, 0) * trusted
    grids = [np.arange(span.start, span.stop, dtype=np.float64) for span in spans]
    center = np.tile(beam.center, (len(x), 1))
    for radius in (np.inf, *np.geomspace(2, 1, _ROUNDS - 1) * beam.radius):
        down, right = ((grid - center[:, i, None]) ** 2 for i, grid in enumerate(grids))
        near = x * (down[:, :, None] + right[:, None, :] <= radius**2)
        sums = near.sum(axis=2, dtype=np.float64), near.sum(axis=1, dtype=np.float64)
        total = sums[0].sum(axis=1)
        seen = total > 0
        for i, grid in enumerate(grids):
            center[seen, i] = sums[i][seen] @ grid / total[seen]
    return center


def _plane(found: F64) -> F64:
    """Fit a plane to positions (scan, 2), outliers left out."""
    scan = found.shape[:-1]
    grids = [grid.ravel() for grid in np.indices(scan)]
    matrix = np.stack([np.ones(grids[0].size), *grids], axis=1)
    values = found.reshape(-1, 2)
    keep = np.ones(len(values), dtype=bool)
    for _ in range(3):
        plane, *_rest = np.linalg.lstsq(matrix[keep], values[keep])
        off = np.hypot(*(values - matrix @ plane).T)
        keep = off <= _OUTLIER * np.median(off) + 1e-9
    return (matrix @ plane).reshape(found.shape)


def _shifted(data: Any, moves: F64, *, whole: bool) -> Any:
    dtype = data.dtype if whole else np.dtype(np.float32)
    if isinstance(data, np.ndarray) and not isinstance(data, np.memmap):
        out = np.empty(data.shape, dtype=dtype)
        flat, shifts = out.reshape(-1, *data.shape[-2:]), moves.reshape(-1, 2)

        def one(block: NDArray[Any], where: NDArray[np.intp]) -> None:
            flat[where] = _moved(block.reshape(len(where), *data.shape[-2:]), shifts[where], dtype)

        for _ in Rows(data, row_ndim=2).map(one):
            pass
        return out
    return _lazily(data, moves, dtype)


def _lazily(data: Any, moves: F64, dtype: np.dtype[Any]) -> Any:
    import dask.array as da

    if isinstance(data, np.ndarray):
        data = lazily(data)
    data = data.rechunk({data.ndim - 2: -1, data.ndim - 1: -1})
    chunks = (*data.chunks[:-2], (1,), (1,))
    steps = [da.from_array(moves[..., i, None, None], chunks=chunks) for i in (0, 1)]

    def one(block: NDArray[Any], down: F64, right: F64) -> NDArray[Any]:
        moves = np.stack([down.ravel(), right.ravel()], axis=1)
        flat = block.reshape(-1, *block.shape[-2:])
        out = _moved(flat, moves, dtype).reshape(block.shape)
        release(block)
        return out

    meta = np.empty((0,) * data.ndim, dtype=dtype)
    return da.map_blocks(one, data, *steps, dtype=dtype, meta=meta)


def _moved(patterns: NDArray[Any], moves: F64, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Move patterns (m, rows, columns) by (m, 2) [px], zeros coming in."""
    out = np.zeros(patterns.shape, dtype=dtype)
    for pattern, move, target in zip(patterns, moves, out, strict=True):
        first = np.floor(move).astype(int)
        part = move - first
        for step in np.ndindex(2, 2):
            weight = float(np.prod(np.where(step, part, 1 - part)))
            if weight:
                to, source = _overlap(first + step, pattern.shape)
                target[to] += (
                    pattern[source] if weight == 1 else dtype.type(weight) * pattern[source]
                )
    return out


def _overlap(
    move: NDArray[np.intp], shape: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a pattern moved by whole pixels lands, and where that comes from."""
    to = tuple(
        slice(max(0, m), max(0, size + min(0, m))) for m, size in zip(move, shape, strict=True)
    )
    source = tuple(
        slice(max(0, -m), max(0, size - max(0, m))) for m, size in zip(move, shape, strict=True)
    )
    return to, source
