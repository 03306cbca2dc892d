"""Passes over rows that several fits share: each says what it needs, all of them read once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from copy import copy
from functools import partial
from typing import Any, NamedTuple, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from clustem.passes.block_sums import BlockSums, Joinable
from clustem.passes.rows import Rows

T = TypeVar("T")
Where = NDArray[np.intp]
Work = Callable[[NDArray[Any], Where], BlockSums]


class Pass(NamedTuple):
    """A pass that a fit asks for.

    Parameters
    ----------
    work
        Called with a block of rows (m, D) and their numbers (m,), in threads or on workers.
    take
        Called with these numbers and what the work returned, block by block.
    subset
        Sorted numbers of the rows to read; all if None.
    """

    work: Work
    take: Callable[[Where, BlockSums], None]
    subset: Where | None = None


Steps = Generator[Pass, None, T]
"""A fit that stops where it needs a pass, and goes on when the pass is done."""


def together(rows: Rows, fits: Sequence[Steps[T]], *, threads: int | None = None) -> list[T]:
    """Bring fits to their end; passes that they ask for at the same time are one.

    Parameters
    ----------
    rows
        What is read.
    fits
        What to run.
    threads
        Number of threads; one per usable core if None.

    Returns
    -------
    :
        What each fit returns.
    """
    ends: dict[int, T] = {}
    asked: dict[int, Pass] = {}
    running: Sequence[int] = range(len(fits))
    while True:
        for i in running:
            try:
                asked[i] = next(fits[i])
            except StopIteration as end:
                asked.pop(i, None)
                ends[i] = end.value
        if not asked:
            return [ends[i] for i in range(len(fits))]
        _read(rows, list(asked.values()), threads)
        running = list(asked)


def _read(rows: Rows, passes: list[Pass], threads: int | None) -> None:
    """Read the rows that any of the passes wants."""
    subset = passes[0].subset
    work: Callable[[NDArray[Any], Where], Any] = passes[0].work
    if len(passes) > 1:
        wanted = [_flags(each.subset, len(rows)) for each in passes]
        parts = [flags for flags in wanted if flags is not None]
        every = len(parts) < len(passes)
        subset = None if every else np.flatnonzero(np.logical_or.reduce(parts))
        work = partial(_each, [each.work for each in passes], wanted)
    for where, found in rows.map(work, subset=subset, threads=threads):
        if len(passes) == 1:
            passes[0].take(where, found)
            continue
        for each, part in zip(passes, found.parts, strict=True):
            if part is not None:
                each.take(np.concatenate(part[0]), part[1])


def _flags(subset: Where | None, n: int) -> NDArray[np.bool_] | None:
    if subset is None:
        return None
    flags = np.zeros(n, dtype=bool)
    flags[subset] = True
    return flags


class _Each(Joinable):
    """What each of several passes finds in a block: numbers of its rows, and what comes of them."""

    def __init__(self, parts: list[tuple[list[Where], BlockSums] | None]) -> None:
        self.parts = parts

    def join(self, other: Self) -> None:
        """Take in what comes of the next rows."""
        for i, (own, new) in enumerate(zip(self.parts, other.parts, strict=True)):
            if own is None:
                self.parts[i] = new
            elif new is not None:
                own[0].extend(new[0])
                own[1].join(new[1])

    def split(self) -> tuple[Self, Self]:
        """Return the sums of each pass, and what it found of each row."""
        sums, rows = copy(self), copy(self)
        sums.parts, rows.parts = [], []
        for part in self.parts:
            if part is not None:
                own, found = part[1].split()
                sums.parts.append(([part[0][0][:0]], own))
                rows.parts.append((part[0], found))
            else:
                sums.parts.append(None)
                rows.parts.append(None)
        return sums, rows


def _each(
    works: list[Work], wanted: list[NDArray[np.bool_] | None], block: NDArray[Any], where: Where
) -> _Each:
    """Do the work of each pass on those of a block's rows that it wants."""
    found = _Each([])
    for work, flags in zip(works, wanted, strict=True):
        here = None if flags is None else flags[where]
        if here is None or here.all():
            found.parts.append(([where], work(block, where)))
        elif here.any():
            found.parts.append(([where[here]], work(block[here], where[here])))
        else:
            found.parts.append(None)
    return found
