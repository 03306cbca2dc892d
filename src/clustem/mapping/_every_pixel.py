"""The map of all pixels of an image of which only every so many were described."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from clustem.core import FilterBank, Segmentation, Signal, axes_of, like
from clustem.core.signal import to_dictionary
from clustem.mapping._outline import outlined
from clustem.passes.rows import Rows
from clustem.passes.threads import cores

F32 = NDArray[np.float32]
Labels = NDArray[np.int16]
_TILE = 1024  # side of a tile [px]
_AROUND = 16.0  # what is seen around a tile [spacings]
_BAND = 256  # rows whose labels are found at a time


def at_every_pixel(
    found: Segmentation, bank: FilterBank, background: NDArray[np.bool_] | None
) -> Segmentation:
    """Draw the map of all pixels.

    Parameters
    ----------
    found
        The map of the pixels that were described, with the features behind it.
    bank
        What they were described with.
    background
        Clusters without a lattice (k,), against which the outline of the others moves; None
        leaves it.

    Returns
    -------
    :
        The map with one label per pixel, clusters numbered by falling size. Centers and standard
        errors are those of the described pixels; there are no rows, and no maps of distances.

    Notes
    -----
    The difference of squared distances to two centers is linear in the features, so to interpolate
    ``|c|² - 2 x c`` of each cluster between the described pixels is to interpolate features.
    """
    excluded = bank.mask
    if excluded is None or found.source is None:
        return found
    scores = _scores(found, found.source)
    labels: Labels = np.empty(excluded.shape, dtype=np.int16)

    def one(first: int) -> None:
        _lowest(scores, bank.step, first, labels[first : first + _BAND])

    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(one, range(0, len(labels), _BAND)):
            pass
    labels[excluded] = -1
    if background is not None and background.any() and not background.all():
        labels = _sharpened(labels, bank, background)
    return _renumbered(found, labels, excluded, bank)


def _scores(found: Segmentation, source: Signal) -> F32:
    """Squared distance to each center, less what is common to all, (rows, columns, k)."""
    k = found.n_clusters
    centers = np.asarray(found.centers.data, dtype=np.float32).reshape(k, -1)
    squares = (centers**2).sum(axis=1)
    rows = Rows(source.data, row_ndim=source.data.ndim - 2)
    out = np.empty((len(rows), k), dtype=np.float32)

    def one(block: NDArray[Any], where: NDArray[np.intp]) -> None:
        out[where] = squares - 2 * (block @ centers.T)

    for _ in rows.map(one):
        pass
    taking_part = np.flatnonzero(found.labels.data.ravel() >= 0)
    own = found.labels.data.ravel()[taking_part]  # small regions may have joined others
    lowest = out[taking_part].min(axis=1)
    out[taking_part, own] = np.minimum(out[taking_part, own], lowest)
    return out.reshape(*found.labels.data.shape, k)


@nb.njit(nogil=True, cache=True)
def _lowest(scores, step, first, out):  # type: ignore[no-untyped-def]
    """Fill the cluster of the lowest score, interpolated linearly, of some rows of the image."""
    height, width, k = scores.shape
    left, slope = np.empty(k, np.float32), np.empty(k, np.float32)
    for row in range(out.shape[0]):
        i = min((first + row) // step, height - 1)
        share = np.float32((first + row) / step - i)
        below = min(i + 1, height - 1)
        for j in range(width):
            right = min(j + 1, width - 1)
            for c in range(k):
                here = scores[i, j, c] + share * (scores[below, j, c] - scores[i, j, c])
                there = scores[i, right, c]
                there += share * (scores[below, right, c] - scores[i, right, c])
                left[c], slope[c] = here, (there - here) / step
            for column in range(j * step, min((j + 1) * step, out.shape[1])):
                best, lowest = 0, np.float32(np.inf)
                for c in range(k):
                    value = left[c] + (column - j * step) * slope[c]
                    if value < lowest:
                        best, lowest = c, value
                out[row, column] = best


def _sharpened(labels: Labels, bank: FilterBank, background: NDArray[np.bool_]) -> Labels:
    """Move the outline of facets, tile by tile; what they lose goes to the largest background."""
    film = int(np.flatnonzero(background)[0])
    spacing = float(bank.wavelengths.max())
    out = labels.copy()

    def one(boxes: tuple[tuple[slice, ...], tuple[slice, ...]]) -> None:
        box, core = boxes
        known = labels[box]
        lattice = np.where((known < 0) | background[known], -1, known).astype(np.intp)
        if (lattice < 0).all() or (lattice >= 0).all():
            return
        image = np.asarray(bank.image[box], dtype=np.float64)  # type: ignore[index]
        moved = outlined(lattice, image, spacing=spacing, grain=max(int(spacing), 1))
        rest = np.where(lattice >= 0, film, known)
        new = np.where((moved >= 0) & (known >= 0), moved, rest)
        out[box][core] = new[core]

    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(one, _tiles(labels.shape, int(_AROUND * spacing))):
            pass
    return out


def _tiles(
    shape: tuple[int, ...], around: int
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
    """Tiles with what is around them, and where they lie in that."""
    for first in range(0, shape[0], _TILE):
        for left in range(0, shape[1], _TILE):
            box, core = [], []
            for start, size in zip((first, left), shape, strict=True):
                begin, stop = max(start - around, 0), min(start + _TILE, size)
                box.append(slice(begin, min(stop + around, size)))
                core.append(slice(start - begin, stop - begin))
            yield tuple(box), tuple(core)


def _renumbered(
    found: Segmentation, labels: Labels, mask: NDArray[np.bool_], bank: FilterBank
) -> Segmentation:
    """Give clusters new numbers by size; leave out what belongs to the described pixels."""
    k = found.n_clusters
    counts = np.array([np.count_nonzero(labels == i) for i in range(k)])
    order = np.argsort(-counts, kind="stable")
    number = np.append(np.argsort(order), -1).astype(np.int16)  # the last is for -1
    labels = number[labels]
    make: Any = found.labels.__class__
    axes = axes_of(found.labels)
    for axis, size in zip(axes, labels.shape, strict=True):
        axis |= {"scale": axis["scale"] / bank.step, "size": size}
    return replace(
        found,
        labels=make(**to_dictionary(found.labels) | {"data": labels, "axes": axes}),
        centers=like(found.centers, found.centers.data[order]),
        standard_error=like(found.standard_error, found.standard_error.data[order]),
        counts=counts[order].astype(np.int64),
        mask=mask,
        points=np.empty((int(mask.size - np.count_nonzero(mask)), 0), dtype=np.float32),
        feature_names=(),
        about=replace(bank, step=1, mask=None),
        distance=None,
        margin=None,
        source=None,
        features=None,
    )
