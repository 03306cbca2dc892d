"""What may be in a file: nothing that runs when it is read, and no more than it has room for."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

from clustem.core.errors import InputError, UnknownNameError
from clustem.core.plain_signal import PlainSignal
from clustem.core.quiet import quiet

_ABOUT = {".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"}
"""Parts of a zarr store that say what the others are."""
_MOST = 2**26  # of such a part, so that a small zip file cannot fill the memory [bytes]
_FORMULA = re.compile(r"(^|_)expression$")  # HyperSpy's readers take prefixes such as _bs_ off
_SMALL = 2**29  # what is no larger may be declared by any file [bytes]
_RATIO = 2000  # no codec in use packs zeros more tightly than 1 : 1032
_EVALUATE = {"netCDF"}  # readers that evaluate text in the file

_IS_FORMULA = "an axis given by a formula (expression)"
_IS_MODULE = "a Python module to import"
_IS_LINK = "a link to another file"
_IS_PICKLE = "pickled values"
_IS_BROKEN = "a part that cannot be looked into"


def check_content(path: Path, *, links: bool = True) -> None:
    """Refuse files whose reading would run what is written in them, or fill the memory.

    Parameters
    ----------
    path
        A file or a zarr store (a folder or one zip file), whatever its name.
    links
        Whether parts of it may lie in other files.

    Raises
    ------
    InputError
        If a zarr store names a codec that unpickles, an axis in it or in an HDF5 file is given by a
        formula (HyperSpy evaluates it), there is a module to import or a part that cannot be looked
        into, or an array is declared far larger than the file could hold.

    Notes
    -----
    A file that is not of its format at all passes: its reader says so.
    """
    if path.is_dir():
        found = _in_zarr(path, links=links)
    elif zipfile.is_zipfile(path):
        found = _in_zarr(path, links=links) if path.suffix.lower() == ".zspy" else ""
    else:
        found = _in_hdf5(path, links=links)
    if found == _IS_BROKEN:
        raise InputError(
            f"{path.name} must be a whole file",
            got=found,
            cure="Copy it again from where it was saved.",
        )
    if found:
        raise InputError(
            f"{path.name} must hold data only",
            got=found,
            cure="Save it again with plain axes and all data inside.",
        )


def declared_size(path: Path) -> int:
    """Return the size of all arrays that an HDF5 file or a zarr store declares [bytes].

    Parameters
    ----------
    path
        A file, or a ``.zspy`` folder.

    Returns
    -------
    :
        0 for other formats, and where it cannot be looked into.
    """
    import h5py

    try:
        if path.is_dir() or path.suffix.lower() == ".zspy":
            parts = _of_folder(path, links=True) if path.is_dir() else _of_zip(path)
            return sum(_declared_in(json.loads(text)) for _, text, _ in parts if text)
        sizes: list[int] = []
        with h5py.File(path, "r") as file:
            file.visititems(lambda _, item: sizes.append(int(getattr(item, "nbytes", 0))))
        return sum(sizes)
    except (OSError, ValueError, RuntimeError, TypeError, KeyError, zipfile.BadZipFile):
        return 0


def check_axes(content: Any, where: str) -> None:
    """Refuse axes that are given by a formula, anywhere in nested plain values.

    Parameters
    ----------
    content
        What a reader returned, or a part of it: dictionaries and lists.
    where
        What is read, for the message.

    Raises
    ------
    InputError
        If there is one: HyperSpy would evaluate it.
    """
    left = [content]
    while left:
        item = left.pop()
        if isinstance(item, Mapping):
            if "expression" in item or item.get("_type") == "FunctionalDataAxis":
                formula = str(item.get("expression", ""))[:60]
                raise InputError(
                    f"{where} must have uniform axes or axes of listed values",
                    got=f"{_IS_FORMULA}, {formula!r}",
                    cure="Save it again with plain axes.",
                )
            left += item.values()
        elif isinstance(item, list | tuple):
            left += item


Content = list[dict[str, Any]]
"""What a reader returns: data, axes and metadata of each signal as plain values."""


def read_plain(path: Path, *, reader: str | None = None, **options: Any) -> Content:
    """Read a file to plain values, after a look at what is in it; needs no HyperSpy.

    Parameters
    ----------
    path
        A file, or a ``.zspy`` folder.
    reader
        Name of the reader in RosettaSciIO; None takes that of the file's ending.
    **options
        For the reader.

    Raises
    ------
    InputError
        As for :func:`load_signals`.
    """
    check_content(path)
    return _CheckedReader(reader_of(path, reader), path.name).file_reader(str(path), **options)


def load_signals(
    path: Path,
    *,
    reader: str | None = None,
    content: Content | None = None,
    plain: bool = False,
    **options: Any,
) -> list[Any]:
    """Load all signals of a file, after a look at what is in it.

    Parameters
    ----------
    path
        A file, or a ``.zspy`` folder.
    reader
        Name of the reader in RosettaSciIO; None takes that of the file's ending.
    content
        What :func:`read_plain` read already.
    plain
        Whether signals may be :class:`PlainSignal`, where the file needs no more; else HyperSpy's.
    **options
        For the reader.

    Raises
    ------
    InputError
        If the file would run code or fill the memory (see :func:`check_content`,
        :func:`check_axes`). Readers raise errors of any kind on broken files.
    """
    if plain:
        if content is None:
            content = read_plain(path, reader=reader, **options)
        made = [PlainSignal.of(each) for each in content]
        if all(signal is not None for signal in made):
            return made
    import hyperspy.api as hs

    if content is None:
        check_content(path)
    checked: Any = _CheckedReader(reader_of(path, reader), path.name, content)
    with quiet():  # HyperSpy's handler of logs is there now, if it was not before
        found = hs.load(path, file_format=checked, **options)
    return found if isinstance(found, list) else [found]


def check_size(name: str, declared: float, stored: float) -> None:
    """Refuse an array that is declared far larger than what is stored could hold.

    Parameters
    ----------
    name
        Where it is, for the message.
    declared, stored
        Sizes in memory and in the file [bytes].

    Raises
    ------
    InputError
        If it is declared larger than 0.5 GB and 2000 times what is stored.
    """
    if declared > max(_SMALL, _RATIO * stored):
        raise InputError(
            f"{name} must hold what it declares",
            got=f"{declared / 1e9:.3g} GB declared in {stored / 1e6:.3g} MB",
            cure="Copy it again from where it was saved.",
        )


class _CheckedReader:
    """A reader of RosettaSciIO whose axes are checked before HyperSpy makes signals of them."""

    def __init__(
        self, plugin: Mapping[str, Any], name: str, content: Content | None = None
    ) -> None:
        self.__loader__ = SimpleNamespace(name=plugin["api"])  # HyperSpy writes it to the metadata
        self._plugin, self._name, self._content = plugin, name, content

    def file_reader(self, filename: Any, **options: Any) -> Content:
        """Read a file to plain values."""
        found = self._content
        if found is None:
            found = importlib.import_module(self._plugin["api"]).file_reader(filename, **options)
        check_axes(found, self._name)
        for content in found:
            if _runs(str(content.get("package") or "")):  # HyperSpy would import it
                content["package"] = ""
        return found


def reader_of(path: Path, reader: str | None) -> Mapping[str, Any]:
    """Find a reader by its name or the file's ending, as HyperSpy does.

    Raises
    ------
    InputError
        If there is none of that name, or it evaluates text in the file.
    """
    from rsciio import IO_PLUGINS

    suffix = path.suffix.lower().removeprefix(".")
    if reader is None:
        fitting = [plugin for plugin in IO_PLUGINS if suffix in plugin["file_extensions"]]
    else:
        fitting = [plugin for plugin in IO_PLUGINS if plugin["name"] == reader]
        if not fitting:
            raise UnknownNameError.among("reader", reader, [p["name"] for p in IO_PLUGINS])
    fitting = fitting or [plugin for plugin in IO_PLUGINS if plugin["name"] == "Image"]
    plugin: Mapping[str, Any] = fitting[0]
    if plugin["name"] in _EVALUATE:
        raise InputError(
            f"{path.name} must be in a format whose reader runs nothing",
            got=f"one for {plugin['name']}, which evaluates text in the file",
            cure="Export it as .hspy.",
        )
    return plugin


def _in_zarr(path: Path, *, links: bool) -> str:
    declared = stored = 0
    try:
        for name, text, size in _of_folder(path, links=links) if path.is_dir() else _of_zip(path):
            stored += size
            if any(_FORMULA.search(part) for part in PurePosixPath(name).parts):
                return _IS_FORMULA
            if text:
                content = json.loads(text)
                declared += _declared_in(content)
                if found := _in_json(content):
                    return found
    except _LinkError:
        return _IS_LINK
    except InputError:
        raise
    except (
        OSError, ValueError, RuntimeError, TypeError, zipfile.BadZipFile, zlib.error, EOFError,
    ):  # fmt: skip
        return _IS_BROKEN
    check_size(path.name, declared, stored)
    return ""


class _LinkError(Exception):
    """There is a link in a folder."""


def _of_folder(folder: Path, *, links: bool) -> Iterator[tuple[str, bytes, int]]:
    """Names and sizes of the parts of a store, and what those that say what others are hold."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink() and not links:
                raise _LinkError
            size = path.stat().st_size if name in files else 0
            about = name in _ABOUT and name in files
            if about and size > _MOST:
                raise ValueError(name)
            yield path.relative_to(folder).as_posix(), path.read_bytes() if about else b"", size


