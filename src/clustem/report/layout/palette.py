"""The colors of a result's clusters."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from clustem.core import Segmentation
from clustem.report.layout.colors import colors


def palette(segmentation: Segmentation) -> NDArray[np.float64]:
    """Colors (k, 4) of the clusters of a result, which keep them through edits, k and reruns."""
    return shades(segmentation.color_index)


def shades(color_index: Sequence[int]) -> NDArray[np.float64]:
    """Colors (k, 4) at some places of the palette."""
    places = np.array(color_index, dtype=np.intp)
    return colors(int(places.max(initial=-1)) + 1)[places]


def numbers_beside(matching: dict[int, int], first: list[int], second: list[int]) -> dict[int, int]:
    """Give labels of a second map the numbers of their matches in a first, others free ones.

    Parameters
    ----------
    matching
        Second label by first one.
    first, second
        The labels of each map.

    Returns
    -------
    :
        Number by label of the second map.
    """
    number = {label: own for own, label in matching.items()}
    others = (label for label in second if label not in number)
    return {**number, **{label: i for i, label in enumerate(others, max(first, default=-1) + 1)}}


def places_beside(color_index: Sequence[int], k: int) -> tuple[int, ...]:
    """Places in the palette of k numbers: those of a first map, then those that it has not."""
    own = tuple(color_index)[:k]
    free = (place for place in range(k + len(own)) if place not in own)
    return (*own, *islice(free, k - len(own)))
