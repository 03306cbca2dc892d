"""A scan: signals that share their positions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clustem.core.signal import Signal, is_lazy, scan_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WHOLE = 2**30  # files up to this size are hashed whole [bytes]
_PIECE = 2**20
_PIECES = 256


@dataclass(frozen=True, eq=False)
class Scan:
    """A signal to work on, and other signals of the same positions.

    Parameters
    ----------
    signal
        What is described, and what centers are computed from.
    mask
        Boolean, shape of the scan in array order, True = excluded. Make a scan with :meth:`of`
        where nothing is.
    context
        Other images of the same positions.
    path
        File that it was read from, None for a signal in memory.
    """

    signal: Signal
    mask: NDArray[np.bool_]
    context: tuple[Signal, ...] = ()
    path: Path | None = None

    @classmethod
    def of(cls, signal: Any, *, context: tuple[Signal, ...] = (), path: Path | None = None) -> Scan:
        """Make a scan of which nothing is excluded.

        Parameters
        ----------
        signal
            Spectra or patterns on a scan; of an image, its pixels are the positions.
        context
            Other images of the same positions.
        path
            File that it was read from.
        """
        shape = scan_shape(signal) or tuple(int(size) for size in signal.data.shape[:2])
        return cls(signal, np.zeros(shape, dtype=bool), context, path)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the scan in array order."""
        return self.mask.shape

    @property
    def positions(self) -> NDArray[np.intp]:
        """Flat index (n,) in the scan of each position that takes part."""
        return np.flatnonzero(~self.mask)

    def with_signal(self, signal: Any) -> Scan:
        """Return the scan with another main signal of the same positions."""
        return replace(self, signal=signal)

    @cached_property
    def digest(self) -> str:
        """Hash of the input, so that a result can be traced to it.

        Files beyond 1 GiB are hashed by their size and 256 pieces of 1 MiB, evenly spaced.
        """
        if self.path is not None and self.path.is_file():
            return _file_digest(self.path)
        if is_lazy(self.signal):
            return "lazy"
        data = np.ascontiguousarray(self.signal.data)
        return "sha256:" + hashlib.sha256(data.view(np.uint8).data).hexdigest()


def _file_digest(path: Path) -> str:
    size = path.stat().st_size
    digest = hashlib.sha256()
    with path.open("rb") as file:
        if size <= _WHOLE:
            while piece := file.read(_PIECE):
                digest.update(piece)
            return "sha256:" + digest.hexdigest()
        digest.update(str(size).encode())
        for i in range(_PIECES):
            file.seek(i * (size - _PIECE) // (_PIECES - 1))
            digest.update(file.read(_PIECE))
    return "sha256-sampled:" + digest.hexdigest()
