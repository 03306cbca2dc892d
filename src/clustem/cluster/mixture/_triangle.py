"""Symmetric matrices by their lower triangle: summed, factored and solved by all threads.

Decision 15 has what LAPACK's packed format costs instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.cluster.mixture._workers import Workers

F64 = NDArray[np.float64]
PANEL = 128
"""Rows of a panel."""


_BLOCK = 2**21
"""Values of a block of rows, where rows are long."""
_IN_CACHE = 2**17
"""Values that are looked at again while they are in the processor's cache."""


def blocks(shape: tuple[int, ...]) -> list[slice]:
    """Cut rows (n, D) into blocks of about the same number of rows."""
    n, D = shape
    most = max(PANEL, (_BLOCK if D > PANEL else _BLOCK // 8) // D)
    step = max(1, -(-n // max(1, -(-n // most))))
    return [slice(i, min(i + step, n)) for i in range(0, n, step)]


def in_cache(shape: tuple[int, ...]) -> list[slice]:
    """Cut rows (n, D) into pieces that stay in the processor's cache."""
    n, D = shape
    step = max(16, _IN_CACHE // D)
    return [slice(i, i + step) for i in range(0, n, step)]


def spans(size: int) -> list[tuple[int, int]]:
    """First and last row of each panel of a matrix (size, size)."""
    return [(first, min(first + PANEL, size)) for first in range(0, size, PANEL)]


@dataclass(frozen=True)
class Lower:
    """The lower triangle of a matrix (D, D), in half its memory.

    Parameters
    ----------
    panels
        Rows ``first`` to ``last`` of the matrix up to column ``last``: (last - first, last).
    """

    panels: list[NDArray[Any]]

    @classmethod
    def zeros(cls, size: int) -> Lower:
        """Return a float64 matrix (size, size) of zeros."""
        return cls([np.zeros((last - first, last)) for first, last in spans(size)])

    @classmethod
    def of(cls, matrix: NDArray[Any]) -> Lower:
        """Take the lower triangle of a symmetric matrix (D, D)."""
        return cls([matrix[a:b, :b].astype(np.float64) for a, b in spans(len(matrix))])

    @property
    def size(self) -> int:
        """Number of rows D."""
        return int(self.panels[-1].shape[1])

    def diagonal(self) -> F64:
        """Return the diagonal (D,), a copy."""
        return np.concatenate(
            [panel[:, -len(panel) :].diagonal() for panel in self.panels], dtype=np.float64
        )

    def add_diagonal(self, value: float) -> None:
        """Add a number to all of the diagonal."""
        for panel in self.panels:
            np.einsum("ii->i", panel[:, -len(panel) :])[...] += value

    def add(self, other: Lower, factor: float = 1.0) -> None:
        """Add ``factor`` times another matrix."""
        for panel, more in zip(self.panels, other.panels, strict=True):
            np.add(panel, factor * more, out=panel)

    def scale(self, factor: float) -> None:
        """Multiply by a number."""
        for panel in self.panels:
            np.multiply(panel, factor, out=panel)

    def add_products(
        self, pool: Workers, n_rows: int, fill: Callable[[slice, NDArray[Any]], None], kind: Any
    ) -> None:
        """Add ``rows.T @ rows``: the product of a block in the rows' precision, sums in float64.

        Parameters
        ----------
        pool
            Threads.
        n_rows
            Number of rows.
        fill
            ``fill(part, out)`` writes some of the rows into an array (m, D); called by all threads.
        kind
            Number type of the rows.
        """
        parts = blocks((n_rows, self.size))
        if len(self.panels) == 1:

            def product(part: slice) -> NDArray[Any]:
                rows = np.empty((part.stop - part.start, self.size), dtype=kind)
                fill(part, rows)
                square: NDArray[Any] = rows.T @ rows
                return square

            for _, square in pool.map(product, parts):
                self.panels[0] += square
            return
        buffer = np.empty((parts[0].stop if parts else 0, self.size), dtype=kind)
        for part in parts:
            rows = buffer[: part.stop - part.start]
            _fill(pool, part, rows, fill)
            self._add_block(pool, rows)

    def _add_block(self, pool: Workers, rows: NDArray[Any]) -> None:
        def one(panel: NDArray[Any]) -> None:
            last = panel.shape[1]
            panel += rows[:, last - len(panel) : last].T @ rows[:, :last]

        pool.run(one, self.panels[::-1])  # the longest first

    def dense(self) -> F64:
        """Return the matrix (D, D), zero above its diagonal blocks."""
        out = np.zeros((self.size, self.size))
        for (first, last), panel in zip(spans(self.size), self.panels, strict=True):
            out[first:last, :last] = panel
        return out

    def factor(self, pool: Workers, kind: Any) -> tuple[Triangle, float]:
        """Return the Cholesky factor in a number type, and the logarithm of the determinant.

        The matrix is used up. It takes D³ / 3 multiplications, in float64.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the matrix is not positive definite.
        """
        inverses, log_det = [], 0.0
        for i, row in enumerate(self.panels):
            last = row.shape[1]
            first = last - len(row)
            done, block = row[:, :first], row[:, first:]
            block -= done @ done.T
            block[...] = np.linalg.cholesky(block)
            log_det += 2 * float(np.log(block.diagonal()).sum())
            inverses.append(_inverse(block))

            def one(
                panel: NDArray[Any],
                done: F64 = done,
                inverse: F64 = inverses[-1],
                where: slice = slice(first, last),
            ) -> None:
                part = panel[:, where] - panel[:, : where.start] @ done.T
                np.matmul(part, inverse.T, out=panel[:, where])

            pool.run(one, self.panels[:i:-1])
        if not np.isfinite(log_det):
            raise np.linalg.LinAlgError
        panels = [panel.astype(kind) for panel in self.panels]
        return Triangle(panels, [inverse.astype(kind) for inverse in inverses]), log_det


@dataclass(frozen=True)
class Triangle(Lower):
    """A lower triangular matrix L that can be solved.

    Parameters
    ----------
    panels
        As in ``Lower``.
    inverses
        Inverses of the blocks on the diagonal.
    """

    inverses: list[NDArray[Any]]

    def solve(self, rows: NDArray[Any]) -> None:
        """Replace each row v of a matrix (n, D) by the solution z of ``L @ z = v``."""
        for i in range(len(self.panels)):
            self.solve_panel(rows, i)

    def solve_panel(self, rows: NDArray[Any], i: int) -> NDArray[Any]:
        """Solve for the coordinates of panel i, those before it being solved; return a view."""
        panel = self.panels[i]
        last = panel.shape[1]
        first = last - len(panel)
        part = rows[:, first:last]
        if first:
            part -= rows[:, :first] @ panel[:, :first].T
        part[...] = part @ self.inverses[i].T
        return part

    def times(self, rows: F64) -> F64:
        """Return ``L @ v`` for each row v of a matrix (n, D)."""
        return np.concatenate(
            [rows[:, : panel.shape[1]] @ panel.T for panel in self.panels], axis=1, dtype=np.float64
        )


def _inverse(lower: F64) -> F64:
    from scipy.linalg.lapack import dtrtri

    inverse, failed = dtrtri(lower, lower=1)
    if failed:
        raise np.linalg.LinAlgError
    return np.asarray(inverse, order="C")


def _fill(
    pool: Workers, part: slice, rows: NDArray[Any], fill: Callable[[slice, NDArray[Any]], None]
) -> None:
    def one(first: int) -> None:
        last = min(first + 2 * PANEL, len(rows))
        fill(slice(part.start + first, part.start + last), rows[first:last])

    pool.run(one, range(0, len(rows), 2 * PANEL))
