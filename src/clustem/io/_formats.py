"""Open files so that passes over whole patterns are fast and need little memory."""

from __future__ import annotations

import contextlib
import zipfile
from functools import partial
from pathlib import Path
from struct import unpack_from
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError, like
from clustem.core.contents import Content, check_content, declared_size, load_signals
from clustem.io._events import lazily
from clustem.passes.chunks import OnDisk, scan_chunks
from clustem.passes.storage import stored

_HEAD = 0x14C  # of Bruker's files [bytes]
_LARGE = 2e9  # files beyond this are left on disk [bytes]
_DENSE = 1e9  # and compressed ones whose arrays are larger than this [bytes]
_EVENTS = {".pts"}  # lists of X-rays, which readers spread over all channels
_FEW = 16e6  # up to this a list takes less memory than the channels do [bytes]
_TAKE_CHUNKS = {".mib", ".dm3", ".dm4", ".mrc"}  # readers that can be told how to cut
_CACHE = 2**20  # of the chunks of each open HDF5 file, which a pass reads once [bytes]


def open_file(
    path: Path,
    *,
    lazy: bool | None,
    signal_axes: int | None = None,
    reader: str | None = None,
    content: Content | None = None,
    plain: bool = False,
) -> list[Any]:
    """Open all signals of a file.

    Parameters
    ----------
    path
        An existing file.
    lazy
        True leaves the data on disk, as dask arrays that travel to the workers of a cluster. Else
        blockfiles and ``.npy`` are mapped, which is as fast as memory and takes none; other
        formats are read if False, or if None and they are not beyond 2 GB, or 1 GB when unpacked.
        Lists of X-rays (JEOL's ``.pts``) of up to 16 MB stay sparse in memory unless it is False.
    signal_axes
        Number of signal axes of data that do not say: those of ``.npy`` and some ``.emd``. If None,
        two where there are four axes or more.
    reader
        Name of the reader in RosettaSciIO; None takes the only one that can open the file.
    content
        What a child process read from the file already.
    plain
        Whether signals need not be HyperSpy's, which take long to import.

    Returns
    -------
    :
        Signals; where they are lazy, no chunk cuts through a pattern.

    Raises
    ------
    InputError
        If a blockfile lacks patterns, or several readers can open the file. Readers raise errors
        of any kind on broken files.

    Notes
    -----
    RosettaSciIO's own chunks cut patterns into pieces: a pass over them takes twice as long.
    """
    suffix = path.suffix.lower()
    if suffix == ".blo" and reader is None:
        return [_blockfile(path, on_disk=bool(lazy))]
    if suffix == ".npy" and reader is None:
        return [_with_scan(_npy(path, on_disk=bool(lazy)), signal_axes)]
    events = holds_events(path, lazy=lazy)
    on_disk = events or left_on_disk(path, lazy=lazy)
    if content is not None:
        signals = load_signals(path, reader=reader, content=content, plain=plain, lazy=on_disk)
    else:
        signals, reader = _loaded(path, reader, plain=plain, lazy=on_disk)
    if events:
        return [_sparse(signal) for signal in signals]
    if content is not None:
        return signals
    if on_disk and suffix in _TAKE_CHUNKS and any(_cuts_patterns(s) for s in signals):
        ndim = max(s.data.ndim for s in signals)
        if all(s.data.ndim == ndim for s in signals):
            shape, dtype = signals[0].data.shape, signals[0].data.dtype
            chunks = scan_chunks(shape, dtype)
            signals, _ = _loaded(path, reader, plain=plain, lazy=True, chunks=chunks)
    return [_whole_patterns(_with_scan(signal, signal_axes)) for signal in signals]


def left_on_disk(path: Path, *, lazy: bool | None) -> bool:
    """Whether the data of a file are not read when it is opened."""
    if path.suffix.lower() == ".prz" and _packed(path):  # its reader maps what is not packed
        return False
    if lazy is not None:
        return lazy
    size = size_of(path)
    return size > _LARGE or declared_size(path) > max(_DENSE, 2 * size)


def _packed(path: Path) -> bool:
    """Whether the data in a zip file are compressed."""
    with contextlib.suppress(OSError, KeyError, zipfile.BadZipFile), zipfile.ZipFile(path) as file:
        return file.getinfo("data.npy").compress_type != zipfile.ZIP_STORED
    return False


def holds_events(path: Path, *, lazy: bool | None) -> bool:
    """Whether the data of a file are kept as the short list of X-rays that it holds."""
    return lazy is None and path.suffix.lower() in _EVENTS and size_of(path) <= _FEW