def _of_zip(path: Path) -> Iterator[tuple[str, bytes, int]]:
    with zipfile.ZipFile(path) as file:
        for entry in file.infolist():
            about = PurePosixPath(entry.filename).name in _ABOUT
            if about and entry.file_size > _MOST:
                raise ValueError(entry.filename)
            yield entry.filename, file.read(entry) if about else b"", entry.compress_size


def _declared_in(content: Any) -> int:
    """Size of the array that a part of a zarr store describes [bytes]."""
    import numpy as np

    if not isinstance(content, dict) or not isinstance(content.get("shape"), list):
        return 0
    kind = content.get("dtype")
    size = np.dtype(kind).itemsize if isinstance(kind, str) else 1
    for length in content["shape"]:
        size *= int(length)
    return size


def _in_json(content: Any) -> str:
    if isinstance(content, list):
        return next((found for found in map(_in_json, content) if found), "")
    if not isinstance(content, dict):
        return ""
    if any(str(content.get(key)).rpartition(".")[2] == "pickle" for key in ("id", "name")):
        return _IS_PICKLE
    return _in_attributes(content) or _in_json(list(content.values()))


def _in_attributes(attributes: Mapping[str, Any]) -> str:
    if any(_FORMULA.search(name) for name in attributes):
        return _IS_FORMULA
    if "package_version" in attributes:  # HyperSpy imports the package that made the file
        package = attributes.get("package")
        if isinstance(package, str) and _runs(package):
            return _IS_MODULE
    return ""


