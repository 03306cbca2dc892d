"""Copies of a scan with fewer counts, as if the dose had been smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model import InputError, Table


def thinned(
    table: Table,
    describe: Callable[[Any], Table] | None,
    share: float,
    random: np.random.Generator,
) -> tuple[Table, Table]:
    """Make two tables of thinned counts.

    Parameters
    ----------
    table
        The table of all counts.
    describe
        Makes a table of a signal. If None, the rows are the counts.
    share
        Share of the counts in each copy; a half splits them: no count is in both.
    random
        Source of chance.

    Raises
    ------
    InputError
        If there are no counts: whole numbers of at least 0, in memory.
    """
    if describe is None:
        return tuple(
            table.with_rows(part, features=table.features)
            for part in _parts(_counts(table.rows, "rows"), share, random)
        )  # type: ignore[return-value]
    source = table.source
    copies = []
    for part in _parts(_counts(getattr(source, "data", None), "source"), share, random):
        signal = source._deepcopy_with_new_data(part)
        copies.append(describe(signal))
    for copy in copies:
        if copy.shape != table.shape:
            raise InputError(
                f"describe must return a table of the scan's shape {table.shape}",
                got=f"{copy.shape}",
                cure="Describe the signal as for the table itself, crop and binning left out.",
            )
    return copies[0], copies[1]


def _counts(data: Any, what: str) -> NDArray[Any]:
    in_memory = isinstance(data, np.ndarray)
    whole = in_memory and (
        data.dtype.kind in "bu"
        or (data.size and not (data < 0).any() and np.array_equal(data, np.rint(data)))
    )
    if not whole:
        raise InputError(
            f"Thinning needs counts: a {what} of whole numbers of at least 0, in memory",
            got="no array in memory" if not in_memory else f"other values ({data.dtype})",
            cure="Use the raw counts (signal.compute() if it is lazy), and pass describe, which "
            "makes the table of a signal.",
        )
    return np.asarray(data)


def _parts(
    counts: NDArray[Any], share: float, random: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Thin counts twice; by a half, the second copy is what the first one left."""
    first = _kept(counts, share, random)
    if share == 0.5:
        return first, (counts - first).astype(counts.dtype)
    return first, _kept(counts, share, random)


def _kept(counts: NDArray[Any], share: float, random: np.random.Generator) -> NDArray[Any]:
    flat = counts.ravel()
    there = np.flatnonzero(flat)  # most channels of most pixels hold nothing
    out = np.zeros_like(flat)
    out[there] = random.binomial(flat[there].astype(np.int64), share)
    return out.reshape(counts.shape)
