"""How many clusters there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray
from sklearn.base import clone

from clustem.cluster.kmeans.k_means import KMeans
from clustem.core import Clustering, Features, checked
from clustem.core.progress import tick
from clustem.judge._few_positions import FEW, told_apart
from clustem.judge._finding import Finding, main_groups, nearest
from clustem.judge._fits import refitted, with_few_starts
from clustem.judge._gaps import SURE
from clustem.judge._held_out import held_out
from clustem.judge._independence import independent
from clustem.judge._on_scan import on_scan
from clustem.judge._sample import checked_ks, drawn, sampled
from clustem.judge._structure import structure
from clustem.judge.gap import gap
from clustem.judge.scores import distances_of, scored
from clustem.judge.stability import Again, By

if TYPE_CHECKING:
    from clustem.cluster.kmeans._sketch import Sketch

F64 = NDArray[np.float64]
Make = Callable[[int], Any]
_BEYOND = 6
"""Components that are tried beyond the largest k, so that odd shapes can be put together."""
_REFERENCE_ROWS = 1024
"""Rows that the gap statistic is computed from."""
_SILHOUETTE_ROWS = 2048
"""Rows that silhouettes are computed from."""
_STABLE_ROWS = 1024
"""Rows that are fitted again to see whether clusters are stable; all of them are compared."""
_REFERENCES: dict[Literal["pca", "uniform"], str] = {
    "pca": "gap",
    "uniform": "gap, along features",
}
_STABLE: dict[By, str] = {"half": "stability of halves", "reseed": "stability of starts"}


@dataclass(frozen=True, eq=False)
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
        joined: from ``gap_threshold`` on a gap is one.
    n_rows, n_used
        Number of rows, and of those that the evidence is from.
    trend
        What rows follow that seemed to be groups: ``"smooth"``, a surface over the scan;
        ``"intensity"``, thickness or dose; ``"chance"``, noise; empty where there are groups, or
        nothing seemed to be one.
    gap_threshold
        Strength from which on a gap is one, 3.
    """

    gap_threshold: ClassVar[float] = SURE

    k: int
    confidence: Literal["low", "medium", "high"]
    reason: str
    alternatives: tuple[int, ...]
    ks: tuple[int, ...]
    scores: Mapping[str, F64]
    gaps: Mapping[int, float]
    n_rows: int
    n_used: int
    trend: Literal["", "smooth", "intensity", "chance"] = ""

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

    def sentence(self, k: int) -> str:
        """Say in one sentence whether k clusters are warranted.

        Parameters
        ----------
        k
            Number of clusters of a map of the same rows.
        """
        here = f"{self.k} cluster{'s' * (self.k != 1)}"
        others = f"; or {', '.join(map(str, self.alternatives))}" if self.alternatives else ""
        sure = f"({self.confidence} confidence{others})"
        if k == self.k:
            verb = ("are" if k > 1 else "is") + (" likely" if self.confidence == "low" else "")
            said = f"{here} {verb}{' warranted' * (self.confidence != 'low')}"
        elif self.confidence != "low":
            said = f"{k} cluster{'s are' if k != 1 else ' is'} not what the data show: {here}"
        elif k in self.alternatives:
            said = f"{k} cluster{'s are' if k != 1 else ' is'} possible, {here} more likely"
        else:
            said = f"Whether there are {k} clusters the data do not tell; they point to {here}"
        return f"{said} {sure}: {self.reason}."

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


