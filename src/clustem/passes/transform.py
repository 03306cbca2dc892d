"""What is done to each row on the fly: columns left out, one scale and shift per row."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numba as nb
import numpy as np
from numpy.typing import ArrayLike, NDArray

from clustem.core import InputError

Normalize = Literal["l2", "l1", "max", "zscore"]
CHUNK = 1024
"""Columns that kernels work on at a time: with their centers they stay in the core's cache."""

FASTMATH = {"reassoc", "contract", "nsz"}
_HOW = {None: 0, "l2": 1, "l1": 2, "max": 3, "zscore": 4}
_SHOWN = 5


class Layout(NamedTuple):
    """Runs of kept columns, cut so that none crosses a multiple of ``CHUNK`` kept columns.

    ``ptr[c]:ptr[c+1]`` are the runs of chunk c; run s copies ``length[s]`` columns
    from ``source[s]`` of the full row to ``target[s]`` of the compact one.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]
    length: NDArray[np.int64]
    ptr: NDArray[np.int64]


class RowTransform:
    """Leave columns out and bring every row to one scale: ``x -> scale * x + shift``.

    Parameters
    ----------
    n_features
        Number of columns D of a full row.
    normalize
        What each row is divided by, over the columns that are left in: ``"l2"`` its Euclidean
        norm, ``"l1"`` the sum of its absolute values, ``"max"`` the largest of them;
        ``"zscore"`` subtracts the row's mean and divides by its standard deviation, so that
        patterns that differ only in background and brightness are alike. None: as it is.
    mask
        Boolean, one value per column in any shape, True = excluded. Excluded values
        are never read: they may be NaN.

    Raises
    ------
    InputError
        If the mask does not fit or leaves no column.

    Notes
    -----
    A row that cannot be scaled (all zero, or constant under ``"zscore"``) becomes zero.

    Examples
    --------
    >>> import numpy as np
    >>> transform = RowTransform(3, normalize="l2", mask=np.array([False, True, False]))
    >>> transform.apply(np.array([[3, 99, 4], [0, 7, 0]], np.uint8))
    array([[0.6, 0. , 0.8],
           [0. , 0. , 0. ]])
    """

    def __init__(
        self,
        n_features: int,
        *,
        normalize: Normalize | None = None,
        mask: ArrayLike | None = None,
    ) -> None:
        if normalize not in _HOW:
            raise InputError(
                "normalize must be 'l2', 'l1', 'max', 'zscore' or none",
                got=repr(normalize),
                cure="Leave it out to take the rows as they are.",
            )
        self.n_features, self.normalize = n_features, normalize
        self.mask = None if mask is None else _checked_mask(np.asarray(mask), n_features)
        self.layout = _layout(self.mask, n_features)
        self.n_kept = int(self.layout.length.sum())

    @property
    def left_out(self) -> NDArray[np.intp]:
        """Numbers of the columns that are excluded."""
        return np.empty(0, dtype=np.intp) if self.mask is None else np.flatnonzero(self.mask)

    def same_as(self, other: RowTransform) -> bool:
        """Whether both do the same to a row."""
        one, two = (t.mask if t.mask is not None else np.zeros(0, bool) for t in (self, other))
        alike = (self.n_features, self.normalize) == (other.n_features, other.normalize)
        return alike and np.array_equal(one, two)

    def scales(
        self, block: NDArray[Any], where: NDArray[np.intp] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return scale and shift of each row.

        Parameters
        ----------
        block
            Array (rows, D) as :func:`plain` returns it.
        where
            Numbers of the rows, for the message.

        Raises
        ------
        InputError
            If a value that is left in is NaN or infinite.
        """
        scale, shift = np.ones(len(block)), np.zeros(len(block))
        integer = block.dtype.kind == "u"
        if integer and self.normalize is None:
            return scale, shift
        finite = np.ones(len(block), dtype=bool)
        row_scales(block, self.layout, _HOW[self.normalize], integer, scale, shift, finite)
        if not finite.all():
            bad = np.flatnonzero(~finite) if where is None else where[~finite]
            raise InputError(
                "All values must be finite numbers",
                got=f"NaN or infinity in {_listed(bad)}",
                cure="Exclude those rows or columns with a mask, or fill them in.",
            )
        return scale, shift

    def apply(self, block: NDArray[Any]) -> NDArray[np.float64]:
        """Return the transformed rows (rows, D); excluded columns are zero."""
        plain_block = plain(block)
        scale, shift = self.scales(plain_block)
        out: NDArray[np.float64] = np.multiply(plain_block, scale[:, None], dtype=np.float64)
        out += shift[:, None]
        if self.mask is not None:
            out[:, self.mask] = 0.0
        return out

    def compact(self, full: NDArray[Any]) -> NDArray[Any]:
        """Return only the kept columns of (..., D); a view where they lie together."""
        if self.mask is None:
            return full
        places = np.flatnonzero(~self.mask)
        if places[-1] - places[0] == len(places) - 1:
            return full[..., places[0] : places[-1] + 1]
        return full[..., places]

    def expand(self, compact: NDArray[Any]) -> NDArray[Any]:
        """Return (rows, D) from kept columns only; excluded columns are zero."""
        if self.mask is None:
            return compact
        out = np.zeros((len(compact), self.n_features), dtype=compact.dtype)
        out[:, ~self.mask] = compact
        return out