def _runs(package: str) -> bool:
    """Whether importing it does more than make kinds of signals known."""
    return "." in package or package in sys.stdlib_module_names


def _in_hdf5(path: Path, *, links: bool) -> str:
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError:
        return ""  # its reader will say so
    with file:
        try:
            return next((found for found in _walk(file, path, links=links) if found), "")
        except InputError:
            raise
        except (OSError, RuntimeError, KeyError, TypeError, ValueError):
            return _IS_BROKEN


def _walk(file: Any, path: Path, *, links: bool) -> Iterator[str]:
    """Say what is wrong with each object in a file, empty where nothing is.

    Soft links are not followed: what they lead to in this file is reached by hard links too, and a
    way out of it is an external link somewhere on their path.
    """
    import h5py

    left, seen, declared = [file["/"]], set(), 0
    while left:
        item = left.pop()
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            continue
        seen.add(place)
        outside = getattr(item, "is_virtual", False) or getattr(item, "external", None)
        yield _IS_LINK if outside and not links else _in_attributes(item.attrs)
        if isinstance(item, h5py.Dataset) and item.shape is not None and not outside:
            declared += item.size * item.dtype.itemsize
            check_size(path.name, declared, path.stat().st_size)
        for name in item if isinstance(item, h5py.Group) else ():
            if _FORMULA.search(name):
                yield _IS_FORMULA
            link = item.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink) and not links:
                yield _IS_LINK
            elif isinstance(link, h5py.HardLink):
                left.append(item[name])
