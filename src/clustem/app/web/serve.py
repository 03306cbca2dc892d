"""Start the explorer."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clustem.app.session.memory import Budget, share_one_arena
from clustem.app.session.warm_up import warm_up
from clustem.app.web.security import token_for
from clustem.core import InputError, registry
from clustem.io.trial import start_helper

if TYPE_CHECKING:
    import asyncio

    from clustem.app.web.transfers import Transfers

FIRST = [
    ("diffraction", "uint8"),
    ("eds", "uint16"),
    ("diffraction", "uint16"),
    ("diffraction", "float32"),
]
"""Samples and types of data that are compiled for, the slowest first."""
_PATIENCE = 1.7
"""Time for sessions to end when the explorer is stopped [s]."""
_COMPILE = "from clustem.app.web.serve import compile_first; compile_first()"
_LOG = logging.getLogger(__name__)


def serve(
    source: Path | None = None,
    *,
    root: Path | None = None,
    host: str = "127.0.0.1",
    port: int = 5006,
    token: str | None = None,
    no_token: bool = False,
    max_upload: float = 2.0,
    memory: float | None = None,
    session_memory: float | None = None,
    origins: tuple[str, ...] = (),
    show: bool = False,
    say: Callable[[str], None] = _LOG.info,
) -> None:
    """Serve the explorer until Ctrl-C.

    Parameters
    ----------
    source
        File that each session begins with.
    root
        Folder whose files may be opened, and where results are saved; the folder of the source
        if None, and without one the current folder.
    host
        Address to listen on.
    port
        Port to listen on; 0 takes a free one.
    token
        Token that a browser must show; made if None.
    no_token
        Whether browsers on this machine need none.
    max_upload
        Largest upload [GB].
    memory
        Memory for all sessions together [GB]; half of what is free if None.
    session_memory
        Memory for each session [GB]; half of that for all if None.
    origins
        More names under which the page may be reached, ``host:port``.
    show
        Whether to open a browser.
    say
        Called with the lines that tell where the explorer is.

    Raises
    ------
    InputError
        If the root is no folder, the source is not in it, or the port is taken.
    """
    check_extra()
    share_one_arena()
    from clustem.app.web.server import Settings, make_server
    from clustem.app.web.transfers import Transfers

    folder = _root(source, root)
    settings = Settings(
        root=folder,
        source="" if source is None else _relative(source, folder),
        host=host,
        port=port,
        token=token_for(host, token, without=no_token),
        limit=int(max_upload * 1e9),
        origins=origins,
        budget=Budget.of_machine(
            None if memory is None else memory * 1e9,
            None if session_memory is None else session_memory * 1e9,
        ),
    )
    transfers = Transfers(cache(threading.Thread(target=warm_up, daemon=True).start))
    try:
        server = make_server(settings, transfers)
    except OSError as error:
        raise InputError(
            "The port must be free",
            got=f"{port}: {os.strerror(error.errno) if error.errno else error}",
            cure="Choose another with --port, or 0 for any.",
        ) from None
    name = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104
    url = f"http://{name}:{server.port}/"
    if settings.token:
        url += f"login?token={settings.token}"
    say(f"Explorer: {url}")
    say(f"Folder:   {folder}")
    say("Ctrl-C stops it.")
    start_helper()
    if show:
        server.io_loop.call_later(0.5, lambda: webbrowser.open(url))
    late = threading.Timer(_PATIENCE, _give_up, [transfers])
    late.daemon = True
    with _compiling():
        _run(server, late)
    transfers.close()
    late.cancel()


def check_extra() -> None:
    """Refuse to start without the packages of the extra ``app``.

    Raises
    ------
    InputError
        If one is missing.
    """
    missing = [name for name in ("panel", "bokeh") if find_spec(name) is None]
    if missing:
        raise InputError(
            "The explorer needs the extra packages of clustem[app]",
            got=f"no {' and no '.join(missing)}",
            cure="pip install 'clustem[app]'.",
        )


def compile_first() -> None:
    """Compile what a first run needs: recipes on small samples, large enough for all kernels.

    Numba keeps what it compiled, so the server only loads what another process compiled. In a
    thread of the server itself it would hold up both the page and the first run.
    """
    from clustem.recipes.segment import segment

    if hasattr(os, "nice"):
        os.nice(10)
    for name, dtype in FIRST:
        signal = registry("samples")[name].step(shape=(36, 40)).signal
        signal.data = signal.data.astype(dtype)
        segment(signal, name)


def _root(source: Path | None, root: Path | None) -> Path:
    folder = root or (source.expanduser().resolve().parent if source else Path.cwd())
    found = folder.expanduser()
    if not found.is_dir():
        raise InputError("The root must be a folder", got=folder, cure="Name one that exists.")
    return found.resolve()


def _relative(source: Path, root: Path) -> str:
    path = source.expanduser().resolve()
    if not path.exists() or not path.is_relative_to(root):
        raise InputError(
            "The input must be a file in the shared folder",
            got=source,
            cure="Name its folder with --root.",
        )
    return str(path.relative_to(root))


def _run(server: Any, late: threading.Timer) -> None:
    """Run until a signal says stop; Bokeh's own way prints first, and hangs if nobody reads it."""
    loop = server.io_loop

    def stop(*_: Any) -> None:
        if not late.is_alive() and not late.finished.is_set():
            late.start()
        loop.asyncio_loop.call_soon_threadsafe(loop.stop)

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    for number in (getattr(signal, name) for name in names):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, stop)
    loop.asyncio_loop.set_exception_handler(unretrieved)
    server.start()
    loop.start()
    server.stop()


def unretrieved(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log what a task raised; not that a page was closed in the middle of a message to it."""
    from tornado.iostream import StreamClosedError
    from tornado.websocket import WebSocketClosedError

    if isinstance(context.get("exception"), WebSocketClosedError | StreamClosedError):
        _LOG.debug("a page was closed in the middle of a message")
    else:
        loop.default_exception_handler(context)


def _give_up(transfers: Transfers) -> None:
    """End at once, and leave no files, where sessions do not end in time."""
    for folder in transfers.folders():
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


@contextmanager
def _compiling() -> Iterator[None]:
    """Compile in another process what the first run needs, while the user still looks around."""
    nothing = subprocess.DEVNULL
    with subprocess.Popen(  # noqa: S603  # our own command
        [sys.executable, "-c", _COMPILE], stdin=nothing, stdout=nothing, stderr=nothing
    ) as process:
        try:
            yield
        finally:
            process.terminate()
