"""Keep other packages from logging and warning about what we say in one line, or need not say."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from clustem.core.history import collecting

_QUIET: ContextVar[bool] = ContextVar("quiet", default=False)
_PACKAGES = ("hyperspy", "rsciio", "exspy", "numba", "tifffile")
_IGNORE_ALL = ("ignore", None, Warning, None, 0)
"""An entry of ``warnings.filters`` that lets no warning pass."""


class _Records(logging.Filter):
    """Drops what is logged in a thread that is inside :func:`quiet`."""

    def filter(self, record: logging.LogRecord) -> bool:
        theirs = record.name.partition(".")[0] in _PACKAGES
        return not (theirs and _QUIET.get() and record.levelno <= logging.ERROR)


class _Warnings:
    """Ignores warnings while any thread is inside :func:`quiet`: Python has one list for all."""

    def __init__(self) -> None:
        self._lock, self._threads = threading.Lock(), 0

    def ignore(self) -> None:
        with self._lock:
            self._threads += 1
            if _IGNORE_ALL not in warnings.filters:
                warnings.simplefilter("ignore", Warning)

    def restore(self) -> None:
        with self._lock:
            self._threads -= 1
            if not self._threads and _IGNORE_ALL in warnings.filters:
                warnings.filters.remove(_IGNORE_ALL)  # type: ignore[attr-defined]  # it is a list
                warnings._filters_mutated()  # type: ignore[attr-defined]  # or the old ones stay


_RECORDS, _WARNINGS = _Records(), _Warnings()


@contextmanager
def quiet() -> Iterator[None]:
    """Hold back what other packages log and warn about inside a ``with``, in this thread.

    Notes
    -----
    While any thread is in here, warnings of other packages are silent in all threads. Ours are
    not: see :func:`clustem.core.history.warn`.
    """
    handlers = [*logging.root.handlers, logging.lastResort]
    handlers += [handler for name in _PACKAGES for handler in logging.getLogger(name).handlers]
    for handler in handlers:  # not loggers: those of readers are made while they read
        if handler is not None:
            handler.addFilter(_RECORDS)  # the same one is added once
    token = _QUIET.set(True)
    _WARNINGS.ignore()
    try:
        with collecting():
            yield
    finally:
        _WARNINGS.restore()
        _QUIET.reset(token)
