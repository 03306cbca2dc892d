"""How much memory sessions may take, each and all together."""

from __future__ import annotations

import ctypes
import gc
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from weakref import WeakSet

from clustem.core import InputError
from clustem.core.memory import free_memory, size_text

_SHARE = 0.5
"""Share of the free memory that all sessions take together, unless another size is given."""
_LEAST = 1e9
"""What they may take anyhow [bytes]."""
_GROWN = 1e8
"""Memory that may wait to be given back [bytes]: to look for it takes some tenths of a second."""
_LATER = 2.0
"""Time after a file or a session was closed until all that it held can go [s]."""
_SOON = threading.Lock()  # while it will be looked for
_ARENA_MAX = -8
"""Option of ``mallopt`` for the number of arenas, as in glibc's ``malloc.h``."""
_STATUS = Path("/proc/self/status")
_CURE = "Close other files, crop or bin it before, or save it as .zspy, which is read part by part."


@dataclass(eq=False)
class Claim:
    """Memory that something open takes; it ends with the object that holds it.

    Parameters
    ----------
    n_bytes
        How much [bytes].
    """

    n_bytes: float


@dataclass(eq=False)
class Budget:
    """Memory of a server for what is open.

    Parameters
    ----------
    total
        What all sessions may take together [bytes].
    each
        What one of them may take [bytes].
    """

    total: float
    each: float
    _claims: WeakSet[Claim] = field(default_factory=WeakSet)
    _held: float = 0.0  # after the last look
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of_machine(cls, total: float | None = None, each: float | None = None) -> Budget:
        """Take sizes that are given [bytes]; else half of what is free, and half of that for each.

        Examples
        --------
        >>> Budget.of_machine(8e9).each
        4000000000.0
        """
        free = free_memory()
        if total is None:
            total = max(_SHARE * free, _LEAST)
        return cls(total, min(total, total / 2 if each is None else each))

    def left(self, kept: tuple[Claim, ...] = ()) -> float:
        """Return what a session may still take that keeps these claims [bytes]."""
        own = sum(claim.n_bytes for claim in kept)
        return min(self.each - own, self.total - sum(claim.n_bytes for claim in self._claims))

    def claim(self, needed: float, what: str, kept: tuple[Claim, ...] = ()) -> Claim:
        """Claim memory before it is taken.

        Parameters
        ----------
        needed
            How much [bytes].
        what
            Who needs it, for the message.
        kept
            What the session holds that stays.

        Raises
        ------
        InputError
            If that is more than is left.
        """
        with self._lock:
            left = self.left(kept)
            if needed > left:
                gc.collect()  # closed sessions are full of circles
                left = self.left(kept)
            if needed > left:
                raise InputError(
                    f"{what} needs {size_text(needed)} of memory",
                    got=f"{size_text(max(left, 0.0))} that this session may still take",
                    cure=_CURE,
                )
            made = Claim(needed)
            self._claims.add(made)
            return made

    def full(self) -> bool:
        """Whether the process holds more than all sessions may take.

        What has gathered since the last look is given back first. False where the system does not
        tell.
        """
        if held() > min(self.total, self._held + _GROWN):
            give_back()
            self._held = held()
        return held() > self.total


@dataclass(frozen=True)
class Room:
    """What is left for a file that is being opened.

    Parameters
    ----------
    budget
        Of the server.
    kept
        What the session holds that stays open.
    """

    budget: Budget
    kept: tuple[Claim, ...] = ()

    @property
    def left(self) -> float:
        """What may be taken [bytes]."""
        return self.budget.left(self.kept)

    def take(self, needed: float, what: str) -> Claim:
        """Claim memory: see :meth:`Budget.claim`."""
        return self.budget.claim(needed, what, self.kept)


def held() -> float:
    """Return the memory of this process without files that are mapped [bytes]; 0 if unknown."""
    with suppress(OSError):
        for line in _STATUS.read_text(encoding="ascii").splitlines():
            if line.startswith("RssAnon:"):
                return 1024.0 * int(line.split()[1])
    return 0.0


def give_back() -> None:
    """Give memory back to the system that nobody holds any more.

    Documents are full of circles, which Python finds when it looks for them.
    """
    gc.collect()
    trim()


def trim() -> None:
    """Give back what Python has freed and the C library keeps, for each thread its own.

    This takes some 20 ms and lets other threads of Python go on.
    """
    with suppress(OSError, AttributeError, TypeError):  # glibc has it
        ctypes.CDLL(None).malloc_trim(0)


def share_one_arena() -> None:
    """Let all threads that are still to come take memory from one arena of the C library.

    With one for each thread, what sessions leave behind stays in many pieces that cannot be given
    back: the server grew by 145 MB in 20 sessions, and by nothing with one arena.
    """
    with suppress(OSError, AttributeError, TypeError):  # glibc has it
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


def give_back_later() -> None:
    """Give the memory of what has just been closed back to the system, a moment later."""
    if _SOON.acquire(blocking=False):
        timer = threading.Timer(_LATER, _give_back_now)
        timer.daemon = True
        timer.start()


def _give_back_now() -> None:
    _SOON.release()  # what is closed from here on is looked for later
    give_back()
