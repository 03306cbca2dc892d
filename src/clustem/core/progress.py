"""Progress of long loops, for whoever waits: how far they are, and a way to stop them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Progress = Callable[[str, float], None]
"""Called with the step that runs and the share of steps done, 0 ... 1."""

_OBSERVER: ContextVar[Callable[[float | None], None] | None] = ContextVar("observer", default=None)


class Cancelled(BaseException):  # nothing went wrong; no handler of errors may eat it
    """Whoever observes a loop wants it to stop."""


def tick(share: float | None = None) -> None:
    """Say that a loop is alive; every loop that can take seconds calls this in each round.

    Parameters
    ----------
    share
        How much of the loop is done, 0 ... 1, where that is known.
    """
    observer = _OBSERVER.get()
    if observer is not None:
        observer(share)


@contextmanager
def observe(observer: Callable[[float | None], None]) -> Iterator[None]:
    """Have a function called at each tick of what runs in this thread, inside a ``with``.

    Parameters
    ----------
    observer
        Called with the share that :func:`tick` was given. What it raises, such as
        :class:`Cancelled`, stops the loop: a pass over a file then ends as after any other error.

    Examples
    --------
    >>> import numpy as np
    >>> from clustem.passes.rows import Rows
    >>> shares = []
    >>> with observe(shares.append):
    ...     found = np.asarray(Rows(np.ones((6, 4), dtype=np.uint8)))
    >>> shares
    [1.0]
    """
    before = _OBSERVER.set(observer)
    try:
        yield
    finally:
        _OBSERVER.reset(before)
