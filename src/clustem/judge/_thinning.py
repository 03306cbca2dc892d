"""Copies of a scan with fewer counts, as if the dose had been smaller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import Features, InputError, Signal, like


def thinned(
    features: Features,
    describe: Callable[[Signal], Features] | None,
    share: float,
    random: np.random.Generator,
) -> tuple[Features, Features]:
    """Make two copies of features with thinned counts.

    Parameters
    ----------
    features
        Those of all counts.
    describe
        Makes features of a signal. If None, the rows are the counts.
    share
        Share of the counts in each copy; a half splits them: no count is in both.
    random
        Random number generator.

    Raises
    ------
    InputError
        If there are no counts: whole numbers of at least 0, in memory.
    """
    if describe is None:
        one, two = _parts(_counts(features.rows, "rows"), share, random)
        names = features.names
        return features.with_rows(one, names=names), features.with_rows(two, names=names)
    source: Any = features.source if features.scans else None
    one, two = _parts(_counts(getattr(source, "data", None), "a source"), share, random)
    copies = describe(like(source, one)), describe(like(source, two))
    for copy in copies:
        if copy.shape != features.shape:
            raise InputError(
                f"describe must return features of the scan's shape {features.shape}",
                got=f"{copy.shape}",
                cure="Describe the signal as for the features, crop and binning left out.",
            )
    return copies


def _counts(data: Any, what: str) -> NDArray[Any]:
    in_memory = isinstance(data, np.ndarray)
    whole = in_memory and (
        data.dtype.kind in "bu"
        or (data.size and not (data < 0).any() and np.array_equal(data, np.rint(data)))
    )
    if not whole:
        raise InputError(
            f"Thinning needs counts: {what} of whole numbers of at least 0, in memory",
            got="no array in memory" if not in_memory else f"other values ({data.dtype})",
            cure="Use the raw counts (signal.compute() if it is lazy), and pass describe, which "
            "makes the features of a signal.",
        )
    return np.asarray(data)


def _parts(
    counts: NDArray[Any], share: float, random: np.random.Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Thin counts twice; by a half, the second copy is what the first one left."""
    first = _kept(counts, share, random)
    if share == 0.5:
        return first, (counts - first).astype(counts.dtype)
    return first, _kept(counts, share, random)


def _kept(counts: NDArray[Any], share: float, random: np.random.Generator) -> NDArray[Any]:
    flat = counts.ravel()
    there = np.flatnonzero(flat)  # most channels of most pixels hold nothing
    out = np.zeros_like(flat)
    out[there] = random.binomial(flat[there].astype(np.int64), share)
    return out.reshape(counts.shape)
