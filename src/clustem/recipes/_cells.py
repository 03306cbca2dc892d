"""Sums of neighbouring positions, where one fit cannot hold the counts of all maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from clustem.core import Features
from clustem.passes.rows import Rows
from clustem.passes.sparse import sparse
from clustem.passes.sparse_rows import SparseRows
from clustem.recipes._run import steps_of
from clustem.recipes.recipe import Recipe

_MOST_CELLS = 2**17
"""Positions of a study beyond which a fit that holds all counts gets sums of some."""
_MOST_VALUES = 2**23
"""Values of these sums that are not zero, at most, unless one map has more."""


def in_cells(features: Sequence[Features], recipe: Recipe) -> tuple[list[Features], str]:
    """Sum the counts of square cells of positions, and thin them, until a fit can hold them.

    Parameters
    ----------
    features
        Features of each map.
    recipe
        The recipe; only a mixture of counts holds all of them.

    Returns
    -------
    :
        The features that are fitted, and a sentence on what was done; as given, and no sentence,
        where all can be held.

    Notes
    -----
    A share of the counts of a multinomial distribution, drawn at random, has the same shape. So
    the memory of a fit goes with the largest map, not with how many there are.
    """
    side = _side(features, recipe)
    if side == 1:
        return list(features), ""
    rng = np.random.default_rng(0)
    cells: list[Any] = []
    masks, most, share = [], _MOST_VALUES, 1.0
    for each in features:
        rows = sparse(Rows.of(each.rows))
        most = max(most, rows.nnz)
        sums, mask = _summed(each, rows, side)
        masks.append(mask)
        cells.append(_thinned(sums, share, rng))
        while sum(part.nnz for part in cells) > most:
            share /= 2
            cells = [_thinned(part, 0.5, rng) for part in cells]
    found = [
        replace(each, rows=SparseRows(sums), scans=(replace(each.scan, mask=mask),))
        for each, sums, mask in zip(features, cells, masks, strict=True)
    ]
    part = f"1/{round(1 / share)} of the counts of " if share < 1 else ""
    return found, f"fitted to {part}sums of {side} x {side} positions, as there are so many"


def _side(features: Sequence[Features], recipe: Recipe) -> int:
    """Return how many lines and columns of positions to sum."""
    for entry, parameters in steps_of(recipe, ("cluster",)):
        free = parameters.get("intensity", "free") == "free"
        if not (hasattr(entry.step, "held_out_gains") and free):
            return 1
    if len(features) == 1 or any(each.mask.ndim != 2 for each in features):
        return 1
    sizes = [each.rows.shape[0] for each in features]
    return max(1, int(np.ceil(np.sqrt(sum(sizes) / max(_MOST_CELLS, *sizes)))))


def _summed(features: Features, rows: Any, side: int) -> tuple[Any, Any]:
    """Return the sums of cells, sparse (cells, D), and the mask of cells without positions."""
    lines, columns = (-(-size // side) for size in features.shape)
    row, column = np.unravel_index(features.positions, features.shape)
    cells, number = np.unique(row // side * columns + column // side, return_inverse=True)
    ones = np.ones(len(number), dtype=np.uint32)
    pool = csr_array((ones, (number, np.arange(len(number)))), shape=(len(cells), len(number)))
    mask = np.ones(lines * columns, dtype=bool)
    mask[cells] = False
    return csr_array(pool @ rows), mask.reshape(lines, columns)


def _thinned(counts: Any, share: float, rng: np.random.Generator) -> Any:
    """Keep each count with a probability."""
    if share == 1:
        return counts
    left = counts.copy()
    left.data = rng.binomial(counts.data, share).astype(counts.dtype)
    left.eliminate_zeros()
    return left
