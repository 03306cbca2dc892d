"""Rows of numbers that know which scan positions they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.model.errors import InputError
from clustem.model.step import Step


@dataclass(frozen=True)
class Table:
    """What descriptors make and clustering reads: one row per scan position.

    Parameters
    ----------
    rows
        Array-like (n, D), possibly not in memory: an ndarray or a ``compute.Rows``.
    source
        The HyperSpy signal from which centers are computed afterwards.
    mask
        Boolean, shape of the scan in array order, True = excluded. ``n`` of its values are False.
    features
        Names of the D columns; empty when they are the channels or pixels of the source.
    history
        What was done so far.
    details
        What later figures need, by name (for example ``explained_variance_ratio``).

    Raises
    ------
    InputError
        If the number of rows is not the number of scan positions left in, or is zero.
    """

    rows: Any
    source: Any
    mask: NDArray[np.bool_]
    features: tuple[str, ...] = ()
    history: tuple[Step, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        left = int(self.mask.size - np.count_nonzero(self.mask))
        if not left:
            raise InputError(
                "At least one scan position must be left in",
                got=f"all {self.mask.size} excluded",
                cure="Loosen the mask or the region of interest.",
            )
        if left != self.rows.shape[0]:
            raise InputError(
                "A table needs one row per scan position that is left in",
                got=f"{self.rows.shape[0]} rows for {left} positions",
                cure="Pass the mask (True = excluded) that the rows were made with.",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the scan, in array order."""
        return self.mask.shape

    @property
    def positions(self) -> NDArray[np.intp]:
        """Flat index (n,) in the scan of each row."""
        return np.flatnonzero(~self.mask)

    def on_scan(self, values: NDArray[Any], *, fill: float) -> NDArray[Any]:
        """Lay one value per row out on the scan.

        Parameters
        ----------
        values
            Array (n, ...).
        fill
            Value of excluded positions.

        Returns
        -------
        :
            Array of the scan's shape, then the trailing shape of ``values``.
        """
        out = np.full((self.mask.size, *values.shape[1:]), fill, dtype=values.dtype)
        out[self.positions] = values
        return out.reshape(*self.shape, *values.shape[1:])

    def with_rows(
        self,
        rows: Any,
        *,
        features: tuple[str, ...] = (),
        details: Mapping[str, Any] | None = None,
    ) -> Table:
        """Return the table with other numbers for the same scan positions."""
        return replace(
            self, rows=rows, features=features, details={**self.details, **(details or {})}
        )
