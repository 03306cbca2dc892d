"""What each cluster is made of."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge
from matplotlib.figure import Figure

from clustem.core import InputError, Segmentation, checked
from clustem.report.figures._patterns import pattern_grid
from clustem.report.figures._spectra import cascade, cascade_and_log, ink, quantity
from clustem.report.figures.fringe_curves import fringe_curves
from clustem.report.layout.fringes import filters_of
from clustem.report.layout.line_labels import is_eds
from clustem.report.layout.palette import palette
from clustem.report.layout.sheet import SINGLE, Sheet, fitted, styled


@checked
@styled
def center_plot(
    segmentation: Segmentation,
    *,
    scale: Literal["auto", "linear", "sqrt", "log"] = "auto",
    marks: Annotated[int, Ge(0)] = 2,
) -> Figure:
    """Draw the center of each cluster in the color of the map.

    Parameters
    ----------
    segmentation
        Its centers are single values, spectra, two-dimensional patterns, or the responses of
        ``describe.gabor``.
    scale
        Intensity axis of the cascade of spectra; "auto" is the square root for X-rays, which
        gives all counts the same noise, and linear otherwise. Diffraction patterns always show both
        a linear and a logarithmic grey scale, patches of an image only the linear one.
    marks
        In how many places at most each center is marked where it differs most from the others
        (``judge.distinguishing``).

    Returns
    -------
    :
        A ``matplotlib.figure.Figure``, 183 mm wide for spectra and lattice fringes.

    Raises
    ------
    InputError
        If the centers have more than two axes.

    Notes
    -----
    X-ray spectra: the lines of the elements in the metadata are labelled where they lie below the
    beam energy and rise by 5 standard errors above the spectrum beside them in at least one
    cluster. The axis ends after the last of them. Other spectra: a logarithmic view of all of them
    stands beside the cascade; a zero-loss peak is cut off in the linear one. Bands are standard
    errors of the mean. Filled carets point at energies where a cluster has more than the
    others, hollow ones where it has less; on patterns, solid and dotted lines surround such parts.
    Lattice fringes: strength against direction, one line per spacing. Dots are
    maxima, the dashed line is the lattice's direction as ``mapping.orientations`` finds it.

    Examples
    --------
    >>> from clustem.report.figures.example import example
    >>> len(center_plot(example()).axes)  # two rows and the logarithmic view
    3
    """
    ndim = segmentation.centers.data.ndim - 1
    if ndim == 0:
        return _values(segmentation)
    if ndim == 1 and is_eds(segmentation.centers):
        return cascade(segmentation, "sqrt" if scale == "auto" else scale, marks)
    if ndim == 1:
        return cascade_and_log(segmentation, "linear" if scale == "auto" else scale, marks)
    filters = filters_of(segmentation)
    if filters is not None:
        return fringe_curves(segmentation, filters)
    if ndim == 2:
        return pattern_grid(segmentation, marks)
    raise InputError(
        "Centers can be drawn if they have up to two axes",
        got=f"{ndim} axes",
        cure="Plot sums of segmentation.centers along one of them.",
    )


def _values(segmentation: Segmentation) -> Figure:
    k = segmentation.n_clusters
    sheet = Sheet(SINGLE, 14 + 6 * k)
    ax = sheet.axes(34, 2, SINGLE - 37, 6 * k)
    means, errors = np.ravel(segmentation.centers.data), np.ravel(segmentation.standard_error.data)
    for i, color in enumerate(palette(segmentation)):
        ax.errorbar(means[i], i, xerr=errors[i], fmt="o", color=ink(color), ms=5)
        sheet.text(31, 5 + 6 * i, fitted(segmentation.name_of(i), 29), ha="right")
    ax.locator_params(axis="x", nbins=4)
    ax.ticklabel_format(axis="x", style="plain", useOffset=False)
    ax.set(ylim=(k - 0.5, -0.5), yticks=[], xlabel=quantity(segmentation.centers))
    return sheet.figure
