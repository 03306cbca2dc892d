"""One line of history."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Step:
    """One thing that was done to the data, so that it can be done again.

    Parameters
    ----------
    room
        Where it happened: ``"prepare"``, ``"reduce"``, ...
    name
        Name of the function or estimator in that room's catalogue.
    params
        All parameters, defaults included, as plain values.
    version
        Version of the package that did it.
    seed
        Random seed, None where nothing was random.
    seconds
        How long it took [s].
    note
        What was found on the way and a reader should know (one sentence).

    Examples
    --------
    >>> Step("reduce", "pca", {"n_components": 3}).label
    'reduce.pca(n_components=3)'
    """

    room: str
    name: str
    params: dict[str, Any] = field(default_factory=dict)
    version: str = ""
    seed: int | None = None
    seconds: float = 0.0
    note: str = ""

    @property
    def label(self) -> str:
        """The step as one would type it; long values (masks) are cut."""
        given = ", ".join(f"{key}={_short(repr(value))}" for key, value in self.params.items())
        return f"{self.room}.{self.name}({given})"

    def as_dict(self) -> dict[str, Any]:
        """Return the step as plain values, for JSON."""
        return asdict(self)


def _short(text: str) -> str:
    return text if len(text) <= 120 else f"{text[:40]}...{text[-1]}"
