"""Rows of numbers that know which scan positions they belong to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from clustem.core.about import Info
from clustem.core.errors import InputError
from clustem.core.scan import Scan
from clustem.core.signal import Signal

if TYPE_CHECKING:
    from numpy.typing import NDArray

K = TypeVar("K", bound=Info)


@dataclass(frozen=True, eq=False)
class Features:
    """What descriptors make and clustering reads: one row per scan position.

    Parameters
    ----------
    rows
        Array-like (n, D), possibly not in memory: an ndarray or ``passes.Rows``.
    names
        Names of the D columns; empty when they are the channels or pixels of the source.
    scans
        The scans that the rows come from, one after the other: the n positions that their masks
        leave in. Usually one; none where rows belong to no scan.
    about
        What the steps that made the features know about them.

    Raises
    ------
    InputError
        If the number of rows is not the number of scan positions left in, or is zero.
    """

    rows: Any
    names: tuple[str, ...] = ()
    scans: tuple[Scan, ...] = ()
    about: Info | None = None

    def __post_init__(self) -> None:
        if not self.scans:
            return
        left = sum(int(scan.mask.size - np.count_nonzero(scan.mask)) for scan in self.scans)
        if not left:
            raise InputError(
                "At least one scan position must be left in",
                got=f"all {sum(scan.mask.size for scan in self.scans)} excluded",
                cure="Loosen the mask or the region of interest.",
            )
        if left != self.rows.shape[0]:
            raise InputError(
                "Features need one row per scan position that is left in",
                got=f"{self.rows.shape[0]} rows for {left} positions",
                cure="Pass the mask (True = excluded) that the rows were made with.",
            )

    @classmethod
    def of_scan(
        cls,
        rows: Any,
        signal: Any,
        mask: NDArray[np.bool_],
        *,
        names: tuple[str, ...] = (),
        about: Info | None = None,
    ) -> Features:
        """Make the features of one scan.

        Parameters
        ----------
        rows
            As for the class.
        signal
            The signal from which centers are computed afterwards.
        mask
            Boolean, shape of the scan in array order, True = excluded.
        names, about
            As for the class.
        """
        return cls(rows, names, (Scan(signal, mask),), about)

    @classmethod
    def of(cls, given: Any) -> Features:
        """Take features as they are, and an array (n, D) as rows that belong to no scan."""
        if isinstance(given, cls):
            return given
        return cls(given if hasattr(given, "shape") else np.asarray(given))

    @property
    def scan(self) -> Scan:
        """The only scan.

        Raises
        ------
        InputError
            If there is none, or are several.
        """
        if len(self.scans) != 1:
            raise InputError(
                "This needs the features of one scan",
                got=f"those of {len(self.scans)}",
                cure="Describe a scan, for example with clustem.describe.spectra(signal).",
            )
        return self.scans[0]

    @property
    def source(self) -> Signal:
        """The signal from which centers are computed afterwards."""
        return self.scan.signal

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Boolean, shape of the scan in array order, True = excluded."""
        return self.scan.mask

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the scan, in array order."""
        return self.scan.shape

    @property
    def positions(self) -> NDArray[np.intp]:
        """Flat index (n,) in the scan of each row."""
        return self.scan.positions

    def find(self, kind: type[K]) -> K | None:
        """Return what a kind of step knows about the features; None if there was no such step."""
        return None if self.about is None else self.about.find(kind)

    def on_scan(self, values: NDArray[Any], *, fill: float, scan: int = 0) -> NDArray[Any]:
        """Lay one value per row out on a scan.

        Parameters
        ----------
        values
            Array (n, ...).
        fill
            Value of excluded positions.
        scan
            Which of the scans.

        Returns
        -------
        :
            Array of the scan's shape, then the trailing shape of ``values``.
        """
        place = self.scans[scan]
        first = sum(len(before.positions) for before in self.scans[:scan])
        positions = place.positions
        out = np.full((place.mask.size, *values.shape[1:]), fill, dtype=values.dtype)
        out[positions] = values[first : first + len(positions)]
        return out.reshape(*place.shape, *values.shape[1:])

    def with_rows(
        self, rows: Any, *, names: tuple[str, ...] = (), about: Info | None = None
    ) -> Features:
        """Return the features with other numbers for the same scan positions.

        Parameters
        ----------
        rows, names
            As for the class.
        about
            What the step knows about them; what was known before is kept.
        """
        known = self.about if about is None else about.after(self.about)
        return replace(self, rows=rows, names=names, about=known)

    def with_source(self, signal: Any) -> Features:
        """Return the features of the one scan with another signal to compute centers from."""
        return replace(self, scans=(self.scan.with_signal(signal),))
