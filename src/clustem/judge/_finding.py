"""What the evidence for a number of clusters says, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.judge._agreement import agreement
from clustem.judge._gaps import SURE
from clustem.judge._structure import Structure

F64 = NDArray[np.float64]
_VARIES = 0.05
_NEARLY, _FIRM = 2.3, 5.0
"""Strength up to which nobody would see a gap, and from which on everybody would."""


def nearest(ks: tuple[int, ...], groups: int) -> int:
    """Return the number of clusters to take for a number of groups; 1 is always possible."""
    return 1 if groups == 1 else min(ks, key=lambda k: (abs(k - groups), k))


@dataclass(frozen=True)
class Finding:
    """What the evidence says.

    Parameters
    ----------
    found
        Groups of the rows.
    ks
        Numbers of clusters to choose from.
    columns
        Scores over k.
    labels
        The estimator's clusters (m,) at the chosen k; None if it made none.
    spread
        Relative spread of the source's intensity.
    """

    found: Structure
    ks: tuple[int, ...]
    columns: Mapping[str, F64]
    labels: NDArray[Any] | None
    spread: float

    @property
    def groups(self) -> int:
        return self.found.groups.size

    @property
    def k(self) -> int:
        return nearest(self.ks, self.groups)

    @property
    def agreement(self) -> float:
        """Adjusted Rand index of the estimator's clusters and the groups."""
        if self.labels is None:
            return 1.0
        return agreement(self.found.groups.labels, self.labels).ari

    @property
    def weakest(self) -> float:
        """Strength of the weakest gap that counted."""
        return self.found.groups.course.get(self.groups, 0.0)

    @property
    def next(self) -> float:
        """Strength of the strongest gap that did not count."""
        return self.found.groups.course.get(self.groups + 1, 0.0)

    @property
    def stable(self) -> float:
        if self.k not in self.ks or self.k == 1:
            return 1.0
        return float(self.columns["stability of halves"][self.ks.index(self.k)])

    @property
    def confidence(self) -> Literal["low", "medium", "high"]:
        if self.k != self.groups or self.next > 0.9 * SURE or len(self.found.groups.labels) < 100:
            return "low"
        if self.groups > 1 and (self.weakest < 1.15 * SURE or self.agreement < 0.5):
            return "low"
        firm = self.groups == 1 or self.weakest >= _FIRM
        same = self.agreement > 0.9 and self.stable > 0.8
        return "high" if firm and self.next <= _NEARLY and same else "medium"

    @property
    def alternatives(self) -> tuple[int, ...]:
        """Numbers of groups whose weakest gap is neither clearly open nor clearly closed."""
        course = self.found.groups.course
        more = [k for k in self.ks if k > self.k and course.get(k, 0.0) > _NEARLY]
        fewer = [
            k for k in self.ks if 1 < k < self.k and self.weakest < _FIRM <= course.get(k, 0.0)
        ]
        near = sorted([*more, *fewer[-1:]], key=lambda k: abs(k - self.k))
        return tuple(near[:3])

    @property
    def reason(self) -> str:
        if self.groups == 1:
            beyond = ""
            if self.spread > _VARIES:
                beyond = f" beyond intensity, which varies by {100 * self.spread:.0f} %"
            return f"no structure{beyond}: nowhere in the cloud of rows lies a gap"
        several = f"{self.groups} groups have a gap between any two of them"
        if self.k != self.groups:
            return f"{several}, which is not among the numbers tried: the nearest is taken"
        strength = f"the weakest has strength {self.weakest:.1f}, 3 makes a gap"
        if self.agreement > 0.9:
            same = "the estimator finds the same groups"
        else:
            same = f"but the estimator's clusters differ from them (ARI {self.agreement:.2f})"
        return f"{several} ({strength}), none within; {same}"
