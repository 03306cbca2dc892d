"""How good one clustering is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from clustem.core import Clustering, Features, InputError, checked
from clustem.judge._sample import drawn
from clustem.labelmaps.label_maps import as_labels
from clustem.passes.rows import Rows

F64 = NDArray[np.float64]
_LOWER = {
    "inertia", "objective", "Davies-Bouldin", "partition entropy", "Xie-Beni", "BIC", "AIC", "ICL",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Scores(Mapping[str, float]):
    """Figures of merit by name; NaN where one cluster has none.

    Attributes
    ----------
    values_by_name
        The figures.
    errors
        Standard errors of those that were computed from a sample.
    silhouettes
        Mean silhouette of each cluster (k,); NaN for clusters without a row in the sample.
    """

    values_by_name: Mapping[str, float]
    errors: Mapping[str, float] = field(default_factory=dict)
    silhouettes: F64 = field(default_factory=lambda: np.empty(0))

    def __getitem__(self, name: str) -> float:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)

    def __str__(self) -> str:
        """Return one line per figure."""
        lines = []
        for name, value in self.items():
            error = f" ± {self.errors[name]:.2g}" if name in self.errors else ""
            better = "smaller" if name in _LOWER else "larger"
            lines.append(f"{name}: {value:.6g}{error} ({better} is better)")
        return "\n".join(lines)


@checked
def scores(
    features: Features | NDArray[Any],
    clustering: Clustering | NDArray[Any],
    *,
    sample: Annotated[int, Ge(2)] = 2048,
    random_state: Annotated[int, Ge(0)] = 0,
    progress: Callable[[float], None] | None = None,
) -> Scores:
    """Compute the usual figures of merit of a clustering.

    Parameters
    ----------
    features
        Rows (n, D), possibly not in memory; those that were clustered, or others of the same
        scan positions. An array will do.
    clustering
        Their clusters; or the number of each row's cluster, (n,), from 0 on.
    sample
        Number of rows from which the silhouette is computed; exact if there are no more.
    random_state
        Seed of that sample.
    progress
        Called with the share of work done, 0 ... 1.

    Returns
    -------
    :
        ``inertia`` (sum of squared distances to the clusters' means), ``silhouette``, ``simplified
        silhouette`` (distances to means instead of rows), ``Calinski-Harabasz``,
        ``Davies-Bouldin`` and ``Dunn`` (least distance of two means over the largest mean diameter,
        twice the mean distance to the mean); the estimator's ``objective``, where it has one;
        ``partition coefficient``, ``partition entropy`` and ``Xie-Beni`` where there are
        memberships; ``BIC``, ``AIC`` and ``ICL`` of mixtures.

    Raises
    ------
    InputError
        If the clusters are not those of the rows.

    Notes
    -----
    Distances are Euclidean, in the space of the features. Two passes over the rows; the silhouette
    takes ``sample²`` distances, whatever n is. For k = 1 only the inertia and what the
    estimator itself knows are defined.

    References
    ----------
    P. J. Rousseeuw, J. Comput. Appl. Math. 20 (1987) 53. T. Caliński and J. Harabasz, Commun. Stat.
    3 (1974) 1. D. L. Davies and D. W. Bouldin, IEEE Trans. Pattern Anal. 1 (1979) 224. J. C. Bezdek
    and N. R. Pal, IEEE Trans. Syst. Man Cybern. B 28 (1998) 301. X. L. Xie and G. Beni, IEEE
    Trans. Pattern Anal. 13 (1991) 841. C. Biernacki, G. Celeux, G. Govaert, IEEE Trans. Pattern
    Anal. 22 (2000) 719.

    Examples
    --------
    >>> from clustem.cluster import KMeans
    >>> rows = np.array([[0.0], [1.0], [9.0], [10.0]])
    >>> found = scores(rows, KMeans(2).fit(rows).labels_)
    >>> found["inertia"], round(found["silhouette"], 3), round(found["Calinski-Harabasz"])
    (1.0, 0.889, 162)
    """
    return scored(
        Features.of(features),
        clustering,
        sample=sample,
        random_state=random_state,
        report=progress or (lambda _: None),
    )


def scored(
    features: Features,
    clustering: Clustering | NDArray[Any],
    *,
    sample: int,
    random_state: int,
    report: Callable[[float], None] = lambda _: None,
    distances: F64 | None = None,
) -> Scores:
    """Compute the scores of :func:`scores`.

    Parameters
    ----------
    features, clustering, sample, random_state, report
        As there.
    distances
        From :func:`distances_of` the same rows; None to measure them here.
    """
    if not isinstance(clustering, Clustering):
        clustering = _clustering_of(clustering, features)
    rows = Rows.of(features.rows)
    if len(clustering.labels) != len(rows):
        raise InputError(
            "Features and clustering must be of the same rows",
            got=f"{len(rows)} rows and {len(clustering.labels)} labels",
            cure="Give the clustering of these features.",
        )
    sums = _Sums.of(rows, clustering, lambda share: report(0.5 * share))
    values = _crisp(rows, clustering, sums, lambda share: report(0.5 + 0.4 * share))
    numbers = drawn(len(rows), sample, random_state)
    errors, each = _silhouette(rows, clustering, values, numbers, distances)
    values |= _of_memberships(clustering, sums, values.pop("fuzzy scatter"))
    values |= _of_mixture(clustering)
    report(1.0)
    order = ("inertia", "objective", "silhouette")
    named = {name: values[name] for name in order if name in values}
    return Scores({**named, **values}, errors, each)


def distances_of(features: Features, *, sample: int, random_state: int) -> F64:
    """Measure the distances between the rows that silhouettes are computed from."""
    rows = Rows.of(features.rows)
    some = rows.take(drawn(len(rows), sample, random_state))
    return _measured(some)


def _measured(some: NDArray[Any]) -> F64:
    from sklearn.metrics import pairwise_distances

    found: F64 = pairwise_distances(some.astype(np.float64))
    return found


def _clustering_of(labels: NDArray[Any], features: Features) -> Clustering:
    """Make a clustering of labels (n,), which keep their numbers."""
    given = as_labels(labels, what="Labels").ravel()
    if given.min() < 0:
        raise InputError(
            "Each row must belong to a cluster",
            got=f"negative labels of {int((given < 0).sum())} rows",
            cure="Leave these rows out of both, features and labels.",
        )
    order = np.arange(int(given.max()) + 1)
    return Clustering(given.astype(np.int16), None, features, None, order)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Means of the clusters (k, D), by label and by squared membership, about a pilot mean."""

    pilot: F64
    counts: F64
    means: F64
    fuzzy: F64

    @classmethod
    def of(cls, rows: Rows, clustering: Clustering, report: Callable[[float], None]) -> _Sums:
        k, D = clustering.n_clusters, rows.shape[1]
        pilot, labels = rows.pilot_mean(), clustering.labels
        memberships = clustering.memberships

        def one(block: NDArray[Any], where: NDArray[np.intp]) -> tuple[F64, F64]:
            centered = block - pilot
            hard = np.eye(k)[labels[where]].T @ centered
            if memberships is None:
                return hard, hard
            return hard, (memberships[where].astype(np.float64) ** 2).T @ centered

        hard, soft = np.zeros((k, D)), np.zeros((k, D))
        for _, (part, fuzzy) in rows.map(one, progress=report):
            hard += part
            soft += fuzzy
        counts = np.bincount(labels, minlength=k).astype(np.float64)
        weights = (
            counts if memberships is None else (memberships.astype(np.float64) ** 2).sum(axis=0)
        )
        means = hard / np.maximum(counts, 1)[:, None]
        return cls(pilot, counts, means, soft / np.maximum(weights, 1e-300)[:, None])


def _crisp(
    rows: Rows, clustering: Clustering, sums: _Sums, report: Callable[[float], None]
) -> dict[str, float]:
    """Figures that need distances to the means only."""
    k, labels = clustering.n_clusters, clustering.labels
    memberships = clustering.memberships
    used = np.flatnonzero(sums.counts)

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> tuple[F64, F64, float, float]:
        centered, mine = block - sums.pilot, labels[where]
        squares = _squares(centered, sums.means)
        own = squares[np.arange(len(mine)), mine]
        each = np.eye(k)[mine].T
        squares[np.arange(len(mine)), mine] = np.inf
        other = (
            np.sqrt(squares[:, used].min(axis=1)) if len(used) > 1 else np.full(len(mine), np.nan)
        )
        width = np.sqrt(own)
        simple = ((other - width) / np.maximum(np.maximum(other, width), 1e-300)).sum()
        if memberships is None:
            return each @ own, each @ width, simple, 0.0
        soft = memberships[where].astype(np.float64) ** 2 * _squares(centered, sums.fuzzy)
        return each @ own, each @ width, simple, float(soft.sum())

    within, widths, simple, fuzzy = np.zeros(k), np.zeros(k), 0.0, 0.0
    for _, (squares, distances, silhouettes, scatter) in rows.map(one, progress=report):
        within += squares
        widths += distances
        simple, fuzzy = simple + silhouettes, fuzzy + scatter
    out = {"inertia": float(within.sum())}
    if hasattr(clustering.estimator, "objective_"):
        out["objective"] = float(clustering.estimator.objective_)
    widths = (widths / np.maximum(sums.counts, 1))[used]
    out |= {"simplified silhouette": simple / len(rows)} | _between(
        sums, used, widths, within, len(rows)
    )
    return {**out, "fuzzy scatter": fuzzy}


def _between(
    sums: _Sums, used: NDArray[np.intp], widths: F64, within: F64, n: int
) -> dict[str, float]:
    """Figures that compare the spread of clusters with their distances."""
    names, k = ("Calinski-Harabasz", "Davies-Bouldin", "Dunn"), len(used)
    if k < 2:
        return dict.fromkeys(names, np.nan)
    means, counts = sums.means[used], sums.counts[used]
    middle = counts @ means / n
    between = float(counts @ ((means - middle) ** 2).sum(axis=1))
    apart = np.sqrt(((means[:, None] - means[None]) ** 2).sum(axis=2))
    np.fill_diagonal(apart, np.inf)
    inside = float(within.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        values = (
            np.float64(between * (n - k)) / (inside * (k - 1)),
            ((widths[:, None] + widths[None]) / apart).max(axis=1).mean(),
            apart.min() / np.float64(2 * widths.max()),
        )
    return dict(zip(names, map(float, values), strict=True))


def _silhouette(
    rows: Rows,
    clustering: Clustering,
    values: dict[str, float],
    numbers: NDArray[np.intp],
    distances: F64 | None,
) -> tuple[dict[str, float], F64]:
    from sklearn.metrics import silhouette_samples

    labels = clustering.labels[numbers]
    each = np.full(clustering.n_clusters, np.nan)
    values["silhouette"] = np.nan
    if not 1 < len(np.unique(labels)) < len(labels):
        return {}, each
    if distances is None:
        distances = _measured(rows.take(numbers))
    found = silhouette_samples(distances, labels, metric="precomputed")
    for i in np.unique(labels):
        each[i] = found[labels == i].mean()
    values["silhouette"] = float(found.mean())
    error = float(found.std(ddof=1) / np.sqrt(len(found)))
    return ({"silhouette": error} if len(numbers) < len(rows) else {}), each


def _of_memberships(clustering: Clustering, sums: _Sums, scatter: float) -> dict[str, float]:
    if clustering.memberships is None:
        return {}
    u = clustering.memberships.astype(np.float64)
    apart = _squares(sums.fuzzy, sums.fuzzy)[np.triu_indices(len(sums.fuzzy), 1)]
    least = float(apart.min()) if len(apart) else np.nan
    return {
        "partition coefficient": float((u**2).sum() / len(u)),
        "partition entropy": _entropy(u) / len(u),
        "Xie-Beni": scatter / (len(u) * least) if least else np.inf,
    }


def _of_mixture(clustering: Clustering) -> dict[str, float]:
    bic = getattr(clustering.estimator, "bic_", None)
    if bic is None or clustering.memberships is None:
        return {}
    unsure = 2 * _entropy(clustering.memberships.astype(np.float64))
    aic = float(clustering.estimator.aic_)
    return {"BIC": float(bic), "AIC": aic, "ICL": float(bic) + unsure}


def _entropy(u: F64) -> float:
    from scipy.special import entr

    return float(entr(u).sum())


def _squares(rows: F64, means: F64) -> F64:
    squares = (rows**2).sum(axis=1)[:, None] - 2 * rows @ means.T + (means**2).sum(axis=1)
    return np.asarray(np.maximum(squares, 0.0))
