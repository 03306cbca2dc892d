"""Whether the same clusters are found again: from other starts, other rows, fewer counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from clustem.core import Features, Signal, checked
from clustem.core.clustering import numbered
from clustem.judge._agreement import agreement
from clustem.judge._fits import labels_of, refitted
from clustem.judge._sample import drawn, sampled
from clustem.judge._thinning import thinned
from clustem.passes.rows import Rows

F64 = NDArray[np.float64]
Labels = NDArray[np.intp]
By = Literal["reseed", "half", "bootstrap", "thinning"]
_REAL, _PATTERN = 0.75, 0.6
"""Mean Jaccard index from which on a cluster is stable, or at least a pattern."""


@dataclass(frozen=True, eq=False)
class Stability:
    """How well clusters are found again.

    Attributes
    ----------
    by
        What was changed between repeats.
    features
        The rows.
    labels
        The clusters that are judged, int16 (n,), numbered as in a clustering.
    ari, vi
        Adjusted Rand index and variation of information [bit] of each repeat (r,): of the two
        halves where the rows or counts were halved, else of the repeat and ``labels``.
    jaccard
        For each repeat and cluster (r, k): rows shared with the cluster of the repeat that is
        most like it, over the rows in either.
    changes
        Share of the repeats in which a row is not in the cluster that is matched with its own,
        (n,); NaN for rows that no repeat labels.
    """

    by: By
    features: Features
    labels: NDArray[np.int16]
    ari: F64
    vi: F64
    jaccard: F64
    changes: F64

    @property
    def clusters(self) -> F64:
        """Mean Jaccard index of each cluster (k,): 0.75 and more is stable, below 0.6 is not."""
        return np.asarray(self.jaccard.mean(axis=0))

    @property
    def real(self) -> NDArray[np.bool_]:
        """Which clusters are stable: a mean Jaccard index of 0.75 or more (k,)."""
        return self.clusters >= _REAL

    def map(self) -> F64:
        """Lay ``changes`` out on the scan; NaN where excluded.

        Raises
        ------
        InputError
            If the rows are not those of one scan.
        """
        out = np.full(self.features.shape, np.nan)
        out.flat[self.features.positions] = self.changes
        return out

    def __str__(self) -> str:
        """Return one line per cluster."""
        head = f"by {self.by}: ARI {self.ari.mean():.3f}, VI {self.vi.mean():.3f} bit"
        words = [
            "stable" if index >= _REAL else "a pattern" if index >= _PATTERN else "not stable"
            for index in self.clusters
        ]
        sizes = np.bincount(self.labels, minlength=len(words))
        lines = [
            f"cluster {i}: {size} rows, Jaccard {index:.3f}, {word}"
            for i, (size, index, word) in enumerate(zip(sizes, self.clusters, words, strict=True))
        ]
        return "\n".join([head, *lines])


@checked
def stability(
    features: Features | NDArray[Any],
    estimator: Any,
    describe: Callable[[Signal], Features] | None = None,
    *,
    by: By = "half",
    repeats: Annotated[int, Ge(1)] = 10,
    share: Annotated[float, Gt(0), Lt(1)] = 0.5,
    sample: Annotated[int, Ge(4)] = 16384,
    random_state: Annotated[int, Ge(0)] = 0,
    progress: Callable[[float], None] | None = None,
) -> Stability:
    """Cluster again and again what should give the same clusters.

    Parameters
    ----------
    features
        Rows (n, D); an array will do, except to thin the counts of a scan.
    estimator
        Unfitted estimator: ``KMeans(4)``.
    describe
        Makes the features of a signal, for ``"thinning"``: ``lambda s: pca(spectra(s))``. May be
        left out if the rows are the counts themselves.
    by
        ``"reseed"``: the same rows, other seeds. ``"half"``: two halves of the rows, drawn anew
        each time, each of which labels all rows. ``"bootstrap"``: as many rows, drawn with
        repeats. ``"thinning"``: two scans of half the dose from the one there is: every count goes
        to either with probability 1/2, which gives independent Poisson counts again.
    repeats
        How often.
    share
        Share of the counts that thinned copies keep. For less than a half, both copies are drawn
        alike and share some counts: this predicts what a scan of such a dose would show.
    sample
        Rows to fit at most; all rows are labelled.
    random_state
        Seed.
    progress
        Called with the share of repeats done, 0 ... 1.

    Returns
    -------
    :
        Agreement of each repeat, stability of each cluster and each row.

    Raises
    ------
    InputError
        If fewer than 2 rows differ; for thinning, if the source holds no counts in memory.
    ParameterError
        If there are more clusters than rows to fit.

    Notes
    -----
    Clusters are compared with those of one fit to all rows (up to ``sample``). Which of them
    are real: after Hennig, mean Jaccard indices of 0.75 and more are stable, of 0.6 ... 0.75 show a
    pattern whose border is uncertain, below 0.6 should not be trusted. Stable does not mean
    separate: a long cloud is cut in the same place every time.

    References
    ----------
    C. Hennig, Comput. Stat. Data Anal. 52 (2007) 258. A. Ben-Hur, A. Elisseeff, I. Guyon, Pac.
    Symp. Biocomput. 7 (2002) 6. A. Neufeld et al., J. Mach. Learn. Res. 25 (2024) 57 (thinning).

    Examples
    --------
    >>> from clustem.cluster import KMeans
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(90, 2)) + 9 * np.eye(3)[np.arange(90) % 3, :2]
    >>> found = stability(rows, KMeans(3), repeats=3)
    >>> found.real.tolist(), found.changes.shape
    ([True, True, True], (90,))
    """
    features = Features.of(features)
    rows = Rows.of(features.rows)
    sampled(features, sample, random_state)  # refuses what cannot be judged
    numbers = drawn(len(rows), sample, random_state)
    reference = refitted(estimator, _taken(features, numbers))
    labels = _numbered(labels_of(reference, features.rows, numbers))
    again = Again(
        features, estimator, numbers, describe=describe, share=share, random_state=random_state
    )
    return again.judge(labels, by, repeats, progress)


def _taken(features: Features, numbers: Labels) -> Any:
    """Read some rows; where they are all, return what holds them."""
    rows = features.rows
    return rows if len(numbers) == rows.shape[0] else Rows.of(rows).take(numbers)


def _numbered(labels: Labels) -> Labels:
    """Give clusters numbers by falling size, empty ones left out."""
    inverse = np.unique(labels, return_inverse=True)[1]
    order = numbered(inverse, int(inverse.max()) + 1)
    return np.argsort(order)[inverse]


class Again:
    """Repeated fits to the same features.

    Parameters
    ----------
    features, estimator, describe, share, random_state
        As in :func:`stability`.
    numbers
        Rows that may be fitted.
    """

    def __init__(
        self,
        features: Features,
        estimator: Any,
        numbers: Labels,
        *,
        describe: Callable[[Signal], Features] | None = None,
        share: float = 0.5,
        random_state: int = 0,
    ) -> None:
        self.features, self.estimator, self.describe = features, estimator, describe
        self.numbers, self.share = numbers, share
        self._random = np.random.default_rng([random_state, 1])

    def judge(
        self, labels: Labels, by: By, repeats: int, report: Callable[[float], None] | None = None
    ) -> Stability:
        """Compare the clusters of repeated fits with labels (n,)."""
        found: list[tuple[float, float, F64]] = []
        changed, seen = np.zeros(len(labels)), np.zeros(len(labels))
        for repeat in range(repeats):
            copies = getattr(self, f"_by_{by}")()
            ours = [agreement(labels, copy) for copy in copies]
            both = agreement(*copies) if len(copies) == 2 else ours[0]
            found.append((both.ari, both.vi, np.mean([one.jaccard for one in ours], axis=0)))
            for one, copy in zip(ours, copies, strict=True):
                changed += ~one.kept & (copy >= 0)
                seen += copy >= 0
            if report is not None:
                report((repeat + 1) / repeats)
        ari, vi, jaccard = (np.array(column) for column in zip(*found, strict=True))
        changes = np.where(seen > 0, changed / np.maximum(seen, 1), np.nan)
        return Stability(by, self.features, labels.astype(np.int16), ari, vi, jaccard, changes)

    def _fit(self, rows: Any) -> Any:
        return refitted(self.estimator, rows, int(self._random.integers(2**31 - 1)))

    def _labelled(self, some: Labels) -> Labels:
        """Label all rows by a fit to some."""
        return labels_of(self._fit(_taken(self.features, some)), self.features.rows, some)

    def _by_reseed(self) -> list[Labels]:
        return [self._labelled(self.numbers)]

    def _by_bootstrap(self) -> list[Labels]:
        some = np.sort(self._random.choice(self.numbers, len(self.numbers)))
        fitted = self._fit(Rows.of(self.features.rows).take(some))
        return [labels_of(fitted, self.features.rows, some)]

    def _by_half(self) -> list[Labels]:
        mixed = self._random.permutation(self.numbers)
        return [self._labelled(np.sort(half)) for half in np.array_split(mixed, 2)]

    def _by_thinning(self) -> list[Labels]:
        copies = []
        for copy in thinned(self.features, self.describe, self.share, self._random):
            used = drawn(copy.rows.shape[0], len(self.numbers), 0)
            found = labels_of(self._fit(_taken(copy, used)), copy.rows, used)
            if copy.scans:  # another mask may leave other rows in
                found = copy.on_scan(found, fill=-1).ravel()[self.features.positions]
            copies.append(found)
        return copies
