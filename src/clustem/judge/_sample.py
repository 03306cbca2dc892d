"""Some rows of features, and checks that there is something to judge."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features, InputError, ParameterError
from clustem.passes.rows import Rows

Where = NDArray[np.intp]


def drawn(n: int, count: int, random_state: int) -> Where:
    """Draw row numbers, sorted, without repeats; all if there are no more than asked for."""
    if n <= count:
        return np.arange(n)
    return np.sort(np.random.default_rng(random_state).choice(n, count, replace=False))


def sampled(features: Features, count: int, random_state: int) -> tuple[Where, NDArray[Any]]:
    """Read some rows (m, D), in their own type; return their numbers, too.

    Raises
    ------
    InputError
        If fewer than 2 rows are distinct, or values are NaN or infinite.
    """
    rows = Rows.of(features.rows)
    numbers = drawn(len(rows), count, random_state)
    found = rows.take(numbers)
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        broken = int((~np.isfinite(found).all(axis=1)).sum())
        raise InputError(
            "All values must be finite numbers",
            got=f"NaN or inf in {broken} of {len(found)} rows",
            cure="Exclude those rows with the mask, or fill them in.",
        )
    if len(found) < 2 or not (found != found[0]).any():
        raise InputError(
            "At least 2 rows must differ, or there is nothing to tell apart",
            got=f"{len(found)} equal row{'s' * (len(found) > 1)}",
            cure="Use a larger region, or look whether the description lost everything.",
        )
    return numbers, found


def checked_ks(ks: Iterable[int], n: int) -> tuple[int, ...]:
    """Return numbers of clusters, sorted, without repeats.

    Raises
    ------
    ParameterError
        If there is none, or one is no integer from 1 to the number of rows.
    """
    given = sorted(set(ks))
    whole = all(isinstance(k, int | np.integer) and not isinstance(k, bool) for k in given)
    if not given or not whole or given[0] < 1 or given[-1] > n:
        shown = f"{given[0]} ... {given[-1]}" if len(given) > 1 else str(given)
        raise ParameterError(
            f"ks must be numbers of clusters from 1 to the number of rows ({n})",
            got=shown if given else "none",
            cure="Use a range such as range(1, 11), or a larger region.",
        )
    return tuple(int(k) for k in given)
