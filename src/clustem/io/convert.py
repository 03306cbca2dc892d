"""Write a scan once into a format that is fast to read by blocks."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import numpy as np
from dask.callbacks import Callback

from clustem.core import OutputError, Scan, quiet, tick
from clustem.io.output_folder import check_output, whole_file
from clustem.io.reading import read
from clustem.passes.chunks import scan_chunks
from clustem.passes.storage import is_dask

FORMATS = (".zspy", ".hspy", ".npy")
"""Endings of what can be written."""
_SPARE = 2**26
"""Room that is left on the disk [bytes]."""
_CHUNK = 2**21
"""Size of what is compressed together [bytes]."""


def convert(
    source: str | Path,
    target: str | Path | None = None,
    *,
    reader: str | None = None,
    signal_axes: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> tuple[Path, Scan]:
    """Write the scan in a file into another format, block by block.

    Parameters
    ----------
    source
        Path of a file that HyperSpy reads.
    target
        File to write, which must not exist: ``.zspy`` (zarr, compressed, read in threads),
        ``.hspy`` (HDF5) or ``.npy`` (values alone, mapped: fastest). If None, beside the source as
        ``.zspy``.
    reader, signal_axes
        As for ``io.reading.read``.
    progress
        Called with a step and the share that is done, 0 ... 1.

    Returns
    -------
    :
        The path, and the scan that was written.

    Raises
    ------
    InputError
        If the source cannot be read.
    OutputError
        If the target exists, has another ending, cannot be written, or there is no room for it;
        nothing is left behind.

    Notes
    -----
    Formats that RosettaSciIO reads lazily never lie in memory as a whole. Patterns and spectra are
    not cut; a chunk is at most 2 MiB, as steps that look at some patterns read whole chunks. The
    context images of a scan are left out: such a file holds one signal.

    Examples
    --------
    >>> import tempfile
    >>> from clustem.samples import eds
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     eds(shape=(8, 9)).signal.save(f"{folder}/scan.hspy")
    ...     convert(f"{folder}/scan.hspy")[0].name
    'scan.zspy'
    """
    path = Path(source)
    wanted = path.with_suffix(FORMATS[0]) if target is None else Path(target)
    if wanted.suffix.lower() not in FORMATS:
        raise OutputError(
            f"The output must end in {', '.join(FORMATS[:-1])} or {FORMATS[-1]}",
            got=wanted.name,
            cure=f"Name it {wanted.stem}{FORMATS[0]}.",
        )
    if os.path.lexists(wanted):
        raise OutputError(
            "The output must not exist yet", got=wanted, cure="Choose another with -o."
        )
    place = check_output(wanted, force=False)
    lazy = None if path.suffix.lower() == ".pts" else True
    scan = read(path, lazy=lazy, reader=reader, signal_axes=signal_axes)
    with _ticks(progress), whole_file(place) as file:
        if wanted.suffix.lower() == ".npy":
            _write_npy(scan.signal, file)
        else:
            _write_signal(scan.signal, file)
    return place, scan


def _ticks(progress: Callable[[str, float], None] | None) -> Callback:
    """Report how many of dask's tasks are done, and let a cancel through."""
    done = 0

    def one(_key: Hashable, _result: object, _graph: object, state: Any, _worker: object) -> None:
        nonlocal done
        done += 1
        share = done / (done + sum(len(state[name]) for name in ("ready", "waiting", "running")))
        tick(share)
        if progress is not None:
            progress("converting", share)

    return Callback(posttask=one)


def _write_npy(signal: Any, file: Path) -> None:
    import dask.array as da

    data = signal.data
    free = shutil.disk_usage(file.parent).free
    if data.nbytes + _SPARE > free:
        raise OutputError(
            f"There must be room for {data.nbytes / 1e9:.2f} GB",
            got=f"{free / 1e9:.2f} GB",
            cure="Free some space, or write .zspy, which is compressed.",
        )
    out = np.lib.format.open_memmap(file, mode="w+", dtype=data.dtype, shape=data.shape)
    if is_dask(data):
        da.store(data, out, lock=False)
    else:
        out[...] = data
    out.flush()


def _write_signal(signal: Any, file: Path) -> None:
    inner = max(1, signal.axes_manager.signal_dimension)
    chunks = scan_chunks(signal.data.shape, signal.data.dtype, inner, most=_CHUNK)
    with quiet():  # RosettaSciIO names every part of a vendor's header that it cannot write
        signal.save(file, overwrite=True, chunks=chunks, show_progressbar=False)
