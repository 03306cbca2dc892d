"""The counts of a scan as a sparse matrix, loaded in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, Segmentation, Signal
from clustem.core.memory import check_memory
from clustem.passes.rows import Rows
from clustem.passes.scaled_rows import ScaledRows
from clustem.passes.sparse import some_of, sparse
from clustem.passes.transform import RowTransform

Where = NDArray[np.intp]
_HELD, _HELD_PER_ROW = 40, 400
"""What a count that is not zero, and a position, take at most [bytes]."""
CSR = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class ScanCounts:
    """Counts of the positions that take part, in the channels that take part.

    Attributes
    ----------
    starts, channels, values
        Sparse rows (CSR): counts ``values`` (int32) at ``channels`` (int32), row i from
        ``starts[i]`` to ``starts[i + 1]``.
    number
        Number of the row of each position, int64 on a grid of two axes; -1 = excluded.
    kept
        Channels that take part: their places in the flat spectrum or pattern.
    inner
        Shape of one spectrum or pattern.
    """

    starts: NDArray[np.int64]
    channels: NDArray[np.int32]
    values: NDArray[np.int32]
    number: NDArray[np.int64]
    kept: Where
    inner: tuple[int, ...]

    @property
    def totals(self) -> NDArray[np.int64]:
        """Counts of each row, (n,)."""
        return self.totals_of(self.values)

    def totals_of(self, values: NDArray[np.int32]) -> NDArray[np.int64]:
        """Sum some of the counts of each row, (n,)."""
        found = np.zeros(len(self.starts) - 1, dtype=np.int64)
        _sum_rows(self.rows(values), found)
        return found

    def rows(self, values: NDArray[np.int32] | None = None) -> CSR:
        """Return the sparse rows, with other values if given, as kernels take them."""
        return self.starts, self.channels, self.values if values is None else values

    def pooled(self, values: NDArray[np.int32], rows: Where) -> NDArray[np.float64]:
        """Sum counts over some rows, (channels,)."""
        found = np.zeros(len(self.kept))
        _add(self.rows(values), rows, found)
        return found


@nb.njit(cache=True, nogil=True)
def _sum_rows(rows, found):  # type: ignore[no-untyped-def]
    starts, _, values = rows
    for i in range(len(found)):
        for at in range(starts[i], starts[i + 1]):
            found[i] += values[at]


@nb.njit(cache=True, nogil=True)
def _add(rows, chosen, found):  # type: ignore[no-untyped-def]
    starts, channels, values = rows
    for i in chosen:
        for at in range(starts[i], starts[i + 1]):
            found[channels[at]] += values[at]


def scan_counts(segmentation: Segmentation, source: Signal | None = None) -> ScanCounts:
    """Load the counts that a segmentation was made from.

    Parameters
    ----------
    segmentation
        Its source holds counts; its mask and signal mask say what takes part.
    source
        Raw signal, needed for a result loaded from disk.

    Raises
    ------
    InputError
        If there is no source, it is an image, the scan has more than two axes, or the values are
        no counts.
    """
    raw: Any = segmentation.source if source is None else source
    mask = segmentation.mask
    shape = segmentation.centers.data.shape[1:]
    if raw is None or raw.data.shape != mask.shape + shape:
        raise InputError(
            f"The raw signal of shape {mask.shape + shape} is needed",
            got="none" if raw is None else f"shape {raw.data.shape}",
            cure="Pass source=signal, cropped and binned as in the recipe.",
        )
    if mask.ndim > 2:
        raise InputError(
            "Residuals need a scan of one or two axes",
            got=f"{mask.ndim} axes",
            cure="Judge each map of the series for itself.",
        )
    inner = raw.data.shape[mask.ndim :]
    hidden = segmentation.signal_mask
    if hidden is None or np.shape(hidden) != inner:
        hidden = np.zeros(inner, dtype=bool)
    kept = np.flatnonzero(~np.asarray(hidden, dtype=bool).ravel())
    if kept.size < 2:
        raise InputError(
            "Residuals need a spectrum or pattern at each position",
            got=f"{kept.size} value" + "s" * (kept.size != 1),
            cure="Use a spectrum image or a 4D-STEM scan.",
        )
    rows = Rows(raw.data, row_ndim=len(inner), mask=mask if mask.any() else None)
    if hidden.any():
        rows = ScaledRows(rows, RowTransform(rows.shape[1], mask=hidden))
    some = some_of(rows)
    check_memory(
        (_HELD * some.nnz / some.shape[0] + _HELD_PER_ROW) * len(rows),
        "Residuals",
        cure="Bin the scan (prepare.rebin), or judge a part of it.",
    )
    found = sparse(rows)
    _require_counts(found.data)
    number = np.full(mask.shape, -1, dtype=np.int64)
    number[~mask] = np.arange(len(rows))
    return ScanCounts(
        found.indptr.astype(np.int64),
        found.indices.astype(np.int32, copy=False),
        found.data.astype(np.int32),
        np.atleast_2d(number),
        kept,
        inner,
    )


def _require_counts(values: NDArray[Any]) -> None:
    """Refuse values (m,), those that are not zero, that are no counts."""
    got = ""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        got = "NaN or infinite values"
    elif (values < 0).any():
        got = "negative values"
    elif not np.array_equal(values, np.rint(values)):
        got = f"other values ({values.dtype})"
    if got:
        raise InputError(
            "Residuals need counts: whole numbers of at least 0",
            got=got,
            cure="Start the recipe with prepare.counts, or use judge.scores for values that are "
            "no counts.",
        )
