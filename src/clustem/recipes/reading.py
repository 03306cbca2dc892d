"""From a file, or anything that holds a scan, to the signal that a recipe wants."""

from __future__ import annotations

import hashlib
import logging
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clustem._quiet import quiet
from clustem.model import InputError
from clustem.recipes._formats import open_file

_LOG = logging.getLogger(__name__)
_WHOLE = 2**30  # files up to this size are hashed whole [bytes]
_PIECE = 2**20
_PIECES = 256


@dataclass(frozen=True)
class Scan:
    """A signal to work on, and what came with it.

    Parameters
    ----------
    signal
        HyperSpy signal.
    context
        Other images of the same file, of the scan's shape.
    path
        Where it was read from, None for a signal in memory.
    """

    signal: Any
    context: tuple[Any, ...] = ()
    path: Path | None = None

    @cached_property
    def digest(self) -> str:
        """Hash of the input, so that a result can be traced to it.

        Files beyond 1 GiB are hashed by their size and 256 pieces of 1 MiB, evenly spaced.
        """
        if self.path is not None and self.path.is_file():
            return _file_digest(self.path)
        if getattr(self.signal, "_lazy", False):
            return "lazy"
        data = np.ascontiguousarray(self.signal.data)
        return "sha256:" + hashlib.sha256(data.view(np.uint8).data).hexdigest()


def read(
    source: Any, *, kind: str = "", lazy: bool | None = None, signal_axes: int | None = None
) -> Scan:
    """Open a scan with HyperSpy.

    Parameters
    ----------
    source
        Path of a file, a HyperSpy signal, or a :class:`Scan`.
    kind
        Start of the signal type to pick among several in a file, for example ``"EDS"``; any if
        empty.
    lazy
        Whether to leave the data on disk; if None, files beyond 2 GB are.
    signal_axes
        Number of signal axes, for formats that do not say (``.npy``).

    Returns
    -------
    :
        The signal and its context images.

    Raises
    ------
    InputError
        If the file is missing, broken or not a scan of this kind.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> read(hs.signals.Signal1D(np.ones((2, 3, 4)))).signal.data.shape
    (2, 3, 4)
    """
    if isinstance(source, Scan):
        return source
    if hasattr(source, "axes_manager"):
        return Scan(_of_kind([source], kind, "the signal"))
    if not isinstance(source, str | Path):
        raise InputError(
            "A scan must be a path or a HyperSpy signal",
            got=type(source).__name__,
            cure="Wrap an array: hyperspy.api.signals.Signal1D(array).",
        )
    path = Path(source).expanduser()
    signals = _load(path, lazy, signal_axes)
    chosen = _of_kind(signals, kind, path.name)
    scan_shape = chosen.data.shape[: chosen.axes_manager.navigation_dimension]
    context = tuple(s for s in signals if s is not chosen and s.data.shape == scan_shape)
    return Scan(chosen, context, path)


def _load(path: Path, lazy: bool | None, signal_axes: int | None) -> list[Any]:  # noqa: FBT001  # private
    if not path.exists():
        raise InputError("The input must exist", got=path, cure="Check the path.")
    if path.is_dir() and path.suffix != ".zspy":
        raise InputError(
            "The input must be a file", got=f"a directory, {path}", cure="Name a file."
        )
    size = path.stat().st_size
    if size == 0:
        raise InputError(
            "The input must hold data", got=f"an empty file, {path}", cure="Copy it again."
        )
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")  # of the readers; what matters is checked below
            return open_file(path, lazy, signal_axes=signal_axes)
    except InputError:
        raise
    except PermissionError:
        raise InputError(
            "The input must be readable",
            got=f"no permission for {path}",
            cure="Change its permissions.",
        ) from None
    except MemoryError:
        raise InputError(
            "The input must fit in memory", got=f"{size / 1e9:.1f} GB", cure="Open it with --lazy."
        ) from None
    except Exception as error:  # noqa: BLE001  # readers raise anything on a broken file
        _LOG.debug("reading %s failed", path, exc_info=True)
        reason = str(error).strip().partition("\n")[0][:120] or type(error).__name__
        raise InputError(
            f"{path.name} must be a whole file in a format that HyperSpy reads",
            got=reason.rstrip("."),
            cure="Copy it again from the microscope, or export it as .hspy.",
        ) from None


def _of_kind(signals: list[Any], kind: str, where: str) -> Any:
    """Pick the largest signal of the wanted kind."""
    fitting = [
        s for s in signals if str(s.metadata.get_item("Signal.signal_type", "")).startswith(kind)
    ]
    if not fitting:
        kinds = sorted(
            {s.metadata.get_item("Signal.signal_type", "") or "untyped" for s in signals}
        )
        raise InputError(
            f"There must be a signal of type {kind} in {where}",
            got=", ".join(kinds),
            cure="Choose the recipe that fits (clustem info FILE), or signal.set_signal_type(...).",
        )
    return max(fitting, key=lambda s: s.data.size)


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
