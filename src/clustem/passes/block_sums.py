"""What a block of rows adds to sums by label, and how neighbouring blocks are added up."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


class Joinable:
    """What comes of a block of rows and can take in what comes of the next ones."""

    def join(self, other: Self) -> None:
        """Take in what comes of the next rows."""
        raise NotImplementedError

    def split(self) -> tuple[Self, Self]:
        """Return the sums, and what was found of each row. The first can take in the second."""
        raise NotImplementedError


class BlockSums(Joinable):
    """Sums of a block's rows by label, and what was found of each row.

    Parameters
    ----------
    labels
        Labels that occur in the block, each once (t,).
    sums
        Arrays (t, D): for each label a sum over its rows.
    rows
        Arrays (m, ...) with something for each row of the block.

    Notes
    -----
    :meth:`~clustem.passes.rows.Rows.map` joins those of neighbouring blocks, on the worker that
    read them, and hands over one for about every 1/32 of the rows. Sums of all rows come with the
    last: they are added in the same order wherever a pass runs, and travel once.

    Examples
    --------
    >>> one = BlockSums(np.array([3, 5]), np.array([[1.0], [2.0]]), rows=[np.array([3, 5])])
    >>> one.join(BlockSums(np.array([5]), np.array([[4.0]]), rows=[np.array([5])]))
    >>> total = np.zeros((6, 1))
    >>> one.add_to(total)
    >>> total.ravel().tolist(), one.rows[0].tolist()
    ([0.0, 0.0, 0.0, 1.0, 0.0, 6.0], [3, 5, 5])
    """

    def __init__(
        self,
        labels: NDArray[np.integer[Any]],
        *sums: NDArray[Any],
        rows: Sequence[Any] = (),
    ) -> None:
        self._sums = {
            label: [each[i].astype(np.float64, copy=False) for each in sums]
            for i, label in enumerate(labels.tolist())
        }
        self._rows = [[each] for each in rows]

    @property
    def rows(self) -> list[NDArray[Any]]:
        """What was found of each row."""
        return [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in self._rows]

    def join(self, other: Self) -> None:
        """Add what comes of the next rows."""
        for label, more in other._sums.items():
            own = self._sums.setdefault(label, more)
            if own is not more:
                for total, part in zip(own, more, strict=True):
                    np.add(total, part, out=total)
        for parts, new in zip(self._rows, other._rows, strict=True):
            parts.extend(new)

    def split(self) -> tuple[Self, Self]:
        """Return the sums, and what was found of each row."""
        sums, rows = copy(self), copy(self)
        rows._sums = {}
        sums._rows = [[parts[0][:0]] for parts in self._rows]
        return sums, rows

    def less(self, other: Self) -> Self:
        """Return these sums without others of the same rows."""
        for parts in other._sums.values():
            for part in parts:
                np.negative(part, out=part)
        self.join(other)
        return self

    def beside(self, other: Self) -> Self:
        """Return these sums and others, of the same labels and rows, as one."""
        for label, parts in other._sums.items():
            self._sums[label] += parts
        self._rows += other._rows
        return self

    def add_to(self, *totals: NDArray[np.float64]) -> None:
        """Add the sums to rows of arrays (labels, D)."""
        for label, parts in self._sums.items():
            for total, part in zip(totals, parts, strict=True):
                total[label] += part
