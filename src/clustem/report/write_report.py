"""Everything a reader gets, in one folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clustem.judge.compare import compare
from clustem.model import Projection
from clustem.report._findings import default_title
from clustem.report._fringe_curves import has_fringes
from clustem.report._html import page
from clustem.report._intensities import is_intensity
from clustem.report._placed import is_placed
from clustem.report._plates import checked_folder, drawn
from clustem.report._sheet import styled
from clustem.report.center_plot import center_plot
from clustem.report.confusion import confusion
from clustem.report.disagreement import disagreement
from clustem.report.ellipses import ellipses
from clustem.report.image_map import image_map
from clustem.report.intensity_histogram import intensity_histogram
from clustem.report.intensity_map import intensity_map
from clustem.report.margin_maps import margin_maps
from clustem.report.membership_maps import membership_maps
from clustem.report.orientation_map import orientation_map
from clustem.report.phase_map import phase_map
from clustem.report.scatter import scatter
from clustem.report.scree import scree
from clustem.report.side_by_side import side_by_side
from clustem.report.split_views import split_views
from clustem.report.thickness_map import thickness_map
from clustem.report.unassigned_map import unassigned_map
from clustem.report.write_centers import write_centers
from clustem.report.write_labels import write_labels
from clustem.report.write_memberships import write_memberships
from clustem.report.write_points import write_points
from clustem.report.write_regions import write_regions
from clustem.report.write_scores import write_scores
from clustem.report.write_thickness import write_thickness
from clustem.report.zero_loss_plot import zero_loss_plot

_Figures = Iterator[tuple[str, str, str, Callable[..., Any]]]


@styled
def write_report(
    projection: Projection,
    folder: str | Path,
    *,
    title: str = "",
    provenance: Mapping[str, object] | None = None,
    beside: Mapping[str, Projection] | None = None,
    truth: NDArray[np.integer] | None = None,
    truth_names: Sequence[str] = (),
    dpi: int = 200,
) -> list[Path]:
    """Write all files of a result, the figures and the report.

    Parameters
    ----------
    projection
        The clusters on their scan of one or two axes.
    folder
        Existing, empty folder.
    title
        Heading of the report; the name of the source's file if empty.
    provenance
        More lines for the report's section on where the data come from, for example the path of
        the input and its hash.
    beside
        Other results on the same scan, by title, whose maps are drawn beside this one's.
    truth, truth_names
        Labels that are known to be right, of the map's shape, negative where there are none, and
        their names by number: the report then shows the confusion matrix, and where the map is
        wrong.
    dpi
        Resolution of the figures [dots per inch].

    Returns
    -------
    :
        The files: ``labels.tif``, ``memberships.tif`` (unless hard), ``centers.hspy``,
        ``centers/*.msa`` (spectra) or ``centers.tif`` (patterns), ``points.csv``, ``scores.csv``,
        ``regions.csv`` (maps), ``thickness.tif`` (where it is known), ``figures/*.png``,
        ``report.html``.

    Raises
    ------
    OutputError
        If the folder does not exist or is not empty.

    Notes
    -----
    ``report.html`` needs no other file and no network. Figures that need what the projection does
    not have (memberships, components) are left out.

    Examples
    --------
    >>> import tempfile
    >>> from clustem.report._example import example
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     len(write_report(example(), folder, title="Two phases"))
    15
    """
    folder = Path(folder)
    checked_folder(folder)
    files = [write_labels(projection, folder / "labels.tif")]
    if projection.memberships is not None:
        files.append(write_memberships(projection, folder / "memberships.tif"))
    files += write_centers(projection, folder)
    files.append(write_points(projection, folder / "points.csv"))
    files.append(write_scores(projection, folder / "scores.csv"))
    if projection.labels.data.ndim == 2:
        files.append(write_regions(projection, folder / "regions.csv"))
    if "thickness" in projection.details:
        files.append(write_thickness(projection, folder / "thickness.tif"))
    (folder / "figures").mkdir()
    figures = [
        *_plan(projection),
        *_against(projection, truth, truth_names),
        *_comparison(beside or {}),
    ]
    plates = drawn([(*words, partial(draw, projection)) for *words, draw in figures], dpi)
    for plate in plates:
        files.append(folder / "figures" / f"{plate.name}.png")
        files[-1].write_bytes(plate.png)
    html = page(
        projection, plates, title=title or default_title(projection), provenance=provenance or {}
    )
    files.append(folder / "report.html")
    files[-1].write_text(html, encoding="utf-8")
    return files


def _plan(projection: Projection) -> _Figures:
    """Name, heading, caption and function of each figure that the projection can fill."""
    soft = projection.memberships is not None
    if is_placed(projection):
        yield from _on_image(projection)
        if projection.mask.ndim == 1:  # a strip of atom columns in a row tells nothing
            yield _centers(projection)
            yield from _data_space(projection)
            return
    yield (
        "phase_map",
        "Map of the clusters",
        (
            "Each position in the color of its cluster; shares are of the positions that take "
            "part. Hatched: unassigned; white: excluded."
        ),
        phase_map,
    )
    if has_fringes(projection):
        yield (
            "orientation_map",
            "Lattice directions",
            (
                "Colors and white bars: direction of the normal of the planes that the clusters "
                "are named by, from right (0°) toward below (90°). Squares: color of the cluster, "
                "then of its direction. Strength is relative to the strongest facet's."
            ),
            orientation_map,
        )
    yield _centers(projection)
    if soft:
        yield (
            "memberships",
            "Memberships",
            "How far each position belongs to each cluster, from 0 to 1.",
            membership_maps,
        )
    if "margin" in projection.details:
        yield (
            "margins",
            "How sure",
            (
                "Left: distance of each position to its center. Right: share by which the next "
                "center is farther, 0 on the border of two clusters."
            ),
            margin_maps,
        )
    yield from _data_space(projection)
    if soft or projection.unassigned.any():
        yield (
            "unassigned",
            "Unassigned positions",
            "Positions that no cluster claims"
            + (", and the largest membership of each position." if soft else "."),
            unassigned_map,
        )


def _on_image(projection: Projection) -> _Figures:
    """Figures of the patches of an image."""
    yield (
        "image_map",
        "Clusters on the image",
        "Each patch in the color of its cluster, where its middle lies in the image.",
        image_map,
    )
    if projection.points.shape[1] > 1:
        yield (
            "ellipses",
            "Plane of the first two features",
            "Every patch is a dot; ellipses hold 50 % and 95 % of a normal distribution each.",
            ellipses,
        )


def _centers(projection: Projection) -> tuple[str, str, str, Callable[..., Any]]:
    caption = _center_caption(projection)
    return "centers", "What the clusters are made of", caption, center_plot


def _data_space(projection: Projection) -> _Figures:
    """Figures of the features that were clustered."""
    if is_intensity(projection):
        yield (
            "intensity",
            "Total intensity",
            "What was clustered: where the specimen is thicker, fewer electrons arrive.",
            intensity_map,
        )
        yield (
            "histogram",
            "Where clusters are cut",
            "Histogram of it in the colors of the map. Triangles: centers; dashed: cuts.",
            intensity_histogram,
        )
    elif projection.points.shape[1] and not has_fringes(projection):
        yield (
            "scatter",
            "Data space",
            (
                "The clustered features, pair by pair. Every position is a dot in the color of "
                "its cluster; grey: unassigned."
            ),
            scatter,
        )
    yield from _losses(projection)
    if "explained_variance_ratio" in projection.details:
        yield (
            "scree",
            "Components",
            "Share of the variance that each component explains. Filled: kept for the clustering.",
            scree,
        )


def _losses(projection: Projection) -> _Figures:
    """Figures of the zero-loss model."""
    if "zero_loss" in projection.details:
        yield (
            "zero_loss",
            "Where the zero-loss peak ends",
            (
                "Median spectrum of each cluster and the model of its zero-loss peak with the 68 % "
                "band. E_I: up to here the spectrum is the peak alone; E_II: beyond it there is "
                "no peak left."
            ),
            lambda found: zero_loss_plot(
                found.details["zero_loss"], names=found.names, hues=found.hues
            ),
        )
    if "thickness" in projection.details:
        yield (
            "thickness",
            "Thickness",
            (
                "ln(total / zero-loss intensity): thickness over inelastic mean free path. The "
                "uncertainty is that of the zero-loss model and of counting; losses beyond the end "
                "of the spectra are missing."
            ),
            thickness_map,
        )
    if "thickness_nm" in projection.details:
        yield (
            "thickness_nm",
            "Thickness in nanometres",
            "With the mean free path after Iakoubovskii, which is certain to 10 to 20 %.",
            lambda found: thickness_map(found, quantity="absolute"),
        )


def _against(
    projection: Projection, truth: NDArray[np.integer] | None, names: Sequence[str]
) -> _Figures:
    """Figures of a result whose truth is known."""
    if truth is None:
        return
    yield (
        "confusion",
        "Against the truth",
        "Share of each true label that lies in each cluster, after the best matching of numbers.",
        lambda found: confusion(compare(found.labels.data, truth), names=names, hues=found.hues),
    )
    if projection.mask.ndim == 2 or is_placed(projection):
        yield (
            "disagreement",
            "Where it differs from the truth",
            "Left and middle: both maps in matching colors. Right: labels where they are wrong.",
            lambda projection: disagreement(projection, truth),
        )


def _comparison(beside: Mapping[str, Projection]) -> _Figures:
    """Figures of other results on the same scan."""
    if beside and any(is_placed(other) for other in beside.values()):
        titles = ["this result", *beside]
        for i, (one, other) in enumerate(pairwise(titles), start=1):
            yield (
                f"split_{i}",
                f"{one[:1].upper()}{one[1:]}, {other}",
                "The same patches clustered twice, in matching colors, and how clusters split.",
                partial(_split, beside, (one, other)),
            )
    elif beside:
        yield (
            "side_by_side",
            "Other results on this scan",
            "Clusters that overlap most have the same color.",
            lambda projection: side_by_side({"this result": projection, **beside}),
        )


def _split(
    beside: Mapping[str, Projection], titles: tuple[str, str], projection: Projection
) -> Any:
    first, second = (beside.get(title, projection) for title in titles)
    return split_views(first, second, titles=titles)


def _center_caption(projection: Projection) -> str:
    ndim = projection.centers.data.ndim - 1
    text = "Mean of the raw data over the positions of each cluster"
    if has_fringes(projection):
        return (
            "Mean strength of the lattice fringes in each cluster against their direction, one "
            "line per spacing. Dots: maxima; dashed: the direction that names the cluster."
        )
    if ndim == 1:
        return (
            f"{text}, n of them; bands are the standard error of the mean. Carets: where a cluster "
            "has more (filled) or less (hollow) than the others."
        )
    if ndim == 2 and is_placed(projection):
        return f"{text} on a grey scale common to all, and minus the mean of all patches."
    if ndim == 2:
        return (
            f"{text}: on a linear and a logarithmic scale common to all, and minus the mean of all "
            "positions. Dashed: what the clustering did not see. Blue lines surround what there is "
            "more of than in the other clusters (solid) or less (dotted)."
        )
    return f"{text}, with the standard error."
