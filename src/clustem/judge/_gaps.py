"""Gaps: whether there are fewer rows between two groups than in either."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clustem.core.clustering import numbered

F64 = NDArray[np.float64]
Labels = NDArray[np.intp]
_CUTS = 12
"""Number of quantiles of each part between which gaps are looked for."""
SURE = 3.0
"""Least strength of a gap [standard deviations]."""
_APART = 3.3
"""Distance from which on two normal distributions of one covariance are two groups, where no gap
can be seen between them as one is so much smaller [standard deviations]."""
_VISIBLE = 2 * SURE
"""Expected strength from which on a gap that is not there has been looked for in earnest."""
FIRM = 5.0
"""Strength from which on a gap is beyond doubt."""
_FALL = 1.5
"""Least ratio of the strengths of gaps between main groups and of those within them."""
SHALLOW = 0.4
"""Depth from which on a gap must be more significant."""


class Gap(NamedTuple):
    """What lies between two groups.

    Parameters
    ----------
    score
        Largest z such that an interval holds fewer values than intervals on both of its sides would
        have it, by z standard deviations each.
    depth
        Density in that interval over the smaller one beside it; 0 if it is empty.
    """

    score: float
    depth: float

    @property
    def strength(self) -> float:
        """The score, in proportion smaller for a shallow gap."""
        return self.score * min(1.0, SHALLOW / max(self.depth, 1e-9))


def gap_between(values: F64, upper: NDArray[np.bool_]) -> Gap:
    """Find the gap that lies most surely between the two parts of values.

    Parameters
    ----------
    values
        Numbers (n,).
    upper
        Which of them are in the one part (n,).

    Notes
    -----
    For a density that rises and then falls, the mean density in an interval is at least the smaller
    of those in intervals on its two sides. For each choice of three neighbouring intervals among
    quantiles of both parts, the signed root of the likelihood ratio (two Poisson
    counts, equal densities against any) is taken for both sides, and the smaller one counts.
    For values from a density without a gap, cut at any place, the score exceeds 3 in 1 ... 5 of
    100 cases (most in those of a constant density), 3.5 in less than 1.

    References
    ----------
    L. Dümbgen and G. Walther, Ann. Stat. 36 (2008) 1758 (many intervals at once).
    """
    if np.median(values[upper]) < np.median(values[~upper]):
        values = -values
    shares = np.linspace(0.01, 0.99, _CUTS)
    cuts = np.unique([np.quantile(values[part], shares) for part in (~upper, upper)])
    if len(cuts) < 4:
        return Gap(0.0, 1.0)
    below = np.searchsorted(np.sort(values), cuts).astype(np.float64)
    first, last = np.triu_indices(len(cuts), 1)
    count, width = below[last] - below[first], cuts[last] - cuts[first]
    before = _sparser(count, width, below[first, None] - below, cuts[first, None] - cuts)
    after = _sparser(count, width, below - below[last, None], cuts - cuts[last, None])
    scores = np.minimum(before[0], after[0])
    best = int(scores.argmax())
    beside = min(before[1][best], after[1][best])
    return Gap(float(scores[best]), float(count[best] / width[best] / beside) if beside else 1.0)


def _sparser(count: F64, width: F64, others: F64, widths: F64) -> tuple[F64, F64]:
    """How much sparser intervals (p,) are than the best of others (p, s), and its density (p,).

    By the signed root of the likelihood ratio.
    """
    from scipy.special import rel_entr

    valid = widths > 0
    widths, others = np.where(valid, widths, 1.0), np.where(valid, others, 0.0)
    count, width = count[:, None], width[:, None]
    expected = (count + others) * width / (width + widths)
    ratio = rel_entr(count, expected) + rel_entr(others, count + others - expected)
    score = np.sqrt(np.maximum(2 * ratio, 0.0)) * np.sign(expected - count)
    score = np.where(valid, score, -np.inf)
    pick = np.arange(len(score)), score.argmax(axis=1)
    return score[pick], (others / widths)[pick]


@dataclass(frozen=True)
class Groups:
    """Groups of rows with gaps between them.

    Parameters
    ----------
    labels
        Group of each row (n,).
    gaps
        Strength of the gap between each two (g, g); infinite on the diagonal.
    course
        Score of the weakest gap by number of groups, from 2 on: where they would be joined
        down to that number, weakest gap first.
    depths
        Density in the gap between each two over that beside it (g, g); 1 on the diagonal.
    main
        Fewer groups, between which gaps are beyond doubt and much stronger than within them; None
        if there is no such number.
    """

    labels: Labels
    gaps: F64
    course: dict[int, float]
    depths: F64
    main: Groups | None = None

    @property
    def size(self) -> int:
        """Number of groups."""
        return len(self.gaps)

    @property
    def linked(self) -> bool:
        """Whether shallow gaps alone lie on a way from any group to any other."""
        from scipy.sparse.csgraph import connected_components

        return bool(connected_components(self.depths > SHALLOW)[0] == 1)


def joined(
    rows: F64, labels: Labels, within: F64, *, few: int, tied: bool, share: float = 1.0
) -> Groups:
    """Join groups of rows until a gap lies between any two.

    Parameters
    ----------
    rows
        Float64 (n, d).
    labels
        Group of each row (n,), 0 ... g-1, to start from.
    within
        Covariance (d, d) that groups of few rows are drawn towards.
    few
        Rows that are too few for a group: such are joined to the nearest one.
    tied
        Whether the labels are of normal distributions of one covariance, ``within``. Then a small
        one beside a large one, where no gap would show if both were there, is a group if it is
        far enough.
    share
        Share of the rows that would tell as much if they were independent. Numbers of
        rows scatter by ``1 / sqrt(share)`` more, and the strength of gaps is so much smaller.

    Returns
    -------
    :
        The groups that are left, numbered by falling size.
    """
    groups = _Groups(rows, labels, within, few / share, tied=tied, share=share)
    course, levels = {}, {}
    while groups.size > 1:
        weakest = groups.weakest()
        course[groups.size] = float(groups.scores[weakest])
        levels[groups.size] = groups.labels.copy(), groups.scores.copy(), groups.depths.copy()
        groups.join(*weakest)
    levels[1] = groups.labels, groups.scores, groups.depths
    size = max((k for k, gap in course.items() if gap >= SURE), default=1)
    main = _main(course, size)
    return _level(course, levels[size], None if main is None else _level(course, levels[main]))


def _main(course: dict[int, float], size: int) -> int | None:
    """Find the number of groups after which the strength of gaps falls most."""
    firm = [k for k, gap in course.items() if k < size and gap >= FIRM]
    fall = {k: course[k] / course[k + 1] for k in firm if course[k + 1] >= SURE}
    best = max(fall, key=fall.__getitem__, default=0)
    return best if fall.get(best, 0.0) >= _FALL else None


def _level(
    course: dict[int, float], level: tuple[Labels, F64, F64], main: Groups | None = None
) -> Groups:
    """Return the groups of one level, numbered by falling size."""
    labels, gaps, depths = level
    order = numbered(labels, len(gaps))
    own = np.ix_(order, order)
    return Groups(np.argsort(order)[labels], gaps[own], course, depths[own], main)


class _Groups:
    """Groups with the score of the gap between each two."""

    def __init__(
        self, rows: F64, labels: Labels, within: F64, few: float, *, tied: bool, share: float
    ) -> None:
        self._rows, self._within, self._few = rows, within, few
        self._unit = np.sqrt(share)
        self.labels = np.unique(labels, return_inverse=True)[1]
        self._whole = np.full(self.size, tied)  # groups that are one normal distribution
        self.scores = np.full((self.size, self.size), np.inf)
        self.depths = np.ones((self.size, self.size))
        for i in range(self.size):
            self._score(i, range(i))

    @property
    def size(self) -> int:
        return int(self.labels.max()) + 1

    def weakest(self) -> tuple[int, int]:
        """Find the two groups to be joined next."""
        i, j = np.unravel_index(np.argmin(self.scores), self.scores.shape)
        return max(int(i), int(j)), min(int(i), int(j))

    def join(self, i: int, j: int) -> None:
        """Join group i to group j < i; later ones move up."""
        self.labels[self.labels == i] = j
        self.labels[self.labels > i] -= 1
        self._whole = np.delete(self._whole, i)
        self._whole[j] = False
        self.scores = np.delete(np.delete(self.scores, i, axis=0), i, axis=1)
        self.depths = np.delete(np.delete(self.depths, i, axis=0), i, axis=1)
        self._score(j, range(self.size))

    def _score(self, i: int, others: Iterable[int]) -> None:
        for j in others:
            if j != i:
                score, self.depths[i, j] = self._gap(i, j)
                self.depths[j, i] = self.depths[i, j]
                if score < SURE and self._whole[i] and self._whole[j] and self._hidden(i, j):
                    score = SURE
                self.scores[i, j] = self.scores[j, i] = score

    def _gap(self, i: int, j: int) -> tuple[float, float]:
        """Strength and depth of the gap between two groups."""
        one, two = self._rows[self.labels == i], self._rows[self.labels == j]
        offset = two.mean(axis=0) - one.mean(axis=0)
        toward = np.linalg.solve((self._scatter(one) + self._scatter(two)) / 2, offset)
        if min(len(one), len(two)) < self._few:
            return -1.0 / (1.0 + float(offset @ toward)), 1.0
        values = np.concatenate([one, two]) @ toward
        found = gap_between(values, np.arange(len(values)) >= len(one))
        return float(self._unit * found.strength), found.depth

    def _hidden(self, i: int, j: int) -> bool:
        """Whether two normal distributions are far apart, and yet too unequal to show a gap."""
        one, two = self._rows[self.labels == i], self._rows[self.labels == j]
        if min(len(one), len(two)) < self._few:
            return False
        offset = two.mean(axis=0) - one.mean(axis=0)
        distance = float(np.sqrt(offset @ np.linalg.solve(self._within, offset)))
        return distance >= _APART and (
            self._unit * _expected(len(one), len(two), distance) < _VISIBLE
        )

    def _scatter(self, rows: F64) -> F64:
        d = rows.shape[1]
        centered = rows - rows.mean(axis=0)
        return np.asarray((centered.T @ centered + (d + 2) * self._within) / (len(rows) + d + 2))


def _expected(one: int, two: int, distance: float) -> float:
    """Strength of the gap that two normal distributions of so many values would show."""
    from scipy.special import ndtri

    first, second = (ndtri((np.arange(n) + 0.5) / n) for n in (one, two))
    values = np.concatenate([first, second + distance])
    return gap_between(values, np.arange(len(values)) >= one).strength
