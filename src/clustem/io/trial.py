"""Files are opened by a child process first: a reader that crashes or hangs ends there."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, NamedTuple

from clustem.core import InputError
from clustem.core.contents import Content, declared_size, read_plain, reader_of
from clustem.io._formats import holds_events, left_on_disk, readers_of, size_of

_SECONDS = 15
_SPEED = 10e6  # of the slowest sound reader [bytes/s]
_BUSY = 4  # times as long where other work shares the processor, or a disk is slow
_MEMORY = 2e9  # for a small file [bytes]
_PER_BYTE = 8  # memory for each byte of a file
_SMALL = 16e6  # files up to this are read whole [bytes]
_IN_CHILD = {".bcf"}  # read there only: a compiled reader crashes by what lies next in memory
_SOUND = {".npy"}  # mapped by numpy, which checks the size
_TOO_LARGE, _CUT = 3, 4  # exit status
_HELPER = "from clustem.io.trial import serve; serve()"

_tried: set[tuple[str, int, int, str | None]] = set()
_lock = threading.Lock()
_helper: subprocess.Popen[str] | None = None
_owner = 0


class _Job(NamedTuple):
    """What to open, and with what."""

    path: str
    lazy: bool | None
    reader: str | None
    size: int
    result: str = ""
    """File for what was read, where only the child reads it."""
    declared: int = 0
    """Size of its arrays when unpacked [bytes]; 0 where that is not known."""

    @property
    def seconds(self) -> int:
        """Time of a processor that it may take [s]."""
        return int(_SECONDS + self.size / _SPEED)

    @property
    def memory(self) -> int:
        """How much it may take [bytes]."""
        return int(_MEMORY + max(_PER_BYTE * self.size, 2 * min(self.declared, _MEMORY)))


def try_out(
    path: Path,
    *,
    lazy: bool | None = None,
    reader: str | None = None,
) -> Content | None:
    """Open a file in a child process with little time and memory, once for each file.

    Parameters
    ----------
    path
        An existing file or ``.zspy`` folder.
    lazy, reader
        As for :func:`open_file`.

    Returns
    -------
    :
        What a format holds that is read in the child only; else None, and the file can be opened
        here.

    Raises
    ------
    InputError
        If the reader crashes, does not come to an end, or takes too much memory. What else is wrong
        with a file is left to whoever opens it.

    Notes
    -----
    On Linux only. A process of one thread forks, which takes milliseconds; one of several asks a
    helper that has one, started when it is first needed (see :func:`start_helper`). Small files are
    read whole, of others the structure and the first block.
    """
    if sys.platform != "linux" or path.suffix.lower() in _SOUND:
        return None
    status = path.stat()
    known = (str(path.resolve()), status.st_mtime_ns, status.st_size, reader)
    handed = is_handed_over(path, lazy=lazy)
    if known in _tried and not handed:
        return None
    job = _Job(str(path.absolute()), lazy, reader, size_of(path), declared=declared_size(path))
    with tempfile.TemporaryDirectory(prefix="clustem-") as folder:
        if handed:
            job = job._replace(result=str(Path(folder, "signals")))
        code = _forked(job) if threading.active_count() == 1 else _asked(job)
        if code in (0, None):
            _tried.add(known)
            return _handed_over(Path(job.result)) if handed else None
    reasons = {
        -signal.SIGPROF: f"no end of it in {job.seconds} s",
        -signal.SIGALRM: f"no end of it in {_BUSY * job.seconds} s",
        _TOO_LARGE: f"more than {job.memory / 1e9:.1f} GB of memory for it",
        _CUT: "parts of it that lie beyond its end",
    }
    raise InputError(
        f"{path.name} must be a whole file that its reader can open",
        got=reasons.get(code, "a crash of the reader"),
        cure="Copy it again from the microscope, or export it as .hspy.",
    )


def is_handed_over(path: Path, *, lazy: bool | None = None) -> bool:
    """Whether a file is read in the child process only, each time that it is tried."""
    events = holds_events(path, lazy=lazy)  # their reader is compiled anew in each process
    return events or (path.suffix.lower() in _IN_CHILD and not left_on_disk(path, lazy=lazy))


def _handed_over(file: Path) -> Content | None:
    """Take what the child read; None if it could not: the error comes again here."""
    if not file.exists():
        return None
    with file.open("rb") as stream:
        content: Content = pickle.load(stream)  # noqa: S301  # our child wrote it
    return content


def start_helper() -> None:
    """Start the helper now, for a server whose first user should not wait for it."""
    if sys.platform == "linux":
        with _lock:
            _running()


def serve() -> None:
    """Try out one file after another as standard input names them: the helper's work."""
    with contextlib.suppress(ImportError):  # who opens a file that is read here only waits for it
        importlib.import_module("rsciio.bruker._api")
    for line in sys.stdin:
        code = _forked(_Job(*json.loads(line)))
        sys.stdout.write(f"{code}\n")
        sys.stdout.flush()


