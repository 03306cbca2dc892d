"""Which files may be opened, by their names and by what is in them."""

from __future__ import annotations

import json
import os
import re
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from clustem.core import InputError

READABLE = (
    ".hspy", ".zspy", ".npy", ".bcf", ".blo", ".dm3", ".dm4", ".emd", ".mib", ".mrc", ".msa",
    ".rpl", ".spx", ".ser", ".emi", ".h5", ".hdf5", ".nc", ".tif", ".tiff", ".png", ".jpg",
)  # fmt: skip
"""Formats that may be opened here: none of their readers unpickles or evaluates what it reads,
once :func:`check_content` has seen the file."""

_HDF5 = {".hspy", ".h5", ".hdf5", ".emd", ".nc"}
_ABOUT = {".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json"}
"""Parts of a zarr store that say what the others are."""
_MOST = 2**26  # of such a part, so that a small zip file cannot fill the memory [bytes]
_FORMULA = re.compile(r"(^|_)expression$")  # HyperSpy's readers take prefixes such as _bs_ off

_IS_FORMULA = "an axis given by a formula"
_IS_MODULE = "a Python module to import"
_IS_LINK = "a link to another file"
_IS_PICKLE = "pickled values"
_IS_BROKEN = "a part that cannot be looked into"


def check_name(name: str) -> str:
    """Return the plain name of a file that somebody sends, of a format that may be opened.

    Raises
    ------
    InputError
        If the format is not one of ``READABLE``.
    """
    plain = Path(name.replace("\\", "/")).name
    safe = re.sub(r"[^\w.() -]", "_", plain).strip(". ")[-120:]
    if Path(safe).suffix.lower() not in READABLE:
        raise InputError(
            "A file must be in a format that can be opened here",
            got=repr(safe),
            cure=f"Known: {' '.join(READABLE)}.",
        )
    return safe


def check_content(path: Path) -> None:
    """Refuse files whose reading would run what is written in them, or show other files.

    Parameters
    ----------
    path
        A file, or a ``.zspy`` folder.

    Raises
    ------
    InputError
        If a zarr store (a folder or one zip file) names a codec that unpickles, an axis in it or in
        an HDF5 file is given by a formula (HyperSpy evaluates it), there is a link to another file
        or a module to import, or there is a part that cannot be looked into.

    Notes
    -----
    A file that is not of its format at all passes: its reader says so.
    """
    suffix = path.suffix.lower()
    if suffix not in READABLE:
        check_name(path.name)
    found = ""
    if suffix == ".zspy" or path.is_dir():
        found = _in_zarr(path)
    elif suffix in _HDF5:
        found = _in_hdf5(path)
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


def _in_zarr(path: Path) -> str:
    try:
        for name, text in _of_folder(path) if path.is_dir() else _of_zip(path):
            if any(_FORMULA.search(part) for part in PurePosixPath(name).parts):
                return _IS_FORMULA
            if text and (found := _in_json(json.loads(text))):
                return found
    except _LinkError:
        return _IS_LINK
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error, EOFError):
        return _IS_BROKEN
    return ""


class _LinkError(Exception):
    """There is a link in a folder."""


def _of_folder(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names of the parts of a store, and what those that say what others are hold."""
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.is_symlink():
                raise _LinkError
            yield (
                path.relative_to(folder).as_posix(),
                path.read_bytes() if name in _ABOUT and name in files else b"",
            )


def _of_zip(path: Path) -> Iterator[tuple[str, bytes]]:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as file:
        for entry in file.infolist():
            about = PurePosixPath(entry.filename).name in _ABOUT
            if about and entry.file_size > _MOST:
                raise ValueError(entry.filename)
            yield entry.filename, file.read(entry) if about else b""


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


def _in_hdf5(path: Path) -> str:
    import h5py

    try:
        file = h5py.File(path, "r")
    except OSError:
        return ""  # its reader will say so
    with file:
        try:
            return next((found for found in _walk(file) if found), "")
        except (OSError, RuntimeError, KeyError, TypeError, ValueError):
            return _IS_BROKEN


def _walk(file: Any) -> Iterator[str]:
    """Say what is wrong with each object in a file, empty where nothing is.

    Soft links are not followed: what they lead to in this file is reached by hard links too, and a
    way out of it is an external link somewhere on their path.
    """
    import h5py

    left, seen = [file["/"]], set()
    while left:
        item = left.pop()
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            continue
        seen.add(place)
        yield _of_object(item)
        for name in item if isinstance(item, h5py.Group) else ():
            if _FORMULA.search(name):
                yield _IS_FORMULA
            link = item.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                yield _IS_LINK
            elif isinstance(link, h5py.HardLink):
                left.append(item[name])


def _of_object(item: Any) -> str:
    outside = getattr(item, "is_virtual", False) or getattr(item, "external", None)
    return _IS_LINK if outside else _in_attributes(item.attrs)
