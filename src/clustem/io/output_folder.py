"""Output folders: checked before anything is computed, written whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clustem.core import OutputError

PROVENANCE, SWEEP = "provenance.json", "sweep.csv"
"""Files by which a folder is known to hold a result, or those of a sweep."""


def check_output(folder: str | Path, *, force: bool) -> Path:
    """Refuse an output folder that cannot be used, before anything is computed.

    Raises
    ------
    OutputError
        If the folder exists without ``force``, is not a result folder, or cannot be made.
    """
    target = Path(folder).expanduser().absolute()
    if target.exists():
        if not force:
            raise OutputError(
                "The output folder must not exist yet",
                got=target,
                cure="Choose another with -o, or replace it with --force.",
            )
        ours = any((target / name).is_file() for name in (PROVENANCE, SWEEP))
        if not target.is_dir() or (any(target.iterdir()) and not ours):
            raise OutputError(
                "Only a result folder can be replaced",
                got=f"{target}, which is something else",
                cure="Choose another folder with -o.",
            )
    parent = next(p for p in target.parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise OutputError(
            "The output folder must be writable",
            got=f"no permission in {parent}",
            cure="Choose another folder with -o.",
        )
    return target


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """Give a sibling folder to write to, and rename it to the target at the end."""
    sibling = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sibling = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
        yield sibling
        sibling.chmod(0o755)  # mkdtemp's is for the owner only
        if target.exists():
            old = sibling.with_name(f"{sibling.name}-old")
            target.rename(old)
            sibling.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            sibling.rename(target)
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        raise OutputError(
            f"The result must be writable to {target}",
            got="a full disk" if full else error.strerror or str(error),
            cure="Free some space." if full else "Choose another folder with -o.",
        ) from None
    finally:
        if sibling is not None:
            shutil.rmtree(sibling, ignore_errors=True)


def check_room(folder: Path, n_bytes: int) -> None:
    """Refuse a full disk here: HDF5 would crash the interpreter half way through a file.

    Raises
    ------
    OSError
        If there is no room.
    """
    probe = folder / "room"
    with probe.open("wb", buffering=0) as file:
        for _ in range(0, n_bytes + 2**20, 2**20):
            file.write(bytes(2**20))
    probe.unlink()
