"""Positions of another scan that no known cluster explains."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Lt
from numpy.typing import NDArray

from clustem.core import (
    Clustering,
    Features,
    Fitted,
    InputError,
    PatchGrid,
    Segmentation,
    Step,
    checked,
    versions,
)
from clustem.judge._expected import expected_of
from clustem.judge._rare_phases import best_mixture, rare_phases
from clustem.judge._scan_counts import ScanCounts
from clustem.passes.rows import Rows
from clustem.passes.sparse import sparse

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
_QUANTILES = 257
"""Quantiles of the distances that are kept of a fit."""
_SHARE = 0.05
"""Least share of a region's counts that no mixture of clusters explains."""
_AROUND = 5
"""Of the nine positions around, and including, one: so many must be far from their clusters."""


@dataclass(frozen=True, eq=False)
class Novelty:
    """Positions that no cluster explains.

    Attributes
    ----------
    mask
        Boolean, shape of the scan, True = explained by none.
    regions
        Number of connected regions of them.
    rate
        False-alarm rate: see :func:`novelty`.
    summary
        All of it in one sentence.
    """

    mask: Flags
    regions: int
    rate: float
    summary: str


@checked
def novelty(
    segmentation: Segmentation,
    *,
    rate: Annotated[float, Gt(0), Lt(1)] = 0.01,
    min_size: Annotated[int, Ge(1)] = 4,
    random_state: Annotated[int, Ge(0)] = 0,
) -> Novelty:
    """Find positions that none of the clusters of another scan explains.

    Parameters
    ----------
    segmentation
        What ``Segmentation.apply`` returned: its features, and what was fitted elsewhere.
    rate
        Of counts, the chance that a scan without new phases shows any region; of others, the share
        of a known cluster's positions that are as far from it.
    min_size
        Fewest positions of a region; positions that touch by a corner are connected.
    random_state
        Seed of the splitting of counts.

    Returns
    -------
    :
        Where they are.

    Raises
    ------
    InputError
        If the features or what was fitted are missing.

    Notes
    -----
    Counts are looked at as in :func:`~clustem.judge.residuals.residuals`, with the shapes of the
    clusters as they were fitted: regions that no mixture of clusters explains, of which at least
    5 % of the counts are left over, beyond what the noise of these shapes leaves. Less can be
    absorption or a calibration that drifts.
    Others are explained by no cluster where they are farther from the center of their own than all
    but the given share of the fit's positions, and so are most of those around them. Distances are
    divided by their median over the scan, compared with that of the fit, if that is larger: fewer
    counts make all of them larger. So a new phase that most of a scan consists of is not seen.

    Examples
    --------
    >>> from clustem import samples, segment
    >>> one, other = (samples.eds(shape=(24, 30), random_state=i).signal for i in (0, 1))
    >>> other.data[3:9, 4:12, 300:340] += 1
    >>> found = novelty(segment(one, "eds", n_clusters=4).apply(other, novelty=None))
    >>> found.regions, int(found.mask[3:9, 4:12].sum()) > 40
    (1, True)
    """
    features, fitted = segmentation.features, segmentation.fitted
    if features is None or fitted is None:
        raise InputError(
            "Novelty needs the features of a scan and what was fitted on another",
            got="a result loaded from disk",
            cure="Apply it to the scan: result.apply(signal).",
        )
    if hasattr(fitted.estimator, "shapes_"):
        mask = _by_counts(segmentation, features, fitted, min_size, rate, random_state)
    else:
        mask = _by_distance(segmentation, features, fitted, min_size, rate)
    regions = _count(mask)
    share = 100 * float(mask[~segmentation.mask].mean())
    summary = "All positions are explained by the clusters"
    if regions:
        noun = "region" if regions == 1 else "regions"
        summary = f"{regions} {noun} ({share:.2g} % of the positions) that no cluster explains"
    return Novelty(mask, regions, rate, summary)


def with_novelty(segmentation: Segmentation, *, rate: float) -> Segmentation:
    """Return a result that knows which of its positions no cluster explains."""
    found = novelty(segmentation, rate=rate)
    step = Step(
        "judge",
        "novelty",
        {"rate": rate},
        found={"regions": found.regions, "positions": int(found.mask.sum())},
        version=versions()["clustem"],
        note=found.summary,
    )
    return replace(segmentation, novel=found.mask, history=(*segmentation.history, step))


def typical(clustering: Clustering) -> F64 | None:
    """Return quantiles (k, 257) of the distances of rows from their clusters; None for counts."""
    if hasattr(clustering.estimator, "shapes_"):
        return None
    near = getattr(clustering.estimator, "nearest_distances_", None)  # known: no pass over a file
    far = _distances(clustering.estimator, clustering.features.rows) if near is None else near[:, 0]
    if far is None:
        return None
    levels = np.linspace(0, 1, _QUANTILES)
    out = np.full((clustering.n_clusters, _QUANTILES), np.inf)
    for i in range(clustering.n_clusters):
        if (own := clustering.labels == i).any():
            out[i] = np.quantile(far[own], levels)
    return out


