"""What a map misses: deviance of each position from its cluster, and regions that none explains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from clustem.core import Segmentation, Signal, checked
from clustem.judge._expected import expected, shares, standardized
from clustem.judge._rare_phases import RarePhase, best_mixture, boxed, rare_phases
from clustem.judge._scan_counts import ScanCounts, scan_counts

F64 = NDArray[np.float64]

_CHANNELS = 3
"""Most channels that are named of a region."""
_SIGNIFICANT = 4.0
"""Least excess in a named channel [standard deviations]."""
_BOX = 7
"""Channels that an excess is summed over."""
_APART = 0.3
"""Share of the largest departure per count from which on a region is left out of its cluster."""
_SPOILED = 0.01
"""Share of a cluster's counts in such regions from which on its shape is found without them."""
_NAMED = 3
"""Most regions that the summary names."""


@dataclass(frozen=True)
class Excess:
    """A channel that holds more counts than the clusters explain.

    Attributes
    ----------
    index
        Place along the signal axes, in array order.
    position
        The same in the units of the axes.
    counts
        Counts there and in the three channels on either side, less those expected.
    significance
        The same in standard deviations, by the square root of the deviance.
    """

    index: tuple[int, ...]
    position: tuple[float, ...]
    counts: float
    significance: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """A region that no cluster explains, nor any mixture of them.

    Attributes
    ----------
    mask
        Boolean, shape of the scan, True = in the region.
    size
        Number of positions.
    center
        Their mean place along the scan axes, in array order [px].
    cluster
        Cluster that most of them are drawn in, -1 = unassigned.
    counts
        Number of counts in the region.
    excess
        Share of its counts in each channel, less that of the mixture of clusters that fits best,
        float64 (*signal axes); 0 in channels that take no part.
    share
        Share of its counts that no mixture of clusters explains, smoothed over channels.
    channels
        Where the excess is most significant, the most significant first.
    log_ratio
        Log-likelihood of the region's own shape, learned from other counts, less that of the
        mixture of clusters that fits best.
    p_value
        Bound on the probability that a map without such regions shows one as significant.
    """

    mask: NDArray[np.bool_]
    size: int
    center: tuple[float, ...]
    cluster: int
    counts: int
    excess: F64
    share: float
    channels: tuple[Excess, ...]
    log_ratio: float
    p_value: float


@dataclass(frozen=True, eq=False)
class Residuals:
    """What the clusters leave unexplained.

    Attributes
    ----------
    deviance
        Deviance of each position from its clusters, less that expected of as many counts, in
        standard deviations; float64, shape of the scan, NaN where excluded.
    candidates
        Regions that no cluster explains, the most certain first.
    rate
        Chance that a map without such regions shows any.
    summary
        All of it in one sentence.
    """

    deviance: F64
    candidates: tuple[Candidate, ...]
    rate: float
    summary: str


@checked
def residuals(
    segmentation: Segmentation,
    *,
    min_size: Annotated[int, Ge(1)] = 4,
    rate: Annotated[float, Gt(0), Lt(1)] = 0.01,
    source: Signal | None = None,
    random_state: Annotated[int, Ge(0)] = 0,
) -> Residuals:
    """Find where counts depart from their clusters, and regions that may be phases of their own.

    Parameters
    ----------
    segmentation
        Clusters of a scan of one or two axes whose source holds counts; its masks are heeded.
    min_size
        Fewest positions of a region; positions that touch by a corner are connected.
    rate
        Chance that a map without such regions shows any.
    source
        The raw signal, needed for a result loaded from disk.
    random_state
        Seed of the splitting of counts and of the bootstrap.

    Returns
    -------
    :
        A map of standardised deviances, and the regions. Composition that varies within a phase
        makes regions, too; the channels of their excess tell.

    Raises
    ------
    InputError
        If the values are no counts, the raw signal is missing or an image, or the scan has more
        axes.

    Notes
    -----
    A position near a border may hold any mixture of the clusters within 3 pixels; shapes of
    clusters and shares of positions are fitted in turn. The deviance ``2 Σ x ln(x / (N p))`` has
    no usable chi-square law at few counts: mean and scatter come from a parametric bootstrap by
    cluster and N.

    Regions are found by pooling counts in windows and bands of channels, in one random half
    of the counts, and tested in the other half, by the likelihood ratio of the shape found
    against the best mixture of all clusters. Its mean is at most 1 where clusters explain the
    region, whatever the thickness, so that Markov's inequality bounds the p-value; the bound is
    shared between regions. For regions of few counts, windows are tested with all counts, each
    predicted from those before it, and the bound is shared between all windows. A phase whose
    shape is a mixture of clusters is not found: it cannot be told from their overlap. Time goes
    with the number of counts.

    References
    ----------
    A. Neufeld et al., Data thinning for convolution-closed distributions, J. Mach. Learn. Res.
    25 (2024) 1-35.
    L. Wasserman, A. Ramdas, S. Balakrishnan, Universal inference, PNAS 117 (2020) 16880-16890.

    Examples
    --------
    >>> import hyperspy.api as hs
    >>> from clustem.cluster import KMeans
    >>> from clustem.core import Clustering
    >>> from clustem.describe import spectra
    >>> from clustem.mapping import clusters
    >>> data = np.random.default_rng(0).poisson(0.5, (20, 24, 60)); data[3:7, 8:12, 40:43] += 2
    >>> features = spectra(hs.signals.Signal1D(data))
    >>> one = KMeans(1).fit(np.asarray(features.rows))
    >>> residuals(clusters(Clustering.from_estimator(one, features))).summary
    '1 region that no cluster explains: 16 px at (4, 10), excess at 41'
    """
    counts = scan_counts(segmentation, source)
    labels = np.atleast_2d(segmentation.labels.data)
    model = expected(counts, labels, segmentation.n_clusters)
    random = np.random.default_rng(random_state)
    found = rare_phases(counts, model, min_size=min_size, rate=rate, random=random)
    without = np.where(_apart(counts, found), -1, labels)
    if _spoiled(counts, labels, without):
        model = expected(counts, without, segmentation.n_clusters)
        found = rare_phases(counts, model, min_size=min_size, rate=rate, random=random)
    mixed, deviance = shares(counts, counts.values, model)
    standard = standardized(deviance, counts.totals, mixed, model.shapes, random)
    drawn = np.full(segmentation.mask.shape, np.nan)
    drawn[~segmentation.mask] = standard
    candidates = tuple(_candidate(segmentation, counts, model.shapes, one) for one in found)
    return Residuals(drawn, candidates, rate, _summary(segmentation, candidates))


