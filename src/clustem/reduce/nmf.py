"""Non-negative matrix factorisation."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from clustem.core import Features, InputError, NMFInfo, learned_reduction, quiet, record, warn
from clustem.core.memory import check_memory, free_memory
from clustem.core.random_state import RandomState, seed_of
from clustem.passes.rows import Rows
from clustem.reduce._nmf_over_rows import factorized
from clustem.reduce._rank import check_rank

_LARGE = 2**30
"""Size of the values and loadings as float32 from which on rows are read again [bytes]."""


def _loaded(features: Features, about: NMFInfo) -> Features:
    """Return loadings on factors that are known."""
    from sklearn.decomposition import non_negative_factorization

    rows, rank = Rows.of(features.rows), len(about.factors)
    factors = np.ascontiguousarray(about.factors)

    def one(block: NDArray[Any], _: NDArray[np.intp]) -> NDArray[np.float32]:
        with quiet():  # about the number of iterations: a fit of its own says so
            found, _, _ = non_negative_factorization(
                block.astype(np.float32),
                H=factors,
                n_components=rank,
                init="custom",
                update_H=False,
            )
        return np.asarray(found, dtype=np.float32)

    _check_values(rows)
    if _is_large(rows, rank):
        loadings = np.empty((len(rows), rank), dtype=np.float32)
        for where, part in rows.map(one):
            loadings[where] = part
    else:
        loadings = one(np.asarray(rows), np.arange(len(rows)))
    names = tuple(f"NMF {i + 1}" for i in range(rank))
    return features.with_rows(loadings, names=names, about=about)


def _is_large(rows: Rows, rank: int) -> bool:
    """Whether rows are read again for each iteration: they are many, or do not fit in memory."""
    n, width = rows.shape
    needed = 8.0 * n * (width + rank)
    return n >= width and (needed > 2 * _LARGE or needed > free_memory())


def _check_values(rows: Rows) -> None:
    """Refuse what has no factors."""
    extremes = [found for _, found in rows.map(lambda block, _: (block.min(), block.max()))]
    lowest = np.min(extremes)
    if not np.isfinite(extremes).all() or lowest < 0:
        raise InputError(
            "NMF needs finite values of 0 or more",
            got=f"a lowest value of {lowest:g}",
            cure="Do not subtract a background first, or mask the positions that are not finite.",
        )


@learned_reduction(_loaded)
def nmf(
    features: Features | NDArray[Any],
    *,
    n_components: Annotated[int, Ge(1)] = 5,
    max_iter: Annotated[int, Ge(1)] = 400,
    random_state: RandomState = 0,
) -> Features:
    """Reduce rows to non-negative loadings of non-negative factors.

    Parameters
    ----------
    features
        Features or an array (n, D) of values not below 0; they are taken as float32.
    n_components
        Number of factors r.
    max_iter
        Most iterations.
    random_state
        Seed; None or a generator as in scikit-learn.

    Returns
    -------
    :
        Features with loadings, float32 (n, r), by falling total. They know their factors in an
        :class:`NMFInfo`, each with sum 1, so loadings are in counts.

    Raises
    ------
    InputError
        If a value is negative or NaN.
    ParameterError
        If more components are asked for than there are rows or channels.

    Warns
    -----
    ConvergenceWarning
        If the iterations end before the factors stop changing.

    Notes
    -----
    scikit-learn's ``NMF``, by coordinate descent. Rows of more than 2 GiB, or that do not fit in
    memory, are read once for each iteration instead, with the same updates; loadings must fit.

    References
    ----------
    D. D. Lee and H. S. Seung, Nature 401 (1999) 788.

    Examples
    --------
    >>> rows = np.random.default_rng(0).poisson(5, (30, 8))
    >>> nmf(rows, n_components=2).rows.shape
    (30, 2)
    """
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    features = Features.of(features)
    rows, seed = Rows.of(features.rows), seed_of(random_state)
    _check_values(rows)
    n, width = rows.shape
    check_rank(n_components, rows)
    if _is_large(rows, n_components):
        check_memory(16.0 * n * (n_components + 10), "NMF", cure="Use reduce.pca, or bin the scan.")
        loadings, factors, n_iter = factorized(rows, n_components, max_iter=max_iter, seed=seed)
    else:
        check_memory(8.0 * n * (width + n_components), "NMF", cure="Use reduce.pca.")
        model = NMF(n_components, init="nndsvda", max_iter=max_iter, random_state=seed)
        with quiet():
            loadings = model.fit_transform(rows.__array__(np.float32))
        factors, n_iter = model.components_, int(model.n_iter_)
    if n_iter >= max_iter:
        warn(f"NMF did not converge in {max_iter} iterations. Raise max_iter.", ConvergenceWarning)
    record(n_iter=n_iter)
    totals = factors.sum(axis=1)
    loadings = loadings * totals
    order = np.argsort(-loadings.sum(axis=0), kind="stable")
    shapes = factors / np.where(totals > 0, totals, 1)[:, None]
    return features.with_rows(
        loadings[:, order].astype(np.float32),
        names=tuple(f"NMF {i + 1}" for i in range(n_components)),
        about=NMFInfo(factors=shapes[order].astype(np.float32)),
    )
