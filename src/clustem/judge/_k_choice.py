"""The evidence for a number of clusters, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True)
class KChoice:
    """How many clusters there are, how sure that is, and all scores over k.

    Attributes
    ----------
    k
        The recommended number of clusters; 1 is no structure.
    confidence
        How sure that is.
    reason
        Why, in one sentence.
    alternatives
        Other numbers worth a look, the most likely first.
    ks
        The numbers of clusters that were tried.
    scores
        Values (len(ks),) by name; NaN where a score is not defined.
    gaps
        Strength of the weakest gap, by the number of groups it would leave when no more were
        joined: from 3 on a gap is one.
    n_rows, n_used
        Number of rows, and of those that the evidence is from.
    """

    k: int
    confidence: Literal["low", "medium", "high"]
    reason: str
    alternatives: tuple[int, ...]
    ks: tuple[int, ...]
    scores: Mapping[str, F64]
    gaps: Mapping[int, float]
    n_rows: int
    n_used: int

    @property
    def structure(self) -> bool:
        """Whether there is more than one cluster."""
        return self.k > 1

    @property
    def summary(self) -> str:
        """The choice in one line."""
        others = f"; or {', '.join(map(str, self.alternatives))}" if self.alternatives else ""
        tried = f"{self.ks[0]} ... {self.ks[-1]}" if len(self.ks) > 1 else f"{self.ks[0]}"
        return f"k = {self.k} of {tried} ({self.confidence} confidence{others}): {self.reason}"

    def __str__(self) -> str:
        """Return the choice and the table of scores."""
        names = list(self.scores)
        rows = [["k", *names]]
        for i, k in enumerate(self.ks):
            mark = "*" if k == self.k else ""
            rows.append([f"{k}{mark}", *(_shown(self.scores[name][i]) for name in names)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
            for row in rows
        ]
        return "\n".join([self.summary, *lines])

    def to_csv(self) -> str:
        """Return the table of scores as comma-separated values, one line per k."""
        lines = [",".join(["k", "recommended", *self.scores])]
        for i, k in enumerate(self.ks):
            values = (f"{column[i]:.8g}" for column in self.scores.values())
            lines.append(",".join([str(k), str(int(k == self.k)), *values]))
        return "\n".join(lines) + "\n"


def _shown(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"
