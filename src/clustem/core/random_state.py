"""Seeds, as scikit-learn takes them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge

RandomState = Annotated[int, Ge(0)] | np.random.RandomState | np.random.Generator | None
"""Seed of a step: an integer gives the same result each time, None another one."""


def seed_of(random_state: RandomState) -> int:
    """Return an integer seed: itself, or one drawn from a generator.

    Parameters
    ----------
    random_state
        As scikit-learn takes it: a seed, a generator, or None for numpy's global generator.

    Examples
    --------
    >>> seed_of(3), seed_of(np.random.RandomState(0)) == seed_of(np.random.RandomState(0))
    (3, True)
    """
    if isinstance(random_state, int):
        return random_state
    if isinstance(random_state, np.random.Generator):
        return int(random_state.integers(2**31))
    from sklearn.utils import check_random_state

    return int(check_random_state(random_state).randint(2**31 - 1))
