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
from clustem.passes.picked_rows import PickedRows
from clustem.passes.rows import Rows
from clustem.passes.sparse import sparse

F64 = NDArray[np.float64]
Flags = NDArray[np.bool_]
_QUANTILES = 257
"""Quantiles of the distances that are kept of a fit."""
_SHARE = 0.05
"""Least share of a region's counts that no mixture of clusters explains."""
_WINDOW = 2
"""Positions on each side that are added up."""
_DIRECTIONS = 64
"""Directions in which rows of many columns are looked at."""
_MUCH = 2**28
"""Size of rows beyond which only some lines of a fit are looked at [bytes]."""
_ONE_OF = 64
"""Of so many lines, one is."""
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
    Of others, what rows differ by from the center of their cluster is added up over the positions
    of the same cluster in a window of 5 x 5, in 64 random directions if there are more columns:
    noise cancels, and what is new does not. A position is explained by no cluster where the length
    of the sum, over the root of their number, is larger than at all but the given share of the
    fit's positions, and so at most of those around. Lengths are divided by their median over the
    scan, compared with that of the fit, if that is larger: fewer counts make all of them larger. So
    a new phase that most of a scan consists of is not seen.

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
    """Return quantiles (k, 257) of how far rows are from their clusters; None for counts.

    Of rows that are too many to be read again for it, some lines of the scan are looked at.
    """
    if hasattr(clustering.estimator, "shapes_"):
        return None
    number = np.empty(clustering.n_clusters, dtype=np.intp)
    number[clustering.order] = np.arange(clustering.n_clusters)
    features, chosen = _some_lines(clustering.features)
    labels = clustering.labels[chosen]
    far = _away(features, labels, clustering.estimator, number)
    if far is None:
        return None
    levels = np.linspace(0, 1, _QUANTILES)
    out = np.full((clustering.n_clusters, _QUANTILES), np.inf)
    for i in range(clustering.n_clusters):
        if (own := labels == i).any():
            out[i] = np.quantile(far[own], levels)
    return out


def _some_lines(features: Features) -> tuple[Features, NDArray[np.intp]]:
    """Return features of bands of lines, evenly spaced, and which rows these are; all if few."""
    rows = Rows.of(features.rows)
    every = np.arange(len(rows))
    if rows.nbytes <= _MUCH or not features.scans or features.mask.ndim != 2:
        return features, every
    lines, high = features.shape[0], 2 * _WINDOW + 1
    bands = max(1, lines // (_ONE_OF * high))
    first = np.linspace(0, max(lines - high, 0), bands).astype(np.intp)
    used = np.zeros(lines, dtype=bool)
    used[np.minimum(first[:, None] + np.arange(high), lines - 1)] = True
    chosen = every[used[features.positions // features.shape[1]]]
    if not len(chosen):
        return features, every
    scan = replace(features.scan, mask=features.mask | ~used[:, None])
    return replace(features, rows=PickedRows(rows, chosen), scans=(scan,)), chosen


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
    labels = segmentation.labels.data[~features.mask].astype(np.int16)
    far = _away(features, labels, fitted.estimator, fitted.number)
    if far is None or fitted.typical is None:
        return nothing
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


def _away(
    features: Features, labels: NDArray[np.int16], estimator: Any, number: NDArray[np.intp]
) -> F64 | None:
    """Say how far rows (n,) and those around them are from their cluster in the same direction."""
    centers = getattr(estimator, "cluster_centers_", None)
    if centers is None:
        return None
    rows = Rows.of(features.rows)
    directions = _directions(rows.shape[1])
    middle = np.zeros((int(number.max()) + 1, directions.shape[1]))
    shares = np.bincount(number)[:, None]
    np.add.at(middle, number, np.asarray(centers) @ directions)
    middle /= shares
    rest = np.empty((len(rows), directions.shape[1]), dtype=np.float32)
    for where, found in rows.map(lambda block, _: block @ directions):
        rest[where] = found
    rest -= middle[labels]
    rest[labels < 0] = 0
    if features.find(PatchGrid) is not None and features.mask.ndim == 1:
        lengths: F64 = np.linalg.norm(rest, axis=1).astype(np.float64)
        return lengths
    return _summed(features, labels, rest)


def _summed(features: Features, labels: NDArray[np.int16], rest: NDArray[np.float32]) -> F64:
    """Length (n,) of the sum of rows of the same cluster in a window, over √ of their number."""
    left_in = np.atleast_2d(~features.mask)
    border = ((_WINDOW, _WINDOW), (_WINDOW, _WINDOW))
    grid = np.full(left_in.shape, -1, dtype=np.int64)
    grid[left_in] = np.arange(len(labels))
    grid = np.pad(grid, border, constant_values=-1)
    rows, columns = np.nonzero(left_in)
    total, count = np.zeros_like(rest), np.zeros(len(labels))
    for i in range(2 * _WINDOW + 1):
        for j in range(2 * _WINDOW + 1):
            other = grid[rows + i, columns + j]
            same = (other >= 0) & (labels[other] == labels)
            total[same] += rest[other[same]]
            count[same] += 1
    return np.asarray(np.linalg.norm(total, axis=1) / np.sqrt(np.maximum(count, 1)))


def _directions(width: int) -> NDArray[np.float32]:
    """Directions (D, d) that rows are looked at in: all of a few columns, else 64 at random."""
    if width <= _DIRECTIONS:
        return np.eye(width, dtype=np.float32)
    signs = np.random.default_rng(0).choice(np.array([-1, 1], np.float32), (width, _DIRECTIONS))
    found: NDArray[np.float32] = (signs / np.sqrt(_DIRECTIONS)).astype(np.float32)
    return found
