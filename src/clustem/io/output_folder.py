"""Output folders: checked before anything is computed, written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from clustem.core import OutputError

PROVENANCE, SWEEP = "provenance.json", "sweep.csv"
"""Files in which a result, or those of a sweep, are described."""
MANIFEST = "manifest.json"
"""File that lists what Clustem wrote into a folder: nothing else there is ever removed."""
_BESIDE = ".clustem-"
_OVERHEAD = 22  # of the names of the folders beside the target [bytes]
_LONGEST = 255  # name where the system does not say [bytes]
_LEAST = 2**24  # room that the smallest result takes [bytes]


def check_output(folder: str | Path, *, force: bool, inputs: Iterable[str | Path] = ()) -> Path:
    """Refuse an output folder that cannot be used, before anything is computed.

    Parameters
    ----------
    folder
        Where a result is to be written.
    force
        Whether an earlier result there is replaced.
    inputs
        Files that the result comes from.

    Returns
    -------
    :
        Its absolute path; of a link, where it leads.

    Raises
    ------
    OutputError
        If the folder exists without ``force``, is not a result folder, would take an input away,
        or cannot be made: by its name, by permission, or for want of room.

    Notes
    -----
    What killed runs to this folder left behind is cleared: an unfinished result is removed, an
    earlier result that was being replaced is put back.
    """
    _check_name(str(folder))
    target = Path(os.path.abspath(Path(folder).expanduser()))  # noqa: PTH100  # no link followed
    if os.path.islink(target):  # noqa: PTH114  # a name may be too long, here and below
        target = Path(os.path.realpath(target))
    parent = next(p for p in (*target.parents, target) if os.path.exists(p))  # noqa: PTH110
    _check_lengths(target, parent)
    _clear_stale(target)
    if os.path.lexists(target):  # a link that leads to itself, too
        if not force:
            raise OutputError(
                "The output folder must not exist yet",
                got=target,
                cure="Choose another with -o, or replace it with --force.",
            )
        _check_inputs(target, _replaceable(target), inputs)
    _check_room_in(parent, target.name)
    return target


@contextmanager
def whole_folder(target: Path, *, force: bool = False) -> Iterator[Path]:
    """Give a sibling folder to write to, and rename it to the target at the end.

    Parameters
    ----------
    target
        What :func:`check_output` returned.
    force
        Whether an earlier result there is replaced. Files in it that the manifest does not list
        stay.

    Raises
    ------
    OutputError
        If it cannot be written, or another run was first: its result stays, and this one is kept
        beside it.
    """
    with _workplace(target) as sibling:
        yield sibling
        files = sorted(_files(sibling))
        content = {"made_by": "clustem", "files": [*files, MANIFEST]}
        (sibling / MANIFEST).write_text(json.dumps(content, indent=1), encoding="utf-8")
        sibling.chmod(0o755)  # mkdtemp's is for the owner only
        _put_in_place(sibling, target, force=force)


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Give a path to write one file to, or a folder that counts as one; it is renamed at the end.

    Parameters
    ----------
    target
        What :func:`check_output` returned.

    Raises
    ------
    OutputError
        If it cannot be written, or the target was made meanwhile.
    """
    with _workplace(target) as sibling:
        place = sibling / target.name
        yield place
        if os.path.lexists(target):
            raise OutputError(
                "The output must not exist yet", got=target, cure="Choose another with -o."
            )
        place.rename(target)


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """Give a folder beside the target that goes at the end; a disk's refusals are one line."""
    sibling, lock = None, None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sibling, lock = _sibling(target)
        yield sibling
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
        if lock is not None:
            os.close(lock)


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


def _check_name(name: str) -> None:
    try:
        name.encode("utf-8")
        os.fsencode(name)
    except UnicodeEncodeError:
        reason = ascii(name)
    else:
        if name and "\0" not in name:
            return
        reason = repr(name)
    raise OutputError(
        "The output folder must have a name in UTF-8", got=reason, cure="Choose another with -o."
    )


def _check_lengths(target: Path, parent: Path) -> None:
    """Refuse names that the disk would: so that beside the target there is room for its sibling."""
    longest = _LONGEST
    with contextlib.suppress(OSError, ValueError, AttributeError):
        longest = os.pathconf(parent, "PC_NAME_MAX")
    for part in target.relative_to(parent).parts:
        most = longest - (_OVERHEAD if part == target.name else 0)
        if len(os.fsencode(part)) > most:
            raise OutputError(
                f"The name of the output folder must have at most {most} bytes",
                got=f"{len(os.fsencode(part))} in {part[:20]}...",
                cure="Choose a shorter one with -o.",
            )


def _check_inputs(target: Path, ours: set[str], inputs: Iterable[str | Path]) -> None:
    place = target.resolve()
    for source in inputs:
        path = Path(source).expanduser().resolve()
        if path.is_relative_to(place) and path.relative_to(place).as_posix() in ours:
            raise OutputError(
                "The input must not lie in the result that is replaced",
                got=source,
                cure="Choose another folder with -o.",
            )