def readers_of(path: Path, reader: str | None) -> list[str]:
    """Names of the readers that may open a file; refuse one that was cut before any does."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix == "bcf":
        _check_container(path)
    if reader is not None:
        return [reader]
    return [plugin["name"] for plugin in _plugins() if suffix in plugin["file_extensions"]]


def _check_container(path: Path) -> None:
    """Refuse a file of Bruker's that was cut: its reader crashes, or fills in zeros.

    The container says how many chunks of which size follow its head of 280 bytes.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if len(head) < _HEAD or not head.startswith(b"AAMVHFSS"):
        return  # its reader will say so
    whole = 280 + unpack_from("<I", head, 0x128)[0] * unpack_from("<I", head, 0x148)[0]
    if path.stat().st_size < whole:
        raise InputError(
            f"{path.name} must be a whole file",
            got=f"{path.stat().st_size} of {whole} bytes",
            cure="Copy it again from the microscope.",
        )


def _loaded(path: Path, reader: str | None, **options: Any) -> tuple[list[Any], str | None]:
    """Load a file with a reader, or the only one that can open it; return signals and reader."""
    if path.suffix.lower() == ".hspy" and reader is None and options.get("lazy"):
        options["rdcc_nbytes"] = _CACHE
    if reader is not None:
        readers_of(path, reader)
        return load_signals(path, reader=reader, **options), reader
    names = readers_of(path, None)
    if len(names) < 2:
        return load_signals(path, **options), None
    check_content(path)  # what it says is not suppressed
    found: dict[str, list[Any]] = {}
    for name in names:
        with contextlib.suppress(Exception):  # readers raise anything on what is not theirs
            found[name] = load_signals(path, reader=name, **options)
    if len(found) == 1:
        return next(iter(found.values())), next(iter(found))
    raise InputError(
        f"{path.name} must be in a format that one reader can open",
        got=f"{', '.join(found)}, which all can" if found else f"none of {', '.join(names)} can",
        cure="Choose one with --reader NAME." if found else "Export it as .hspy.",
    )


def _plugins() -> list[dict[str, Any]]:
    from rsciio import IO_PLUGINS

    plugins: list[dict[str, Any]] = IO_PLUGINS
    return plugins


def _blockfile(path: Path, *, on_disk: bool) -> Any:
    (signal,) = load_signals(path, lazy=True)  # reads the header alone
    header = signal.original_metadata.blockfile_header
    shape, offset = signal.data.shape, int(header.Data_offset_2)
    frame = np.dtype([("head", "u1", 6), ("data", "u1", shape[2:])])
    there = max(0, path.stat().st_size - offset) // frame.itemsize
    if there < shape[0] * shape[1]:
        raise InputError(
            f"{path.name} must hold the {shape[0]} × {shape[1]} patterns that its header names",
            got=f"{there} of {shape[0] * shape[1]}",
            cure="Copy it again; or open it with HyperSpy, which fills in zeros, and pass the "
            "signal.",
        )
    open_array = partial(_frames, str(path), frame, offset, shape[:2])
    if on_disk:
        signal.data = OnDisk(open_array).lazily(_token(path))
    else:
        signal = like(signal, open_array())
    return signal.squeeze() if 1 in shape[:2] else signal


def _frames(path: str, frame: np.dtype[Any], offset: int, scan: tuple[int, ...]) -> NDArray[Any]:
    return np.memmap(path, dtype=frame, mode="r", offset=offset, shape=scan)["data"]


def _npy(path: Path, *, on_disk: bool) -> Any:
    import hyperspy.api as hs

    open_array = partial(np.lib.format.open_memmap, str(path), mode="r")  # refuses what is no .npy
    title = {"General": {"title": path.stem, "original_filename": path.name}}
    if on_disk:
        data = OnDisk(open_array).lazily(_token(path))
        return hs.signals.BaseSignal(data, metadata=title).as_lazy()
    return hs.signals.BaseSignal(open_array(), metadata=title)


def _with_scan(signal: Any, signal_axes: int | None) -> Any:
    """Tell scan from signal axes where a file did not."""
    ndim = signal.data.ndim
    wanted = signal_axes or (2 if ndim >= 4 else None)
    if signal.axes_manager.navigation_dimension or wanted is None or ndim <= wanted:
        return signal
    return signal.transpose(signal_axes=wanted)


def _sparse(signal: Any) -> Any:
    """Cut a list of events between spectra, which its reader does not."""
    signal.data = lazily(signal.data)
    return signal


def _whole_patterns(signal: Any) -> Any:
    if _cuts_patterns(signal):
        ndim, source = signal.data.ndim, stored(signal.data)
        signal.data = (
            signal.data.rechunk({ndim - 2: -1, ndim - 1: -1})
            if source is None
            else source.lazily(inner=2)
        )
    return signal


def _cuts_patterns(signal: Any) -> bool:
    if not hasattr(signal.data, "dask") or signal.axes_manager.signal_dimension != 2:
        return False
    return any(len(sizes) > 1 for sizes in signal.data.chunks[-2:])


def _token(path: Path) -> str:
    """Name of a file's content for dask: another file, or a changed one, is another array."""
    from dask.base import tokenize

    status = path.stat()
    return f"file-{tokenize(str(path.resolve()), status.st_mtime_ns, status.st_size)}"


def size_of(path: Path) -> int:
    """Return the size of a file, or of all in a folder [bytes]."""
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    return path.stat().st_size
