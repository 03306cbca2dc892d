"""Fits of the same estimator to parts of the rows, without warnings, with other seeds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from clustem.core import quiet

_STARTS = 3
"""Largest number of starts of a fit that is repeated."""


def refitted(estimator: Any, rows: Any, seed: int | None = None) -> Any:
    """Fit a copy of an estimator, with another seed if one is given and it takes one.

    Its warnings are dropped: parts and copies are fitted to see how much they differ.
    """
    copy = clone(estimator)
    if seed is not None and "random_state" in copy.get_params():
        copy.set_params(random_state=seed)
    with quiet():
        return copy.fit(rows)


def with_few_starts(estimator: Any) -> Any:
    """Return a copy with at most 3 starts, where it counts them."""
    copy = clone(estimator)
    given = copy.get_params().get("n_init")
    if isinstance(given, int) and given > _STARTS:
        copy.set_params(n_init=_STARTS)
    return copy


def labels_of(fitted: Any, rows: Any, used: NDArray[np.intp]) -> NDArray[np.intp]:
    """Label all rows (n,) by a fit to some of them.

    An estimator that cannot predict labels only the rows it was fitted to; others get -1.
    """
    if hasattr(fitted, "predict"):
        return np.asarray(fitted.predict(rows)).astype(np.intp)
    out = np.full(rows.shape[0], -1, dtype=np.intp)
    out[used] = fitted.labels_
    return out