def _apart(counts: ScanCounts, found: list[RarePhase]) -> NDArray[np.bool_]:
    """Where regions are that depart by nearly as much per count as the one that departs most."""
    totals = counts.totals
    per_count = [one.log_ratio / totals[counts.number[one.region]].sum() for one in found]
    chosen = [
        one.region
        for one, ratio in zip(found, per_count, strict=True)
        if ratio > _APART * max(per_count)
    ]
    return np.asarray(np.any([np.zeros(counts.number.shape, dtype=bool), *chosen], axis=0))


def _spoiled(
    counts: ScanCounts, labels: NDArray[np.integer[Any]], without: NDArray[np.integer[Any]]
) -> bool:
    """Whether a cluster's shape is much that of regions that no cluster explains."""
    there = counts.number >= 0
    totals, drawn, left = counts.totals, labels[there], without[there]
    most = int(drawn.max(initial=0)) + 2
    whole = np.bincount(drawn + 1, totals, most)[1:]
    lost = whole - np.bincount(left + 1, totals, most)[1:]
    return bool((lost > _SPOILED * whole).any())


def _candidate(
    segmentation: Segmentation, counts: ScanCounts, shapes: F64, one: RarePhase
) -> Candidate:
    mask = one.region.reshape(segmentation.mask.shape)
    seen = counts.pooled(counts.values, counts.number[one.region])
    there = seen > 0
    total = float(seen.sum())
    weights = best_mixture(seen[there], shapes[:, there], one.base)[1]
    expects = weights @ shapes * total / weights.sum()
    excess = np.zeros(int(np.prod(counts.inner)))
    excess[counts.kept] = (seen - expects) / total
    own = one.base @ shapes
    shape = own * one.ratio / float(own @ one.ratio)
    inside = segmentation.labels.data[mask]
    numbers, sizes = np.unique(inside, return_counts=True)
    return Candidate(
        mask=mask,
        size=int(mask.sum()),
        center=tuple(np.argwhere(mask).mean(axis=0).tolist()),
        cluster=int(numbers[sizes.argmax()]),
        counts=int(total),
        excess=excess.reshape(counts.inner),
        share=float(np.maximum(shape - own, 0).sum()),
        channels=_channels(segmentation, counts, seen, expects),
        log_ratio=float(one.log_ratio),
        p_value=one.p_value,
    )


def _channels(
    segmentation: Segmentation, counts: ScanCounts, seen: F64, expects: F64
) -> tuple[Excess, ...]:
    """Name the channels of the most significant excess, each apart from the others."""
    manager = segmentation.centers.axes_manager
    axes = [np.asarray(axis.axis) for axis in manager.signal_axes[::-1]]
    near, mean = boxed(counts, seen, _BOX), np.maximum(boxed(counts, expects, _BOX), 1e-9)
    ratio = np.maximum(near, 1e-9) / mean
    significance = np.sqrt(np.maximum(2 * (near * np.log(ratio) - near + mean), 0.0))
    significance[near <= mean] = 0.0
    places = np.array(np.unravel_index(counts.kept, counts.inner))
    found = []
    for _ in range(_CHANNELS):
        at = int(significance.argmax())
        if significance[at] < _SIGNIFICANT:
            break
        apart = np.abs(places - places[:, at, None]).max(axis=0)
        weight = np.where(2 * apart < _BOX, np.maximum(seen - expects, 0.0), 0.0)
        middle = places @ weight / max(float(weight.sum()), 1e-12)
        nearest = int(((places - middle[:, None]) ** 2).sum(axis=0).argmin())
        index = tuple(places[:, nearest].tolist())
        found.append(
            Excess(
                index,
                tuple(float(axis[i]) for axis, i in zip(axes, index, strict=True)),
                float(near[at] - mean[at]),
                float(significance[at]),
            )
        )
        significance[apart < 2 * _BOX] = 0.0
    return tuple(found)


def _summary(segmentation: Segmentation, candidates: tuple[Candidate, ...]) -> str:
    if not candidates:
        return "no region departs from its cluster"
    units = [str(axis.units) for axis in segmentation.centers.axes_manager.signal_axes[::-1]]
    known = [unit if unit not in {"", "<undefined>", "None"} else "" for unit in units]
    parts = []
    for one in candidates[:_NAMED]:
        center = ", ".join(f"{place:.0f}" for place in one.center)
        part = f"{one.size} px at ({center})"
        if one.channels:
            position = one.channels[0].position
            where = ", ".join(
                f"{value:.4g} {unit}".strip() for value, unit in zip(position, known, strict=True)
            )
            part += f", excess at {where}"
        parts.append(part)
    if len(candidates) > _NAMED:
        parts.append(f"and {len(candidates) - _NAMED} more")
    regions = "1 region" if len(candidates) == 1 else f"{len(candidates)} regions"
    return f"{regions} that no cluster explains: " + "; ".join(parts)
