"""Threads of our own, with BLAS held to one in each."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
from collections.abc import Iterator

from threadpoolctl import ThreadpoolController


class _BlasLimit:
    """One thread for BLAS while any of our threads wants that: the limit belongs to the process."""

    def __init__(self) -> None:
        self._lock, self._users = threading.Lock(), 0
        self._limit: contextlib.ExitStack | None = None

    def acquire(self) -> None:
        with self._lock:
            self._users += 1
            if self._limit is None:
                self._limit = contextlib.ExitStack()
                limited = _blas(len(sys.modules)).limit(limits=1, user_api="blas")
                self._limit.enter_context(limited)

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users and self._limit is not None:
                self._limit.close()
                self._limit = None


_LIMIT = _BlasLimit()


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: the threads are ours."""
    _LIMIT.acquire()
    try:
        yield
    finally:
        _LIMIT.release()


@functools.lru_cache(maxsize=1)
def _blas(loaded: int) -> ThreadpoolController:  # noqa: ARG001  # a new module may bring a library
    return ThreadpoolController()  # looks at every library of the process: 10 ms


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
