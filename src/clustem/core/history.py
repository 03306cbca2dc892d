"""What was done, in order: one line of history per step, and what steps say while they run."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

_PACKAGES = (
    "clustem",
    "hyperspy",
    "exspy",
    "rosettasciio",
    "numpy",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "numba",
    "dask",
    "torch",
    "matplotlib",
)


@dataclass(frozen=True)
class Step:
    """One thing that was done to the data, so that it can be done again.

    Parameters
    ----------
    stage
        Where it happened: ``"prepare"``, ``"reduce"``, ...
    name
        Name of the function or estimator in that stage.
    parameters
        All parameters as they took effect, defaults included, as plain values.
    masks
        The masks that it was given, in words, by kind: how many are excluded, and a digest.
    found
        Values that it found, by name: ``beam_radius``, ``n_components``, ...
    version
        Version of the package that did it.
    seed
        Random seed, None where nothing was random.
    seconds
        How long it took [s].
    note
        What a reader should know (one sentence).

    Examples
    --------
    >>> Step("reduce", "pca", {"n_components": 3}).label
    'reduce.pca(n_components=3)'
    """

    stage: str
    name: str
    parameters: dict[str, Any] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)
    found: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    seed: int | None = None
    seconds: float = 0.0
    note: str = ""

    @property
    def label(self) -> str:
        """The step as one would type it; long values are cut."""
        given = ", ".join(f"{key}={_short(repr(value))}" for key, value in self.parameters.items())
        return f"{self.stage}.{self.name}({given})"

    def as_dict(self) -> dict[str, Any]:
        """Return the step as plain values, for JSON."""
        return asdict(self)


@dataclass
class Record:
    """What a step says while it runs.

    Parameters
    ----------
    found
        Values that it found, by name.
    notes
        What a reader should know.
    """

    found: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def note(self) -> str:
        """All notes in one line."""
        return "; ".join(self.notes)


_RECORD: ContextVar[Record | None] = ContextVar("record", default=None)


def record(note: str = "", /, **found: Any) -> None:
    """Write to the history of the step that runs; without a recipe that runs it, do nothing.

    Parameters
    ----------
    note
        What a reader should know (one sentence); nothing if empty.
    **found
        Values that the step found, plain: ``beam_radius=4.2``.
    """
    running = _RECORD.get()
    if running is None:
        return
    if note:
        running.notes.append(note)
    running.found.update(found)


@contextmanager
def recording() -> Iterator[Record]:
    """Collect what the steps say that run inside a ``with``.

    Examples
    --------
    >>> with recording() as said:
    ...     record("1 peak found", position=3.5)
    >>> said.note, said.found
    ('1 peak found', {'position': 3.5})
    """
    said = Record()
    token = _RECORD.set(said)
    try:
        yield said
    finally:
        _RECORD.reset(token)


_WARNINGS: ContextVar[list[str] | None] = ContextVar("warnings", default=None)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn whoever runs this: in a list of its own inside :func:`collecting`, else as Python does.

    Python's ``catch_warnings`` belongs to the process: two threads would get each other's.

    Parameters
    ----------
    message
        What a user should know (one sentence).
    category
        Class of the warning.
    """
    collected = _WARNINGS.get()
    if collected is None:
        warnings.warn(message, category, stacklevel=3)
    else:
        collected.append(message)


@contextmanager
def collecting() -> Iterator[list[str]]:
    """Collect the warnings of what runs in this thread inside a ``with``.

    Examples
    --------
    >>> with collecting() as said:
    ...     warn("k-means did not converge")
    >>> said
    ['k-means did not converge']
    """
    said: list[str] = []
    token = _WARNINGS.set(said)
    try:
        yield said
    finally:
        _WARNINGS.reset(token)


@cache
def versions() -> dict[str, str]:
    """List the versions of the packages that results depend on, of those that are installed."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # an extra
            continue
    return found


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:40]}...{text[-1]}"
