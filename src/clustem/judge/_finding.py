"""What the evidence for a number of clusters says, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clustem.judge._agreement import agreement
from clustem.judge._few_positions import FEW
from clustem.judge._gaps import FIRM, SURE
from clustem.judge._neighbourhoods import SEPARATE
from clustem.judge._structure import Structure

F64 = NDArray[np.float64]
_VARIES = 0.05
"""Relative spread of the intensity that is worth a word."""
_SAME = 0.9
"""Adjusted Rand index from which on two clusterings count as the same."""
_NEARLY = 2.3
"""Strength from which on a gap is nearly one."""
_ODD = 2
"""Normal distributions that a group takes, on average, beyond which its shape is an odd one."""
_SHALLOW = 2.0
"""Depth of a valley [standard deviations] that clouds of one piece rarely reach."""
_FEWEST = 100
"""Rows below which nothing is certain."""
_ENOUGH = 500
"""Rows from which on a group of a shape of its own is known to have no gap."""


def nearest(ks: tuple[int, ...], groups: int) -> int:
    """Return the number of clusters to take for a number of groups; 1 is always possible."""
    return 1 if groups == 1 else min(ks, key=lambda k: (abs(k - groups), k))


def main_groups(found: Structure, ks: tuple[int, ...]) -> Structure:
    """Leave out gaps within main groups, where there are more groups than can be taken.

    Where groups are of odd shapes, lines cut them in pieces, and all stays as it is.
    """
    groups = found.groups
    few = groups.size <= ks[-1]
    if groups.main is None or few or found.mixture.size > _ODD * groups.size:
        return found
    return replace(found, groups=groups.main)


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
    trend
        What the groups are instead, if they are none: ``"smooth"``, a trend over the scan;
        ``"intensity"``, what goes along with it; ``"chance"``, rows here and there.
    parts
        Number of weaker groups within those that are taken; 0 if these are all that there are.
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
    trend: Literal["", "smooth", "intensity", "chance"] = ""
    parts: int = 0
    columns: Mapping[str, F64] = field(default_factory=dict)
    labels: NDArray[Any] | None = None

    @property
    def parted(self) -> int:
        """Number of groups with a gap along a line between any two of them."""
        return self.found.groups.size - len(self.borders)

    @property
    def odd(self) -> bool:
        """Whether groups are of shapes that take many normal distributions: bent, or not one."""
        return not self.parts and self.found.mixture.size > _ODD * self.parted

    @property
    def bent(self) -> bool:
        """Whether regions of neighbours count, as lines find no gap or cut odd shapes in pieces."""
        regions = self.found.regions.size
        return not self.trend and 1 < regions != self.parted and (self.parted == 1 or self.odd)

    @property
    def groups(self) -> int:
        """Number of groups that count."""
        if self.trend:
            return 1
        return self.found.regions.size if self.bent else self.parted

    @property
    def agreed(self) -> bool:
        """Whether neighbours tell the same number of groups as gaps do, beyond doubt."""
        return self.found.regions.size == self.found.regions.most == self.parted

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
        return float(gaps.min()) if self.parted > 1 else 0.0

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
        few = self.found.rows < (_FEWEST if self.found.share == 1 else FEW)
        unsure = self.next > 0.9 * SURE and not self.parts
        if self.blended or self.k != self.groups or unsure or few:
            return "low"
        if self.trend and self.parted > 1:  # gaps say one thing, places on the scan another
            return "low"
        if self.bent:
            certain = self.found.regions.size == self.found.regions.most
            return "medium" if self.parted == 1 and certain else "low"
        return self._of_one if self.groups == 1 else self._of_several

    @property
    def _of_several(self) -> Literal["low", "medium", "high"]:
        """Gaps must be beyond doubt, the estimator find them, and neighbours see odd shapes."""
        if self.parts:
            return "medium" if self.agreement > _SAME else "low"
        if self.weakest < 1.15 * SURE or self.agreement < 0.5:
            return "low"
        firm = self.weakest >= FIRM and self.next <= _NEARLY
        same = self.agreement > _SAME and self.stable > 0.8
        if self.odd and not self.agreed:
            return "medium" if firm and same else "low"
        simple = self.found.mixture.size <= self.found.groups.size
        return "high" if firm and same and (simple or self.agreed) else "medium"

    @property
    def _of_one(self) -> Literal["low", "medium", "high"]:
        """No gap is no proof: neighbours must not doubt it, and the shape be known."""
        if self.found.regions.most > 1:
            return "low"
        normal = self.found.mixture.size == 1 and self.found.regions.deepest < _SHALLOW
        if normal and self.next <= _NEARLY and self.found.share == 1:
            return "high"
        return "medium" if self.found.rows >= _ENOUGH else "low"

    @property
    def alternatives(self) -> tuple[int, ...]:
        """Numbers of groups whose weakest gap is neither clearly open nor clearly closed."""
        course, size = self.found.groups.course, self.found.groups.size
        also = {k - len(self.borders) for k, gap in course.items() if k > size and gap > _NEARLY}
        also |= {self.parted, self.found.regions.size} if self.odd or self.bent else set()
        if self.borders:
            also.add(size)
        if self.parted > 2 and self.weakest < FIRM:
            also.add(self.parted - 1)
        if self.found.groups.main is not None:
            also.add(self.found.groups.main.size)
        if self.parts:
            also.add(self.parts)
        if self.blended:
            also |= {1, *(1 + number for number in self.directions)}
        tried = also & {1, *self.ks} - {self.k}
        return tuple(sorted(tried, key=lambda k: (abs(k - self.k), k))[:3])

    @property
    def reason(self) -> str:
        """The recommendation's reason, one sentence."""
        if self.blended:
            return self._blend
        if self.trend:
            return self._no_groups
        if self.bent:
            return self._curved
        if self.groups == 1:
            return self._one_group
        several = f"{self.groups} groups have a gap between any two of them"
        if self.k != self.groups:
            return f"{several}, which is not among the numbers tried: the nearest is taken"
        strength = f"the weakest has strength {self.weakest:.1f}, 3 makes a gap"
        if self.agreement > _SAME:
            same = "the estimator finds the same groups"
        else:
            same = f"but the estimator's clusters differ from them (ARI {self.agreement:.2f})"
        within = "none within"
        if self.parts:
            within = f"and weaker ones within them, up to {self.next:.1f}, make {self.parts} parts"
        elif self.next > _NEARLY:
            within = f"and within them one of strength {self.next:.1f} nearly opens"
        return f"{several} ({strength}), {within}; {same}{self._mixed}{self._doubt}"

    @property
    def _one_group(self) -> str:
        rows = self.found.rows
        if rows < FEW and self.found.share < 1:
            return (
                f"the image holds {rows} windows side by side of the width of its filters, too "
                f"few to tell groups from chance, which takes {FEW}: name the number of "
                "clusters, describe narrower windows, or take a larger image"
            )
        if rows < FEW:
            return (
                f"{rows} positions are too few to tell groups from chance, which takes {FEW}: "
                "name the number of clusters, or measure a longer line or a map"
            )
        beyond = ""
        if self.spread > _VARIES:
            beyond = f" beyond intensity, which varies by {100 * self.spread:.0f} %"
        elif self.leveled:
            beyond = " beyond intensity, which was normalised before"
        return f"no structure{beyond}: nowhere in the cloud of rows lies a gap{self._doubt}"

    @property
    def _no_groups(self) -> str:
        several = f"{self.parted} parts of the cloud of rows" if self.parted > 1 else "the rows"
        return {
            "smooth": f"a trend, no groups: {several} follow a smooth surface over the scan",
            "intensity": (
                f"no structure beyond intensity, which varies by {100 * self.spread:.0f} %: "
                f"{several} go along with it: thickness or dose"
            ),
            "chance": f"no structure: {several} lie on the scan as by chance, as noise does",
        }[self.trend]

    @property
    def _curved(self) -> str:
        depth = self.found.regions.depths[self.groups - 2]
        valley = "no row" if np.isinf(depth) else "few rows"
        lines = "no straight line" if self.parted == 1 else f"straight lines tell {self.parted}"
        return (
            f"{self.groups} regions of close neighbours have {valley} between them; {lines}"
            f"{' separates them' if self.parted == 1 else ''}: they are bent, or of odd shapes"
        )

    @property
    def _doubt(self) -> str:
        """What the second test says, where it differs."""
        regions = self.found.regions
        if self.groups == 1:
            if regions.most > 1:
                deepest = f"{regions.depths[0]:.1f} standard deviations, {SEPARATE:.0f} make one"
                return f", but its neighbours suggest a valley ({deepest})"
            shape = "one normal distribution describes it"
            if self.found.mixture.size > 1:
                shape = "but it is no normal distribution"
            return f", nor a valley among its neighbours; {shape}"
        if self.odd and not self.agreed:
            count = regions.size
            told = (
                f"{count} region{'s' * (count > 1)}"
                if count == regions.most
                else (f"{count} to {regions.most} regions")
            )
            return f"; they are of odd shapes, and neighbours tell {told}"
        return ""

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
