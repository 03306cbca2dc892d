"""How the clustered intensity is distributed, and where clusters are cut from each other."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clustem.core import Segmentation, checked
from clustem.report.figures._spectra import ink
from clustem.report.layout.intensities import intensities, label_of
from clustem.report.layout.maps import ROW, color_key, key_columns, key_entries
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import INK, MUTED, SINGLE, Sheet, styled

_EDGE, _LEFT, _BELOW, _HEIGHT, _TOP = 1.5, 13.0, 10.5, 48.0, 5.0
_BINS = 80


@checked
@styled
def intensity_histogram(segmentation: Segmentation) -> Figure:
    """Draw the histogram of the clustered intensity with the clusters' centers and the cuts.

    Parameters
    ----------
    segmentation
        Clusters of ``describe.total_intensity``.

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 89 mm wide.

    Raises
    ------
    InputError
        If something else was clustered.

    Notes
    -----
    Triangles: centers, medians where the clustering's own are not known (after edits). Dashed:
    halfway between two of them, where a position changes sides.

    Examples
    --------
    >>> from dataclasses import replace
    >>> from clustem.core import IntensityInfo
    >>> from clustem.report.figures.example import example
    >>> some = np.arange(24, dtype=np.float32)[:, None]
    >>> about = IntensityInfo(ranked_by="ln N_tot")
    >>> given = {"points": some, "feature_names": ("ln N_tot",), "about": about}
    >>> figure = intensity_histogram(replace(example(), **given))
    >>> figure.axes[0].get_ylabel()
    'Positions per bin'
    """
    values = intensities(segmentation)
    labels = segmentation.labels.data[~segmentation.mask]
    centers = _centers(segmentation, values, labels)
    inner = SINGLE - _LEFT - _EDGE
    columns = key_columns(segmentation, inner)
    lines = -(-len(key_entries(segmentation)) // columns)
    bottom = _TOP + _HEIGHT + _BELOW
    sheet = Sheet(SINGLE, bottom + lines * ROW + _EDGE)
    color_key(sheet, segmentation, left=_LEFT, top=bottom, width=inner, columns=columns)
    ax = sheet.axes(_LEFT, _TOP, inner, _HEIGHT)
    shades = [tuple(shade) for shade in palette(segmentation).tolist()]
    groups = [values[labels == i] for i in range(segmentation.n_clusters)]
    span = _span(values)
    ax.hist(groups, bins=_BINS, range=span, stacked=True, color=shades, histtype="stepfilled")
    known = np.sort(centers[np.isfinite(centers)])
    for cut in known[:-1] + np.diff(known) / 2:
        ax.axvline(cut, color=MUTED, linewidth=0.6, linestyle=(0, (3, 2)))
    for center, shade in zip(centers, shades, strict=True):
        ax.plot(
            center, 1.02, marker="v", ms=4.5, color=ink(np.array(shade)), mec=INK, mew=0.3,
            transform=ax.get_xaxis_transform(), clip_on=False,
        )  # fmt: skip
    ax.set(xlim=span, xlabel=label_of(segmentation), ylabel="Positions per bin")
    ax.locator_params(axis="x", nbins=5)
    ax.spines[["top", "right"]].set_visible(False)
    return sheet.figure


def _centers(
    segmentation: Segmentation, values: NDArray[np.float32], labels: NDArray[np.int16]
) -> NDArray[np.float64]:
    """Center of each cluster (k,), NaN where a cluster is empty."""
    known = segmentation.feature_centers
    if known is not None and len(known) == segmentation.n_clusters:
        return known
    groups = (values[labels == i] for i in range(segmentation.n_clusters))
    return np.array([np.median(group) if group.size else np.nan for group in groups])


def _span(values: NDArray[np.float32]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    digits = 1e-5 * max(abs(low), abs(high))  # float32 has no finer steps
    margin = max(0.03 * (high - low), digits) or 0.5
    return low - margin, high + margin
