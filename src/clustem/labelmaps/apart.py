"""Things that touch, cut apart where they are narrow."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def apart(mask: NDArray[np.bool_], *, neck: float = 0.85) -> NDArray[np.int32]:
    """Give each particle of a mask a number; those that touch are cut at their necks.

    Parameters
    ----------
    mask
        Boolean (rows, columns), True in particles.
    neck
        Two parts are one particle if the neck between them is at least this wide [width of the
        narrower part]; 0 cuts nothing.

    Returns
    -------
    :
        Number of the particle of each pixel, 1 ... n in the order of their first pixels, 0 outside.

    Notes
    -----
    Watershed of the distance to the outside, from all its maxima; basins are joined again, the
    widest necks first, where the distance in the neck is at least that share of the smaller of
    their two maxima. So a rough outline cuts nothing, whatever the size.

    Examples
    --------
    >>> row, column = np.indices((24, 40))
    >>> two = np.minimum(np.hypot(row - 12, column - 12), np.hypot(row - 12, column - 27)) < 8.4
    >>> int(apart(two).max()), int(apart(two, neck=0).max())
    (2, 1)
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter, maximum_position
    from skimage.feature import peak_local_max
    from skimage.measure import label
    from skimage.segmentation import watershed

    pieces = label(mask, connectivity=1)
    if neck == 0 or not mask.any():
        return np.asarray(pieces, dtype=np.int32)
    wide = np.pad(mask, 1, mode="edge")  # the border of the image is no outline
    depth = distance_transform_edt(wide)[1:-1, 1:-1]
    depth = np.where(mask, gaussian_filter(depth, 1.0), 0)
    places = peak_local_max(depth, min_distance=1, labels=pieces, exclude_border=False)
    seeds = np.zeros(mask.shape, dtype=np.int32)
    seeds[tuple(places.T)] = np.arange(1, len(places) + 1)
    for piece in np.setdiff1d(np.unique(pieces[mask]), pieces[tuple(places.T)]):
        seeds[maximum_position(depth, pieces, piece)] = seeds.max() + 1
    basins = watershed(-depth, seeds, mask=mask)
    home = _joined(basins, depth, neck)
    return _in_order(home[basins])


def _joined(basins: NDArray[np.int32], depth: NDArray[np.float64], neck: float) -> NDArray[np.intp]:
    """Return the number that each basin ends up with; 0 stays 0."""
    from scipy.cluster.hierarchy import DisjointSet

    top = np.zeros(int(basins.max()) + 1)
    np.maximum.at(top, basins.ravel(), depth.ravel())
    pairs, saddles = _saddles(basins, depth)
    homes = DisjointSet(range(len(top)))
    for i in np.argsort(-saddles, kind="stable"):
        a, b = (homes[int(j)] for j in pairs[i])
        if a != b and saddles[i] >= neck * min(top[a], top[b]):
            homes.merge(a, b)
            top[homes[a]] = max(top[a], top[b])
    return np.array([homes[i] for i in range(len(top))], dtype=np.intp)


def _saddles(
    basins: NDArray[np.int32], depth: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Pairs of basins that touch (m, 2), and the largest depth on the border of each."""
    ends, between = [], []
    for axis in (0, 1):
        here, there = np.delete(basins, -1, axis), np.delete(basins, 0, axis)
        low = np.minimum(np.delete(depth, -1, axis), np.delete(depth, 0, axis))
        border = (here != there) & (here > 0) & (there > 0)
        ends.append(np.sort(np.stack([here[border], there[border]], axis=1), axis=1))
        between.append(low[border])
    pairs, which = np.unique(np.concatenate(ends), axis=0, return_inverse=True)
    saddles = np.zeros(len(pairs))
    np.maximum.at(saddles, which.ravel(), np.concatenate(between))
    return pairs.astype(np.intp), saddles


def _in_order(numbers: NDArray[np.intp]) -> NDArray[np.int32]:
    """Give numbers from 1 in the order of first pixels; 0 stays 0."""
    values, first = np.unique(numbers, return_index=True)
    rank = np.zeros(int(values.max()) + 1, dtype=np.int32)
    inside = values > 0
    rank[values[inside][np.argsort(first[inside])]] = np.arange(1, inside.sum() + 1)
    return rank[numbers]
