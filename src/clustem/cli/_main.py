"""How the command line begins and ends: exit codes, Ctrl-C, warnings."""

from __future__ import annotations

import _thread
import errno
import sys
import threading
import warnings
from signal import SIG_IGN, Signals, getsignal
from signal import signal as set_signal
from typing import Any

import typer

from clustem.cli.commands import app

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Errors of a disk without room."""


def main() -> None:
    """Run the command line: exit 0 if fine, 2 for wrong use or bad input, 130 for Ctrl-C."""
    status, interruption = 130, _Interruption()
    warnings.showwarning = _warned
    sys.unraisablehook = _not_shown
    for stream in (sys.stdout, sys.stderr):  # what the locale has no letters for
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    if threading.current_thread() is threading.main_thread():
        for number in Signals:
            if number.name in {"SIGINT", "SIGTERM", "SIGHUP"} and getsignal(number) is not SIG_IGN:
                set_signal(number, interruption)
    try:
        status = app(standalone_mode=False) or 0
    except (KeyboardInterrupt, typer.Abort):
        pass
    except Exception as error:
        if not _interrupt_behind(error):
            message = _explained(error)
            if message is None:
                raise
            _stop(message, 2)
    finally:
        interruption.over.set()
    if status == 130:
        _stop("stopped; nothing was written.", 130)
    sys.exit(status)


def _explained(error: Exception) -> str | None:
    """Say in one line what a user did wrong or a disk refused; None for a defect of ours."""
    from clustem.core import ClustemError

    if hasattr(error, "format_message"):  # click's, whichever copy of it typer brings
        return f"{error.format_message().rstrip('.')}. See clustem --help."
    if isinstance(error, OSError) and error.errno in _DISK:
        return f"There must be room to write; got {error.strerror}. Free some space."
    if isinstance(error, OSError):
        return f"Files must stay readable and writable during a run; got {error}."
    return str(error) if isinstance(error, ClustemError) else None


class _Interruption:
    """Stops a run, by Ctrl-C, SIGTERM or SIGHUP, and again if that was lost on the way."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self._main, self._watch = threading.get_ident(), threading.Thread(target=self._insist)
        self._watch.daemon = True

    def __call__(self, *_: Any) -> None:
        """Raise what ends the run."""
        if not self._watch.ident:
            self._watch.start()
        raise KeyboardInterrupt

    def _insist(self) -> None:
        """Interrupt a run that goes on: imports and callbacks can lose what was raised in them."""
        while not self.over.wait(1):
            known: Any = sys._current_exceptions().get(self._main)
            error = known[1] if isinstance(known, tuple) else known  # as Python 3.11 gives it
            if not _interrupt_behind(error):
                _thread.interrupt_main()


def _not_shown(ignored: Any) -> None:
    """Keep quiet about Ctrl-C in code that lets no exception out: it is raised again."""
    if not isinstance(ignored.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(ignored)


def _interrupt_behind(error: BaseException | None) -> bool:
    """Say whether Ctrl-C caused this error: while a class is made, Python raises another for it."""
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _warned(message: Any, category: Any, *_: Any, **__: Any) -> None:
    """Show our warnings as one line; those about code are for developers."""
    if issubclass(category, UserWarning) and "Deprecation" not in category.__name__:
        typer.echo(f"clustem: note: {' '.join(str(message).split())}", err=True)


def _stop(message: str, status: int) -> None:
    typer.echo(f"clustem: {' '.join(message.split())}", err=True)
    sys.exit(status)
