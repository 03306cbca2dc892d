"""Threads of a fit, each with one thread of BLAS."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from clustem.passes.threads import cores, one_blas_thread

S = TypeVar("S")
T = TypeVar("T")


class Workers:
    """Threads that work on tasks; results come in the order of the tasks."""

    def __init__(self, pool: ThreadPoolExecutor, count: int) -> None:
        self._pool, self._count = pool, count

    def map(self, work: Callable[[S], T], tasks: Sequence[S]) -> Iterator[tuple[S, T]]:
        """Yield each task and its result; few results wait at a time."""
        if len(tasks) == 1 or self._count == 1:
            for task in tasks:
                yield task, work(task)
            return
        ahead: list[Future[T]] = []
        for i, task in enumerate(tasks):
            while len(ahead) < min(i + self._count + 1, len(tasks)):
                ahead.append(self._pool.submit(work, tasks[len(ahead)]))
            result = ahead[i].result()
            ahead[i] = Future()  # let the result go
            yield task, result

    def run(self, work: Callable[[S], object], tasks: Sequence[S]) -> None:
        """Do all tasks, whose results are not wanted."""
        for _ in self.map(work, tasks):
            pass


@contextmanager
def workers() -> Iterator[Workers]:
    """Open the threads of a fit."""
    count = cores()
    with one_blas_thread(), ThreadPoolExecutor(count) as pool:
        yield Workers(pool, count)
