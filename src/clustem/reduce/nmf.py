"""Non-negative matrix factorisation."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge

from clustem.compute import Rows
from clustem.model import InputError, Table, checked


@checked
def nmf(
    table: Table,
    *,
    n_components: Annotated[int, Ge(1)] = 5,
    max_iter: Annotated[int, Ge(1)] = 400,
    random_state: Annotated[int, Ge(0)] = 0,
) -> Table:
    """Reduce rows to non-negative loadings of non-negative factors.

    Parameters
    ----------
    table
        Rows (n, D) of values not below 0; they are loaded as float32.
    n_components
        Number of factors r.
    max_iter
        Most iterations.
    random_state
        Seed.

    Returns
    -------
    :
        Table of loadings, float32 (n, r), by falling total; its details hold ``factors``,
        float32 (r, D), each with sum 1, so loadings are in counts.

    Raises
    ------
    InputError
        If a value is negative or NaN.

    Notes
    -----
    scikit-learn's ``NMF``. It loads all rows: for scans beyond memory use ``pca``.

    References
    ----------
    D. D. Lee and H. S. Seung, Nature 401 (1999) 788.

    Examples
    --------
    >>> rows = np.random.default_rng(0).poisson(5, (30, 8))
    >>> nmf(Table(rows, None, np.zeros((5, 6), bool)), n_components=2).rows.shape
    (30, 2)
    """
    from sklearn.decomposition import NMF  # noqa: PLC0415  # 0.5 s

    x = np.asarray(Rows.of(table.rows).__array__(np.float32))
    if not np.isfinite(x).all() or x.min() < 0:
        raise InputError(
            "NMF needs finite values of 0 or more",
            got=f"a lowest value of {x.min():g}",
            cure="Do not subtract a background first, or mask the positions that are not finite.",
        )
    model = NMF(n_components, init="nndsvda", max_iter=max_iter, random_state=random_state)
    loadings = model.fit_transform(x)
    totals = model.components_.sum(axis=1)
    loadings = loadings * totals
    order = np.argsort(-loadings.sum(axis=0), kind="stable")
    factors = model.components_ / np.where(totals > 0, totals, 1)[:, None]
    return table.with_rows(
        loadings[:, order].astype(np.float32),
        features=tuple(f"NMF {i + 1}" for i in range(n_components)),
        details={"factors": factors[order].astype(np.float32), "n_components": n_components},
    )
