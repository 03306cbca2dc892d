"""A sign of life from long loops, for whoever waits: progress inside a step, and a way to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LISTENER: ContextVar[Callable[[float | None], None] | None] = ContextVar("pulse", default=None)


def pulse(share: float | None = None) -> None:
    """Say that a loop is alive; every loop that can take seconds calls this in each round.

    Parameters
    ----------
    share
        How much of the loop is done, 0 ... 1, where that is known.
    """
    listener = _LISTENER.get()
    if listener is not None:
        listener(share)


@contextmanager
def listening(listener: Callable[[float | None], None]) -> Iterator[None]:
    """Have a function called at each pulse of what runs in this thread, inside a ``with``.

    Parameters
    ----------
    listener
        Called with the share that :func:`pulse` was given. What it raises stops the loop: a pass
        over a file then ends as after any other error.

    Examples
    --------
    >>> import numpy as np
    >>> from clustem.compute import Rows
    >>> heard = []
    >>> with listening(heard.append):
    ...     found = np.asarray(Rows(np.ones((6, 4), dtype=np.uint8)))
    >>> heard
    [1.0]
    """
    before = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(before)
