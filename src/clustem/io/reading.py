"""From a file, or anything that holds a scan, to the signal that a recipe wants."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Any

from clustem.core import InputError, Scan, like, quiet, title_of, type_of
from clustem.io._formats import open_file
from clustem.io.libertem import PREFIX, is_libertem, open_libertem, signal_of
from clustem.io.trial import try_out
from clustem.passes.storage import loaded

_LOG = logging.getLogger(__name__)
_LOOKED = 4e9  # of a scan, in search of a value [bytes]


def read(
    source: Any,
    *,
    kind: str = "",
    lazy: bool | None = None,
    signal_axes: int | None = None,
    reader: str | None = None,
    plain: bool = False,
) -> Scan:
    """Open a scan.

    Parameters
    ----------
    source
        Path of a file, a HyperSpy signal, a dataset of LiberTEM, or a :class:`Scan`.
    kind
        Start of the signal type to pick among several in a file, for example ``"EDS"``; any if
        empty.
    lazy
        Whether to leave the data on disk; if None, files beyond 2 GB are.
    signal_axes
        Number of signal axes, for formats that do not say (``.npy``).
    reader
        Name of the reader in RosettaSciIO, for types of files that several can open, or of one of
        LiberTEM: see :func:`~clustem.io.libertem.open_libertem`.
    plain
        Whether the signals of a file may be of plain values (:class:`~clustem.core.PlainSignal`);
        else they are HyperSpy's, which take two seconds to import.

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
    >>> import numpy as np
    >>> read(hs.signals.Signal1D(np.ones((2, 3, 4)))).signal.data.shape
    (2, 3, 4)
    """
    if isinstance(source, Scan):
        return source
    if hasattr(source, "axes_manager"):
        return Scan.of(_with_plain_text(_of_kind([source], kind, "the signal")))
    if is_libertem(source):
        return Scan.of(_of_kind([signal_of(source)], kind, "the dataset"))
    if not isinstance(source, str | Path):
        raise InputError(
            "A scan must be a path or a HyperSpy signal",
            got=type(source).__name__,
            cure="Wrap an array: hyperspy.api.signals.Signal1D(array).",
        )
    path = Path(source).expanduser()
    signals = _load(path, lazy=lazy, signal_axes=signal_axes, reader=reader, plain=plain)
    chosen = _of_kind(signals, kind, path.name)
    scan_shape = chosen.data.shape[: chosen.axes_manager.navigation_dimension]
    context = tuple(s for s in signals if s is not chosen and s.data.shape == scan_shape)
    _check_values(chosen, path.name)
    plain = _with_plain_text(chosen)
    return Scan.of(plain, context=tuple(map(_with_plain_text, context)), path=path)


def read_each(
    source: str | Path, *, lazy: bool | None = None, reader: str | None = None
) -> dict[str, Scan]:
    """Open all signals of a file that share their positions.

    Parameters
    ----------
    source
        Path of the file.
    lazy, reader
        As for :func:`read`.

    Returns
    -------
    :
        Scans by name: ``eds``, ``eels``, ``patterns``, ``spectra``, or the title of an image.
        Images that are larger or smaller than the scan are no signals of it.

    Raises
    ------
    InputError
        As :func:`read`, or if there are not two of them.
    """
    path = Path(source).expanduser()
    signals = _load(path, lazy=lazy, signal_axes=None, reader=reader, plain=False)
    largest = max(signals, key=lambda s: s.data.size)
    scan = largest.data.shape[: largest.axes_manager.navigation_dimension]
    found: dict[str, Scan] = {}
    for signal in signals:
        if not scan or signal.data.shape[: len(scan)] != scan:
            continue
        kind = type_of(signal).split("_")[0].lower()
        plain = {1: "spectra", 2: "patterns"}.get(signal.data.ndim - len(scan), "image")
        title = re.sub(r"[^A-Za-z0-9]+", "_", title_of(signal)).strip("_").lower()
        name = kind or (title or plain if plain == "image" else plain)
        numbered = name
        while numbered in found:
            numbered = f"{name}_{sum(known.startswith(name) for known in found) + 1}"
        found[numbered] = Scan.of(_with_plain_text(signal), path=path)
    if len(found) < 2:
        raise InputError(
            f"{path.name} must hold several signals of one scan",
            got=", ".join(found) or "none",
            cure="Name the files of the others: clustem run eds=map.bcf haadf=image.tif -r joint.",
        )
    return found


def _load(
    path: Path, *, lazy: bool | None, signal_axes: int | None, reader: str | None, plain: bool
) -> list[Any]:
    if _plain(str(path)) != str(path):
        raise InputError(
            "The input must have a name in UTF-8", got=ascii(str(path)), cure="Rename it."
        )
    if not os.path.exists(path):  # noqa: PTH110  # false for a name that is too long
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
    if reader is not None and reader.partition(":")[0] == PREFIX:
        return [open_libertem(path, reader)]

    options: dict[str, Any] = {"lazy": lazy, "reader": reader}
    try:
        content = try_out(path, **options)
        with quiet():  # what matters of what the readers say is checked below
            return open_file(path, signal_axes=signal_axes, content=content, plain=plain, **options)
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


def _check_values(signal: Any, name: str) -> None:
    """Refuse a scan of zeros: a reader's answer to a file that was cut.

    One slab after another is read until a value differs: of real data, the first. After 4 GB of
    zeros the search ends.
    """
    data = signal.data
    if data.ndim < 2 or data.dtype.kind not in "biuf":
        return
    rows = data.chunks[0] if hasattr(data, "dask") else (1,) * len(data)
    for n, last in zip(rows, accumulate(rows), strict=True):
        if last * data[:1].nbytes > _LOOKED or loaded(data[last - n : last]).any():
            return
    raise InputError(
        f"{name} must hold values", got="zeros only", cure="Copy it again from the microscope."
    )


def _with_plain_text(signal: Any) -> Any:
    """Return a signal without characters in its texts that no file can hold: NUL, half letters."""
    texts = dict(_texts(signal.metadata.as_dictionary()))
    broken = {path: _plain(text) for path, text in texts.items() if _plain(text) != text}
    names = [(a.name, a.units) for a in signal.axes_manager._axes]
    if not broken and all(_plain(str(text)) == str(text) for pair in names for text in pair):
        return signal
    out = like(signal, signal.data, copy_variance=True)  # the given one stays as it is
    for path, text in broken.items():
        out.metadata.set_item(path, text)
    for axis in out.axes_manager._axes:
        for key in ("name", "units"):
            if isinstance(text := getattr(axis, key), str):
                setattr(axis, key, _plain(text))
    return out


def _texts(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for key, value in tree.items():
        if isinstance(value, str):
            yield f"{above}{key}", value
        elif isinstance(value, Mapping):
            yield from _texts(value, f"{above}{key}.")


def _plain(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _of_kind(signals: list[Any], kind: str, where: str) -> Any:
    """Pick the largest signal of the wanted kind."""
    fitting = [s for s in signals if type_of(s).startswith(kind)]
    if not fitting:
        kinds = sorted({type_of(s) or "untyped" for s in signals})
        raise InputError(
            f"There must be a signal of type {kind} in {where}",
            got=", ".join(kinds),
            cure="Choose the recipe that fits (clustem info FILE), or signal.set_signal_type(...).",
        )
    return max(fitting, key=lambda s: s.data.size)
