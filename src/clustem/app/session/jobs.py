"""Work that takes time, in a thread: one job after the other, with progress and a way to stop."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import param

from clustem.app.session.memory import trim
from clustem.core import Cancelled, Progress, observe

Post = Callable[[Callable[[], None]], None]
Work = Callable[[Progress], Any]
_LOG = logging.getLogger(__name__)
_SELDOM = 0.1  # between two reports of the progress [s]
_PATIENCE = 2.0
"""Time after a cancel in which a job should tick; then it is left to itself [s]."""


@dataclass(frozen=True)
class Status:
    """What runs.

    Parameters
    ----------
    job
        What was asked for, empty if nothing runs.
    step
        Which part of it runs now.
    share
        How much of the job is done, 0 ... 1.
    inner
        How much of the present pass over the data is done, None where that is not known.
    stopping
        Whether it was cancelled and will end soon.
    """

    job: str = ""
    step: str = ""
    share: float = 0.0
    inner: float | None = None
    stopping: bool = False


@dataclass
class _Job:
    name: str
    work: Work
    done: Callable[[Any], None]
    failed: Callable[[BaseException], None]
    cancelled: bool = False
    ended: bool = False
    left: bool = False  # to itself: it ends at its next tick, and nobody waits for that


class Jobs(param.Parameterized):
    """A thread that does one job after the other.

    Parameters
    ----------
    post
        Called with a function that is to run where the page lives.
    """

    status: param.ClassSelector[Status] = param.ClassSelector(class_=Status, default=Status())

    def __init__(self, post: Post) -> None:
        super().__init__()
        self._post = post
        self._waiting: deque[_Job] = deque()
        self._running: _Job | None = None
        self._change = threading.Condition()
        self._closed = False
        self._posted = 0.0
        self._thread: threading.Thread | None = None

    def start(
        self,
        name: str,
        work: Work,
        done: Callable[[Any], None],
        failed: Callable[[BaseException], None],
        *,
        latest: bool = False,
    ) -> None:
        """Queue a job.

        Parameters
        ----------
        name
            For people.
        work
            Called in the thread with ``report(step, share)``; it stops where it reports or ticks.
        done, failed
            Called on the page with what the work returned, or raised. After a cancel neither is.
        latest
            Whether earlier jobs of this name are cancelled: only the last one counts.
        """
        job = _Job(name, work, done, failed)
        with self._change:
            if self._closed:
                return
            if latest:
                self._drop(name)
            self._waiting.append(job)
            self._work()
            self._change.notify_all()

    def _work(self) -> None:
        """Have a thread do what waits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="clustem", daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Stop what runs at its next tick, and forget what waits.

        What does not tick within two seconds is left to itself: others go on in another thread.
        """
        with self._change:
            self._waiting.clear()
            running = self._running
            if running is not None:
                running.cancelled = True
        if running is not None:
            self.status = replace(self.status, stopping=True)
            timer = threading.Timer(_PATIENCE, self._leave, [running])
            timer.daemon = True
            timer.start()

    def _leave(self, job: _Job) -> None:
        with self._change:
            if self._running is not job or self._closed:
                return
            job.left, self._running, self._thread = True, None, None
            if self._waiting:
                self._work()
            self._change.notify_all()

        def show() -> None:
            if not self.status.job or self.status.stopping:
                self.status = Status()

        _LOG.info("%s is left to itself", job.name)
        self._post(show)

    def close(self) -> None:
        """Stop for good; the thread ends."""
        with self._change:
            self._closed = True
            self._waiting.clear()
            if self._running is not None:
                self._running.cancelled = True
            self._change.notify_all()

    def wait(self, timeout: float = 60.0) -> bool:
        """Wait until nothing runs or waits; False if that took longer than the timeout [s]."""
        with self._change:
            return self._change.wait_for(
                lambda: self._running is None and not self._waiting, timeout
            )

    def _drop(self, name: str) -> None:
        self._waiting = deque(job for job in self._waiting if job.name != name)
        if self._running is not None and self._running.name == name:
            self._running.cancelled = True

    def _loop(self) -> None:
        job: _Job | None = None
        while job is None or not job.left:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                job = self._running = self._waiting.popleft()
            self._do(job)
            trim()
            with self._change:
                if not job.left:
                    self._running = None
                    self._change.notify_all()

    def _do(self, job: _Job) -> None:
        state = Status(job.name)

        def report(step: str, share: float) -> None:
            nonlocal state
            state = Status(job.name, step, share)
            self._post_status(job, state, force=True)

        def observer(inner: float | None) -> None:
            nonlocal state
            state = replace(state, inner=inner)
            self._post_status(job, state)

        try:
            self._post_status(job, state, force=True)
            with observe(observer):
                found = job.work(report)
        except Cancelled:
            _LOG.info("%s cancelled", job.name)
            self._end(job, lambda: None)
        except Exception as error:  # noqa: BLE001  # whatever it is, the page must hear of it
            self._end(job, partial(job.failed, error))  # a closure would be a circle
        else:
            self._end(job, lambda: job.done(found))

    def _post_status(self, job: _Job, state: Status, *, force: bool = False) -> None:
        if job.cancelled:
            raise Cancelled
        now = time.monotonic()
        if force or now - self._posted > _SELDOM:
            self._posted = now
            self._post(lambda: self._show(job, state))

    def _show(self, job: _Job, state: Status) -> None:
        if not (job.cancelled or job.ended):  # a thread of the work may tick after its end
            self.status = state

    def _end(self, job: _Job, call: Callable[[], None]) -> None:
        def finish() -> None:
            job.ended = True
            if job.left:
                return
            self.status = Status()
            if job.cancelled:
                return
            try:
                call()
            except Exception as error:  # noqa: BLE001  # what shows a result must not end the thread
                job.failed(error)

        self._post(finish)
