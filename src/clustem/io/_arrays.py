"""Arrays in a ``.npz`` file, none of which is read before its size is known."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import InputError

_FEW = 2**26
"""Size that the arrays of any file may have together [bytes]."""
_RATIO = 100


def read_arrays(path: Path, *, room: int = 0) -> dict[str, NDArray[Any]]:
    """Read all arrays of a ``.npz`` file.

    Parameters
    ----------
    path
        A file written by ``numpy.savez_compressed``.
    room
        What may be there anyhow, because other files say so [bytes].

    Returns
    -------
    :
        Arrays of numbers, booleans or text, by name.

    Raises
    ------
    InputError
        If the file is broken, holds objects, or declares more than ``room``, 64 MB and 100 times
        its size.
    """
    try:
        with zipfile.ZipFile(path) as file:
            sizes = {entry.filename: _declared(file, entry, path) for entry in file.infolist()}
        _check_total(path, sum(sizes.values()), room)
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  # zipfile, zlib and numpy raise of many kinds
        raise _broken(path, str(error).partition("\n")[0][:120] or type(error).__name__) from None


def _check_total(path: Path, total: int, room: int) -> None:
    size = path.stat().st_size
    if total > room + max(_FEW, _RATIO * size):
        raise _broken(path, f"{total / 1e9:.3g} GB declared in {size / 1e6:.3g} MB")


def _declared(file: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> int:
    """Size of an array by its header, which must be that of the entry [bytes]."""
    with file.open(entry) as stream:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(
            version, np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = read(stream)
        size = dtype.itemsize * int(np.prod(shape, dtype=object))
        if dtype.hasobject or not entry.filename.endswith(".npy"):
            raise _broken(path, f"objects in {entry.filename}")
        if size + stream.tell() != entry.file_size:
            raise _broken(path, f"{entry.filename} of {entry.file_size} bytes for shape {shape}")
    return size


def _broken(path: Path, got: str) -> InputError:
    return InputError(
        f"{path.name} must be a whole file of arrays",
        got=got,
        cure="Run the recipe in the folder again.",
    )