@checked
def choose_k(
    features: Features | NDArray[Any],
    make: Make,
    ks: Iterable[int] = range(1, 11),
    *,
    scored: Literal["all", "chosen"] = "all",
    sample: Annotated[int, Ge(50)] = 4096,
    repeats: Annotated[int, Ge(1)] = 3,
    n_references: Annotated[int, Ge(2)] = 10,
    random_state: Annotated[int, Ge(0)] = 0,
    progress: Callable[[float], None] | None = None,
) -> KChoice:
    """Recommend a number of clusters, with all the evidence.

    Parameters
    ----------
    features
        Rows (n, D), possibly not in memory; of an array, nothing is known about the scan.
    make
        Makes an unfitted estimator for k clusters: ``lambda k: KMeans(k)``. Its clusters are
        scored; the recommendation does not depend on it.
    ks
        Numbers of clusters to score and to choose from. Whether there is any structure is
        always asked, with or without 1 among them.
    scored
        Which numbers of clusters to fit and score: ``"all"``, or the ``"chosen"`` one only, which
        takes a fraction of the time and gives the same recommendation.
    sample
        Rows to use at most. A cluster should have some 30 rows among them to be seen.
    repeats
        Repeats of each test of stability.
    n_references
        Number of tables of random rows for the gap statistic.
    random_state
        Seed.
    progress
        Called with the share of work done, 0 ... 1.

    Returns
    -------
    :
        The choice, its reason and how sure it is, and a table of scores over k: those of
        ``scores``, the ``gap`` statistic along the principal axes and along the features with its
        error, ``stability`` of halves of the rows and of other seeds (mean ARI), ``weakest gap``
        and ``mixture BIC``.

    Raises
    ------
    InputError
        If fewer than 2 rows differ, or values are NaN or infinite.
    ParameterError
        If a k is no integer from 1 to the number of rows.

    Notes
    -----
    Recommended is the number of groups that gaps separate. Rows are described by normal
    distributions, as many as the Bayesian criterion asks for, with one covariance for all
    or each its own. Two groups between which no gap lies are joined, weakest gap first, until
    there is one between any two: an interval, along the line that separates them best,
    that holds significantly fewer rows than the intervals on both of its sides: by 3 standard
    deviations, or more in proportion where it has more than 40 % of their density. So neither
    the shape nor the size of clusters matters, and a cloud however long, skewed or heavy-tailed
    is one cluster.

    Phases can mix without a gap: a core and its shell, seen through each other. Where a scan's rows
    make one group, directions are counted along which it varies over the scan beyond a cubic
    surface, the intensity, and noise: r directions take r + 1 phases or more, which is recommended
    with low confidence.

    On a scan, a group that lies between others in the data as well as in space, and is thinner than
    they are, is the mixed pixels of their border and does not count.

    Counts that a :class:`MultinomialMixture` is to cluster are split at random into two independent
    maps of the same scene. Recommended is the number of clusters that, fitted to 70 % of the
    counts, explains the others best; ``held-out`` is their log-likelihood per count.

    Scans of fewer than 40 positions show no gaps. There spectra themselves are compared, within
    their noise: positions that agree are joined until any two groups differ.

    What touches is one group: normal clusters of equal size that are nearer than 3.5 standard
    deviations, and small ones within 5 of one 50 times as large. Rows count as independent: smooth
    variation over few, large regions of the scan can look like gaps. Patches and filtered pixels
    that overlap count as so many as fit side by side.

    All evidence comes from ``sample`` rows in at most 64 coordinates (k-means' sketch), which are
    shared by all k. Cost: reading those rows, then independent of n and D.

    References
    ----------
    C. Hennig, Adv. Data Anal. Classif. 4 (2010) 3 (joining components).
    A. Neufeld et al., J. Mach. Learn. Res. 25 (2024) 57 (count splitting).

    Examples
    --------
    >>> from clustem.cluster import KMeans
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(400, 2)) + 8 * np.eye(3)[np.arange(400) % 3, :2]
    >>> found = choose_k(rows, KMeans, range(1, 6))
    >>> found.k, found.confidence, found.structure
    (3, 'high', True)
    """

    def report(share: float) -> None:
        tick(share)
        if progress is not None:
            progress(share)

    features = Features.of(features)
    n = int(features.rows.shape[0])
    ks = checked_ks(ks, n)
    if hasattr(make(ks[-1]), "held_out_gains"):
        sample = sample if scored == "all" else 0
        return _of_few(features, _by_counts(features, make, ks, sample, random_state, report))
    numbers, rows = sampled(features, sample, random_state)
    ks = checked_ks(ks, len(rows))
    space = _Space.of(rows, make, ks)
    groups = structure(
        space.points,
        min(ks[-1] + _BEYOND, len(rows)),
        random_state=random_state,
        share=independent(features, len(rows)),
        report=lambda share: report(0.4 * share),
    )
    main = main_groups(groups, ks)
    found = on_scan(Finding(main, ks), features, numbers, space.points)
    if main is not groups and not found.trend:
        found = replace(found, parts=groups.groups.size)
    k = found.k
    columns, labels = _scored(
        space,
        ks,
        {k} if scored == "chosen" else set(ks),
        repeats=repeats,
        random_state=random_state,
        report=lambda share: report(0.4 + 0.4 * share),
    )
    if scored == "all":
        columns |= _gap_columns(space, ks, n_references, random_state)
    columns["weakest gap"] = _column(groups.groups.course, ks)
    columns["mixture BIC"] = _column(groups.bics, ks)
    report(1.0)
    found = replace(found, columns=columns, labels=labels.get(k))
    choice = KChoice(
        k=k,
        confidence=found.confidence,
        reason=found.reason,
        alternatives=found.alternatives,
        ks=ks,
        scores=columns,
        gaps=groups.groups.course,
        n_rows=n,
        n_used=len(rows),
        trend=found.trend,
    )
    return _of_few(features, choice)


def _of_few(features: Features, choice: KChoice) -> KChoice:
    """Compare the spectra themselves where there are too few positions for other evidence."""
    told = told_apart(features) if features.scans and choice.n_rows < FEW else None
    if told is None:
        return choice
    k = nearest(choice.ks, told.size)
    sure = told.confidence if k == told.size else "low"
    others = tuple(o for o in (choice.k, *choice.alternatives) if o != k)[:3]
    return replace(choice, k=k, confidence=sure, reason=told.reason, alternatives=others, trend="")