def _asked(job: _Job) -> int | None:
    """Let the helper try; None if there is none to be had."""
    with _lock:
        for _ in range(2):  # a helper that died is replaced once
            try:
                helper = _running()
                _said(helper.stdin).write(json.dumps(job) + "\n")
                _said(helper.stdin).flush()
                if answer := _said(helper.stdout).readline():
                    return int(answer)
            except (OSError, ValueError):
                continue
    return None


def _running() -> subprocess.Popen[str]:
    global _helper, _owner  # noqa: PLW0603  # one for the process
    if _helper is None or _owner != os.getpid() or _helper.poll() is not None:
        if _helper is None:
            atexit.register(_stop)
        _owner = os.getpid()
        _helper = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-P", "-c", _HELPER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    return _helper


def _stop() -> None:
    if _helper is not None and _owner == os.getpid():
        _helper.kill()
        _helper.communicate()


def _said(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise OSError
    return stream


def _forked(job: _Job) -> int:
    """Try in a child; return its exit status, minus the number of the signal that ended it."""
    _import_readers(job)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = _in_child(job)
        finally:
            os._exit(code)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except BaseException:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


def _import_readers(job: _Job) -> None:
    """Import here, once, what would be imported in each child."""
    with contextlib.suppress(InputError, ImportError):
        for name in readers_of(Path(job.path), job.reader):
            importlib.import_module(reader_of(Path(job.path), name)["api"])


def _in_child(job: _Job) -> int:
    import resource

    for number in (
        signal.SIGPROF, signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGHUP,
    ):  # fmt: skip
        signal.signal(number, signal.SIG_DFL)
    faulthandler.disable()
    signal.setitimer(signal.ITIMER_PROF, job.seconds)
    signal.alarm(_BUSY * job.seconds)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    most = pages * resource.getpagesize() + job.memory
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (min(most, hard) if hard > 0 else most, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(Exception):  # whoever opens it says so
        try:
            return _open(job)
        except MemoryError:
            return _TOO_LARGE
    return 0


def _ends_early(path: Path) -> bool:
    """Whether a container of Bruker's holds less than its table names.

    The reader takes what lies next in memory for the rest.
    """
    from rsciio.bruker._api import SFS_reader

    folders = [SFS_reader(str(path)).vfs]
    while folders:
        for item in folders.pop().values():
            if isinstance(item, dict):
                folders.append(item)
            elif item.pointers.max(initial=0) >= path.stat().st_size:
                return True
    return False


def _open(job: _Job) -> int:
    """Read the file; the signals that HyperSpy makes of it later need no trial."""
    path = Path(job.path)
    whole = job.result or job.size <= _SMALL
    lazy = left_on_disk(path, lazy=job.lazy) if whole else True
    lazy = lazy or holds_events(path, lazy=job.lazy)
    names: list[str | None] = [*readers_of(path, job.reader)] or [None]
    if path.suffix.lower() == ".bcf" and _ends_early(path):
        return _CUT
    several = len(names) > 1
    for name in names:
        with contextlib.suppress(*([Exception] if several else [])):  # it may not be theirs
            content = read_plain(path, reader=name, lazy=lazy)
            for found in content:
                if hasattr(found["data"], "dask") and found["data"].ndim:
                    found["data"][0].compute(scheduler="synchronous")
            if job.result:
                part = Path(f"{job.result}.part")
                with part.open("wb") as stream:
                    pickle.dump(content, stream, protocol=5)
                part.rename(job.result)
    return 0