def plain(block: NDArray[Any]) -> NDArray[Any]:
    """Return a block as one of the few types that the kernels are compiled for.

    uint8, uint16, float32 and float64 in native byte order, C order, stay as they are; what is
    small goes to float32 and what is large to float64, both without loss up to 53 bits.
    """
    dtype = block.dtype
    if dtype == np.bool_:
        block = block.view(np.uint8)
    elif dtype.kind == "u" and dtype.itemsize <= 2:
        block = block.astype(dtype.newbyteorder("="), copy=False)
    elif dtype.itemsize <= 2 or (dtype.kind == "f" and dtype.itemsize == 4):
        block = block.astype(np.float32, copy=False)
    else:
        block = block.astype(np.float64, copy=False)
    return np.ascontiguousarray(block)


@nb.njit(nogil=True, cache=True, fastmath=FASTMATH)
def row_scales(block, layout, how, integer, scale, shift, finite):  # type: ignore[no-untyped-def]  # one branch per way to normalise; numba knows no keyword-only arguments
    """Fill scale and shift of each row, and whether all its kept values are finite."""
    for i in range(block.shape[0]):
        total, squares, absolute, largest, zero, count = 0.0, 0.0, 0.0, 0.0, 0.0, 0
        for s in range(len(layout.source)):
            row = block[i, layout.source[s] : layout.source[s] + layout.length[s]]
            count += len(row)
            if not integer:
                for x in row:
                    zero += np.float64(x) * 0.0  # NaN if x is not finite
            if how == 1:
                for x in row:
                    squares += np.float64(x) * np.float64(x)
            elif how == 2:
                for x in row:
                    absolute += abs(np.float64(x))
            elif how == 4:
                for x in row:
                    total += np.float64(x)
            if how in (1, 3) and (how == 3 or not 1e-280 < squares < 1e280):
                for x in row:
                    largest = max(largest, abs(np.float64(x)))
        finite[i] = zero == 0.0
        mean = total / count if finite[i] else 0.0
        if how == 4 or (how == 1 and largest > 0.0):
            # Second sweep: centered, or scaled so that squares neither overflow nor vanish.
            unit = 1.0 / largest if how == 1 else 1.0
            squares = 0.0
            for s in range(len(layout.source)):
                for x in block[i, layout.source[s] : layout.source[s] + layout.length[s]]:
                    squares += ((np.float64(x) - mean) * unit) ** 2
            if how == 1:
                squares = np.sqrt(squares) * largest
                squares = squares if squares > 1e-300 else 0.0
                scale[i] = 1.0 / squares if squares > 0.0 else 0.0
                continue
        if how == 1:
            scale[i] = 1.0 / np.sqrt(squares) if squares > 0.0 else 0.0
        elif how == 2:
            scale[i] = 1.0 / absolute if absolute > 1e-300 else 0.0
        elif how == 3:
            scale[i] = 1.0 / largest if largest > 1e-300 else 0.0
        elif how == 4:
            deviation = np.sqrt(squares / count)
            # A constant row keeps some rounding of its mean: that is not contrast.
            level = deviation > 1e-12 * abs(mean) and deviation > 1e-150
            scale[i] = 1.0 / deviation if level else 0.0
            shift[i] = -mean * scale[i]


def _layout(mask: NDArray[np.bool_] | None, n_features: int) -> Layout:
    kept = np.ones(n_features, bool) if mask is None else ~mask
    edges = np.flatnonzero(np.diff(kept.astype(np.int8), prepend=0, append=0))
    starts, stops = edges[::2], edges[1::2]
    begins = np.cumsum(stops - starts) - (stops - starts)  # in the compact row
    total = int((stops - starts).sum())
    chunks = np.arange(0, total, CHUNK)
    target = np.union1d(begins, chunks).astype(np.int64)
    run = np.searchsorted(begins, target, side="right") - 1
    ptr = np.append(np.searchsorted(target, chunks), len(target)).astype(np.int64)
    length = np.diff(target, append=total).astype(np.int64)
    return Layout((starts[run] + target - begins[run]).astype(np.int64), target, length, ptr)


def _checked_mask(mask: NDArray[Any], n_features: int) -> NDArray[np.bool_]:
    if mask.dtype != np.bool_ or mask.size != n_features:
        raise InputError(
            f"The signal mask must be boolean with {n_features} values (True = excluded)",
            got=f"{mask.dtype} of shape {mask.shape}",
            cure="Give it the shape of one row: of one spectrum or pattern.",
        )
    if mask.all():
        raise InputError(
            "The signal mask must leave at least one value in",
            got=f"all {n_features} excluded",
            cure="True means excluded: invert the mask, or make it smaller.",
        )
    return mask.ravel()


def _listed(rows: NDArray[np.intp]) -> str:
    shown = ", ".join(str(int(row)) for row in rows[:_SHOWN])
    more = ", ..." if len(rows) > _SHOWN else ""
    return f"row {shown}" if len(rows) == 1 else f"at least {len(rows)} rows ({shown}{more})"
