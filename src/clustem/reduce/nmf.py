"""Non-negative matrix factorisation."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from clustem.core import Features, InputError, NMFInfo, quiet, record, reduction, warn
from clustem.core.memory import check_memory
from clustem.core.random_state import RandomState, seed_of
from clustem.passes.rows import Rows


@reduction
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
    n, width = features.rows.shape
    check_memory(8.0 * n * (width + n_components), "NMF", cure="Use reduce.pca, which loads none.")
    x = np.asarray(Rows.of(features.rows).__array__(np.float32))
    if not np.isfinite(x).all() or x.min() < 0:
        raise InputError(
            "NMF needs finite values of 0 or more",
            got=f"a lowest value of {x.min():g}",
            cure="Do not subtract a background first, or mask the positions that are not finite.",
        )
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
