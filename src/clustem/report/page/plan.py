"""Which figures a report has, with their headings and captions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.core import ParticleMap, PCAInfo, Segmentation, VAEInfo
from clustem.judge.compare import compare
from clustem.judge.residuals import Residuals
from clustem.judge.smooth_trend import SmoothTrend, smooth_trend
from clustem.report.figures.angle_map import angle_map
from clustem.report.figures.center_plot import center_plot
from clustem.report.figures.confusion import confusion
from clustem.report.figures.disagreement import disagreement
from clustem.report.figures.ellipses import ellipses
from clustem.report.figures.image_map import image_map
from clustem.report.figures.intensity_histogram import intensity_histogram
from clustem.report.figures.intensity_map import intensity_map
from clustem.report.figures.manifold import manifold
from clustem.report.figures.margin_maps import margin_maps
from clustem.report.figures.membership_maps import membership_maps
from clustem.report.figures.orientation_map import orientation_map
from clustem.report.figures.particle_sizes import particle_sizes
from clustem.report.figures.phase_map import phase_map
from clustem.report.figures.reconstructions import reconstructions
from clustem.report.figures.reliability import reliability
from clustem.report.figures.residual_map import residual_map
from clustem.report.figures.scatter import scatter
from clustem.report.figures.scree import scree
from clustem.report.figures.side_by_side import side_by_side
from clustem.report.figures.split_views import split_views
from clustem.report.figures.thickness_map import thickness_map
from clustem.report.figures.trend_map import trend_map
from clustem.report.figures.unassigned_map import unassigned_map
from clustem.report.figures.width_map import width_map
from clustem.report.figures.zero_loss_plot import zero_loss_plot
from clustem.report.layout.fringes import has_fringes
from clustem.report.layout.intensities import is_intensity
from clustem.report.layout.placed import is_placed
from clustem.report.layout.plates import Planned
from clustem.report.layout.thinned import thinned


def plan(segmentation: Segmentation) -> Iterator[Planned]:
    """List the figures that a result can fill, in their order in the report.

    Parameters
    ----------
    segmentation
        Any result.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> [figure.name for figure in plan(example())]
    ['phase_map', 'centers', 'memberships', 'scatter', 'scree', 'unassigned']
    """
    whole, segmentation = segmentation, thinned(segmentation)
    soft = segmentation.memberships is not None
    if is_placed(segmentation):
        yield from _on_image(segmentation)
        if segmentation.mask.ndim == 1:  # a strip of atom columns would show no places
            yield _centers(segmentation)
            yield from _data_space(segmentation)
            yield from _learned(whole)
            return
    trend = smooth_trend(segmentation)
    if trend is not None:
        yield _trend(segmentation, trend)
    if trend is None or segmentation.n_clusters > 1:
        yield Planned(
            "phase_map",
            "Map of the clusters",
            (
                "Each position in the color of its cluster; shares are of the positions that take "
                "part. Hatched: unassigned; white: excluded."
            ),
            partial(phase_map, segmentation),
        )
    if has_fringes(segmentation):
        yield Planned(
            "orientation_map",
            "Lattice directions",
            (
                "Colors and white bars: direction of the normal of the planes that the clusters "
                "are named by, from right (0°) toward below (90°). Squares: color of the cluster, "
                "then of its direction. Strength is relative to the strongest facet's."
            ),
            partial(orientation_map, segmentation),
        )
    if segmentation.find(ParticleMap) is not None:
        yield Planned(
            "particles",
            "Particles and their sizes",
            (
                "Outlines of the particles on the image; those that touch are cut at their necks. "
                "Right: diameters of circles of the same area; dashed: their median."
            ),
            partial(particle_sizes, whole),
        )
    yield _centers(segmentation)
    if soft:
        yield Planned(
            "memberships",
            "Memberships",
            "How far each position belongs to each cluster, from 0 to 1.",
            partial(membership_maps, segmentation),
        )
    if segmentation.distance is not None and segmentation.margin is not None:
        yield Planned(
            "margins",
            "How sure",
            (
                "Left: distance of each position to its center. Right: share by which the next "
                "center is farther, 0 on the border of two clusters."
            ),
            partial(margin_maps, segmentation),
        )
    yield from _data_space(segmentation)
    yield from _learned(whole)
    if soft or segmentation.unassigned.any():
        yield Planned(
            "unassigned",
            "Unassigned positions",
            "Positions that no cluster claims"
            + (", and the largest membership of each position." if soft else "."),
            partial(unassigned_map, segmentation),
        )


def _trend(segmentation: Segmentation, trend: SmoothTrend) -> Planned:
    """Return the figure of a trend that is there instead of groups."""
    return Planned(
        "trend",
        "Trend over the scan",
        (
            "No groups were found, but the data change smoothly over the scan. Left: the cubic "
            "surface along which they change most. Right: the same of each position by itself. "
            "Both in standard deviations of the surface."
        ),
        partial(trend_map, segmentation, trend),
    )


def _on_image(segmentation: Segmentation) -> Iterator[Planned]:
    """Figures of the patches of an image."""
    yield Planned(
        "image_map",
        "Clusters on the image",
        "Each patch in the color of its cluster, where its middle lies in the image.",
        partial(image_map, segmentation),
    )
    if segmentation.points.shape[1] > 1:
        yield Planned(
            "ellipses",
            "Plane of the first two features",
            "Every patch is a dot; ellipses hold 50 % and 95 % of a normal distribution each.",
            partial(ellipses, segmentation),
        )


def _centers(segmentation: Segmentation) -> Planned:
    caption = _center_caption(segmentation)
    return Planned(
        "centers", "What the clusters are made of", caption, partial(center_plot, segmentation)
    )


def _data_space(segmentation: Segmentation) -> Iterator[Planned]:
    """Figures of the features that were clustered."""
    if is_intensity(segmentation):
        yield Planned(
            "intensity",
            "Total intensity",
            "What was clustered: where the specimen is thicker, fewer electrons arrive.",
            partial(intensity_map, segmentation),
        )
        yield Planned(
            "histogram",
            "Where clusters are cut",
            "Histogram of it in the colors of the map. Triangles: centers; dashed: cuts.",
            partial(intensity_histogram, segmentation),
        )
    elif segmentation.points.shape[1] and not has_fringes(segmentation):
        yield Planned(
            "scatter",
            "Data space",
            (
                "The clustered features, pair by pair. Every position is a dot in the color of "
                "its cluster; grey: unassigned."
            ),
            partial(scatter, segmentation),
        )
    yield from _losses(segmentation)
    if segmentation.find(PCAInfo) is not None:
        yield Planned(
            "scree",
            "Components",
            "Share of the variance that each component explains. Filled: kept for the clustering.",
            partial(scree, segmentation),
        )


def _learned(segmentation: Segmentation) -> Iterator[Planned]:
    """Figures of learned descriptors."""
    known = segmentation.find(VAEInfo)
    if known is None or known.manifold is None or not segmentation.points.shape[1]:
        return
    yield Planned(
        "manifold",
        "Latent plane",
        (
            "Left: what the decoder draws at each place of the plane of the first two latent "
            "coordinates. Right: every position in that plane, in the color of its cluster."
        ),
        partial(manifold, segmentation),
    )
    yield Planned(
        "reconstructions",
        "What the decoder makes of single positions",
        (
            "Positions along the first latent coordinate, turned and shifted back where they were "
            "turned; what the decoder draws of them; and the difference."
        ),
        partial(reconstructions, segmentation),
    )
    if known.width.shape[:-1] != segmentation.mask.shape:
        return
    if known.angle is not None:
        yield Planned(
            "angles",
            "Angle of the motif",
            (
                "From right (0°) toward below. Colors repeat after the angle at which the motif "
                "looks the same."
            ),
            partial(angle_map, segmentation),
        )
    yield Planned(
        "widths",
        "How sure the latent coordinates are",
        "Standard deviation of the posterior: 1, that of the prior, where a position says nothing.",
        partial(width_map, segmentation),
    )


def _losses(segmentation: Segmentation) -> Iterator[Planned]:
    """Figures of the zero-loss model."""
    model = segmentation.zero_loss
    if model is not None:
        yield Planned(
            "zero_loss",
            "Where the zero-loss peak ends",
            (
                "Median spectrum of each cluster and the model of its zero-loss peak with the 68 % "
                "band. E_I: up to here the spectrum is the peak alone; E_II: beyond it there is "
                "no peak left."
            ),
            partial(
                zero_loss_plot,
                model,
                names=segmentation.names,
                color_index=segmentation.color_index,
            ),
        )
    if segmentation.thickness is not None:
        yield Planned(
            "thickness",
            "Thickness",
            (
                "ln(total / zero-loss intensity): thickness over inelastic mean free path. The "
                "uncertainty is that of the zero-loss model and of counting; losses beyond the end "
                "of the spectra are missing."
            ),
            partial(thickness_map, segmentation),
        )
    if segmentation.thickness is not None and segmentation.thickness.absolute is not None:
        yield Planned(
            "thickness_nm",
            "Thickness in nanometres",
            "With the mean free path after Iakoubovskii, which is certain to 10 to 20 %.",
            partial(thickness_map, segmentation, quantity="absolute"),
        )


def plan_truth(
    segmentation: Segmentation, truth: NDArray[np.integer[Any]], names: Sequence[str]
) -> Iterator[Planned]:
    """List the figures of a result whose truth is known."""
    yield Planned(
        "confusion",
        "Against the truth",
        "Share of each true label that lies in each cluster, after the best matching of numbers.",
        lambda: confusion(
            compare(segmentation.labels.data, truth),
            names=names,
            color_index=segmentation.color_index,
        ),
    )
    if segmentation.memberships is not None:
        yield Planned(
            "reliability",
            "How sure, and how often right",
            (
                "Share of the positions that are right, by their largest membership. Areas of the "
                "dots: numbers of positions. On the dashed line memberships are probabilities."
            ),
            partial(reliability, segmentation, truth),
        )
    if segmentation.mask.ndim == 2 or is_placed(segmentation):
        yield Planned(
            "disagreement",
            "Where it differs from the truth",
            "Left and middle: both maps in matching colors. Right: labels where they are wrong.",
            partial(disagreement, segmentation, truth),
        )


def plan_residuals(segmentation: Segmentation, missed: Residuals) -> Planned:
    """Return the figure of what clusters of counts leave unexplained."""
    return Planned(
        "residuals",
        "What the map misses",
        (
            "How much the counts of each position depart from what its cluster, or a mixture of "
            "clusters near a border, explains. Outlined: regions that no cluster explains; a map "
            f"without any shows one with a probability of {100 * missed.rate:g} % at most."
        ),
        partial(residual_map, segmentation, missed),
    )


def plan_beside(
    segmentation: Segmentation, beside: Mapping[str, Segmentation]
) -> Iterator[Planned]:
    """List the figures of other results on the same scan."""
    if beside and any(is_placed(other) for other in beside.values()):
        results = {"this result": segmentation, **beside}
        for i, (one, other) in enumerate(pairwise(results), start=1):
            yield Planned(
                f"split_{i}",
                f"{one[:1].upper()}{one[1:]}, {other}",
                "The same patches clustered twice, in matching colors, and how clusters split.",
                partial(split_views, results[one], results[other], titles=(one, other)),
            )
    elif beside:
        yield Planned(
            "side_by_side",
            "Other results on this scan",
            "Clusters that overlap most have the same color.",
            partial(side_by_side, {"this result": segmentation, **beside}),
        )


def _center_caption(segmentation: Segmentation) -> str:
    ndim = segmentation.centers.data.ndim - 1
    text = "Mean of the raw data over the positions of each cluster"
    if has_fringes(segmentation):
        return (
            "Mean strength of the lattice fringes in each cluster against their direction, one "
            "line per spacing. Dots: maxima; dashed: the direction that names the cluster."
        )
    if ndim == 1:
        return (
            f"{text}, n of them; bands are the standard error of the mean. Carets: where a cluster "
            "has more (filled) or less (hollow) than the others."
        )
    if ndim == 2 and is_placed(segmentation):
        return f"{text} on a grey scale common to all, and minus the mean of all patches."
    if ndim == 2:
        return (
            f"{text}: on a linear and a logarithmic scale common to all, and minus the mean of all "
            "positions. Dashed: what the clustering did not see. Blue lines surround what there is "
            "more of than in the other clusters (solid) or less (dotted)."
        )
    return f"{text}, with the standard error."
