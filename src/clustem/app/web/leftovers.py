"""Memory that sessions leave behind when they end."""

from __future__ import annotations

import ctypes
import gc
import threading
from contextlib import suppress

_LATER = 2.0
"""Time after the end of a session until all that it held can go [s]."""


def give_back_later() -> None:
    """Give the memory of a session that has just ended back to the system, a moment later.

    Documents are full of circles, which Python finds when it looks for them; the C library keeps
    what Python frees: 40 MB for each session.
    """
    timer = threading.Timer(_LATER, _give_back)
    timer.daemon = True
    timer.start()


def _give_back() -> None:
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc has it
        ctypes.CDLL(None).malloc_trim(0)
