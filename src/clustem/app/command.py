"""``clustem serve``: its options; imports nothing that is slow."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

_PATIENCE = 1.0
"""Time for work to end by itself when the explorer is stopped [s]."""


def serve(
    source: Annotated[
        Path | None, typer.Argument(help="A file to begin with.", metavar="INPUT")
    ] = None,
    *,
    root: Annotated[
        Path | None,
        typer.Option(
            help="Folder whose files may be opened and where results are saved "
            "(default: that of INPUT, else the current one).",
            metavar="DIR",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; by default only this machine's own.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.", min=0, max=65535)] = 5006,
    token: Annotated[
        str | None,
        typer.Option(help="Token that a browser must show; made and printed if not given."),
    ] = None,
    no_token: Annotated[
        bool,
        typer.Option("--no-token", help="Let every program of this machine in without a token."),
    ] = False,
    max_upload: Annotated[float, typer.Option(help="Largest upload [GB].", min=0)] = 2.0,
    memory: Annotated[
        float | None,
        typer.Option(
            help="Memory for all sessions together [GB] (default: half of what is free).", min=0.1
        ),
    ] = None,
    session_memory: Annotated[
        float | None,
        typer.Option(help="Memory for each session [GB] (default: half of that).", min=0.1),
    ] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(help="One more name of the page, host:port, behind a proxy.", metavar="NAME"),
    ] = None,
    show: Annotated[bool, typer.Option("--open/--no-open", help="Open a browser.")] = False,
) -> None:
    """Open the explorer in the browser."""
    ended = threading.Event()
    atexit.register(_leave, ended)  # the first to be registered is the last to be called
    from clustem.app.web.serve import serve as serve_explorer

    serve_explorer(
        source,
        root=root,
        host=host,
        port=port,
        token=token,
        no_token=no_token,
        max_upload=max_upload,
        memory=memory,
        session_memory=session_memory,
        origins=tuple(origin or ()),
        show=show,
        say=typer.echo,
    )
    _end()
    ended.set()


def _leave(ended: threading.Event) -> None:
    """Spare Python to take itself apart, which takes 2 s of a processor, once all is done."""
    if ended.is_set():
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # nobody reads any more
                stream.flush()
        os._exit(0)


def _end() -> None:
    """End although threads may still work for sessions: Python would wait until they are done."""
    others = [one for one in threading.enumerate() if one is not threading.main_thread()]
    until = time.monotonic() + _PATIENCE
    for thread in others:
        if not thread.daemon:
            thread.join(max(until - time.monotonic(), 0.0))
    if any(thread.is_alive() and not thread.daemon for thread in others):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
