"""Non-negative matrix factorisation."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from clustem.core import Features, InputError, NMFInfo, learned_reduction, quiet, record, warn
from clustem.core.memory import check_memory
from clustem.core.random_state import RandomState, seed_of
from clustem.passes.rows import Rows


def _loaded(features: Features, about: NMFInfo) -> Features:
    """Return loadings on factors that are known."""
    from sklearn.decomposition import non_negative_factorization

    rank = len(about.factors)
    with quiet():  # about the number of iterations: a fit of its own says so
        loadings, _, _ = non_negative_factorization(
            _values(features, rank),
            H=np.ascontiguousarray(about.factors),
            n_components=rank,
            init="custom",
            update_H=False,
        )
    names = tuple(f"NMF {i + 1}" for i in range(rank))
    return features.with_rows(loadings.astype(np.float32), names=names, about=about)


def _values(features: Features, rank: int) -> NDArray[np.float32]:
    """Load rows; refuse what has no factors, or does not fit into memory."""
    n, width = features.rows.shape
    check_memory(8.0 * n * (width + rank), "NMF", cure="Use reduce.pca, which loads none.")
    x: NDArray[np.float32] = np.asarray(Rows.of(features.rows).__array__(np.float32))
    if not np.isfinite(x).all() or x.min() < 0:
        raise InputError(
            "NMF needs finite values of 0 or more",
            got=f"a lowest value of {x.min():g}",
            cure="Do not subtract a background first, or mask the positions that are not finite.",
        )
    return x


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
        Features or an array (n, D) of values not below 0; they are loaded as float32.
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

    Warns
    -----
    ConvergenceWarning
        If the iterations end before the factors stop changing.

    Notes
    -----
    scikit-learn's ``NMF``. It loads all rows: for scans beyond memory use ``pca``.

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
    x = _values(features, n_components)
    model = NMF(n_components, init="nndsvda", max_iter=max_iter, random_state=seed_of(random_state))
    with quiet():
        loadings = model.fit_transform(x)
    if model.n_iter_ >= max_iter:
        warn(f"NMF did not converge in {max_iter} iterations. Raise max_iter.", ConvergenceWarning)
    record(n_iter=int(model.n_iter_))
    totals = model.components_.sum(axis=1)
    loadings = loadings * totals
    order = np.argsort(-loadings.sum(axis=0), kind="stable")
    factors = model.components_ / np.where(totals > 0, totals, 1)[:, None]
    return features.with_rows(
        loadings[:, order].astype(np.float32),
        names=tuple(f"NMF {i + 1}" for i in range(n_components)),
        about=NMFInfo(factors=factors[order].astype(np.float32)),
    )