def _by_counts(  # noqa: PLR0917  # one call
    features: Features,
    make: Make,
    ks: tuple[int, ...],
    sample: int,
    random_state: int,
    report: Callable[[float], None],
) -> KChoice:
    """Ask held-out counts; if there is a sample, look for gaps between its shapes, too."""
    every = sample > 0
    found = held_out(
        features,
        make,
        ks,
        every=every,
        report=lambda share: report((0.7 if every else 1.0) * share),
        random_state=random_state,
    )
    columns, gaps = found.columns(ks), {}
    if every:
        _, rows = sampled(features, sample, random_state)
        shapes = np.sqrt(rows / np.maximum(rows.sum(axis=1, keepdims=True), 1))  # of one variance
        groups = structure(
            _coordinates(KMeans(min(ks[-1], len(rows))).sketch(shapes)),
            min(ks[-1] + _BEYOND, len(rows)),
            random_state=random_state,
            report=lambda share: report(0.7 + 0.3 * share),
        )
        gaps = groups.groups.course
        columns |= {"weakest gap": _column(gaps, ks), "mixture BIC": _column(groups.bics, ks)}
    n = int(features.rows.shape[0])
    return KChoice(
        k=found.k,
        confidence=found.confidence,
        reason=found.reason,
        alternatives=found.alternatives,
        ks=ks,
        scores=columns,
        gaps=gaps,
        n_rows=n,
        n_used=n,
        trend=found.trend,
    )


@dataclass(frozen=True, eq=False)
class _Space:
    """Rows to fit, the few coordinates (m, d) in which distances are measured, and the maker."""

    rows: NDArray[Any]
    points: F64
    make: Make

    @classmethod
    def of(cls, rows: NDArray[Any], make: Make, ks: tuple[int, ...]) -> _Space:
        largest = make(ks[-1])
        if not hasattr(largest, "sketch"):
            return cls(rows, _coordinates(KMeans(ks[-1]).sketch(rows)), make)
        points = _coordinates(largest.sketch(rows))  # masked and normalised

        def plain(k: int) -> Any:
            estimator = clone(make(k))
            given = estimator.get_params()
            done = {name: None for name in ("normalize", "mask") if name in given}
            return estimator.set_params(**done)

        return cls(points, points, plain)


def _coordinates(sketch: Sketch) -> F64:
    """Return a sketch's coordinates (m, d) in the rows' own units."""
    return np.asarray(sketch.z, dtype=np.float64) / sketch.centering.gain


def _scored(
    space: _Space,
    ks: tuple[int, ...],
    wanted: set[int],
    *,
    repeats: int,
    random_state: int,
    report: Callable[[float], None],
) -> tuple[dict[str, F64], dict[int, NDArray[np.intp]]]:
    """Score the estimator's clusters at each wanted k; return their labels (m,), too."""
    found: dict[str, F64] = {}
    labels: dict[int, NDArray[np.intp]] = {}
    points = Features(space.points)
    some = drawn(len(space.points), _STABLE_ROWS, random_state)
    few, seed = _SILHOUETTE_ROWS, random_state
    distances = distances_of(points, sample=few, random_state=seed) if wanted != {1} else None
    for i, k in enumerate(ks):
        if k not in wanted:
            continue
        fitted = refitted(space.make(k), space.rows)
        clustering = Clustering.from_estimator(fitted, points)
        labels[k] = clustering.labels.astype(np.intp)
        values = dict(
            scored(points, clustering, sample=few, random_state=seed, distances=distances)
        )
        starts = with_few_starts(space.make(k))
        again = Again(Features(space.rows), starts, some, random_state=random_state)
        for by, name in _STABLE.items():
            ari = again.judge(labels[k], by, repeats).ari if k > 1 else np.array(np.nan)
            values[name] = float(ari.mean())
        for name, value in values.items():
            found.setdefault(name, np.full(len(ks), np.nan))[i] = value
        report((i + 1) / len(ks))
    return found, labels


def _gap_columns(
    space: _Space, ks: tuple[int, ...], n_references: int, random_state: int
) -> dict[str, F64]:
    out: dict[str, F64] = {}
    for reference, name in _REFERENCES.items():
        found = gap(
            space.points,
            None,
            ks,
            reference=reference,
            n_references=n_references,
            sample=_REFERENCE_ROWS,
            random_state=random_state,
        )
        out |= {name: found.gap, f"{name}: error": found.error}
    return out


def _column(values: Mapping[int, float], ks: tuple[int, ...]) -> F64:
    return np.array([values.get(k, np.nan) for k in ks])


def _shown(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.4g}"
