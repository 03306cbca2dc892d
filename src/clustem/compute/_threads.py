"""Threads of our own, with BLAS held to one in each."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator

from threadpoolctl import ThreadpoolController


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: the threads are ours."""
    with _blas(len(sys.modules)).limit(limits=1, user_api="blas"):
        yield


@functools.lru_cache(maxsize=1)
def _blas(loaded: int) -> ThreadpoolController:  # noqa: ARG001  # a new module may bring a library
    return ThreadpoolController()  # looks at every library of the process: 10 ms


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
