"""Which channels distinguish a cluster from the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from clustem.core import Segmentation, checked

F64 = NDArray[np.float64]
_HALF = 0.5
"""Share of a mark's difference down to which what surrounds it is the same mark."""
_APART = 0.01
"""Least stretch of a mark, as a share of the axis."""
_NOTHING = 1e-9
"""Standard deviation that is rounding, relative to the largest mean."""


@dataclass(frozen=True)
class Mark:
    """A channel in which a cluster differs from the others.

    Attributes
    ----------
    index
        Place along the signal axes, in array order.
    position
        The same in the units of the axes.
    difference
        Mean of the cluster minus that of the others, in standard deviations of one position within
        clusters.
    significance
        The same in standard errors of the two means.
    """

    index: tuple[int, ...]
    position: tuple[float, ...]
    difference: float
    significance: float


@dataclass(frozen=True, eq=False)
class Distinction:
    """What distinguishes each cluster from the others.

    Attributes
    ----------
    difference
        Standardised difference of each cluster in each channel, float64 (k, *signal axes).
    significance
        Difference in standard errors, of the same shape.
    marks
        The channels that differ most, per cluster, the most different first.
    """

    difference: F64
    significance: F64
    marks: tuple[tuple[Mark, ...], ...]


@checked
def distinguishing(
    segmentation: Segmentation,
    *,
    n: Annotated[int, Ge(1)] = 3,
    least: Annotated[float, Gt(0)] = 5.0,
) -> Distinction:
    """Find the energies, detector pixels or filters that distinguish each cluster from the others.

    Parameters
    ----------
    segmentation
        Clusters with their centers, standard errors and counts; its ``signal_mask`` hides
        channels from the marks.
    n
        Number of marks per cluster at most.
    least
        Least significance of a mark [standard errors].

    Returns
    -------
    :
        Differences in all channels, and marks: the channel of largest difference, then that of
        what is left when all around it that differs by more than half as much is taken out, with
        as much again on either side.

    Notes
    -----
    The difference is ``(m - m') / s`` of a cluster's mean m, the mean m' of the positions in all
    other clusters, and the standard deviation s of a position within clusters, pooled. It does not
    grow with the number of positions, the significance does. A channel in which nothing
    varies within clusters counts as varying by a 10⁻⁹ of the largest mean.

    References
    ----------
    J. Cohen, Statistical Power Analysis for the Behavioral Sciences, 2nd ed. (1988), chapter 2.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from sklearn.cluster import KMeans
    >>> from clustem.describe import spectra
    >>> from clustem.core import Clustering
    >>> from clustem.mapping import clusters
    >>> data = np.random.default_rng(0).normal(5, 1, (6, 8, 12)); data[:, :3, 7] += 9
    >>> features = spectra(hs.signals.Signal1D(data))
    >>> found = KMeans(2, random_state=0).fit(np.asarray(features.rows))
    >>> marks = distinguishing(clusters(Clustering.from_estimator(found, features))).marks
    >>> [mark.index for mark in marks[1]], round(marks[1][0].difference)
    ([(7,)], 9)
    """
    mean = np.nan_to_num(np.asarray(segmentation.centers.data, dtype=np.float64))
    error = np.nan_to_num(np.asarray(segmentation.standard_error.data, dtype=np.float64))
    counts = segmentation.counts.reshape(-1, *[1] * (mean.ndim - 1)).astype(np.float64)
    difference, significance = _differences(mean, error, counts)
    hidden = segmentation.signal_mask
    if hidden is not None and np.shape(hidden) == mean.shape[1:]:  # took no part
        significance[:, np.asarray(hidden, dtype=bool)] = 0
    manager = segmentation.centers.axes_manager
    axes = [np.asarray(axis.axis) for axis in manager.signal_axes[::-1]]
    marks = []
    for i, count in enumerate(segmentation.counts):
        places = _places(difference[i], significance[i], n, least) if count else []
        marks.append(
            tuple(
                Mark(
                    place,
                    tuple(float(axis[j]) for axis, j in zip(axes, place, strict=True)),
                    float(difference[(i, *place)]),
                    float(significance[(i, *place)]),
                )
                for place in places
            )
        )
    return Distinction(difference, significance, tuple(marks))


def _differences(mean: F64, error: F64, counts: F64) -> tuple[F64, F64]:
    """Differences (k, ...) in standard deviations and in standard errors."""
    total = counts.sum()
    variance = error**2 * counts
    pooled = (variance * np.maximum(counts - 1, 0)).sum(axis=0)
    pooled /= max(float(np.maximum(counts - 1, 0).sum()), 1.0)
    rounding = _NOTHING * float(np.abs(mean).max(initial=0.0)) or 1.0
    others = np.maximum(total - counts, 1)
    rest = ((counts * mean).sum(axis=0) - counts * mean) / others
    squares = counts * (variance + mean**2)
    spread = np.maximum((squares.sum(axis=0) - squares) / others - rest**2, 0)
    apart = np.where((counts > 0) & (total > counts), mean - rest, 0.0)
    deviation = np.maximum(np.sqrt(pooled), rounding)
    standard = np.sqrt(variance / np.maximum(counts, 1) + spread / others)
    return apart / deviation, apart / np.maximum(standard, rounding / np.sqrt(others))


def _places(difference: F64, significance: F64, n: int, least: float) -> list[tuple[int, ...]]:
    """Places of the largest differences, each with a stretch of its own."""
    from scipy.ndimage import find_objects, label

    left = np.where(np.abs(significance) >= least, difference, 0.0)
    reach = [max(2, round(_APART * size)) for size in difference.shape]
    found = []
    for _ in range(n):
        place = np.unravel_index(int(np.abs(left).argmax()), left.shape)
        peak = float(left[place])
        if peak == 0:
            break
        found.append(tuple(int(i) for i in place))
        parts, _count = label(np.sign(peak) * left > _HALF * abs(peak))
        stretch = find_objects(parts)[int(parts[place]) - 1]
        left[tuple(map(_widened, stretch, reach))] = 0
    return found


def _widened(stretch: slice, least: int) -> slice:
    """Add a stretch's own length on either side: a peak's tails are part of it."""
    more = max(stretch.stop - stretch.start, least)
    return slice(max(stretch.start - more, 0), stretch.stop + more)