def _by_counts(  # noqa: PLR0917  # one call
    segmentation: Segmentation,
    features: Features,
    fitted: Fitted,
    min_size: int,
    rate: float,
    seed: int,
) -> Flags:
    counts = _counts_of(features)
    if not len(counts.values):
        return np.zeros(features.shape, dtype=bool)
    shapes, counted = _shapes(fitted)
    model = expected_of(counts, np.atleast_2d(segmentation.labels.data), shapes, counted)
    random = np.random.default_rng(seed)
    found = rare_phases(counts, model, min_size=min_size, rate=rate, random=random)
    mask = np.zeros(counts.number.shape, dtype=bool)
    for one in found:
        seen = counts.pooled(counts.values, counts.number[one.region])
        there = seen > 0
        weights = best_mixture(seen[there], model.shapes[:, there], one.base)[1]
        weights /= weights.sum()
        own = weights @ model.shapes
        shape = own * one.ratio / float(own @ one.ratio)
        known = 1 / float((weights**2 / np.maximum(counted, 1)).sum())
        noise = float(np.sqrt(own / known / (2 * np.pi)).sum())  # mean of the same for noise
        if np.maximum(shape - own, 0).sum() >= _SHARE + noise:
            mask |= one.region
    return mask.reshape(features.shape)


def _shapes(fitted: Fitted) -> tuple[F64, F64]:
    """Shapes of the clusters in the numbers of the result, and the counts they are from."""
    estimator, number = fitted.estimator, fitted.number
    k = int(number.max()) + 1
    totals = estimator.cluster_centers_.sum(axis=1) * estimator.sizes_
    sums, counted = np.zeros((k, estimator.shapes_.shape[1])), np.zeros(k)
    np.add.at(sums, number, estimator.shapes_ * totals[:, None])
    np.add.at(counted, number, totals)
    return sums / np.maximum(counted, 1e-300)[:, None], counted


def _counts_of(features: Features) -> ScanCounts:
    rows = sparse(Rows.of(features.rows))
    number = np.full(features.shape, -1, dtype=np.int64)
    number[~features.mask] = np.arange(rows.shape[0])
    return ScanCounts(
        rows.indptr.astype(np.int64),
        rows.indices.astype(np.int32, copy=False),
        rows.data.astype(np.int32),
        np.atleast_2d(number),
        np.arange(rows.shape[1]),
        (rows.shape[1],),
    )


def _by_distance(
    segmentation: Segmentation, features: Features, fitted: Fitted, min_size: int, rate: float
) -> Flags:
    nothing = np.zeros(features.shape, dtype=bool)
    far = None if fitted.typical is None else _distances(fitted.estimator, features.rows)
    if far is None or fitted.typical is None:
        return nothing
    labels = segmentation.labels.data[~features.mask]
    known = labels >= 0
    levels = np.linspace(0, 1, _QUANTILES)
    middle = fitted.typical[:, _QUANTILES // 2][labels]
    usable = known & np.isfinite(middle) & (middle > 0)
    wider = max(float(np.median(far[usable] / middle[usable])), 1.0) if usable.any() else 1.0
    limits = np.array([np.interp(1 - rate, levels, row) for row in fitted.typical])
    strange = ~known | (far / wider > limits[labels])
    if features.find(PatchGrid) is not None and features.mask.ndim == 1:
        return _flags(features, strange)
    return _together(features, strange, min_size)


def _together(features: Features, strange: Flags, min_size: int) -> Flags:
    """Keep positions most of whose neighbours are as strange, in regions that are large enough."""
    from scipy.ndimage import label, uniform_filter

    grid = np.atleast_2d(_flags(features, strange))
    left_in = np.atleast_2d(~features.mask)
    size = 9.0 if min(grid.shape) > 1 else 3.0
    near = uniform_filter(grid.astype(np.float64), 3, mode="constant") * 9
    there = uniform_filter(left_in.astype(np.float64), 3, mode="constant") * 9
    kept = grid & (near >= _AROUND / 9 * np.minimum(there, size) - 1e-9)
    numbers, n = label(kept, structure=np.ones((3, 3)))
    sizes = np.bincount(numbers.ravel(), minlength=n + 1)
    sizes[0] = 0
    found: Flags = (sizes >= min_size)[numbers].reshape(features.shape)
    return found


def _flags(features: Features, flags: Flags) -> Flags:
    return np.asarray(features.on_scan(flags, fill=False))


def _count(mask: Flags) -> int:
    from scipy.ndimage import label

    return int(label(mask, structure=np.ones((3,) * mask.ndim))[1])


def _distances(estimator: Any, rows: Any) -> F64 | None:
    """Distance (n,) of each row from the nearest center."""
    if hasattr(estimator, "transform"):
        near: F64 = np.asarray(estimator.transform(rows)).min(axis=1)
        return near
    centers = getattr(estimator, "cluster_centers_", None)
    if centers is None:
        return None
    known = Rows.of(rows)
    out = np.empty(len(known))
    for where, far in known.map(lambda block, _: _nearest(block, centers)):
        out[where] = far
    return out


def _nearest(block: NDArray[Any], centers: F64) -> F64:
    from scipy.spatial.distance import cdist

    return np.asarray(cdist(block, centers).min(axis=1))
