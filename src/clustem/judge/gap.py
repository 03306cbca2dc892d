"""The gap statistic."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from clustem.core import Features, checked, quiet
from clustem.judge._kmeans import within_sums
from clustem.judge._sample import checked_ks, sampled

F64 = NDArray[np.float64]
_TINY = np.finfo(np.float64).tiny
Make = Callable[[int], Any]


@dataclass(frozen=True, eq=False)
class GapStatistic:
    """How much tighter k clusters of the data are than k clusters of rows without structure.

    Attributes
    ----------
    ks
        Numbers of clusters (K,).
    log_within
        Logarithm of the sum of squared distances to the clusters' means (K,).
    expected
        Its mean over the references (K,).
    gap
        ``expected - log_within`` (K,).
    error
        Standard error (K,): the references' standard deviation times sqrt(1 + 1 / B).
    """

    ks: tuple[int, ...]
    log_within: F64
    expected: F64
    gap: F64
    error: F64

    @property
    def k(self) -> int:
        """The smallest k whose gap is not surely smaller than that of the next k."""
        for i in range(len(self.ks) - 1):
            if self.gap[i] >= self.gap[i + 1] - self.error[i + 1]:
                return self.ks[i]
        return self.ks[-1]


@checked
def gap(
    features: Features | NDArray[Any],
    make: Make | None = None,
    ks: Iterable[int] = range(1, 11),
    *,
    reference: Literal["pca", "uniform"] = "pca",
    n_references: Annotated[int, Ge(2)] = 20,
    sample: Annotated[int, Ge(2)] = 4096,
    random_state: Annotated[int, Ge(0)] = 0,
    progress: Callable[[float], None] | None = None,
) -> GapStatistic:
    """Compare how tight clusters are with those of uniformly distributed rows.

    Parameters
    ----------
    features
        Rows (n, D); an array will do.
    make
        Makes an unfitted estimator for k clusters: ``lambda k: KMeans(k)``. If None, k-means whose
        starts are shared by all k.
    ks
        Numbers of clusters; 1 is possible.
    reference
        Where reference rows are drawn from: the box of the data along its principal axes
        (``"pca"``), or along the features (``"uniform"``).
    n_references
        Number B of tables of random rows.
    sample
        Number of rows to use at most.
    random_state
        Seed.
    progress
        Called with the share of work done, 0 ... 1.

    Returns
    -------
    :
        Gap and standard error for each k; its ``k`` is the published choice.

    Raises
    ------
    InputError
        If fewer than 2 rows differ.
    ParameterError
        If a k is no integer from 1 to the number of rows.

    Notes
    -----
    ``Gap(k) = E*[log W_k] - log W_k`` where W_k is the pooled sum of squared distances to the
    clusters' means, and the expectation is over the references. Chosen is the smallest k with
    ``Gap(k) >= Gap(k + 1) - s(k + 1)``. A gap says that data are not uniform, which long or skewed
    clouds are not either: ``choose_k`` looks for the space between clusters instead.

    References
    ----------
    R. Tibshirani, G. Walther, T. Hastie, J. R. Stat. Soc. B 63 (2001) 411.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> rows = rng.normal(size=(300, 2)) + 9 * np.eye(2)[rng.integers(0, 2, 300)]
    >>> gap(rows, ks=range(1, 5)).k
    2
    """
    features = Features.of(features)
    _, rows = sampled(features, sample, random_state)
    rows = rows.astype(np.float64)
    chosen = checked_ks(ks, len(features.rows))
    chosen = checked_ks(chosen, len(rows))
    random = np.random.default_rng(random_state)
    draw = _box(rows, turned=reference == "pca")
    own = np.log(_within(rows, make, chosen, random) + _TINY)
    drawn = np.empty((n_references, len(chosen)))
    for b in range(n_references):
        drawn[b] = np.log(_within(draw(random), make, chosen, random) + _TINY)
        if progress is not None:
            progress((b + 1) / n_references)
    expected = drawn.mean(axis=0)
    error = drawn.std(axis=0) * np.sqrt(1 + 1 / n_references)
    return GapStatistic(chosen, own, expected, expected - own, error)


def _box(rows: F64, *, turned: bool) -> Callable[[np.random.Generator], F64]:
    """Return what draws as many rows from the data's box, along its principal axes if turned."""
    mean = rows.mean(axis=0)
    axes = np.eye(rows.shape[1])
    if turned:
        axes = np.linalg.svd(rows - mean, full_matrices=False)[2]
    inside = (rows - mean) @ axes.T
    low, high = inside.min(axis=0), inside.max(axis=0)

    def draw(random: np.random.Generator) -> F64:
        return np.asarray(random.uniform(low, high, inside.shape) @ axes + mean)

    return draw


def _within(rows: F64, make: Make | None, ks: tuple[int, ...], random: np.random.Generator) -> F64:
    if make is None:
        return within_sums(rows, ks, random)
    out = []
    for k in ks:
        with quiet():  # a reference has no clusters to converge to
            labels = np.asarray(make(k).fit(rows).labels_)
        means = (rows[labels == i].mean(axis=0) for i in np.unique(labels))
        parts = zip(np.unique(labels), means, strict=True)
        out.append(sum(((rows[labels == i] - mean) ** 2).sum() for i, mean in parts))
    return np.array(out)
