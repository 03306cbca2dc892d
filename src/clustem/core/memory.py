"""Whether what a step must hold fits in memory, asked before it starts."""

from __future__ import annotations

import sys
from pathlib import Path

from clustem.core.errors import InputError

_GROUP = Path("/sys/fs/cgroup")
_KNOWN = Path("/proc/meminfo")


def check_memory(needed: float, what: str, *, cure: str) -> None:
    """Refuse to start what does not fit in memory.

    Parameters
    ----------
    needed
        What will be held at once, beside what there is already [bytes].
    what
        Name of the step.
    cure
        What to do instead.

    Raises
    ------
    InputError
        If more is needed than is free; where the system does not tell, nothing is refused.

    Examples
    --------
    >>> check_memory(1e3, "NMF", cure="Use pca.")
    """
    free = free_memory()
    if needed > free:
        raise InputError(
            f"{what} of these rows needs {needed / 1e9:.3g} GB of memory",
            got=f"{free / 1e9:.3g} GB that are free",
            cure=cure,
        )


def free_memory() -> float:
    """Return the memory that this process can still take [bytes]; infinity if that is unknown."""
    free = [_limit_left()]
    if _KNOWN.is_file():
        lines = (line.split() for line in _KNOWN.read_text(encoding="ascii").splitlines())
        free += [1024.0 * int(line[1]) for line in lines if line[0] == "MemAvailable:"]
    try:
        most = (_GROUP / "memory.max").read_text(encoding="ascii").strip()
        used = (_GROUP / "memory.current").read_text(encoding="ascii").strip()
        stat = (line.split() for line in (_GROUP / "memory.stat").read_text("ascii").splitlines())
        cached = sum(float(line[1]) for line in stat if line[0] == "file")  # given back when asked
        free.append(float(most) - float(used) + cached)
    except (OSError, ValueError):  # no group, or one without a limit ("max")
        pass
    return max(min(free), 0.0)


def _limit_left() -> float:
    """Return what the limit of the address space leaves."""
    if sys.platform == "win32":
        return float("inf")
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return float("inf")
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return float(limit)
    return float(limit - pages * resource.getpagesize())


def size_text(n_bytes: float) -> str:
    """Write a size for people.

    Examples
    --------
    >>> size_text(645553152)
    '646 MB'
    """
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"