def _check_room_in(parent: Path, name: str) -> None:
    """Make and remove a folder that a next run would clear, and look at the free space."""
    try:
        made = Path(tempfile.mkdtemp(prefix=f".{name}{_BESIDE}", dir=parent))
        with contextlib.suppress(FileNotFoundError):  # another run just cleared it away
            made.rmdir()
        free = shutil.disk_usage(parent).free
    except OSError as error:
        denied = error.errno in {errno.EACCES, errno.EPERM}
        raise OutputError(
            "The output folder must be writable",
            got=f"{'no permission' if denied else error.strerror} in {parent}",
            cure="Choose another folder with -o.",
        ) from None
    if free < _LEAST:
        raise OutputError(
            f"There must be room for the result, {_LEAST // 2**20} MB or more",
            got=f"{free / 2**20:.1f} MB in {parent}",
            cure="Free some space.",
        )


def _replaceable(target: Path) -> set[str]:
    """Names of the files in a folder that Clustem wrote; refuse a folder that it did not."""
    if target.is_dir() and not any(target.iterdir()):
        return set()
    try:
        content = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        if content["made_by"] == "clustem":
            return {name for name in content["files"] if isinstance(name, str)}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        pass
    raise OutputError(
        "Only a result folder can be replaced",
        got=f"{target}, which is something else",
        cure="Choose another folder with -o.",
    )


def _files(folder: Path) -> Iterator[str]:
    """Names of all files and links in a folder, links not followed."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if Path(place, name).is_symlink()]
        for name in (*files, *links):
            yield Path(place, name).relative_to(folder).as_posix()


def _sibling(target: Path) -> tuple[Path, int | None]:
    """Make a folder beside the target that is locked as long as this process lives."""
    while True:
        made = tempfile.mkdtemp(prefix=f".{target.name}{_BESIDE}", dir=target.parent)
        lock = _locked(Path(made))
        if lock is None or Path(made).exists():  # else another run just cleared it away
            return Path(made), lock
        os.close(lock)


def _locked(folder: Path) -> int | None:
    """Lock a folder; None where another process holds it, or there are no locks."""
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    try:
        found = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(found)
        return None
    return found


def _put_in_place(sibling: Path, target: Path, *, force: bool) -> None:
    if not (force and target.exists()):
        _rename_to_free(sibling, target)
        return
    lock = _locked(target)
    try:
        ours = _replaceable(target)
        others = {name for name in _files(target) if name not in ours}
        if clash := others.intersection(_files(sibling)):
            raise _kept(sibling, target, f"{min(clash)}, which Clustem did not write, in it")
        old = sibling.with_name(f"{sibling.name}-old")
        try:
            with contextlib.suppress(FileNotFoundError):  # another run is replacing it, too
                target.rename(old)
            _rename_to_free(sibling, target)
        except BaseException:
            if old.exists() and not target.exists():
                old.rename(target)
            raise
        if old.exists():
            _retire(old, target)
    finally:
        if lock is not None:
            os.close(lock)


def _rename_to_free(sibling: Path, target: Path) -> None:
    try:
        sibling.rename(target)  # fails where there is anything but an empty folder
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
            raise
        raise _kept(sibling, target, "one that another run made meanwhile") from None


def _kept(sibling: Path, target: Path, got: str) -> OutputError:
    """Keep a result under the next free name; return the refusal that says so."""
    names = (target.with_name(f"{target.name}-{i}") for i in count(2))
    other = next(name for name in names if not os.path.lexists(name))
    sibling.rename(other)
    return OutputError(
        f"The output folder {target} must be free",
        got=got,
        cure=f"This result is in {other}.",
    )


def _retire(old: Path, target: Path) -> None:
    """Remove what Clustem wrote into a replaced folder; move all else to the new one."""
    try:
        ours = _replaceable(old)
    except OutputError:  # the manifest is removed last: all that is left is not ours
        ours = set()
    names = sorted(_files(old))
    for name in names:
        if name not in ours and not os.path.lexists(target / name):
            with contextlib.suppress(OSError):  # what cannot be moved stays
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                (old / name).rename(target / name)
    for name in names:
        if name in ours and name != MANIFEST:
            (old / name).unlink(missing_ok=True)
    if MANIFEST in ours and [*_files(old)] == [MANIFEST]:
        (old / MANIFEST).unlink()
    for place, _, _ in os.walk(old, topdown=False):
        with contextlib.suppress(OSError):  # not empty
            Path(place).rmdir()


def _clear_stale(target: Path) -> None:
    """Clear what dead processes left beside a target."""
    name = re.compile(rf"\.{re.escape(target.name)}{re.escape(_BESIDE)}\w{{8}}(-old)?")
    try:
        found = [p for p in target.parent.iterdir() if name.fullmatch(p.name)]
    except OSError:
        return
    for folder in found:
        lock = None if folder.is_symlink() else _locked(folder)
        if lock is None:
            continue
        try:
            if not folder.name.endswith("-old"):
                shutil.rmtree(folder, ignore_errors=True)
            elif target.exists():
                _retire(folder, target)
            else:
                folder.rename(target)
        except OSError:
            pass  # the next run tries again
        finally:
            os.close(lock)
