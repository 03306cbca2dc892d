"""What the evidence for a number of clusters says, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.judge._agreement import agreement
from clustem.judge._gaps import SURE
from clustem.judge._structure import Structure

F64 = NDArray[np.float64]
_VARIES = 0.05
"""Relative spread of the intensity that is worth a word."""
_SAME = 0.9
"""Adjusted Rand index from which on two clusterings count as the same."""
_NEARLY = 2.3
"""Strength from which on a gap is nearly one."""
_FIRM = 5.0
"""Strength from which on a gap is beyond doubt."""


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
    borders
        Groups that are only mixed pixels along the borders of others.
    directions
        Where there is only one group: along how many directions it varies over the scan, without
        that of the intensity, and with it.
    spread
        Relative spread of the source's intensity.
    leveled
        Whether the source was normalised, so that its intensity is the same everywhere.
    columns
        Scores over k.
    labels
        The estimator's clusters (m,) at the chosen k; None if it made none.
    """

    found: Structure
    ks: tuple[int, ...]
    borders: Sequence[int] = ()
    directions: tuple[int, int] = (0, 0)
    spread: float = 0.0
    leveled: bool = False
    columns: Mapping[str, F64] = field(default_factory=dict)
    labels: NDArray[Any] | None = None

    @property
    def groups(self) -> int:
        """Number of groups that count."""
        return self.found.groups.size - len(self.borders)

    @property
    def blended(self) -> bool:
        """Whether there is only one group, which is more than noise."""
        return self.groups == 1 and self.directions[1] > 0

    @property
    def k(self) -> int:
        """The recommended number of clusters."""
        return nearest(self.ks, 1 + self.directions[0] if self.groups == 1 else self.groups)

    @property
    def agreement(self) -> float:
        """Adjusted Rand index of the estimator's clusters and the groups that count."""
        if self.labels is None:
            return 1.0
        groups = self.found.groups.labels
        counted = np.where(np.isin(groups, list(self.borders)), -1, groups)
        return agreement(counted, self.labels).ari

    @property
    def weakest(self) -> float:
        """Strength of the weakest gap between groups that count; 0 if there is one group."""
        counted = np.setdiff1d(np.arange(self.found.groups.size), self.borders)
        gaps = self.found.groups.gaps[np.ix_(counted, counted)]
        return float(gaps.min()) if self.groups > 1 else 0.0

    @property
    def next(self) -> float:
        """Strength of the strongest gap that did not count."""
        return self.found.groups.course.get(self.found.groups.size + 1, 0.0)

    @property
    def stable(self) -> float:
        if self.k not in self.ks or self.k == 1:
            return 1.0
        return float(self.columns["stability of halves"][self.ks.index(self.k)])

    @property
    def confidence(self) -> Literal["low", "medium", "high"]:
        if (
            self.blended
            or self.k != self.groups
            or self.next > 0.9 * SURE
            or len(self.found.groups.labels) < 100
        ):
            return "low"
        if self.groups > 1 and (self.weakest < 1.15 * SURE or self.agreement < 0.5):
            return "low"
        firm = self.groups == 1 or self.weakest >= _FIRM
        same = self.agreement > _SAME and self.stable > 0.8
        return "high" if firm and self.next <= _NEARLY and same else "medium"

    @property
    def alternatives(self) -> tuple[int, ...]:
        """Numbers of groups whose weakest gap is neither clearly open nor clearly closed."""
        course, size = self.found.groups.course, self.found.groups.size
        also = {k - len(self.borders) for k, gap in course.items() if k > size and gap > _NEARLY}
        if self.borders:
            also.add(size)
        if self.groups > 2 and self.weakest < _FIRM:
            also.add(self.groups - 1)
        if self.blended:
            also |= {1, *(1 + number for number in self.directions)}
        tried = also & {1, *self.ks} - {self.k}
        return tuple(sorted(tried, key=lambda k: (abs(k - self.k), k))[:3])

    @property
    def reason(self) -> str:
        """The recommendation's reason, one sentence."""
        if self.blended:
            return self._blend
        if self.groups == 1:
            beyond = ""
            if self.spread > _VARIES:
                beyond = f" beyond intensity, which varies by {100 * self.spread:.0f} %"
            elif self.leveled:
                beyond = " beyond intensity, which was normalised before"
            return f"no structure{beyond}: nowhere in the cloud of rows lies a gap"
        several = f"{self.groups} groups have a gap between any two of them"
        if self.k != self.groups:
            return f"{several}, which is not among the numbers tried: the nearest is taken"
        strength = f"the weakest has strength {self.weakest:.1f}, 3 makes a gap"
        if self.agreement > _SAME:
            same = "the estimator finds the same groups"
        else:
            same = f"but the estimator's clusters differ from them (ARI {self.agreement:.2f})"
        within = "none within"
        if self.next > _NEARLY:
            within = f"and within them one of strength {self.next:.1f} nearly opens"
        return f"{several} ({strength}), {within}; {same}{self._mixed}"

    @property
    def _mixed(self) -> str:
        if not self.borders:
            return ""
        rows = int(np.isin(self.found.groups.labels, list(self.borders)).sum())
        share = 100 * rows / len(self.found.groups.labels)
        some = "one more is" if len(self.borders) == 1 else f"{len(self.borders)} more are"
        return f"; {some} but mixtures where groups meet ({share:.1f} % of the rows)"

    @property
    def _blend(self) -> str:
        beyond, number = self.directions
        if beyond == 0:
            return (
                "no gap lies in the cloud of rows, and what varies over the scan goes along with "
                f"intensity, which varies by {100 * self.spread:.0f} %: thickness, or phases of "
                "other brightness"
            )
        many = f"{beyond} direction{'s' * (beyond > 1)}"
        more = f" ({number} with intensity)" if number > beyond else ""
        return (
            f"no gap lies in the cloud of rows, but along {many}{more} it varies over the scan "
            f"more than a smooth trend: phases that mix, {beyond + 1} or more of them"
        )
